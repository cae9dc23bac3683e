//! Whatever is broken or taken away, the set of requests that come in only shrinks; and nothing panics.
//!
//! Who comes in is told by an oracle that reads the snapshot by the words of the contract, and shares no code with the data plane.

use std::collections::BTreeSet;

use proptest::prelude::*;
use sallyport_snapshot::v1::{self, Kind, endpoint_source, resource::Body};
use sallyport_snapshot::{Name, Snapshot};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::judged::judge;

const VALID: &str = include_str!("mutation.yaml");
const KEYS: [&str; 2] = ["sp_acme_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "sp_other_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"];
const PATHS: [&str; 7] = ["/orders", "/orders/admin", "/reports", "/open", "/floor", "/filtered", UNSPOKEN];
/// Asked at a Gateway of its own, where no other route takes it.
const UNSPOKEN: &str = "/unspoken";
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

/// A request that came in, and with what the service was met.
type Admitted = (&'static str, Shown, String);

fn admitted(snapshot: &Snapshot) -> BTreeSet<Admitted> {
    let shown =
        [Shown::Nothing, Shown::Key(0), Shown::Key(1), Shown::Token, Shown::TokenAndKey(0), Shown::TokenAndKey(1)];
    let probes = PATHS.iter().flat_map(|path| shown.iter().map(move |shown| (*path, *shown)));
    probes.filter_map(|(path, shown)| Some((path, shown, enter(snapshot, path, shown)?))).collect()
}

/// The credential that the service gets, if the request comes in and is sent anywhere.
fn enter(snapshot: &Snapshot, path: &str, shown: Shown) -> Option<String> {
    let (route, rule, policy) = find(snapshot, path)?;
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
        return Some("nothing stated".into());
    }
    match body(snapshot, Kind::Credential, &backend.credential)? {
        Body::Credential(credential) => match credential.kind.as_ref()? {
            v1::credential::Kind::Unavailable(_) => None,
            _ => Some(backend.credential.clone()),
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

/// The rule with the longest prefix, and its policy.
fn find<'a>(snapshot: &'a Snapshot, path: &str) -> Option<(&'a v1::Route, &'a v1::Rule, Option<&'a v1::Policy>)> {
    let mut best: Option<(usize, &v1::Route, &v1::Rule, Option<&v1::Policy>)> = None;
    for (_, resource) in snapshot.iter() {
        let Body::Route(route) = resource.body().as_ref() else { continue };
        let listener = if path == UNSPOKEN { "shop/other/http" } else { "shop/public/http" };
        for attachment in route.attachments.iter().filter(|attachment| attachment.listener == listener) {
            for (at, rule) in route.rules.iter().enumerate() {
                let length = rule.matches.iter().filter_map(|one| prefix(one, path)).max();
                let policy = attachment.policies.get(at).and_then(|name| match body(snapshot, Kind::Policy, name) {
                    Some(Body::Policy(policy)) => Some(policy),
                    _ => None,
                });
                if length.is_some_and(|length| best.is_none_or(|(other, ..)| other < length)) {
                    best = Some((length.unwrap_or_default(), route, rule, policy));
                }
            }
        }
    }
    best.map(|(_, route, rule, policy)| (route, rule, policy))
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
                matches!(body(snapshot, Kind::Product, name), Some(Body::Product(product)) if product.apis.contains(api))
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
    EmptySecret,
}

const BREAKAGES: [Breakage; 7] = [
    Breakage::Delete,
    Breakage::UnknownField,
    Breakage::NumberForObject,
    Breakage::NoSpec,
    Breakage::Misspell,
    Breakage::MisspellParameters,
    Breakage::EmptySecret,
];

/// Objects whose going opens nothing. A policy, a route or a Floor that is *deleted* is no longer said: nothing of it can hold.
fn is_said_by_being_there(document: &Value) -> bool {
    matches!(document["kind"].as_str(), Some("ApiPolicy" | "HTTPRoute"))
}

fn break_one(documents: &mut Vec<Value>, at: usize, breakage: Breakage) -> bool {
    let Some(document) = documents.get_mut(at) else { return false };
    match breakage {
        Breakage::Delete if is_said_by_being_there(document) => return false,
        Breakage::Delete => drop(documents.remove(at)),
        Breakage::UnknownField if document["spec"].is_object() => document["spec"]["nonsense"] = 1.into(),
        Breakage::NumberForObject if document["spec"].is_object() => document["spec"] = 7.into(),
        Breakage::NoSpec if document["spec"].is_object() => drop(document.as_object_mut().unwrap().remove("spec")),
        Breakage::Misspell => return misspell(document, &REFERENCES),
        Breakage::MisspellParameters => return misspell(document, &REFERENCES_TO_PARAMETERS),
        Breakage::EmptySecret if document["kind"] == "Secret" => {
            drop(document.as_object_mut().unwrap().remove("stringData"));
        }
        _ => return false,
    }
    true
}

/// The Backend of a route, the Secret of a credential, the Product of a Subscription.
const REFERENCES: [&str; 7] = [
    "/spec/rules/0/backendRefs/0/name",
    "/spec/credential/basic/secretRef/name",
    "/spec/keys/secretName",
    "/spec/scope/product/name",
    "/spec/apis/0/name",
    "/spec/gatewayClassName",
    "/spec/authentication/0/jwt/keys/configMapRef/name",
];
const REFERENCES_TO_PARAMETERS: [&str; 2] = ["/spec/infrastructure/parametersRef/name", "/spec/parametersRef/name"];

/// Changes what the object refers to.
fn misspell(document: &mut Value, references: &[&str]) -> bool {
    let found = references.iter().find(|pointer| document.pointer(pointer).is_some());
    let Some(value) = found.and_then(|pointer| document.pointer_mut(pointer)) else { return false };
    *value = "nowhere".into();
    true
}

#[test]
fn the_oracle_admits_who_should_come_in() {
    let admitted = admitted(&judge(VALID).compiled.snapshot);
    let who = |path: &str| admitted.iter().filter(|one| one.0 == path).map(|one| one.1).collect::<Vec<_>>();
    assert_eq!(who("/orders"), [Shown::Token, Shown::TokenAndKey(0), Shown::TokenAndKey(1)]);
    assert_eq!(who("/orders/admin"), [Shown::TokenAndKey(0)]);
    assert_eq!(who("/reports"), [Shown::Key(0), Shown::TokenAndKey(0)]);
    assert_eq!(who("/open").len(), 6);
    assert_eq!(who("/floor"), [Shown::Key(0), Shown::TokenAndKey(0)]);
    assert_eq!((who("/filtered"), who(UNSPOKEN)), (vec![], vec![]));
}

#[test]
fn every_single_breakage_only_shrinks_what_is_admitted() {
    let before = admitted(&judge(VALID).compiled.snapshot);
    let mut broken = 0;
    for at in 0..documents().len() {
        for breakage in BREAKAGES {
            let mut changed = documents();
            if break_one(&mut changed, at, breakage) {
                broken += 1;
                let after = admitted(&judge(&written(&changed)).compiled.snapshot);
                let new: Vec<_> = after.difference(&before).collect();
                assert!(
                    new.is_empty(),
                    "{breakage:?} of {} {} admits {new:?}",
                    documents()[at]["kind"],
                    documents()[at]["metadata"]["name"]
                );
            }
        }
    }
    assert!(broken > 50, "{broken}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn several_breakages_only_shrink_what_is_admitted(breakages in prop::collection::vec((0..48_usize, 0..BREAKAGES.len()), 1..5)) {
        let before = admitted(&judge(VALID).compiled.snapshot);
        let mut changed = documents();
        for (at, breakage) in breakages {
            break_one(&mut changed, at, BREAKAGES[breakage]);
        }
        let after = admitted(&judge(&written(&changed)).compiled.snapshot);
        let new: Vec<_> = after.difference(&before).collect();
        prop_assert!(new.is_empty(), "{new:?}");
    }

    /// Any value anywhere: whatever comes of it, it is judged.
    #[test]
    fn nothing_panics(at in 0..48_usize, pointer in any::<prop::sample::Index>(), value in prop_oneof![
        Just(Value::Null), Just(Value::from(-1)), Just(Value::from(u64::MAX)), Just(Value::from("")), Just(Value::from("ü\u{0}%/..")),
        Just(Value::from(1.5)), Just(serde_json::json!([])), Just(serde_json::json!({})), Just(serde_json::json!([[null]])), Just(Value::from("x".repeat(5000))),
    ]) {
        let mut changed = documents();
        let at = at % changed.len();
        let mut found = Vec::new();
        pointers(&changed[at], "", &mut found);
        let pointer: &String = pointer.get(&found);
        *changed[at].pointer_mut(pointer).unwrap() = value;
        drop(judge(&written(&changed)).text());
    }
}
