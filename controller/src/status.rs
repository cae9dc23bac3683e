//! What each object is told about itself: planned from the same nodes that configuration is compiled from.
//!
//! Kinds of Gateway API get the conditions that it defines, where it defines them; our own kinds get `Ready` beside `Reconciling`
//! and `Stalled`, as kstatus reads them. Times and other controllers' entries are the writer's business.

mod approval;
mod condition;
mod features;
mod gateway;
mod ingress;
mod issuer;
mod limit_store;
mod news;
mod policy;
mod route;
mod subscription;
pub mod wire;

use sallyport_api::KeysStatus;
use sallyport_api::condition::{ConditionType, Reason};
use sallyport_api::reference::SecretReference;
use sallyport_snapshot::{Snapshot, v1};
use serde::Serialize;
use std::collections::BTreeMap;

use crate::cluster::ObjectName;
use crate::compile::Compiled;
use crate::graph::Graph;
use crate::keys;
use crate::problem::Problem;
use crate::publish::Standing;
pub use condition::{Condition, is_good_when_true, is_under_way};
use condition::{condition, of_problems, programmed, summed_up};
pub use gateway::ListenerStatus;
pub use news::{News, news};
pub use policy::AncestorStatus;
pub use route::{LEFT_OPEN, ParentStatus, UNPROTECTED};

/// The status of one object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    pub kind: String,
    pub name: String,
    /// -1 where the object has none: files as a rule.
    pub observed_generation: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<&'static str>,
    /// Of Subscriptions: the Secret that holds the keys.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// Of Subscriptions whose keys the controller made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysStatus>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Of GatewayClasses: what Gateway API calls features, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<&'static str>,
    /// Of Gateways and Ingresses: where they are reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Address>,
    /// Of Gateways.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub listeners: Vec<ListenerStatus>,
    /// Of routes; of Ingresses only for those who run the gateway themselves, for an Ingress has no place for them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parents: Vec<ParentStatus>,
    /// Of policies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ancestors: Vec<AncestorStatus>,
}

/// Everything that a plan is made of.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub graph: &'a Graph,
    pub compiled: &'a Compiled,
    /// The data planes that have to acknowledge: an entry for each Gateway, whether it has any or not.
    pub planes: &'a [Plane<'a>],
    /// Where each Gateway is reached, or why what runs it could not be brought about; absent where nobody gives them addresses.
    pub addresses: Option<&'a BTreeMap<ObjectName, Result<Vec<Address>, String>>>,
    /// Why the keys of a Subscription cannot be made, as the API server says it, by Subscription.
    pub unwritten: &'a BTreeMap<ObjectName, String>,
    /// Seconds since 1970 UTC, for what ends by itself.
    pub now_s: i64,
}

/// Where a Gateway is reached (Gateway API, GatewayStatusAddress).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Address {
    IPAddress(String),
    Hostname(String),
}

impl Address {
    /// The word that stands in a status.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::IPAddress(_) => "IPAddress",
            Self::Hostname(_) => "Hostname",
        }
    }

    pub fn value(&self) -> &str {
        match self {
            Self::IPAddress(value) | Self::Hostname(value) => value,
        }
    }
}

/// Data planes that are all told the same: those of one Gateway, or of this process.
pub struct Plane<'a> {
    /// Absent where all Gateways share one process.
    pub gateway: Option<&'a ObjectName>,
    pub snapshot: &'a Snapshot,
    pub replicas: Vec<&'a Standing>,
}

impl ObjectStatus {
    /// Its own conditions, and those of its listeners and of its parents.
    pub(crate) fn all_conditions(&self) -> impl Iterator<Item = &Condition> {
        let of_listeners = self.listeners.iter().flat_map(|listener| &listener.conditions);
        let of_parents = self.parents.iter().flat_map(|parent| &parent.conditions);
        self.conditions.iter().chain(of_listeners).chain(of_parents)
    }

