//! ApiPolicies, parsed once: sections that hold, or say why they deny.

use std::collections::BTreeMap;

use sallyport_api::ApiPolicy;
use sallyport_api::condition::Reason;
use sallyport_api::policy::{Enforcement, IpFilter, Mode, TargetKind, TargetReference};
use sallyport_snapshot::v1;
use serde_json::Value;

use super::address::{AddressRange, complaint};
use super::alternatives::{Alternatives, Brought};
use super::basic::Files;
use super::external_authorization::{Authorizer, authorizer};
use super::gateway::GatewayNode;
use super::guarded::Guarded;
use super::headers::{self, HeaderChanges};
use super::route::{RouteId, RouteNode};
use super::{Environment, authorization, cors, credential, limits};
use crate::cluster::{ClusterState, ObjectName, Stored, Undecodable, created_ms};
use crate::problem::{Problem, cut, denial};

/// Of what is wrong with a policy, whoever is refused by it is told no more in the log.
const MAX_TOLD: usize = 5;
/// No field of ours has a longer path.
const MAX_FIELD: usize = 200;

/// A policy with what it is attached to.
pub struct PolicyNode {
    pub created_ms: i64,
    pub generation: Option<i64>,
    pub is_floor: bool,
    pub is_report: bool,
    pub targets: Targets,
    pub sections: Sections,
    /// What it lets nobody else say.
    pub guarded: Guarded,
    pub brought: Brought,
    pub problems: Vec<Problem>,
}

/// What a policy is attached to.
pub enum Targets {
    Named(Vec<Target>),
    /// They cannot be read: the policy closes its whole namespace, and every Gateway there.
    Unreadable,
}

/// One target.
#[derive(Clone, Debug)]
pub struct Target {
    pub kind: TargetKind,
    pub name: String,
    pub section: Option<String>,
    /// The section does not exist: the policy denies on the whole target.
    pub section_missing: bool,
    /// There is no such object, which may be misspelt, or gone.
    pub is_missing: bool,
}

/// What a policy states. A section that cannot be used denies.
#[derive(Default)]
pub struct Sections {
    /// Everything is denied.
    pub deny: Option<v1::Deny>,
    pub ip_filter: Option<v1::IpFilter>,
    pub authentication: Option<v1::Authentication>,
    pub is_public: bool,
    pub authorization: Option<v1::Authorization>,
    pub external_authorization: Option<Authorizer>,
    pub request_headers: Option<HeaderChanges>,
    pub response_headers: Option<HeaderChanges>,
    pub cors: Option<v1::Cors>,
    pub request: Option<v1::RequestBounds>,
    pub limits: Option<Vec<v1::Limit>>,
    pub streams: Option<v1::Streams>,
    pub credential: Option<v1::Credential>,
}

/// All policies.
pub fn all(cluster: &ClusterState, environment: Environment) -> BTreeMap<ObjectName, PolicyNode> {
    let files = Files::of(cluster);
    let node = |(name, policy): (&ObjectName, &Stored<ApiPolicy>)| {
        let node = match policy {
            Stored::Decoded(policy) => decoded((cluster, &files), environment, name, policy),
            Stored::Undecodable(policy) => undecodable(name, policy),
        };
        (name.clone(), node)
    };
    cluster.api_policies.iter().map(node).collect()
}

