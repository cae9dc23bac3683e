//! Whatever is broken or taken away, the set of requests that come in only shrinks; and nothing panics.
//!
//! Who comes in is told by an oracle that reads the snapshot by the words of the contract, and shares no code with the data plane.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use proptest::prelude::*;
use sallyport_controller::graph::Environment;
use sallyport_snapshot::v1::{self, Kind, endpoint_source, resource::Body};
use sallyport_snapshot::{Name, Snapshot};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::judged::{Judged, judge_in};

/// All Gateways share the ports of one process, as the probes do: what one of them gives up, another could take.
fn judged(manifests: &str) -> Judged {
    judge_in(Environment::Standalone, manifests)
}

const VALID: &str = include_str!("mutation.yaml");
/// Of acme, other, older and younger, guests, younger, the one of Ingresses.
const KEYS: [&str; 6] = [
    "sp_acme_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "sp_other_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb",
    "sp_third_cccccccccccccccccccccccccccccccc",
    "sp_guest_dddddddddddddddddddddddddddddddd",
    "sp_fourth_eeeeeeeeeeeeeeeeeeeeeeeeeeeeeee",
    "sp_ingress_ffffffffffffffffffffffffffffff",
];
/// Port, host and path of a request.
type Probe = (u32, &'static str, &'static str);
const PROBES: [Probe; 20] = [
    (80, ANY, "/orders"),
    (80, ANY, "/orders/admin"),
    (80, ANY, "/reports"),
    (80, ANY, "/open"),
    (80, ANY, "/floor"),
    (80, ANY, "/filtered"),
    (80, ANY, "/lent"),
    (83, "grpc.example.com", "/shop.Orders/Place"),
    (81, ANY, "/unspoken"),
    (82, ANY, "/selected"),
    (82, ANY, "/sectioned"),
    (82, ANY, "/guests"),
    (82, "vip.example.com", "/vip"),
    (443, "secure.example.com", "/secure"),
    (443, "secure.example.com", "/open"),
    (443, ANY, "/secure"),
    (84, ANY, "/wide"),
    (84, ANY, "/narrow"),
    (84, "sealed.example.com", "/wide"),
    (84, "sealed.example.com", "/narrow"),
];
/// A host that nobody names.
const ANY: &str = "any.example.com";
/// Where all callers are, by the word of a proxy in 10.0.0.0/8; one policy denies it.
const CLIENT: &str = "203.0.113.66";

/// What a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Shown {
    Nothing,
    Key(usize),
    /// A valid token of the issuer, with its audience and scope.
    Token,
    TokenAndKey(usize),
}

/// A request that came in, and which service it met with what.
type Admitted = (Probe, Shown, String);

fn admitted(snapshot: &Snapshot) -> BTreeSet<Admitted> {
    let keys = 0..KEYS.len();
    let shown = [Shown::Nothing, Shown::Token].into_iter().chain(keys.clone().map(Shown::Key));
    let shown: Vec<_> = shown.chain(keys.map(Shown::TokenAndKey)).collect();
    let probes = PROBES.iter().flat_map(|probe| shown.iter().map(move |shown| (*probe, *shown)));
    probes.flat_map(|(probe, shown)| enter(snapshot, probe, shown).map(move |met| (probe, shown, met))).collect()
}

/// What the request meets; and once more what hears from its caller who the user is.
fn enter(snapshot: &Snapshot, probe: Probe, shown: Shown) -> impl Iterator<Item = String> {
    let met = meet(snapshot, probe, shown);
    let deaf = met.as_ref().is_none_or(|(_, backend)| backend.identity_headers.iter().any(|name| name == "x-user"));
    let heard = met.as_ref().filter(|_| !deaf).map(|(service, _)| format!("{service}, and believes its caller"));
    met.map(|(service, _)| service).into_iter().chain(heard)
}

