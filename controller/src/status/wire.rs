//! Statuses as the API server takes them.

use sallyport_api::condition::ConditionType;
use sallyport_api::{CONTROLLER_NAME, GROUP, NETWORKING_GROUP, gateway_api};
use serde_json::{Map, Value, json};

use super::condition::Condition;
use super::gateway::ListenerStatus;
use super::policy::{AncestorStatus, MAX_ANCESTORS};
use super::route::ParentStatus;
use super::{Address, ObjectStatus};

/// How a status is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Write {
    /// By server-side apply: the lists within are merged by their keys, and what is not ours stays.
    Apply(Value),
    /// In place of what is there, which has the entries of others in it.
    Replace(Value),
    /// Nothing is said any more, by server-side apply: what we have said goes, and what others say stays.
    Withdraw,
}

impl Write {
    /// What it says; none if nothing.
    pub fn status(&self) -> Option<&Value> {
        match self {
            Self::Apply(status) | Self::Replace(status) => Some(status),
            Self::Withdraw => None,
        }
    }
}

/// What turns `current`, the status as it stands, into what `planned` says; `None` if it says that already. A condition that says
/// the same as before keeps its time; others get `now` (RFC 3339).
pub fn write(planned: &ObjectStatus, current: &Value, now: &str) -> Option<Write> {
    let times = Times { now, generation: planned.observed_generation };
    let conditions = |list: &[Condition], before: &Value| times.all(list, &before["conditions"]);
    let mut status = Map::new();
    if planned.kind == "Ingress" {
        let reached: Vec<_> = planned.addresses.iter().map(load_balancer).collect();
        let status = json!({ "loadBalancer": { "ingress": reached } });
        return (!says(current, &status)).then_some(Write::Apply(status));
    }
    let is_ours = !matches!(&*planned.kind, "GatewayClass" | "Gateway" | "HTTPRoute" | "GRPCRoute");
    if is_ours {
        status.insert("observedGeneration".into(), planned.observed_generation.into());
    }
    if matches!(&*planned.kind, "HTTPRoute" | "GRPCRoute") {
        let parents = parents(&times, &planned.parents, &current["parents"]);
        return (parents != current["parents"]).then(|| Write::Replace(json!({ "parents": parents })));
    }
    status.insert("conditions".into(), conditions(&planned.conditions, current));
    if let Some(phase) = planned.phase {
        status.insert("phase".into(), phase.into());
    }
    if let Some(secret) = &planned.secret_ref {
        status.insert("secretRef".into(), json!(secret));
    }
    if let Some(keys) = &planned.keys {
        status.insert("keys".into(), json!(keys));
    }
    match &*planned.kind {
        "GatewayClass" => {
            let features: Vec<_> = planned.features.iter().map(|name| json!({ "name": name })).collect();
            status.insert("supportedFeatures".into(), features.into());
        }
        "Gateway" => {
            status.insert("addresses".into(), planned.addresses.iter().map(address).collect());
            let before = &current["listeners"];
            let listeners = planned.listeners.iter().map(|one| listener(&times, one, before));
            status.insert("listeners".into(), listeners.collect());
        }
        "ApiPolicy" => {
            status.insert("ancestors".into(), ancestors(&times, &planned.ancestors, &current["ancestors"]));
        }
        _ => {}
    }
    let status = Value::Object(status);
    (!says(current, &status)).then_some(Write::Apply(status))
}

/// Whether all that `wanted` says stands in `current`, and in our lists nothing of ours beside it. Of conditions, others may have their
/// own there.
fn says(current: &Value, wanted: &Value) -> bool {
    match (current, wanted) {
        (_, Value::Object(wanted)) => wanted.iter().all(|(name, value)| says(&current[name], value)),
        (Value::Null, Value::Array(wanted)) => wanted.is_empty(),
        (Value::Array(current), Value::Array(wanted)) => {
            let ours = current.iter().filter(|one| !is_of_others(one)).count();
            ours == wanted.len() && wanted.iter().all(|value| current.iter().any(|one| says(one, value)))
        }
        _ => current == wanted,
    }
}

/// Whether it is a condition of a type that we never state.
fn is_of_others(entry: &Value) -> bool {
    let (Some(kind), Some(_)) = (entry["type"].as_str(), entry["status"].as_str()) else { return false };
    ConditionType::ALL.iter().all(|one| one.as_str() != kind)
}

struct Times<'a> {
    now: &'a str,
    generation: i64,
}

impl Times<'_> {
    fn all(&self, conditions: &[Condition], before: &Value) -> Value {
        conditions.iter().map(|one| self.one(one, before)).collect()
    }

    fn one(&self, condition: &Condition, before: &Value) -> Value {
        let status = if condition.status { "True" } else { "False" };
        let before = entries(before).find(|one| one["type"] == condition.r#type);
        let since = before.filter(|one| one["status"] == status).and_then(|one| one["lastTransitionTime"].as_str());
        json!({
            "type": condition.r#type,
            "status": status,
            "reason": condition.reason,
            "message": condition.message,
            "observedGeneration": self.generation.max(0),
            "lastTransitionTime": since.unwrap_or(self.now),
        })
    }
}

