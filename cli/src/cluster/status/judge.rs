//! From objects as they are to what is told of each. Pure.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_api::INGRESS_CONTROLLER_NAME;
use sallyport_api::condition::{ConditionType, Reason};
use sallyport_controller::cluster::ObjectKind;
use sallyport_controller::status::{is_good_when_true, is_under_way};
use serde_json::Value;

use super::World;
use super::report::{Finding, NOT_REACHED, NOT_SEEN, Place, Report, Row, State};
use crate::cluster::object::{
    condition, entries, full_name, generation, is_class_of_ours, is_ours, name, namespace, text,
};

/// Conditions that repeat what others say.
const SUMS: [ConditionType; 4] =
    [ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled, ConditionType::CredentialReady];
const NOT_SEEN_CURE: &str = "See whether the controller runs: `sallyport check` says so.";
const NO_CLASS_CURE: &str = "Create the GatewayClass, or name one that is there.";
const NO_GATEWAY_CURE: &str =
    "Create the Gateway, or correct `parentRefs`; `sallyport status -A` shows which Gateways there are.";
const NO_ADDRESS_CURE: &str = "See the conditions of the Gateway; `sallyport.dev/IngressesRefused` names each Ingress.";

/// What is told of everything that is ours, or seems to be meant for us.
pub(crate) fn judge(world: &World) -> Report {
    let classes = Classes::of(world);
    let mut objects: Vec<_> = world.objects.iter().filter_map(|object| classes.row(object)).collect();
    let order = |kind: &str| ObjectKind::ALL.iter().position(|one| one.as_str() == kind);
    objects.sort_by(|one, other| {
        let key = |row: &Row| (row.namespace.clone(), order(&row.kind), row.name.clone());
        key(one).cmp(&key(other))
    });
    Report { objects, unread: world.unread.clone() }
}

/// Which classes there are, and which of them are ours.
struct Classes<'a> {
    /// Absent where nobody may read them.
    of_gateways: Option<BTreeMap<&'a str, bool>>,
    ours_of_ingresses: BTreeSet<&'a str>,
    /// The class of each Gateway that has been read.
    gateways: BTreeMap<String, &'a str>,
}

impl<'a> Classes<'a> {
    fn of(world: &'a World) -> Self {
        let of = |kind: &'static str| world.objects.iter().filter(move |object| object["kind"] == kind);
        let is_read = world.unread.iter().all(|unread| unread.kind != "GatewayClass");
        let class = |object: &'a Value| (name(object), is_class_of_ours(object));
        let ours = of("IngressClass").filter(|one| text(one, "/spec/controller") == INGRESS_CONTROLLER_NAME);
        Self {
            of_gateways: is_read.then(|| of("GatewayClass").map(class).collect()),
            ours_of_ingresses: ours.map(name).collect(),
            gateways: of("Gateway").map(|one| (full_name(one), text(one, "/spec/gatewayClassName"))).collect(),
        }
    }

    /// Whether a Gateway is ours; unknown if its class is not there.
    fn is_ours(&self, class: &str) -> Option<bool> {
        match &self.of_gateways {
            Some(classes) => classes.get(class).copied(),
            None => Some(true),
        }
    }

    fn row(&self, object: &Value) -> Option<Row> {
        match text(object, "/kind") {
            "GatewayClass" => (self.is_ours(name(object)) == Some(true)).then(|| row(object, vec![])),
            "IngressClass" => None,
            "Gateway" => self.gateway(object),
            "HTTPRoute" | "GRPCRoute" => self.route(object),
            "Ingress" => self.ingress(object),
            _ => Some(row(object, vec![])),
        }
    }

    fn gateway(&self, gateway: &Value) -> Option<Row> {
        let class = text(gateway, "/spec/gatewayClassName");
        match self.is_ours(class) {
            Some(true) => Some(row(gateway, vec![])),
            Some(false) => None,
            None => {
                let message = format!("GatewayClass {class} does not exist, and nobody runs this Gateway");
                Some(Row { ready: State::False, ..bare(gateway, vec![not_seen(&message, NO_CLASS_CURE)]) })
            }
        }
    }

