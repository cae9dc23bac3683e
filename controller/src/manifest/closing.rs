//! What one form of an object reaches and another does not. Where the other stands in its place, the rest has to be closed: what
//! somebody has put under a policy or behind a route must not be left to a looser one, just because a name was taken or a word misspelt.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::schema;
use crate::cluster::{FieldProblem, Object, ObjectKind, Stored};
use crate::graph::ingress::CLASS_ANNOTATION;

/// Later than all others: a closing route yields to the one beside it where both match alike.
const NEWEST: &str = "9999-01-01T00:00:00Z";

/// Whether both say the same, as far as it makes a difference here.
pub(super) fn same(one: &Object, other: &Object) -> bool {
    match (reach(one), reach(other)) {
        (Some((kind, one)), Some((other_kind, other))) => kind == other_kind && one["spec"] == other["spec"],
        _ => false,
    }
}

/// What closes where two objects have one name. Of two policies, it cannot be told which one is meant, and either may be the stricter
/// one: all that they target is closed. Of two routes the first stands, and what only the second matches is closed.
pub(super) fn of_both(stands: &Object, second: &Object) -> Option<Object> {
    let (kind, form) = reach(second)?;
    if kind != ObjectKind::ApiPolicy {
        return beyond(stands, second);
    }
    let (_, stands) = reach(stands)?;
    let mut form = form.into_owned();
    let others = stands["spec"]["targetRefs"].as_array().cloned().unwrap_or_default();
    if let Some(targets) = form.pointer_mut("/spec/targetRefs").and_then(Value::as_array_mut) {
        let more: Vec<_> = others.into_iter().filter(|target| !targets.contains(target)).collect();
        targets.extend(more);
    }
    Some(closing(
        kind,
        second,
        form,
        "another object of its name says something else; all that either targets is closed",
    ))
}

/// An undecodable object with what `newer` reaches beyond `stands`; nothing if that is nothing, or objects of that kind guard nothing.
pub(super) fn beyond(stands: &Object, newer: &Object) -> Option<Object> {
    let (kind, reached) = reach(newer)?;
    let (_, stands) = reach(stands)?;
    let mut form = as_stated(newer).unwrap_or_else(|| reached.as_ref().clone());
    if kind == ObjectKind::ApiPolicy {
        if let Some(targets) = form.pointer_mut("/spec/targetRefs").and_then(Value::as_array_mut) {
            targets.retain(|target| !is_target_of(target, &stands));
            if targets.is_empty() {
                return None;
            }
        }
    } else if kind == ObjectKind::Ingress {
        if ingress_reaches_no_further(&reached, &stands) {
            return None;
        }
    } else if reaches_no_further(&reached["spec"], &stands["spec"]) {
        return None;
    }
    Some(closing(kind, newer, form, "another form of it is in force; what only this form speaks of is closed"))
}

/// The undecodable object that `form` of `of` becomes.
fn closing(kind: ObjectKind, of: &Object, mut form: Value, why: &str) -> Object {
    form["metadata"]["creationTimestamp"] = NEWEST.into();
    let mut problems = vec![FieldProblem { field: String::new(), message: why.to_owned() }];
    // What is wrong with the form may leave open what it reaches.
    problems.extend(of.problems().iter().cloned());
    Object::decode(kind, form, problems)
}

/// The form of an object that is not valid, without defaults.
fn as_stated(object: &Object) -> Option<Value> {
    match object {
        Object::ApiPolicy(Stored::Undecodable(policy)) => Some(policy.raw.clone()),
        Object::HTTPRoute(Stored::Undecodable(route)) => Some(route.raw.clone()),
        Object::GRPCRoute(Stored::Undecodable(route)) => Some(route.raw.clone()),
        Object::Ingress(Stored::Undecodable(ingress)) => Some(ingress.raw.clone()),
        _ => None,
    }
}

/// Objects that guard something or lead somewhere, as JSON, with defaults.
fn reach(object: &Object) -> Option<(ObjectKind, Cow<'_, Value>)> {
    let json = |form: serde_json::Result<Value>| form.ok().map(Cow::Owned);
    match object {
        Object::ApiPolicy(Stored::Decoded(policy)) => {
            Some((ObjectKind::ApiPolicy, json(serde_json::to_value(policy.as_ref()))?))
        }
        Object::HTTPRoute(Stored::Decoded(route)) => {
            Some((ObjectKind::HTTPRoute, json(serde_json::to_value(route.as_ref()))?))
        }
        Object::GRPCRoute(Stored::Decoded(route)) => {
            Some((ObjectKind::GRPCRoute, json(serde_json::to_value(route.as_ref()))?))
        }
        Object::Ingress(Stored::Decoded(ingress)) => {
            Some((ObjectKind::Ingress, json(serde_json::to_value(ingress.as_ref()))?))
        }
        Object::Ingress(Stored::Undecodable(ingress)) => Some(completed(ObjectKind::Ingress, &ingress.raw)),
        Object::ApiPolicy(Stored::Undecodable(policy)) => Some(completed(ObjectKind::ApiPolicy, &policy.raw)),
        Object::HTTPRoute(Stored::Undecodable(route)) => Some(completed(ObjectKind::HTTPRoute, &route.raw)),
        Object::GRPCRoute(Stored::Undecodable(route)) => Some(completed(ObjectKind::GRPCRoute, &route.raw)),
        Object::Namespace(_)
        | Object::Service(_)
        | Object::EndpointSlice(_)
        | Object::Secret(_)
        | Object::ConfigMap(_)
        | Object::GatewayClass(_)
        | Object::Gateway(_)
        | Object::ReferenceGrant(_)
        | Object::IngressClass(_)
        | Object::Backend(_)
        | Object::Product(_)
        | Object::Subscription(_)
        | Object::SubscriptionApproval(_)
        | Object::GatewayParameters(_) => None,
    }
}

