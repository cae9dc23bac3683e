//! Ingresses: routes of the Gateway that their class names, under its policies. Each host of one is a part of the route by itself, and
//! so is what its default backend takes.
//!
//! An Ingress has no conditions: what is wrong with one is told by its Gateway, by policies that target it, and by `validate`.

pub mod annotation;
mod attach;
pub mod class;
mod part;
pub mod server_name;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::networking::v1::{Ingress, IngressSpec};
use sallyport_api::condition::Reason;
use sallyport_snapshot::expression::Budget;
use sallyport_snapshot::v1;
use serde_json::Value;

use super::Environment;
use super::form::{ParentForm, RuleForm};
use super::gateway::GatewayNode;
use super::route::{INGRESS, NamedGateway, ParentNode, PartNode, RouteId, RouteNode};
use super::rule::{self, RuleNode};
use crate::cluster::{ClusterState, ObjectName, Stored, Undecodable, created_ms};
use crate::problem::{Problem, denial};
use attach::Attach;
use class::{Classes, IngressClassNode, Stated};
use part::{Answer, Part};

/// The annotation that has named the class before there was a field.
pub const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// Of equal matches, those of default backends come after all others: they take what nothing else does.
const AFTER_ALL_OTHERS_MS: i64 = i64::MAX / 2;

/// An Ingress that is ours, or may be.
pub struct Claimed<'a> {
    name: &'a ObjectName,
    created_ms: i64,
    generation: Option<i64>,
    class: Claim<'a>,
    annotations: Cow<'a, BTreeMap<String, String>>,
    /// Absent where it cannot be told where it is and what it matches.
    spec: Option<Cow<'a, IngressSpec>>,
    undecodable: Option<String>,
}

/// By what an Ingress is ours.
#[derive(Clone, Copy)]
enum Claim<'a> {
    Class(&'a IngressClassNode),
    /// Its class cannot be read: it may be one of ours.
    Untold,
}

/// All Ingresses of `classes`, and those that may be.
pub fn claimed<'a>(cluster: &'a ClusterState, classes: &'a Classes) -> Vec<Claimed<'a>> {
    let claimed = cluster.ingresses.iter().filter_map(|(name, ingress)| {
        let stated = stated(ingress);
        let class = match classes.of(stated) {
            Ok(class) => Claim::Class(class),
            Err(_) if matches!(stated, Stated::Untold) && !classes.nodes.is_empty() => Claim::Untold,
            Err(_) => return None,
        };
        Some(Claimed::read(name, ingress, class))
    });
    claimed.collect()
}

/// Ingresses that nobody serves, and why: files are all there is, while in a cluster other controllers have their own.
pub fn unclaimed(cluster: &ClusterState, classes: &Classes, environment: Environment) -> BTreeMap<ObjectName, Problem> {
    if environment == Environment::Cluster {
        return BTreeMap::new();
    }
    let told = cluster.ingresses.iter().filter(|(_, ingress)| matches!(ingress, Stored::Decoded(_)));
    let unclaimed = told.filter_map(|(name, ingress)| Some((name, classes.of(stated(ingress)).err()?)));
    let problem =
        |why| Problem::new("spec.ingressClassName", Reason::TargetNotFound, format!("{why}. Nothing is served"));
    unclaimed.map(|(name, why)| (name.clone(), problem(why))).collect()
}

/// The class that an Ingress names: by its field, else by the annotation that was there before it.
fn stated(ingress: &Stored<Ingress>) -> Stated<'_> {
    match ingress {
        Stored::Decoded(ingress) => {
            let by_field = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref());
            let annotations = ingress.metadata.annotations.as_ref();
            let by_annotation = || annotations.and_then(|all| all.get(CLASS_ANNOTATION)).map(String::as_str);
            by_field.or_else(by_annotation).map_or(Stated::Nothing, Stated::Named)
        }
        Stored::Undecodable(ingress) => {
            let (field, annotation) =
                (&ingress.raw["spec"]["ingressClassName"], &ingress.raw["metadata"]["annotations"][CLASS_ANNOTATION]);
            // A field that is not known may be the misspelt class.
            let is_doubtful = ingress.problems.iter().any(|problem| !is_beside_place(&problem.field));
            match (field, annotation) {
                (Value::String(class), _) | (Value::Null, Value::String(class)) => Stated::Named(class),
                (Value::Null, Value::Null) if !is_doubtful => Stated::Nothing,
                _ => Stated::Untold,
            }
        }
    }
}

