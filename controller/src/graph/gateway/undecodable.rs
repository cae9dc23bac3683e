//! Gateways that cannot be decoded, or whose class cannot: they serve nothing, and keep their places. What was for them, under their
//! Floors, is not for broader listeners of others.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_api::UnprotectedRoutes;
use sallyport_api::condition::Reason;
use sallyport_snapshot::v1;
use serde_json::Value;

use super::frontend::Demand;
use super::{GatewayNode, ListenerNode, Namespaces, Standing};
use crate::cluster::{FieldProblem, ObjectName, Undecodable};
use crate::graph::parameters::egress::Egress;
use crate::problem::Problem;

/// Fields of a listener that say nothing about its place.
const BESIDE_PLACE: [&str; 3] = ["name", "tls", "allowedRoutes"];

/// Fields whose texts are names of objects, of labels and of the listener itself.
const NAMING_OTHERS: [&str; 4] = ["name", "certificateRefs", "options", "selector"];

/// Which places a Gateway had and cannot be told to have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Untold {
    /// Of listeners on these ports the hostname cannot be told.
    pub(super) ports: BTreeSet<u32>,
    /// Of some listener not even the port can be told.
    pub(super) everywhere: bool,
    /// What these listeners say anywhere, in lower case: their hostname is among it, if it was misspelt only in its name.
    pub(super) said: BTreeSet<String>,
}

impl Untold {
    /// The place of the listener `form` cannot be told, or not more of it than its port.
    fn hear(&mut self, port: Option<u32>, form: &Value) {
        self.ports.extend(port);
        self.everywhere |= port.is_none();
        texts(form, &mut self.said);
    }

    /// Whether a listener may answer what was for one of these; `is_near` if it is in their namespace, `is_younger` if it came later.
    fn may_be_of(&self, listener: &ListenerNode, is_near: bool, is_younger: bool) -> bool {
        let on_port = self.ports.contains(&listener.port);
        if is_broad(&listener.hostname) {
            on_port || (self.everywhere && is_near)
        } else {
            is_younger && (on_port || self.everywhere) && self.said.contains(&listener.hostname)
        }
    }
}

/// All texts within a form, but for those by which it names other objects, or itself. Forms nest no deeper than what files are read to.
fn texts(form: &Value, said: &mut BTreeSet<String>) {
    match form {
        Value::String(text) => drop(said.insert(text.to_ascii_lowercase())),
        Value::Array(entries) => entries.iter().for_each(|entry| texts(entry, said)),
        Value::Object(members) => {
            for (name, member) in members.iter().filter(|(name, _)| !NAMING_OTHERS.contains(&name.as_str())) {
                // What is a hostname may have become the name of a member.
                said.extend(name.contains('.').then(|| name.to_ascii_lowercase()));
                texts(member, said);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
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
        &without_metadata(&gateway.raw),
        &gateway.problems,
        &Problem::new("spec", Reason::Undecodable, message),
    )
}

/// Labels and annotations say nothing of places.
fn without_metadata(raw: &Value) -> Value {
    let members = raw.as_object().into_iter().flatten().filter(|(name, _)| *name != "metadata");
    Value::Object(members.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// A Gateway of this form that serves nothing because of `why`; `wrong` is what is wrong with the form.
pub(super) fn closed(
    created_ms: i64,
    generation: Option<i64>,
    form: &Value,
    wrong: &[FieldProblem],
    why: &Problem,
) -> GatewayNode {
    let listed = form["spec"]["listeners"].as_array().filter(|listed| !listed.is_empty());
    let is_doubtful = wrong.iter().any(|one| ["spec", "spec.listeners"].contains(&one.field.as_str()));
    let mut untold = Untold { everywhere: listed.is_none() || is_doubtful, ..Untold::default() };
    if untold.everywhere {
        texts(form, &mut untold.said);
    }
    let mut listeners = Vec::new();
    for (at, form) in listed.into_iter().flatten().enumerate() {
        let port = form["port"].as_u64().and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0);
        match (port.map(u32::from), hostname(form, &format!("spec.listeners[{at}]"), wrong)) {
            (Some(port), Some(hostname)) => {
                listeners.push(listener(own_name(at, form, &listeners), form, port, hostname, why))
            }
            (Some(port), None) => untold.hear(Some(port), form),
            (None, _) => untold.hear(None, form),
        }
    }
    GatewayNode {
        created_ms,
        generation,
        unprotected: UnprotectedRoutes::Deny,
        message: v1::Gateway { addresses_unknown: true, ..v1::Gateway::default() },
        egress: Egress::default(),
        listeners,
        infrastructure: None,
        class: form["spec"]["gatewayClassName"].as_str().map(str::to_owned),
        untold,
        ignored: vec![],
        insecure_frontends: vec![],
        problems: vec![why.clone()],
    }
}

/// The hostname, in lower case, empty for every host; `None` if it cannot be read, or may be what is wrong: a misspelt hostname looks
/// like one that is absent.
fn hostname(form: &Value, field: &str, wrong: &[FieldProblem]) -> Option<String> {
    let is_misspelt = |rest: &str| {
        let name = rest.trim_start_matches('.').split(['.', '[']).next().unwrap_or_default();
        // Indented too far, it stands below one of the others.
        let is_hostname = rest.to_ascii_lowercase().contains(".host");
        is_hostname || !(BESIDE_PLACE.contains(&name) || ["port", "protocol"].contains(&name))
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
        takes_server_names: false,
        demand: is_tls.then_some(Demand::Nobodys),
        server_names: BTreeMap::new(),
        takes_ingresses: false,
        kinds: vec![],
        namespaces: Namespaces::Same,
        standing: if is_told { Standing::Holds { is_tls } } else { Standing::SetAside },
        problems: vec![why.clone()],
    }
}

/// Where it cannot be told which hosts were a Gateway's own, listeners that may have answered none of them do not answer in its place:
/// those that take more hosts than one, of its ports, and where even these cannot be told, of its namespace; and younger ones of a
/// hostname that it says somewhere.
pub(super) fn close_untold(gateways: &mut BTreeMap<ObjectName, GatewayNode>) {
    let age = |name: &ObjectName, gateway: &GatewayNode| (gateway.created_ms, name.clone());
    let untold: Vec<_> = gateways
        .iter()
        .filter(|(_, gateway)| gateway.untold != Untold::default())
        .map(|(name, gateway)| (age(name, gateway), gateway.untold.clone()))
        .collect();
    for (cause, untold) in untold {
        for (name, gateway) in &mut *gateways {
            let (is_near, is_younger) = (name.namespace == cause.1.namespace, age(name, gateway) > cause);
            let listeners = gateway.listeners.iter_mut().enumerate();
            let concerned = listeners.filter(|(_, one)| one.serves() && untold.may_be_of(one, is_near, is_younger));
            concerned.for_each(|(at, listener)| close(at, listener, &cause.1));
        }
    }
}

fn close(at: usize, listener: &mut ListenerNode, cause: &ObjectName) {
    let message = format!(
        "Gateway {cause} cannot be decoded, and which hosts are its own cannot be told; correct it. Until then this listener serves nothing"
    );
    let field = format!("spec.listeners[{at}].hostname");
    listener.problems.push(Problem::new(field, Reason::HostnameConflict, message));
    listener.standing = Standing::Holds { is_tls: listener.tls.is_some() };
}

fn is_broad(hostname: &str) -> bool {
    hostname.is_empty() || hostname.starts_with('*')
}