fn completed(kind: ObjectKind, raw: &Value) -> (ObjectKind, Cow<'_, Value>) {
    (kind, schema::of(kind).map_or(Cow::Borrowed(raw), |schema| Cow::Owned(schema.with_defaults(raw))))
}

/// A target is covered by the same one, and by one without a section.
fn is_target_of(target: &Value, policy: &Value) -> bool {
    let text = |target: &Value, field: &str| target[field].as_str().map(str::to_owned);
    let key = |target: &Value| Some((text(target, "kind")?, text(target, "name")?));
    let Some(wanted) = key(target) else { return false };
    policy["spec"]["targetRefs"].as_array().into_iter().flatten().any(|other| {
        let section = &other["sectionName"];
        key(other).as_ref() == Some(&wanted) && (section.is_null() || *section == target["sectionName"])
    })
}

/// Whether every request that `newer` would match, `stands` matches: told only where each part is one of the other's parts.
fn reaches_no_further(newer: &Value, stands: &Value) -> bool {
    let list = |spec: &Value, field: &str| match &spec[field] {
        Value::Null => Some(vec![]),
        Value::Array(items) => Some(items.clone()),
        _ => None,
    };
    let within = |newer: &Option<Vec<Value>>, stands: &Option<Vec<Value>>| match (newer, stands) {
        (Some(newer), Some(stands)) => newer.iter().all(|one| stands.contains(one)),
        _ => false,
    };
    let (parents, hosts) = (list(newer, "parentRefs"), list(newer, "hostnames"));
    let (stands_parents, stands_hosts) = (list(stands, "parentRefs"), list(stands, "hostnames"));
    // No host names are all host names.
    let every_host = stands_hosts.as_ref().is_some_and(Vec::is_empty);
    let some_hosts = hosts.as_ref().is_some_and(|hosts| !hosts.is_empty());
    let hosts_within = hosts.is_some() && (every_host || (some_hosts && within(&hosts, &stands_hosts)));
    within(&parents, &stands_parents) && hosts_within && within(&matches(newer), &matches(stands))
}

/// The same of Ingresses: of one class, each host with its path and how that is compared is one of the other's, and so are the hosts
/// that are for TLS alone.
fn ingress_reaches_no_further(newer: &Value, stands: &Value) -> bool {
    let class = |one: &Value| {
        (one["spec"]["ingressClassName"].clone(), one["metadata"]["annotations"][CLASS_ANNOTATION].clone())
    };
    let of = |spec: &Value| -> Option<Vec<Value>> {
        let mut places = vec![];
        for rule in list_of(&spec["rules"])? {
            let paths = if rule["http"].is_null() { vec![Value::Null] } else { list_of(&rule["http"]["paths"])? };
            places.extend(paths.iter().map(|path| json!([rule["host"], path["path"], path["pathType"]])));
        }
        let default = (!spec["defaultBackend"].is_null()).then(|| json!("default"));
        places.extend(list_of(&spec["tls"])?.iter().map(|tls| json!({ "tls": tls["hosts"] })).chain(default));
        Some(places)
    };
    let (newer_places, stands_places) = (of(&newer["spec"]), of(&stands["spec"]));
    let within =
        newer_places.zip(stands_places).is_some_and(|(newer, stands)| newer.iter().all(|one| stands.contains(one)));
    within && class(newer) == class(stands)
}

/// All entries; none where nothing is stated, and `None` where it is no list.
fn list_of(value: &Value) -> Option<Vec<Value>> {
    if value.is_null() { Some(vec![]) } else { value.as_array().cloned() }
}

/// What a route matches, rule by rule; a rule that states nothing matches everything. `None` where that cannot be read.
fn matches(spec: &Value) -> Option<Vec<Value>> {
    let rules = match &spec["rules"] {
        Value::Null => return Some(vec![]),
        rules => rules.as_array()?,
    };
    let of = |rule: &Value| match &rule["matches"] {
        Value::Null if rule.is_object() => Some(vec![json!({})]),
        Value::Array(matches) if matches.is_empty() => Some(vec![json!({})]),
        Value::Array(matches) => Some(matches.clone()),
        _ => None,
    };
    rules.iter().map(of).collect::<Option<Vec<_>>>().map(|matches| matches.into_iter().flatten().collect())
}