    /// A route of which others speak and we do not is not ours.
    fn route(&self, route: &Value) -> Option<Row> {
        let mut parents = entries(route, "/status/parents").peekable();
        if parents.peek().is_some() {
            return parents.any(is_ours).then(|| row(route, vec![]));
        }
        let named: Vec<_> = entries(route, "/spec/parentRefs")
            .filter(|parent| parent["kind"].as_str().is_none_or(|kind| kind == "Gateway"))
            .map(|parent| reference(parent, namespace(route)))
            .collect();
        let class = |gateway: &String| self.gateways.get(gateway).and_then(|class| self.is_ours(class));
        if named.iter().any(|gateway| class(gateway) == Some(true)) {
            let message = "the controller has not taken it up";
            return Some(Row { ready: State::Pending, ..bare(route, vec![not_seen(message, NOT_SEEN_CURE)]) });
        }
        let message = format!(
            "no controller says anything of it: the Gateways that it names ({}) do not exist, or nobody runs their class",
            named.join(", ")
        );
        let is_of_others = named.iter().any(|gateway| class(gateway) == Some(false));
        let told = || Row { ready: State::False, ..bare(route, vec![not_seen(&message, NO_GATEWAY_CURE)]) };
        (!named.is_empty() && !is_of_others).then(told)
    }

    /// An Ingress has no conditions: it is served where it has an address.
    fn ingress(&self, ingress: &Value) -> Option<Row> {
        let stated = text(ingress, "/spec/ingressClassName");
        if !self.ours_of_ingresses.contains(stated) {
            return None;
        }
        let row = row(ingress, vec![]);
        if !row.addresses.is_empty() {
            return Some(Row { ready: State::True, ..row });
        }
        let finding = Finding {
            condition: "loadBalancer".to_owned(),
            at: String::new(),
            reason: NOT_REACHED.to_owned(),
            message: "it has no address: it is attached to no Gateway, or that one has none".to_owned(),
            cure: NO_ADDRESS_CURE.to_owned(),
        };
        Some(Row { ready: State::False, findings: vec![finding], ..row })
    }
}

fn not_seen(message: &str, cure: &str) -> Finding {
    let (condition, reason) = (ConditionType::Accepted.as_str().to_owned(), NOT_SEEN.to_owned());
    Finding { condition, at: String::new(), reason, message: message.to_owned(), cure: cure.to_owned() }
}

/// The Gateway that a reference names.
fn reference(parent: &Value, namespace: &str) -> String {
    let namespace = parent["namespace"].as_str().unwrap_or(namespace);
    format!("{namespace}/{}", text(parent, "/name"))
}

/// What the object's status says.
fn row(object: &Value, mut findings: Vec<Finding>) -> Row {
    let told = told(object);
    findings.extend(of_conditions(&told));
    let observed = observed_generation(object, &told);
    let is_outdated = observed.is_some_and(|observed| generation(object).is_some_and(|now| observed < now));
    if told.is_empty() && text(object, "/kind") != "Ingress" || is_outdated {
        let message = match generation(object).filter(|_| is_outdated) {
            Some(generation) => format!("the controller has not judged generation {generation} yet"),
            None => "the controller has said nothing of it yet".to_owned(),
        };
        findings.insert(0, not_seen(&message, NOT_SEEN_CURE));
    }
    let ready = state(object, &findings);
    Row { ready, observed_generation: observed, ..bare(object, findings) }
}

/// The object without a judgement.
fn bare(object: &Value, findings: Vec<Finding>) -> Row {
    Row {
        kind: text(object, "/kind").to_owned(),
        namespace: namespace(object).to_owned(),
        name: name(object).to_owned(),
        ready: State::Pending,
        generation: generation(object),
        observed_generation: None,
        phase: object["status"]["phase"].as_str().map(str::to_owned),
        addresses: addresses(object),
        places: places(object),
        findings,
    }
}

/// A condition, and what part of the object it is about.
struct Told<'a> {
    at: String,
    condition: &'a Value,
}

/// All conditions of ours: the object's own, those of its listeners, and those at each Gateway.
fn told(object: &Value) -> Vec<Told<'_>> {
    let is_known = |told: &Told<'_>| ConditionType::ALL.iter().any(|kind| told.condition["type"] == kind.as_str());
    let own = std::iter::once((String::new(), &object["status"]));
    let listeners = entries(object, "/status/listeners").map(|one| (format!("listener {}", text(one, "/name")), one));
    let gateways = at_gateways(object).map(|(gateway, entry)| (format!("Gateway {gateway}"), entry));
    let of =
        |(at, entry)| entries(entry, "/conditions").map(move |condition| Told { at: String::clone(&at), condition });
    own.chain(listeners).chain(gateways).flat_map(of).filter(is_known).collect()
}

