//! What each object is told about itself: planned from the same nodes that configuration is compiled from.

use sallyport_api::condition::{ConditionType, Reason};
use serde::Serialize;

use crate::cluster::ObjectName;
use crate::compile::Compiled;
use crate::graph::Graph;
use crate::problem::Problem;
use crate::publish::{Enforced, Replica};

/// The status of one object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectStatus {
    pub kind: String,
    pub name: String,
    /// -1 where the object has none: files as a rule.
    pub observed_generation: i64,
    pub conditions: Vec<Condition>,
}

/// A condition without its times, which move only when the rest does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Condition {
    pub r#type: &'static str,
    pub status: bool,
    pub reason: &'static str,
    pub message: String,
}

/// Plans the status of every object that has one.
pub fn plan(graph: &Graph, compiled: &Compiled, replicas: &[&Replica]) -> Vec<ObjectStatus> {
    let mut plans = Vec::new();
    let mut add = |kind: &str, name: &ObjectName, generation: Option<i64>, problems: Vec<Problem>| {
        plans.push(status(kind, name, generation, &problems, compiled, replicas));
    };
    for (name, gateway) in &graph.gateways {
        let of_listeners = gateway.listeners.iter().flat_map(|listener| listener.problems.clone());
        add("Gateway", name, gateway.generation, gateway.problems.iter().cloned().chain(of_listeners).collect());
    }
    for (id, route) in &graph.routes {
        let of_parents = route.parents.iter().flat_map(|parent| parent.problems.clone());
        add(id.kind, &id.name, route.generation, route.problems.iter().cloned().chain(of_parents).collect());
    }
    for (name, policy) in &graph.policies {
        let lost = compiled.conflicts.iter().filter(|conflict| conflict.loser == *name);
        let lost = lost.map(|conflict| {
            let message = format!(
                "ApiPolicy {} on the same target is older and states {} too; take it out of one of them",
                conflict.winner, conflict.section
            );
            Problem::new(format!("spec.{}", conflict.section), Reason::Conflicted, message)
        });
        add("ApiPolicy", name, policy.generation, policy.problems.iter().cloned().chain(lost).collect());
    }
    for (name, backend) in &graph.backends {
        add("Backend", name, backend.generation, backend.problems.clone());
    }
    for (name, product) in &graph.products {
        add("Product", name, product.generation, product.problems.clone());
    }
    for (name, subscription) in &graph.subscriptions {
        add("Subscription", name, subscription.generation, subscription.problems.clone());
    }
    plans
}

fn status(
    kind: &str,
    name: &ObjectName,
    generation: Option<i64>,
    problems: &[Problem],
    compiled: &Compiled,
    replicas: &[&Replica],
) -> ObjectStatus {
    let own =
        summed(ConditionType::Accepted, Reason::Accepted, problems.iter().filter(|problem| !problem.is_reference()));
    let references = summed(
        ConditionType::ResolvedRefs,
        Reason::ResolvedRefs,
        problems.iter().filter(|problem| problem.is_reference()),
    );
    let programmed = programmed(kind, name, compiled, replicas);
    let ready = [&own, &references, &programmed].into_iter().find(|condition| !condition.status);
    let ready = match ready {
        Some(failed) => Condition { r#type: ConditionType::Ready.as_str(), ..failed.clone() },
        None => condition(ConditionType::Ready, true, Reason::Ready, String::new()),
    };
    let stalled = !problems.is_empty();
    let reconciling = !stalled && !programmed.status;
    let sum =
        |kind, holds: bool| condition(kind, holds, if holds { Reason::Pending } else { Reason::Ready }, String::new());
    let stalled = Condition {
        reason: if stalled { ready.reason } else { Reason::Ready.as_str() },
        ..sum(ConditionType::Stalled, stalled)
    };
    let conditions = vec![own, references, programmed, ready, sum(ConditionType::Reconciling, reconciling), stalled];
    ObjectStatus {
        kind: kind.to_owned(),
        name: name.to_string(),
        observed_generation: generation.unwrap_or(-1),
        conditions,
    }
}

/// False with the first problem's reason and all problems' texts, or true.
fn summed<'a>(kind: ConditionType, fine: Reason, problems: impl Iterator<Item = &'a Problem>) -> Condition {
    let problems: Vec<_> = problems.collect();
    match problems.first() {
        None => condition(kind, true, fine, String::new()),
        Some(first) => {
            let texts: Vec<_> =
                problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
            condition(kind, false, first.reason, texts.join("; "))
        }
    }
}

/// True only when every data plane has acknowledged every resource that the object has a share in.
fn programmed(kind: &str, name: &ObjectName, compiled: &Compiled, replicas: &[&Replica]) -> Condition {
    let resources = compiled.provenance.get(&(kind.to_owned(), name.clone()));
    let (mut waiting, mut rejected) = (0, Vec::new());
    for replica in replicas {
        let standing =
            resources.into_iter().flatten().map(|resource| (resource, replica.enforces(&compiled.snapshot, resource)));
        let mut behind = false;
        for (resource, enforced) in standing {
            match enforced {
                Enforced::Yes => {}
                Enforced::NotYet => behind = true,
                Enforced::Rejected(why) => rejected.push(format!("{resource}: {why}")),
            }
        }
        waiting += usize::from(behind);
    }
    let acknowledged = format!("acknowledged by {} of {} replicas", replicas.len() - waiting, replicas.len());
    match (rejected.is_empty(), waiting == 0 && !replicas.is_empty()) {
        (false, _) => condition(ConditionType::Programmed, false, Reason::Rejected, rejected.join("; ")),
        (true, false) => condition(ConditionType::Programmed, false, Reason::Pending, acknowledged),
        (true, true) => condition(ConditionType::Programmed, true, Reason::Programmed, acknowledged),
    }
}

fn condition(kind: ConditionType, status: bool, reason: Reason, message: String) -> Condition {
    Condition { r#type: kind.as_str(), status, reason: reason.as_str(), message }
}
