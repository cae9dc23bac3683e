//! Gateways that cannot be decoded, or whose class cannot: they serve nothing, and keep their places. What was for them, under their
//! Floors, is not for broader listeners of others.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_api::UnprotectedRoutes;
use sallyport_api::condition::Reason;
use sallyport_snapshot::v1;
use serde_json::Value;

use super::{GatewayNode, ListenerNode, Namespaces, Standing};
use crate::cluster::{FieldProblem, ObjectName, Undecodable};
use crate::problem::Problem;

/// Fields of a listener that say nothing about its place.
const BESIDE_PLACE: [&str; 3] = ["name", "tls", "allowedRoutes"];

/// Which places a Gateway had and cannot be told to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Untold {
    /// Of listeners on these ports the hostname cannot be told.
    pub(super) ports: BTreeSet<u32>,
    /// Of some listener not even the port can be told.
    pub(super) everywhere: bool,
}

/// The node of a Gateway that cannot be decoded.
pub(super) fn node(gateway: &Undecodable) -> GatewayNode {
    let details: Vec<_> =
        gateway.problems.iter().map(|problem| format!("{}: {}", problem.field, problem.message)).collect();
    let message =
        format!("the Gateway cannot be decoded; it serves nothing, and keeps its hostnames: {}", details.join("; "));
    closed(
        gateway.created_ms.unwrap_or_default(),
        gateway.generation,
        &gateway.raw["spec"],
        &gateway.problems,
        &Problem::new("spec", Reason::Undecodable, message),
    )
}

/// A Gateway of this form that serves nothing because of `why`; `wrong` is what is wrong with the form.
pub(super) fn closed(
    created_ms: i64,
    generation: Option<i64>,
    spec: &Value,
    wrong: &[FieldProblem],
    why: &Problem,
) -> GatewayNode {
    let listed = spec["listeners"].as_array().filter(|listed| !listed.is_empty());
    let is_doubtful = wrong.iter().any(|one| ["spec", "spec.listeners"].contains(&one.field.as_str()));
    let mut untold = Untold { everywhere: listed.is_none() || is_doubtful, ..Untold::default() };
    let mut listeners = Vec::new();
    for (at, form) in listed.into_iter().flatten().enumerate() {
        let port = form["port"].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        match (port.map(u32::from), hostname(form, &format!("spec.listeners[{at}]"), wrong)) {
            (Some(port), Some(hostname)) => {
                listeners.push(listener(own_name(at, form, &listeners), form, port, hostname, why))
            }
            (Some(port), None) => drop(untold.ports.insert(port)),
            (None, _) => untold.everywhere = true,
        }
    }
    GatewayNode {
        created_ms,
        generation,
        unprotected: UnprotectedRoutes::Deny,
        message: v1::Gateway { addresses_unknown: true, ..v1::Gateway::default() },
        listeners,
        untold,
        ignored: vec![],
        problems: vec![why.clone()],
    }
}

/// The hostname, in lower case, empty for every host; `None` if it cannot be read, or may be what is wrong: a misspelt hostname looks
/// like one that is absent.
fn hostname(form: &Value, field: &str, wrong: &[FieldProblem]) -> Option<String> {
    let is_misspelt = |rest: &str| {
        let name = rest.trim_start_matches('.').split(['.', '[']).next().unwrap_or_default();
        !(BESIDE_PLACE.contains(&name) || ["port", "protocol"].contains(&name))
    };
    let is_doubtful = || wrong.iter().any(|one| one.field.strip_prefix(field).is_some_and(is_misspelt));
    match &form["hostname"] {
        Value::String(hostname) => Some(hostname.to_ascii_lowercase()),
        Value::Null if form.is_object() && !is_doubtful() => Some(String::new()),
        _ => None,
    }
}

/// Two listeners of one name are what may be wrong: each keeps its hostname.
fn own_name(at: usize, form: &Value, before: &[ListenerNode]) -> String {
    let stated = form["name"].as_str().filter(|name| before.iter().all(|one| one.name != **name));
    stated.map_or_else(|| format!("{at} (without a name of its own)"), str::to_owned)
}

fn listener(name: String, form: &Value, port: u32, hostname: String, why: &Problem) -> ListenerNode {
    let is_tls = form["protocol"] == "HTTPS";
    // Where the protocol is what is wrong, it takes the port from nobody, and its hostname stays closed among theirs.
    let is_told = is_tls || form["protocol"] == "HTTP";
    ListenerNode {
        name,
        port,
        hostname,
        tls: is_tls.then(BTreeMap::new),
        kinds: vec![],
        namespaces: Namespaces::Same,
        standing: if is_told { Standing::Holds { is_tls } } else { Standing::SetAside },
        problems: vec![why.clone()],
    }
}

/// Where it cannot be told which hosts were a Gateway's own, listeners that take more hosts than one do not answer in its place: those of
/// its ports, and where even these cannot be told, those of its namespace.
pub(super) fn close_untold(gateways: &mut BTreeMap<ObjectName, GatewayNode>) {
    let untold: Vec<_> = gateways.iter().map(|(name, gateway)| (name.clone(), gateway.untold.clone())).collect();
    for (cause, untold) in untold.into_iter().filter(|(_, untold)| *untold != Untold::default()) {
        for (name, gateway) in &mut *gateways {
            let is_near = untold.everywhere && name.namespace == cause.namespace;
            let concerned = gateway.listeners.iter_mut().enumerate().filter(|(_, one)| {
                one.serves() && is_broad(&one.hostname) && (is_near || untold.ports.contains(&one.port))
            });
            for (at, listener) in concerned {
                let message = format!(
                    "Gateway {cause} cannot be decoded, and which hosts are its own cannot be told; correct it. Until then this listener serves nothing"
                );
                let field = format!("spec.listeners[{at}].hostname");
                listener.problems.push(Problem::new(field, Reason::HostnameConflict, message));
                listener.standing = Standing::Holds { is_tls: listener.tls.is_some() };
            }
        }
    }
}

fn is_broad(hostname: &str) -> bool {
    hostname.is_empty() || hostname.starts_with('*')
}