/// The service and the credential that it gets, if the request comes in and is sent anywhere.
fn meet(snapshot: &Snapshot, probe: Probe, shown: Shown) -> Option<(String, &v1::Backend)> {
    let (route, rule, policy) = find(snapshot, probe)?;
    if rule.deny.is_some() {
        return None;
    }
    let policy = policy?;
    let api = route.object.as_ref()?;
    let holds =
        |one: &v1::Authentication| one.alternatives.iter().any(|alternative| holds(snapshot, alternative, api, shown));
    let open = policy.deny.is_none()
        && policy.ip_filters.iter().all(|filter| lets_pass(snapshot, filter))
        && policy.authentication.as_ref().is_some_and(holds)
        && policy.floors.iter().all(holds);
    if !open {
        return None;
    }
    let backend = rule.backends.first()?;
    let Some(v1::weighted_backend::Target::Backend(name)) = &backend.target else { return None };
    let Body::Backend(target) = body(snapshot, Kind::Backend, name)? else { return None };
    let reachable = target.deny.is_none()
        && target.endpoints.iter().any(|endpoint| match &endpoint.source {
            Some(endpoint_source::Source::Endpoints(name)) => {
                matches!(body(snapshot, Kind::Endpoints, name), Some(Body::Endpoints(endpoints)) if !endpoints.ready.is_empty())
            }
            other => other.is_some(),
        });
    if !reachable {
        return None;
    }
    if backend.credential.is_empty() {
        return Some((format!("{name} with nothing stated"), target));
    }
    match body(snapshot, Kind::Credential, &backend.credential)? {
        Body::Credential(credential) => match credential.kind.as_ref()? {
            v1::credential::Kind::Unavailable(_) => None,
            _ => Some((format!("{name} with {}", backend.credential), target)),
        },
        _ => None,
    }
}

/// The only filters here deny the client by its address, which nobody knows but from the proxy in front.
fn lets_pass(snapshot: &Snapshot, filter: &v1::IpFilter) -> bool {
    let Some(Body::Gateway(gateway)) = body(snapshot, Kind::Gateway, "shop/public") else { return false };
    let client = if gateway.trusted_proxies == ["10.0.0.0/8"] { CLIENT } else { "10.0.0.1" };
    let denied = filter.deny.iter().any(|one| one == client);
    filter.unavailable.is_none() && filter.allow.is_empty() && !denied && !gateway.addresses_unknown
}

fn body<'a>(snapshot: &'a Snapshot, kind: Kind, name: &str) -> Option<&'a Body> {
    Some(snapshot.find(&Name::new(kind, name))?.body().as_ref())
}

/// The name of the listener of `port` that is nearest to `host`, if it takes connections.
fn listener<'a>(snapshot: &'a Snapshot, port: u32, host: &str) -> Option<&'a str> {
    let of_port = snapshot.iter().filter_map(|(name, resource)| match resource.body().as_ref() {
        Body::Listener(listener) if listener.port == port => Some((name, listener)),
        _ => None,
    });
    let (name, listener) = of_port
        .filter_map(|(name, listener)| Some((nearness(&listener.hostname, host)?, name, listener)))
        .max_by_key(|(nearness, ..)| *nearness)
        .map(|(_, name, listener)| (name, listener))?;
    let shows = |name: &String| matches!(body(snapshot, Kind::Certificate, name), Some(Body::Certificate(one)) if one.unusable.is_empty());
    listener.tls.as_ref().is_none_or(|tls| tls.certificates.iter().any(shows)).then_some(name.name.as_ref())
}

/// How near a hostname is to `host`; `None` if it is another's.
fn nearness(hostname: &str, host: &str) -> Option<usize> {
    match hostname.strip_prefix('*') {
        Some(suffix) => host.ends_with(suffix).then_some(suffix.len()),
        None if hostname.is_empty() => Some(0),
        None => (hostname == host).then_some(usize::MAX),
    }
}

/// How near the host is, how long the prefix, how old the route.
type Rank = (usize, usize, Reverse<i64>);
type Found<'a> = (&'a v1::Route, &'a v1::Rule, Option<&'a v1::Policy>);