/// Our entries for each Gateway, of routes and of policies.
fn at_gateways(object: &Value) -> impl Iterator<Item = (String, &Value)> {
    let place = |entry: &Value, part: &str| {
        let parent = &entry[part];
        let section = parent["sectionName"].as_str().map(|section| format!(" {section}"));
        let port = parent["port"].as_i64().map(|port| format!(" {port}"));
        let gateway = reference(parent, namespace(object));
        format!("{gateway}{}{}", section.unwrap_or_default(), port.unwrap_or_default())
    };
    let parents = entries(object, "/status/parents").map(move |entry| (place(entry, "parentRef"), entry));
    let ancestors = entries(object, "/status/ancestors").map(move |entry| (place(entry, "ancestorRef"), entry));
    parents.chain(ancestors).filter(|(_, entry)| is_ours(entry))
}

fn places(object: &Value) -> Vec<Place> {
    let place = |gateway: String, conditions: &Value| {
        let of = |kind: ConditionType| entries(conditions, "").find(move |one| one["type"] == kind.as_str());
        let told = of(ConditionType::RouteProgrammed).or_else(|| of(ConditionType::Programmed))?;
        let message = text(told, "/message").to_owned();
        Some(Place { gateway, programmed: told["status"] == "True", message })
    };
    let at: Vec<_> = at_gateways(object).filter_map(|(at, entry)| place(at, &entry["conditions"])).collect();
    let own = place(String::new(), &object["status"]["conditions"]);
    if at.is_empty() { own.into_iter().collect() } else { at }
}

fn addresses(object: &Value) -> Vec<String> {
    let of_gateway = entries(object, "/status/addresses").filter_map(|one| one["value"].as_str());
    let of_ingress = entries(object, "/status/loadBalancer/ingress")
        .filter_map(|one| one["ip"].as_str().or_else(|| one["hostname"].as_str()));
    of_gateway.chain(of_ingress).map(str::to_owned).collect()
}

/// What conditions say is wrong. What is said of all Gateways is not said of each again, and what sums up not beside what it sums up.
fn of_conditions(told: &[Told<'_>]) -> Vec<Finding> {
    let all: Vec<_> = told.iter().filter(|told| is_bad(told.condition)).map(finding).collect();
    let is_sum = |one: &Finding| SUMS.iter().any(|kind| kind.as_str() == one.condition);
    let says_all = |one: &Finding| {
        let same = |other: &&Finding| (&other.condition, &other.message) == (&one.condition, &one.message);
        !one.at.is_empty() && all.iter().filter(same).any(|other| other.at.is_empty())
    };
    let (sums, own): (Vec<_>, Vec<_>) = all.iter().filter(|one| !says_all(one)).cloned().partition(is_sum);
    let ready = |one: &Finding| one.condition == ConditionType::Ready.as_str();
    if own.is_empty() { sums.into_iter().filter(ready).collect() } else { own }
}

fn is_bad(condition: &Value) -> bool {
    let kind = text(condition, "/type");
    if kind == ConditionType::ApiPolicyAffected.as_str() {
        return false;
    }
    (condition["status"] == "True") != is_good_when_true(kind)
}

fn finding(told: &Told<'_>) -> Finding {
    let of = |field: &str| text(told.condition, field).to_owned();
    let reason = of("/reason");
    let known = Reason::ALL.iter().find(|one| one.as_str() == reason);
    let cure = known.map(|known| known.cure()).unwrap_or_default().to_owned();
    Finding { condition: of("/type"), at: told.at.clone(), message: of("/message"), cure, reason }
}

/// The oldest generation that is spoken of.
fn observed_generation(object: &Value, told: &[Told<'_>]) -> Option<i64> {
    let own = object["status"]["observedGeneration"].as_i64();
    let of_conditions = told.iter().filter_map(|told| told.condition["observedGeneration"].as_i64());
    own.into_iter().chain(of_conditions).min()
}

fn state(object: &Value, findings: &[Finding]) -> State {
    let is_open = |one: &Finding| one.reason == Reason::LeftOpen.as_str();
    let comes = |one: &Finding| is_under_way(&one.reason) || one.reason == NOT_SEEN;
    let sum = condition(object, ConditionType::Ready.as_str());
    let is_first_unseen = findings.first().is_some_and(|one| one.reason == NOT_SEEN);
    match sum {
        _ if is_first_unseen => State::Pending,
        Some(sum) if sum["status"] == "True" => State::True,
        Some(sum) if is_under_way(text(sum, "/reason")) => State::Pending,
        Some(_) => State::False,
        None if findings.iter().all(is_open) => State::True,
        None if findings.iter().all(|one| is_open(one) || comes(one)) => State::Pending,
        None => State::False,
    }
}