pub(crate) fn entries(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn address(address: &Address) -> Value {
    json!({ "type": address.kind(), "value": address.value() })
}

/// Where an Ingress is reached (Kubernetes API, IngressLoadBalancerIngress).
fn load_balancer(address: &Address) -> Value {
    match address {
        Address::IPAddress(ip) => json!({ "ip": ip }),
        Address::Hostname(hostname) => json!({ "hostname": hostname }),
    }
}

fn listener(times: &Times<'_>, listener: &ListenerStatus, before: &Value) -> Value {
    let before = entries(before).find(|one| one["name"] == *listener.name).unwrap_or(&Value::Null);
    let group = |kind: &str| if kind == "Ingress" { NETWORKING_GROUP } else { gateway_api::GROUP };
    let kinds = listener.supported_kinds.iter().map(|kind| json!({ "group": group(kind), "kind": kind }));
    json!({
        "name": listener.name,
        "attachedRoutes": listener.attached_routes,
        "supportedKinds": kinds.collect::<Vec<_>>(),
        "conditions": times.all(&listener.conditions, &before["conditions"]),
    })
}

/// Our entries beside those of other controllers: the list is one value, and whoever applies it applies all of it.
fn ancestors(times: &Times<'_>, planned: &[AncestorStatus], current: &Value) -> Value {
    let others = entries(current).filter(|entry| entry["controllerName"] != CONTROLLER_NAME).cloned();
    let ours = planned.iter().map(|one| ancestor(times, one, current));
    others.chain(ours).take(MAX_ANCESTORS).collect()
}

fn ancestor(times: &Times<'_>, ancestor: &AncestorStatus, before: &Value) -> Value {
    let (namespace, name) = ancestor.gateway.split_once('/').unwrap_or(("", &ancestor.gateway));
    let reference = json!({ "group": gateway_api::GROUP, "kind": "Gateway", "namespace": namespace, "name": name });
    let is_it = |one: &&Value| one["controllerName"] == CONTROLLER_NAME && one["ancestorRef"] == reference;
    let before = entries(before).find(is_it).unwrap_or(&Value::Null);
    let conditions = times.all(&ancestor.conditions, &before["conditions"]);
    json!({ "ancestorRef": reference, "controllerName": CONTROLLER_NAME, "conditions": conditions })
}

/// Our entries in place of those that are ours now; those of other controllers stay, and stay where they are.
fn parents(times: &Times<'_>, planned: &[ParentStatus], current: &Value) -> Value {
    let is_ours = |entry: &&Value| entry["controllerName"] == CONTROLLER_NAME;
    let others = entries(current).filter(|entry| !is_ours(entry)).cloned();
    let ours = planned.iter().map(|parent| {
        let reference = reference(parent);
        let before = entries(current).filter(is_ours).find(|one| one["parentRef"] == reference).unwrap_or(&Value::Null);
        let conditions = times.all(&parent.conditions, &before["conditions"]);
        json!({ "parentRef": reference, "controllerName": CONTROLLER_NAME, "conditions": conditions })
    });
    let mut parents: Vec<_> = others.chain(ours).collect();
    // Gateway API takes no more.
    parents.truncate(32);
    // Whatever their order, the same entries are the same status.
    let is_same = |one: &[Value]| one.len() == parents.len() && one.iter().all(|entry| parents.contains(entry));
    match current {
        Value::Array(before) if is_same(before) => current.clone(),
        Value::Null if parents.is_empty() => Value::Null,
        _ => parents.into(),
    }
}

/// The reference as the route states it, with what it leaves to defaults.
pub(super) fn reference(parent: &ParentStatus) -> Value {
    let form = &parent.reference;
    let mut reference = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            reference.insert(name.to_owned(), value);
        }
    };
    put("group", Some(form.group.as_deref().unwrap_or(gateway_api::GROUP).into()));
    put("kind", Some(form.kind.as_deref().unwrap_or("Gateway").into()));
    put("namespace", form.namespace.as_deref().map(Value::from));
    put("name", Some(form.name.as_str().into()));
    put("sectionName", form.section_name.as_deref().map(Value::from));
    put("port", form.port.map(Value::from));
    Value::Object(reference)
}

/// Group and version of a kind that has a status.
pub fn api_version(kind: &str) -> String {
    match kind {
        "GatewayClass" | "Gateway" | "HTTPRoute" | "GRPCRoute" => format!("{}/v1", gateway_api::GROUP),
        "Ingress" => format!("{NETWORKING_GROUP}/v1"),
        _ => format!("{GROUP}/v1alpha1"),
    }
}

#[cfg(test)]
mod tests;