/// The rule of the nearest host, there the longest prefix, there the oldest route; and its policy.
fn find<'a>(snapshot: &'a Snapshot, (port, host, path): Probe) -> Option<Found<'a>> {
    let listener = listener(snapshot, port, host)?;
    let mut best: Option<(Rank, Found<'a>)> = None;
    for (_, resource) in snapshot.iter() {
        let Body::Route(route) = resource.body().as_ref() else { continue };
        for attachment in route.attachments.iter().filter(|attachment| attachment.listener == listener) {
            let any = [String::new()];
            let hostnames = if attachment.hostnames.is_empty() { &any[..] } else { &attachment.hostnames };
            let Some(near) = hostnames.iter().filter_map(|one| nearness(one, host)).max() else { continue };
            for (at, rule) in route.rules.iter().enumerate() {
                let Some(length) = rule.matches.iter().filter_map(|one| prefix(one, path)).max() else { continue };
                let policy = attachment.policies.get(at).and_then(|name| match body(snapshot, Kind::Policy, name) {
                    Some(Body::Policy(policy)) => Some(policy),
                    _ => None,
                });
                let rank = (near, length, Reverse(route.created_ms));
                if best.as_ref().is_none_or(|(other, _)| *other < rank) {
                    best = Some((rank, (route, rule, policy)));
                }
            }
        }
    }
    best.map(|(_, found)| found)
}

fn prefix(one: &v1::Match, path: &str) -> Option<usize> {
    let value = match &one.path {
        Some(v1::r#match::Path::Prefix(value)) => value.trim_end_matches('/'),
        Some(_) => return None,
        None => "",
    };
    let below = path.strip_prefix(value)?;
    (below.is_empty() || below.starts_with('/')).then_some(value.len())
}

fn holds(snapshot: &Snapshot, alternative: &v1::Alternative, api: &v1::ObjectRef, shown: Shown) -> bool {
    if alternative.unavailable.is_some() {
        return false;
    }
    let (token, key) = match shown {
        Shown::Nothing => (false, None),
        Shown::Key(key) => (false, Some(key)),
        Shown::Token => (true, None),
        Shown::TokenAndKey(key) => (true, Some(key)),
    };
    let by_token = alternative.jwt.as_ref().is_none_or(|jwt| {
        token
            && jwt.issuer == "https://issuer.example.com"
            && jwt.audiences == ["orders-api"]
            && body(snapshot, Kind::KeySet, &jwt.key_set).is_some()
            && jwt.scopes.iter().all(|scope| scope == "orders.read")
            && jwt.claims.is_empty()
    });
    let by_key = alternative.subscription_key.is_none() || key.is_some_and(|key| opens(snapshot, KEYS[key], api));
    (alternative.public || alternative.jwt.is_some() || alternative.subscription_key.is_some()) && by_token && by_key
}

fn opens(snapshot: &Snapshot, key: &str, api: &v1::ObjectRef) -> bool {
    let digest = Sha256::digest(key).to_vec();
    snapshot.iter().any(|(_, resource)| {
        let Body::Subscription(subscription) = resource.body().as_ref() else { return false };
        let named = [&subscription.primary_sha256, &subscription.secondary_sha256].iter().any(|one| ***one == *digest);
        let active = subscription.state() == v1::subscription::State::Active
            && subscription.expires_s.is_none() && subscription.not_before_s.is_none();
        named && active && match &subscription.scope {
            Some(v1::subscription::Scope::Product(name)) => {
                matches!(body(snapshot, Kind::Product, name), Some(Body::Product(product)) if product.apis.iter().chain(&product.limited_apis).any(|one| one == api))
            }
            Some(v1::subscription::Scope::Apis(apis)) => apis.routes.contains(api),
            Some(v1::subscription::Scope::AllApisOf(_)) => true,
            None => false,
        }
    })
}

fn documents() -> Vec<Value> {
    VALID.split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect()
}

fn written(documents: &[Value]) -> String {
    documents.iter().map(|document| format!("{document}\n")).collect::<Vec<_>>().join("---\n")
}

/// Paths of all values in a document, as JSON pointers.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    let mut below = |name: &str, value: &Value| {
        let at = format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
        found.push(at.clone());
        pointers(value, &at, found);
    };
    match value {
        Value::Object(members) => members.iter().for_each(|(name, value)| below(name, value)),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, value)| below(&at.to_string(), value)),
        _ => {}
    }
}