/// Looks the targets up: those that are missing, and those that lack the named section.
pub fn link(
    cluster: &ClusterState,
    policies: &mut BTreeMap<ObjectName, PolicyNode>,
    gateways: &BTreeMap<ObjectName, GatewayNode>,
    routes: &BTreeMap<RouteId, RouteNode>,
) {
    for (name, policy) in policies {
        let Targets::Named(targets) = &mut policy.targets else { continue };
        for (at, target) in targets.iter_mut().enumerate() {
            let place = ObjectName::new(&name.namespace, &target.name);
            let sections = match target.kind {
                TargetKind::Gateway => gateways
                    .get(&place)
                    .map(|gateway| gateway.listeners.iter().map(|listener| listener.name.clone()).collect::<Vec<_>>()),
                kind => {
                    let id = RouteId { kind: kind_name(kind), name: place.clone() };
                    routes.get(&id).map(|route| route.rules.iter().filter_map(|rule| rule.section.clone()).collect())
                }
            };
            let field = format!("spec.targetRefs[{at}]");
            match (sections, &target.section) {
                (None, _) => {
                    target.is_missing = true;
                    let why = why_none(cluster, target.kind, &place);
                    let message = format!(
                        "{} {place} {why}. If no other target is there, what it sets stays guarded for its namespace",
                        kind_name(target.kind)
                    );
                    policy.problems.push(Problem::new(field, Reason::TargetNotFound, message));
                }
                (Some(sections), Some(section)) if !sections.contains(section) => {
                    target.section_missing = true;
                    let message = format!(
                        "{} {place} has no section {section}; correct it. Until then the whole target answers 500",
                        kind_name(target.kind)
                    );
                    policy.problems.push(Problem::new(format!("{field}.sectionName"), Reason::TargetNotFound, message));
                }
                _ => {}
            }
        }
    }
}

/// Why there is no such target: a Gateway or an Ingress may be there, and be none of ours.
fn why_none(cluster: &ClusterState, kind: TargetKind, place: &ObjectName) -> &'static str {
    if kind == TargetKind::Ingress && cluster.ingresses.contains_key(place) {
        return "is of no IngressClass of this controller; correct the name, or its class";
    }
    match cluster.gateways.get(place).filter(|_| kind == TargetKind::Gateway) {
        None => "does not exist; create it, or correct the name",
        Some(Stored::Decoded(_)) => "is of no GatewayClass of this controller; correct the name, or its class",
        Some(Stored::Undecodable(_)) => "cannot be decoded; correct it",
    }
}

/// A kind as manifests spell it.
pub fn kind_name(kind: TargetKind) -> &'static str {
    match kind {
        TargetKind::Gateway => "Gateway",
        TargetKind::HTTPRoute => "HTTPRoute",
        TargetKind::GRPCRoute => "GRPCRoute",
        TargetKind::Ingress => "Ingress",
    }
}