impl<'a> Claimed<'a> {
    fn read(name: &'a ObjectName, ingress: &'a Stored<Ingress>, class: Claim<'a>) -> Self {
        static NONE: BTreeMap<String, String> = BTreeMap::new();
        match ingress {
            Stored::Decoded(ingress) => Self {
                name,
                created_ms: created_ms(ingress.as_ref()),
                generation: ingress.metadata.generation,
                class,
                annotations: Cow::Borrowed(ingress.metadata.annotations.as_ref().unwrap_or(&NONE)),
                spec: ingress.spec.as_ref().map(Cow::Borrowed),
                undecodable: None,
            },
            Stored::Undecodable(ingress) => {
                let problems: Vec<_> =
                    ingress.problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
                Self {
                    name,
                    created_ms: ingress.created_ms.unwrap_or_default(),
                    generation: ingress.generation,
                    class,
                    annotations: Cow::Owned(BTreeMap::new()),
                    spec: lenient(ingress).filter(|_| matches!(class, Claim::Class(_))).map(Cow::Owned),
                    undecodable: Some(problems.join("; ")),
                }
            }
        }
    }

    /// Age, then name: of two that want the same, the older has it.
    fn age(&self) -> (i64, &'a ObjectName) {
        (self.created_ms, self.name)
    }

    /// The Gateway that its class names, if that is there, is ours, and nothing else is wrong with the class.
    fn gateway(&self) -> Option<&'a ObjectName> {
        match self.class {
            Claim::Class(class) if class.problems.is_empty() => class.gateway.as_ref(),
            Claim::Class(_) | Claim::Untold => None,
        }
    }

    /// What makes all of it deny.
    fn refusal(&self) -> Option<Problem> {
        let why = self.undecodable.as_ref().map(|why| {
            let reach = if self.spec.is_some() {
                "what it matches"
            } else {
                "every route of its namespace if a policy is on it or on a Gateway"
            };
            let message = format!("the Ingress cannot be decoded, and closes {reach}: {why}");
            Problem::new("spec", Reason::Undecodable, message)
        });
        why.or_else(|| annotation::refusal(&self.annotations, self.spec.as_deref()))
    }
}

/// What of an undecodable Ingress can still be told. `None` if any of that may be what is wrong.
fn lenient(ingress: &Undecodable) -> Option<IngressSpec> {
    let is_told = ingress.problems.iter().all(|problem| is_beside_place(&problem.field));
    let spec = is_told.then(|| serde_json::from_value::<IngressSpec>(ingress.raw["spec"].clone()).ok())??;
    // Without a path there is no place: then what was one may have become something else.
    let has_place = spec.default_backend.is_some() || spec.rules.as_ref().is_some_and(|rules| !rules.is_empty());
    has_place.then_some(spec)
}

/// Whether something wrong with `field` says nothing about where an Ingress is and what it matches.
fn is_beside_place(field: &str) -> bool {
    let within =
        |whole: &str| field == whole || field.strip_prefix(whole).is_some_and(|rest| rest.starts_with(['.', '[']));
    field.is_empty()
        || ["metadata", "spec.defaultBackend", "spec.tls"].into_iter().any(within)
        || (field.starts_with("spec.rules[") && field.contains("].backend"))
}

/// All of them, as routes; `of_names` is what was found about their certificates.
pub fn all(
    cluster: &ClusterState,
    gateways: &BTreeMap<ObjectName, GatewayNode>,
    claimed: &[Claimed<'_>],
    mut of_names: BTreeMap<ObjectName, Vec<Problem>>,
) -> BTreeMap<RouteId, RouteNode> {
    let node = |one: &Claimed<'_>| {
        let id = RouteId { kind: INGRESS, name: one.name.clone() };
        let mut route = node(cluster, gateways, &id, one);
        if let Some(parent) = route.parents.first_mut() {
            parent.problems.extend(of_names.remove(one.name).unwrap_or_default());
        }
        (id, route)
    };
    claimed.iter().map(node).collect()
}

