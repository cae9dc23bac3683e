//! Which credential goes to which service: the route's own where its policy is of the service's namespace, else the Backend's.

use sallyport_api::condition::Reason;
use sallyport_snapshot::v1::{self, credential::Kind, resource::Body};

use super::Compiled;
use crate::cluster::ObjectName;
use crate::graph::Graph;
use crate::graph::route::RouteId;
use crate::graph::rule::{BackendTarget, RuleNode};
use crate::problem::{Problem, denial};

/// Names in `message`, which is a rule of the route `id`, what each of its backends is shown; `policy` is the one whose credential is in
/// effect there.
pub(super) fn of_rule(
    graph: &Graph,
    (id, rule): (&RouteId, &RuleNode),
    policy: Option<&ObjectName>,
    message: &mut v1::Rule,
    compiled: &mut Compiled,
) {
    for (backend, target) in message.backends.iter_mut().zip(&rule.backends) {
        let Some(namespace) = target.namespace() else { continue };
        let of_policy = policy.and_then(|name| Some((name, stated(graph, name)?)));
        backend.credential = match (of_policy, of_backend(graph, target)) {
            // What takes the caller's word away holds wherever the route leads.
            (Some((policy, kind)), _) if policy.namespace == namespace || matches!(kind, Kind::None(_)) => {
                format!("ApiPolicy/{policy}")
            }
            (Some((policy, kind)), None) if !matches!(kind, Kind::PassThrough(_)) => {
                withhold(compiled, policy, id, target)
            }
            (_, own) => own.unwrap_or_default(),
        };
    }
}

fn stated<'a>(graph: &'a Graph, policy: &ObjectName) -> Option<&'a Kind> {
    graph.policies.get(policy)?.sections.credential.as_ref()?.kind.as_ref()
}

fn of_backend(graph: &Graph, target: &BackendTarget) -> Option<String> {
    match target {
        BackendTarget::Backend(name) => {
            graph.backends.get(name)?.credential.as_ref().map(|_| format!("Backend/{name}"))
        }
        BackendTarget::Service { .. } | BackendTarget::Nowhere => None,
    }
}

/// The policy asks for a credential in place of the caller's, and its own must not go there: nothing goes.
fn withhold(compiled: &mut Compiled, policy: &ObjectName, id: &RouteId, target: &BackendTarget) -> String {
    let resource = target.resource().unwrap_or_default();
    let message = format!(
        "it goes only to backends of namespace {}, and {id} leads to {resource}; state the credential on a Backend there. Until then requests to it are answered 500",
        policy.namespace
    );
    let problem = Problem::new("spec.credential", Reason::RefNotPermitted, message);
    let object = format!("ApiPolicy {policy}");
    let name = format!("ApiPolicy/{policy}/withheld from {resource} of {id}");
    let kind = Kind::Unavailable(denial(&object, &problem));
    compiled.put("ApiPolicy", policy, name.clone(), Body::Credential(v1::Credential { object, kind: Some(kind) }));
    compiled.withheld.entry(policy.clone()).or_default().insert(problem);
    name
}