/// What makes an object invalid, undecodable, or takes it away. None of it is a valid way of saying something else.
#[derive(Clone, Copy, Debug)]
enum Breakage {
    Delete,
    UnknownField,
    NumberForObject,
    NoSpec,
    /// A reference that leads nowhere.
    Misspell,
    /// Of a Gateway or a class to its GatewayParameters.
    MisspellParameters,
    /// Of a route to a listener, or of a policy to a listener or a rule.
    MisspellSection,
    /// It looks like a field that is absent, and stands for its default.
    MisspellField(&'static str),
    EmptySecret,
    /// What refers to a listener by its name does not find it any more.
    RenameListeners,
    /// The listener with a hostname of its own is of a protocol that nobody speaks.
    UnknownProtocol,
}

const BREAKAGES: [Breakage; 24] = [
    Breakage::Delete,
    Breakage::UnknownField,
    Breakage::NumberForObject,
    Breakage::NoSpec,
    Breakage::Misspell,
    Breakage::MisspellParameters,
    Breakage::MisspellSection,
    Breakage::MisspellField("/spec/parentRefs/0/name"),
    Breakage::MisspellField("/spec/parentRefs"),
    Breakage::MisspellField("/spec/hostnames"),
    Breakage::MisspellField("/spec/rules"),
    Breakage::MisspellField("/spec/rules/0/matches"),
    Breakage::MisspellField("/spec/rules/0/backendRefs"),
    Breakage::MisspellField("/spec/listeners"),
    Breakage::MisspellField("/spec/listeners/0/hostname"),
    Breakage::MisspellField("/spec/targetRefs"),
    Breakage::MisspellField("/spec/requestHeaders"),
    Breakage::MisspellField("/spec/ingressClassName"),
    Breakage::MisspellField("/spec/tls"),
    Breakage::MisspellField("/spec/tls/0/hosts"),
    Breakage::MisspellField("/spec/rules/0/http"),
    Breakage::EmptySecret,
    Breakage::RenameListeners,
    Breakage::UnknownProtocol,
];

/// A policy, a route or a Floor that is *deleted* is no longer said: nothing of it can hold. So it is with the older of two
/// Subscriptions with one key, also where nothing is left that tells its key.
fn is_said_by_being_there(document: &Value) -> bool {
    matches!(document["kind"].as_str(), Some("ApiPolicy" | "HTTPRoute" | "GRPCRoute" | "Ingress"))
}

fn is_older_of_two(document: &Value) -> bool {
    document["kind"] == "Subscription" && document["metadata"]["name"] == "older"
}

/// Deleted, or of a class that is not there, it is somebody else's, and so are its hosts (ADR 8).
fn is_vip(document: &Value) -> bool {
    document["kind"] == "Gateway" && document["metadata"]["name"] == "vip"
}

/// Of a route without a readable spec nobody knows where it was and what it matched: routes of its own namespace deny, those of
/// others go on (ADR 8).
fn leaves_to_other_namespaces(document: &Value, breakage: Breakage) -> bool {
    let is_route = matches!(document["kind"].as_str(), Some("HTTPRoute" | "GRPCRoute"));
    // Without hostnames, a field that is not known may be a misspelt list of them.
    let is_any_host = document["spec"]["hostnames"].is_null() && matches!(breakage, Breakage::UnknownField);
    let is_untold = matches!(breakage, Breakage::NumberForObject | Breakage::NoSpec | Breakage::MisspellField(_));
    is_route && (is_untold || is_any_host)
}

/// Whether the lobby's open route has taken it.
fn is_in_the_lobby(admitted: &Admitted) -> bool {
    admitted.2.starts_with("Backend/lobby/open with nothing stated")
}

fn break_one(documents: &mut Vec<Value>, at: usize, breakage: Breakage) -> bool {
    let Some(document) = documents.get_mut(at) else { return false };
    match breakage {
        Breakage::Delete if is_said_by_being_there(document) => return false,
        Breakage::Delete | Breakage::Misspell if is_vip(document) => return false,
        Breakage::Delete | Breakage::NumberForObject | Breakage::NoSpec if is_older_of_two(document) => return false,
        Breakage::Delete => drop(documents.remove(at)),
        Breakage::UnknownField if document["spec"].is_object() => document["spec"]["nonsense"] = 1.into(),
        Breakage::NumberForObject if document["spec"].is_object() => document["spec"] = 7.into(),
        Breakage::NoSpec if document["spec"].is_object() => drop(document.as_object_mut().unwrap().remove("spec")),
        Breakage::Misspell => return misspell(document, &REFERENCES),
        Breakage::MisspellParameters => return misspell(document, &REFERENCES_TO_PARAMETERS),
        Breakage::MisspellSection => return misspell(document, &REFERENCES_TO_SECTIONS),
        Breakage::MisspellField(pointer) => return misspell_field(document, pointer),
        Breakage::EmptySecret if document["kind"] == "Secret" => {
            drop(document.as_object_mut().unwrap().remove("stringData"));
        }
        Breakage::RenameListeners if document["kind"] == "Gateway" => {
            let listeners = document["spec"]["listeners"].as_array_mut();
            listeners
                .into_iter()
                .flatten()
                .enumerate()
                .for_each(|(at, one)| one["name"] = format!("renamed-{at}").into());
        }
        Breakage::UnknownProtocol if document["spec"]["listeners"][1].is_object() => {
            document["spec"]["listeners"][1]["protocol"] = "example.com/OTHER".into();
        }
        _ => return false,
    }
    true
}

/// The last letter of the field's name is left out.
fn misspell_field(document: &mut Value, pointer: &str) -> bool {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let Some(Value::Object(parent)) = document.pointer_mut(parent) else { return false };
    let Some(value) = parent.remove(name) else { return false };
    parent.insert(name[..name.len() - 1].to_owned(), value);
    true
}

/// The Backend of a route, the Secret of a credential, the Product of a Subscription.
const REFERENCES: [&str; 10] = [
    "/spec/rules/0/http/paths/0/backend/resource/name",
    "/spec/rules/0/backendRefs/0/name",
    "/spec/credential/basic/secretRef/name",
    "/spec/keys/secretName",
    "/spec/scope/product/name",
    "/spec/scope/apis/0/name",
    "/spec/apis/0/name",
    "/spec/to/0/name",
    "/spec/gatewayClassName",
    "/spec/authentication/0/jwt/keys/configMapRef/name",
];
const REFERENCES_TO_PARAMETERS: [&str; 2] = ["/spec/infrastructure/parametersRef/name", "/spec/parametersRef/name"];
const REFERENCES_TO_SECTIONS: [&str; 2] = ["/spec/parentRefs/0/sectionName", "/spec/targetRefs/0/sectionName"];

/// Changes what the object refers to.
fn misspell(document: &mut Value, references: &[&str]) -> bool {
    let found = references.iter().find(|pointer| document.pointer(pointer).is_some());
    let Some(value) = found.and_then(|pointer| document.pointer_mut(pointer)) else { return false };
    *value = "nowhere".into();
    true
}

#[test]
fn the_oracle_admits_who_should_come_in() {
    let admitted = admitted(&judged(VALID).compiled.snapshot);
    let who = |port: u32, host: &str, path: &str| {
        let there = admitted.iter().filter(|one| one.0 == (port, host, path));
        there.filter(|one| !one.2.ends_with(" caller")).map(|one| one.1).collect::<Vec<_>>()
    };
    let believers: BTreeSet<_> = admitted.iter().filter(|one| one.2.ends_with(" caller")).map(|one| one.0.2).collect();
    assert_eq!(
        believers.into_iter().collect::<Vec<_>>(),
        ["/guests", "/lent", "/reports"],
        "no policy says it to them"
    );
    let everybody = 2 + 2 * KEYS.len();
    let with_token = [Shown::Token].into_iter().chain((0..KEYS.len()).map(Shown::TokenAndKey)).collect::<Vec<_>>();
    let with_key = |key: usize| vec![Shown::Key(key), Shown::TokenAndKey(key)];
    assert_eq!(who(80, ANY, "/orders"), with_token);
    assert_eq!(who(80, ANY, "/orders/admin"), [Shown::TokenAndKey(0)]);
    assert_eq!(who(80, ANY, "/reports"), with_key(0));
    assert_eq!(who(80, ANY, "/open").len(), everybody);
    assert_eq!(who(80, ANY, "/floor"), with_key(0));
    assert_eq!((who(80, ANY, "/filtered"), who(81, ANY, "/unspoken")), (vec![], vec![]));
    assert_eq!(who(80, ANY, "/lent"), with_key(4));
    assert_eq!(who(83, "grpc.example.com", "/shop.Orders/Place"), with_key(4));
    assert_eq!(who(82, ANY, "/selected"), with_key(4));
    assert_eq!(who(82, ANY, "/sectioned"), with_key(2), "the older has the key that the younger has as well");
    assert_eq!(who(82, ANY, "/guests").len(), everybody, "in the lobby");
    assert_eq!(who(82, "vip.example.com", "/vip"), [], "the Gateway has a Floor");
    assert_eq!(who(443, "secure.example.com", "/secure"), with_key(4));
    assert_eq!(who(443, "secure.example.com", "/open"), with_key(1), "the listener has a Floor");
    assert_eq!(who(443, ANY, "/secure").len(), everybody);
    assert_eq!(who(84, ANY, "/wide").len(), everybody);
    assert_eq!(who(84, ANY, "/narrow"), with_key(5));
    assert_eq!(who(84, "sealed.example.com", "/wide"), [], "over TLS alone");
}

/// A route that names a Gateway that is not there is somebody else's, or will be: what it matched is left to what others open
/// (ADR 8). Its own service is not reached.
#[test]
fn a_route_that_names_another_gateway_leaves_its_requests_to_others() {
    let before = admitted(&judged(VALID).compiled.snapshot);
    let mut changed = documents();
    let is_sectioned = |one: &&mut Value| one["kind"] == "HTTPRoute" && one["metadata"]["name"] == "sectioned";
    assert!(changed.iter_mut().find(is_sectioned).is_some_and(|route| misspell(route, &["/spec/parentRefs/0/name"])));
    let after = admitted(&judged(&written(&changed)).compiled.snapshot);
    let new: Vec<_> = after.difference(&before).collect();
    assert!(!new.is_empty() && new.iter().all(|one| is_in_the_lobby(one)), "{new:?}");
}

#[test]
fn every_single_breakage_only_shrinks_what_is_admitted() {
    let before = admitted(&judged(VALID).compiled.snapshot);
    let mut broken = 0;
    for at in 0..documents().len() {
        for breakage in BREAKAGES {
            let mut changed = documents();
            if break_one(&mut changed, at, breakage) {
                broken += 1;
                let after = admitted(&judged(&written(&changed)).compiled.snapshot);
                let to_others = leaves_to_other_namespaces(&documents()[at], breakage);
                let new: Vec<_> =
                    after.difference(&before).filter(|one| !(to_others && is_in_the_lobby(one))).collect();
                assert!(
                    new.is_empty(),
                    "{breakage:?} of {} {} admits {new:?}",
                    documents()[at]["kind"],
                    documents()[at]["metadata"]["name"]
                );
            }
        }
    }
    assert!(broken > 150, "{broken}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn several_breakages_only_shrink_what_is_admitted(breakages in prop::collection::vec((0..documents().len(), 0..BREAKAGES.len()), 1..5)) {
        let before = admitted(&judged(VALID).compiled.snapshot);
        let mut changed = documents();
        let mut to_others = false;
        for (at, breakage) in breakages {
            let broken = changed.get(at).cloned().unwrap_or_default();
            to_others |= break_one(&mut changed, at, BREAKAGES[breakage]) && leaves_to_other_namespaces(&broken, BREAKAGES[breakage]);
        }
        let after = admitted(&judged(&written(&changed)).compiled.snapshot);
        let new: Vec<_> = after.difference(&before).filter(|one| !(to_others && is_in_the_lobby(one))).collect();
        prop_assert!(new.is_empty(), "{new:?}");
    }

    /// Any value anywhere: whatever comes of it, it is judged.
    #[test]
    fn nothing_panics(at in 0..documents().len(), pointer in any::<prop::sample::Index>(), value in prop_oneof![
        Just(Value::Null), Just(Value::from(-1)), Just(Value::from(u64::MAX)), Just(Value::from("")), Just(Value::from("ü\u{0}%/..")),
        Just(Value::from(1.5)), Just(serde_json::json!([])), Just(serde_json::json!({})), Just(serde_json::json!([[null]])), Just(Value::from("x".repeat(5000))),
    ]) {
        let mut changed = documents();
        let mut found = Vec::new();
        pointers(&changed[at], "", &mut found);
        let pointer: &String = pointer.get(&found);
        *changed[at].pointer_mut(pointer).unwrap() = value;
        drop(judged(&written(&changed)).text());
    }
}