    /// Whether the object does its work, as far as its conditions tell.
    pub fn is_ready(&self) -> bool {
        let ready = ConditionType::Ready.as_str();
        let holds = |conditions: &[Condition]| match conditions.iter().find(|one| one.r#type == ready) {
            Some(sum) => sum.status,
            None => conditions.iter().filter(|one| one.is_good_when_true()).all(|one| one.status),
        };
        let is_refusal = |one: &Condition| {
            one.reason == Reason::Unprotected.as_str() || one.r#type == ConditionType::PartiallyInvalid.as_str()
        };
        let refused = |parent: &ParentStatus| parent.conditions.iter().any(|one| one.status && is_refusal(one));
        // A route that is attached to nothing serves nothing.
        let is_detached = matches!(&*self.kind, "HTTPRoute" | "GRPCRoute" | "Ingress") && self.parents.is_empty();
        !is_detached
            && holds(&self.conditions)
            && self.parents.iter().all(|parent| holds(&parent.conditions) && !refused(parent))
    }
}

/// Plans the status of every object that has one.
pub fn plan(view: View<'_>) -> Vec<ObjectStatus> {
    let View { graph, .. } = view;
    let mut plans = Vec::new();
    let attached = gateway::attached_routes(graph);
    let refused = ingress::refused(view);
    plans.extend(graph.classes.iter().map(|(name, class)| gateway::class(name, class)));
    plans.extend(graph.parameters.iter().map(|(name, node)| gateway::parameters(name, node)));
    plans.extend(graph.gateways.iter().map(|(name, node)| gateway::plan(view, (&attached, &refused), name, node)));
    plans.extend(graph.routes.iter().map(|(id, node)| route::plan(view, id, node)));
    plans.extend(graph.policies.iter().map(|(name, node)| policy::plan(view, name, node)));
    for (name, backend) in &graph.backends {
        let credential = of_credential(&backend.problems);
        plans.push(own(view, "Backend", name, backend.generation, &backend.problems).with(credential));
    }
    for (name, product) in &graph.products {
        plans.push(own(view, "Product", name, product.generation, &product.problems));
    }
    plans.extend(graph.subscriptions.iter().map(|(name, node)| subscription::plan(view, name, node)));
    plans.extend(graph.approvals.iter().map(|(name, node)| approval::plan(view, name, node)));
    plans
}

/// When something begins or ends by itself next, after `now_s`.
pub fn next_moment(graph: &Graph, now_s: i64) -> Option<i64> {
    let begins = |message: &v1::Subscription| message.not_before_s;
    let moments = graph
        .subscriptions
        .values()
        .flat_map(|node| [node.message.as_ref().and_then(begins), node.expires_s, keys::next_moment(node, now_s)]);
    moments.flatten().filter(|at| *at > now_s).min()
}

/// The status of a kind of ours.
fn own(view: View<'_>, kind: &str, name: &ObjectName, generation: Option<i64>, problems: &[Problem]) -> ObjectStatus {
    let excess = view.compiled.excess.of(kind, name);
    let problems: Vec<_> = problems.iter().chain(excess).cloned().collect();
    let [accepted, resolved] = of_problems(&problems);
    let conditions = summed_up(vec![accepted, resolved, programmed(view, None, kind, name)]);
    ObjectStatus { conditions, ..named(kind, name, generation) }
}

fn named(kind: &str, name: &ObjectName, generation: Option<i64>) -> ObjectStatus {
    let observed_generation = generation.unwrap_or(-1);
    ObjectStatus { kind: kind.to_owned(), name: name.to_string(), observed_generation, ..ObjectStatus::default() }
}

/// Whether what a service is shown can be had.
fn of_credential(problems: &[Problem]) -> Condition {
    let fields = ["spec.credential", "spec.tls.clientCertificateRef"];
    let missing = problems.iter().find(|problem| fields.iter().any(|field| problem.field.starts_with(field)));
    match missing {
        Some(problem) => condition(ConditionType::CredentialReady, false, problem.reason, &problem.message),
        None => condition(ConditionType::CredentialReady, true, Reason::Ready, ""),
    }
}

impl ObjectStatus {
    fn with(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }
}
