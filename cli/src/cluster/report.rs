//! What of an object is in force, where it is not and why, read from its status.

use std::collections::BTreeSet;

use sallyport_api::CONTROLLER_NAME;
use sallyport_api::condition::Reason;
use sallyport_controller::cluster::ObjectKind;
use serde::Serialize;
use serde_json::Value;

use super::object::{condition, entries, full_name, generation, is_of, text};

/// Conditions by which something is wrong where they do not hold, in the order in which they tell more.
const NEEDED: [&str; 4] = ["Accepted", "ResolvedRefs", "Programmed", "sallyport.dev/Programmed"];
/// Conditions by which something is wrong where they hold.
const UNWANTED: [&str; 3] = ["PartiallyInvalid", "sallyport.dev/IngressesRefused", "sallyport.dev/Unprotected"];
/// Of an object about whose present form no condition speaks.
const NOT_JUDGED: &str = "NotJudged";

/// One object, and what is in force of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) kind: &'static str,
    pub(super) name: String,
    pub(super) ready: bool,
    /// Why it is not ready; empty if it is.
    pub(super) reason: String,
    pub(super) message: String,
    /// What is done about that reason.
    pub(super) cure: &'static str,
    /// Each Gateway at which it stands; of a Gateway, its listeners.
    pub(super) places: Vec<At>,
}

/// An object at one place.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct At {
    pub(super) place: String,
    pub(super) programmed: bool,
    pub(super) reason: String,
    pub(super) message: String,
}

/// Why something is not in force.
struct Fault {
    reason: String,
    message: String,
}

/// Names of classes whose Gateways are this controller's.
pub(super) fn our_classes(classes: &[Value]) -> BTreeSet<String> {
    let ours = classes.iter().filter(|class| text(class, "/spec/controllerName") == CONTROLLER_NAME);
    ours.map(|class| text(class, "/metadata/name").to_owned()).collect()
}

/// The row of an object; `None` of one that is another controller's.
pub(super) fn row(kind: ObjectKind, object: &Value, classes: &BTreeSet<String>) -> Option<Row> {
    let own = generation(object);
    let (faults, places) = match kind {
        ObjectKind::Gateway if !classes.contains(text(object, "/spec/gatewayClassName")) => return None,
        ObjectKind::Gateway => (vec![fault(&object["status"], own)], listeners(object, own)),
        ObjectKind::HTTPRoute | ObjectKind::GRPCRoute => {
            let ours = |part: &&Value| text(part, "/controllerName") == CONTROLLER_NAME;
            let parents: Vec<_> = entries(object, "/status/parents").filter(ours).collect();
            if parents.is_empty() {
                return None;
            }
            let faults = parents.iter().map(|parent| fault(parent, own)).collect();
            (faults, parents.into_iter().map(|parent| at(parent_name(parent, object), parent, own)).collect())
        }
        _ => (vec![summed_up(object, own)], ancestors(object, own)),
    };
    let first = faults.into_iter().flatten().next();
    let ready = first.is_none();
    let Fault { reason, message } = first.unwrap_or(Fault { reason: String::new(), message: String::new() });
    let known = Reason::ALL.iter().find(|one| one.as_str() == reason);
    Some(Row {
        namespace: text(object, "/metadata/namespace").to_owned(),
        kind: kind.as_str(),
        name: text(object, "/metadata/name").to_owned(),
        ready,
        cure: known.map_or("", |reason| reason.cure()),
        reason,
        message,
        places,
    })
}

/// Of kinds whose `Ready` sums up.
fn summed_up(object: &Value, own: Option<i64>) -> Option<Fault> {
    let Some(ready) = condition(&object["status"], "Ready").filter(|one| is_of(one, own)) else {
        return Some(not_judged());
    };
    (text(ready, "/status") != "True").then(|| told(ready))
}

/// The first thing that is wrong with a part of a status.
fn fault(part: &Value, own: Option<i64>) -> Option<Fault> {
    let is_judged = condition(part, "Accepted").is_some_and(|one| is_of(one, own));
    if !is_judged {
        return Some(not_judged());
    }
    let found = |kinds: &[&str], wanted: &str| {
        let all = kinds.iter().filter_map(|kind| condition(part, kind));
        all.filter(|one| text(one, "/status") != wanted).map(told).next()
    };
    found(&NEEDED, "True").or_else(|| found(&UNWANTED, "False"))
}

fn not_judged() -> Fault {
    let message = "no controller has judged it as it is now; see whether the controller runs";
    Fault { reason: NOT_JUDGED.to_owned(), message: message.to_owned() }
}

fn told(condition: &Value) -> Fault {
    Fault { reason: text(condition, "/reason").to_owned(), message: text(condition, "/message").to_owned() }
}

fn listeners(gateway: &Value, own: Option<i64>) -> Vec<At> {
    let all = entries(gateway, "/status/listeners");
    all.map(|listener| at(format!("listener {}", text(listener, "/name")), listener, own)).collect()
}

fn ancestors(object: &Value, own: Option<i64>) -> Vec<At> {
    let ours = entries(object, "/status/ancestors").filter(|one| text(one, "/controllerName") == CONTROLLER_NAME);
    let name = |one: &Value| format!("{}/{}", text(one, "/ancestorRef/namespace"), text(one, "/ancestorRef/name"));
    ours.map(|one| at(name(one), one, own)).collect()
}

/// The Gateway that a route names, and the listener if it names one.
fn parent_name(parent: &Value, route: &Value) -> String {
    let stated = text(parent, "/parentRef/namespace");
    let namespace = if stated.is_empty() { text(route, "/metadata/namespace") } else { stated };
    let section = text(parent, "/parentRef/sectionName");
    let section = if section.is_empty() { String::new() } else { format!(" listener {section}") };
    format!("{namespace}/{}{section}", text(parent, "/parentRef/name"))
}

fn at(place: String, part: &Value, own: Option<i64>) -> At {
    let fault = fault(part, own);
    let programmed = fault.is_none();
    let Fault { reason, message } = fault.unwrap_or(Fault { reason: String::new(), message: String::new() });
    At { place, programmed, reason, message }
}

impl Row {
    /// `Kind/name`, as `kubectl` takes it.
    pub(super) fn object(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

/// What a message about an object begins with.
pub(super) fn object_name(kind: ObjectKind, object: &Value) -> String {
    format!("{} {}", kind.as_str(), full_name(object))
}

#[cfg(test)]
mod tests;