fn node(
    cluster: &ClusterState,
    gateways: &BTreeMap<ObjectName, GatewayNode>,
    id: &RouteId,
    ingress: &Claimed<'_>,
) -> RouteNode {
    let refusal = ingress.refusal();
    let deny = refusal.as_ref().map(|problem| denial(&id.to_string(), problem));
    let closes_namespace = deny.clone().filter(|_| ingress.spec.is_none());
    let mut problems: Vec<_> = refusal.into_iter().collect();
    let attach = Attach::new(cluster, gateways, ingress);
    let spec = ingress.spec.as_deref();
    let parts = spec.map(|spec| part::all(spec, attach.as_ref())).unwrap_or_default();
    let (mut rules, mut nodes, mut budget) = (Vec::new(), Vec::new(), Budget::default());
    for part in &parts {
        let first = rules.len();
        rules.extend(part.rules.iter().map(|form| match &deny {
            Some(deny) => RuleNode::denied(cluster, id, 0, form, deny.clone()),
            None => rule_of(cluster, id, (part, form), &mut budget, &mut problems),
        }));
        let created_ms =
            if part.is_default { AFTER_ALL_OTHERS_MS.saturating_add(ingress.created_ms) } else { ingress.created_ms };
        nodes.push(PartNode { label: Some(part.label.clone()), rules: first..rules.len(), created_ms });
    }
    // It has no sections.
    rules.iter_mut().for_each(|rule| rule.section = None);
    let parents: Vec<_> = attach.iter().map(|attach| parent(attach, &parts)).collect();
    RouteNode {
        created_ms: ingress.created_ms,
        generation: ingress.generation,
        parts: nodes,
        parents,
        named: named(cluster, ingress),
        rules,
        closes_namespace,
        orphaned: orphaned(ingress),
        problems,
    }
}

fn rule_of(
    cluster: &ClusterState,
    id: &RouteId,
    (part, form): (&Part, &RuleForm),
    budget: &mut Budget,
    problems: &mut Vec<Problem>,
) -> RuleNode {
    match &part.answer {
        Answer::Backends => rule::node(cluster, (id, 0), form, budget, problems),
        Answer::Denied(why) => RuleNode::denied(cluster, id, 0, form, denial(&id.to_string(), why)),
        Answer::Redirect { port } => {
            let mut node = RuleNode::denied(cluster, id, 0, form, v1::Deny::default());
            let redirect = v1::Redirect {
                scheme: "https".to_owned(),
                port: *port,
                status: http::StatusCode::PERMANENT_REDIRECT.as_u16().into(),
                ..v1::Redirect::default()
            };
            node.message.deny = None;
            node.message.filters = vec![v1::Filter { filter: Some(v1::filter::Filter::Redirect(redirect)) }];
            node
        }
    }
}

fn parent(attach: &Attach<'_>, parts: &[Part]) -> ParentNode {
    let mut parent = ParentNode {
        gateway: attach.name.clone(),
        reference: ParentForm {
            namespace: Some(attach.name.namespace.clone()),
            name: attach.name.name.clone(),
            ..ParentForm::default()
        },
        attachments: vec![],
        closed: vec![],
        problems: attach.broken.iter().cloned().collect(),
    };
    for (at, part) in parts.iter().enumerate() {
        attach.part(at, part, &mut parent);
        if let Answer::Denied(why) = &part.answer {
            parent.problems.push(why.clone());
        }
    }
    parent
}

/// What is wrong with its class, where no Gateway can tell it.
fn orphaned(ingress: &Claimed<'_>) -> Vec<Problem> {
    let Claim::Class(class) = ingress.class else { return vec![] };
    let told = class.problems.iter().map(|problem| class::passed_on(class, problem));
    told.filter(|_| class.gateway.is_none() || !class.is_there).collect()
}

/// The Gateway that it may be attached to.
fn named(cluster: &ClusterState, ingress: &Claimed<'_>) -> BTreeSet<NamedGateway> {
    let missing = |namespace: &str| NamedGateway::Missing { namespace: namespace.to_owned(), elsewhere: vec![] };
    let named = match ingress.class {
        Claim::Class(IngressClassNode { gateway: Some(gateway), .. }) if cluster.gateways.contains_key(gateway) => {
            NamedGateway::There(gateway.clone())
        }
        Claim::Class(IngressClassNode { gateway: Some(gateway), .. }) => missing(&gateway.namespace),
        Claim::Class(_) | Claim::Untold => missing(&ingress.name.namespace),
    };
    BTreeSet::from([named])
}