fn decoded(
    (cluster, files): (&ClusterState, &Files<'_>),
    environment: Environment,
    name: &ObjectName,
    policy: &ApiPolicy,
) -> PolicyNode {
    let spec = &policy.spec;
    let label = format!("ApiPolicy {name}");
    let mut problems = Vec::new();
    let mut brought = Brought::default();
    let authentication = spec.authentication.as_ref().map(|stated| {
        let (problems, brought) = (&mut problems, &mut brought);
        Alternatives { cluster, files, environment, name, label: &label, problems, brought }.all(stated)
    });
    let is_floor = spec.enforcement == Enforcement::Floor;
    let author = authorization::Author { label: &label, is_floor, authenticates: authentication.is_some() };
    let request_headers = spec.request_headers.as_ref().map(|stated| headers::of_request(author, stated)).transpose();
    let response_headers =
        spec.response_headers.as_ref().map(|stated| headers::of_response(author, stated)).transpose();
    let mut deny = None;
    // A service takes what is not there for what nobody has set: headers that cannot be told close the policy.
    let [request_headers, response_headers] = [request_headers, response_headers].map(|changes| {
        changes.unwrap_or_else(|problem| {
            deny.get_or_insert_with(|| denial(&label, &problem));
            problems.push(problem);
            None
        })
    });
    let sections = Sections {
        deny,
        authorization: spec.authorization.as_ref().map(|rules| authorization::message(author, rules, &mut problems)),
        external_authorization: spec
            .external_authorization
            .as_ref()
            .map(|stated| authorizer(cluster, author, &name.namespace, stated, &mut problems)),
        ip_filter: spec.ip_filter.as_ref().map(|filter| ip_filter(&label, filter, &mut problems)),
        is_public: spec.authentication.iter().flatten().any(|one| one.public.is_some()),
        authentication,
        request_headers,
        response_headers,
        cors: spec.cors.as_ref().map(cors::message),
        request: spec.request.map(|stated| v1::RequestBounds {
            max_body_bytes: stated.max_body_bytes.map(|bytes| bytes.0),
            object: label.clone(),
        }),
        limits: spec.limits.as_ref().map(|stated| limits::messages(author, stated, &mut problems)),
        streams: spec.streams.map(|streams| v1::Streams { end_on_expiry: streams.end_on_expiry }),
        credential: spec
            .credential
            .as_ref()
            .map(|stated| credential::message(cluster, &label, &name.namespace, stated, &mut problems)),
    };
    let is_report = spec.mode == Mode::Report;
    PolicyNode {
        created_ms: created_ms(policy),
        generation: policy.metadata.generation,
        is_floor,
        is_report,
        targets: Targets::Named(spec.target_refs.iter().map(target).collect()),
        guarded: if is_report { Guarded::by(&sections).keys_only() } else { Guarded::by(&sections) },
        sections,
        brought,
        problems,
    }
}

fn target(reference: &TargetReference) -> Target {
    Target {
        kind: reference.kind,
        name: reference.name.clone(),
        section: reference.section_name.clone(),
        section_missing: false,
        is_missing: false,
    }
}

/// Closes its targets, as far as they can be read, even if it says that it only reports.
fn undecodable(name: &ObjectName, policy: &Undecodable) -> PolicyNode {
    let told = policy.problems.iter().take(MAX_TOLD);
    let mut details: Vec<_> =
        told.map(|problem| format!("{}: {}", cut(&problem.field, MAX_FIELD), problem.message)).collect();
    if let Some(more @ 1..) = policy.problems.len().checked_sub(MAX_TOLD) {
        details.push(format!("and {more} more"));
    }
    let problem = Problem::new(
        "spec",
        Reason::Undecodable,
        format!("the policy cannot be decoded, and closes its targets: {}", details.join("; ")),
    );
    let references = policy.raw["spec"]["targetRefs"].as_array();
    let targets: Option<Vec<Target>> =
        references.and_then(|references| references.iter().map(lenient_target).collect());
    let sections = Sections { deny: Some(denial(&format!("ApiPolicy {name}"), &problem)), ..Sections::default() };
    PolicyNode {
        created_ms: policy.created_ms.unwrap_or_default(),
        generation: policy.generation,
        // A floor holds wherever it reaches: nothing nearer opens what it closes.
        is_floor: true,
        is_report: false,
        targets: targets.filter(|targets| !targets.is_empty()).map_or(Targets::Unreadable, Targets::Named),
        guarded: Guarded::lenient(&policy.raw),
        sections,
        brought: Brought::default(),
        problems: vec![problem],
    }
}

fn lenient_target(reference: &Value) -> Option<Target> {
    let kind = match reference["kind"].as_str()? {
        "Gateway" => TargetKind::Gateway,
        "HTTPRoute" => TargetKind::HTTPRoute,
        "GRPCRoute" => TargetKind::GRPCRoute,
        "Ingress" => TargetKind::Ingress,
        _ => return None,
    };
    // The whole target is closed: its section may be what cannot be read.
    Some(Target {
        kind,
        name: reference["name"].as_str()?.to_owned(),
        section: None,
        section_missing: false,
        is_missing: false,
    })
}

fn ip_filter(label: &str, filter: &IpFilter, problems: &mut Vec<Problem>) -> v1::IpFilter {
    let mut unavailable = None;
    for (field, entries) in [("allow", &filter.allow), ("deny", &filter.deny)] {
        for (at, entry) in entries.iter().enumerate().filter(|(_, entry)| AddressRange::parse(entry).is_none()) {
            let problem = Problem::new(format!("spec.ipFilter.{field}[{at}]"), Reason::Invalid, complaint(entry));
            unavailable.get_or_insert_with(|| denial(label, &problem));
            problems.push(problem);
        }
    }
    let usable =
        |entries: &[String]| entries.iter().filter(|entry| AddressRange::parse(entry).is_some()).cloned().collect();
    v1::IpFilter { object: label.to_owned(), allow: usable(&filter.allow), deny: usable(&filter.deny), unavailable }
}
