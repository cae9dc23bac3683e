//! Updates that cannot be built, or must not be read, after good ones.

use bytes::Bytes;
use http::{HeaderMap, Method};
use sallyport_snapshot::Versioned;
use sallyport_snapshot::v1::credential::Kind as CredentialKind;
use sallyport_snapshot::v1::key_set::Source as Keys;
use sallyport_snapshot::v1::r#match::Path;
use sallyport_snapshot::v1::subscription;
use sallyport_snapshot::v1::weighted_backend::Target;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::egress::{AddressRules, Egress};
use crate::issuer::Means;
use crate::limit::store;
use crate::nonces::{OfGateway, Worth};
use crate::observe::traces::Traces;
use crate::observe::traces::exporters::Exporters;
use crate::path::Query;
use crate::route::{Asked, Found};
use crate::settings::Environment;

const GATEWAY: &str = "shop/public";
const LISTENER: &str = "shop/public/http";
const ROUTE: &str = "HTTPRoute/shop/orders";
const WHY: &str = "its content does not have the hash that it came with";
const JWKS: &[u8] = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

struct World {
    store: Store,
    _reports: mpsc::UnboundedReceiver<v1::Report>,
}

impl World {
    fn new() -> Self {
        let (reports, receiver) = mpsc::unbounded_channel();
        let rules = AddressRules::of(Environment::Standalone);
        let (egress, exporters) = (Egress::new(rules.clone()), Exporters::new(Traces::off(), rules, Handle::current()));
        let limit_stores = Stores::new(store::Means {
            egress: egress.clone(),
            runtime: Handle::current(),
            reports: reports.clone(),
            metrics: store::Metrics::default(),
            is_alone: false,
        });
        let issuers = Issuers::new(Means { egress, clock: Clock::default(), reports }, Handle::current());
        Self { store: Store::new(Arc::new(issuers), exporters, limit_stores), _reports: receiver }
    }

    /// With one resource of each kind in force.
    fn in_force() -> Self {
        let mut world = Self::new();
        world.send(everything());
        assert_eq!(world.rejected(), Vec::<String>::new());
        world
    }

    fn send(&mut self, bodies: Vec<(&str, Body)>) -> Runtime {
        let versioned = |(name, body): (&str, Body)| {
            let resource = Versioned::new(body);
            (Name::new(resource.kind(), name), resource)
        };
        let changed = bodies.into_iter().map(versioned).collect();
        self.store.apply(&Difference { changed, removed: vec![] }, vec![])
    }

    fn remove(&mut self, kind: Kind, name: &str) -> Runtime {
        let removed = vec![Name::new(kind, name)];
        self.store.apply(&Difference { changed: vec![], removed }, vec![])
    }

    /// Sends a resource in a form that must not be read.
    fn spoil(&mut self, kind: Kind, name: &str, body: Option<Body>) -> Runtime {
        let refused = Refused { name: Name::new(kind, name), why: WHY.into(), body: body.map(Arc::new) };
        self.store.apply(&Difference::default(), vec![refused])
    }

    fn rejected(&self) -> Vec<String> {
        self.store.rejected().into_iter().map(|(name, why)| format!("{name}: {why}")).collect()
    }
}

fn everything() -> Vec<(&'static str, Body)> {
    vec![
        (GATEWAY, gateway(&["10.0.0.0/8"])),
        (LISTENER, listener("")),
        (ROUTE, route("/orders")),
        ("HTTPRoute/shop/all", route("/")),
        ("open", Body::Policy(open())),
        ("Backend/shop/shop", Body::Backend(backend(""))),
        (
            "Backend/shop/shop",
            Body::Credential(v1::Credential {
                object: String::new(),
                kind: Some(CredentialKind::None(v1::NoCredential {})),
            }),
        ),
        ("joe", key_set(JWKS)),
        ("shop/gold", Body::Product(v1::Product { apis: vec![orders()], ..v1::Product::default() })),
        ("shop/acme", Body::Subscription(acme())),
    ]
}

fn orders() -> v1::ObjectRef {
    v1::ObjectRef { kind: "HTTPRoute".into(), namespace: "shop".into(), name: "orders".into() }
}

fn gateway(trusted: &[&str]) -> Body {
    let trusted_proxies = trusted.iter().map(|cidr| (*cidr).to_owned()).collect();
    let bounds = Some(v1::Bounds { max_headers: 7, ..v1::Bounds::default() });
    Body::Gateway(v1::Gateway { trusted_proxies, bounds, ..v1::Gateway::default() })
}

fn listener(hostname: &str) -> Body {
    let (gateway, hostname) = (GATEWAY.into(), hostname.into());
    Body::Listener(v1::Listener { gateway, port: 8080, hostname, tls: None })
}

fn route(prefix: &str) -> Body {
    let backend = v1::WeightedBackend {
        weight: 1,
        target: Some(Target::Backend("Backend/shop/shop".into())),
        ..v1::WeightedBackend::default()
    };
    let rule = v1::Rule {
        name: prefix.into(),
        matches: vec![v1::Match { path: Some(Path::Prefix(prefix.into())), ..v1::Match::default() }],
        backends: vec![backend],
        ..v1::Rule::default()
    };
    let attachment = v1::Attachment { listener: LISTENER.into(), policies: vec!["open".into()], hostnames: vec![] };
    Body::Route(v1::Route { object: Some(orders()), created_ms: 0, attachments: vec![attachment], rules: vec![rule] })
}

fn open() -> v1::Policy {
    let anybody = v1::Alternative { name: "open".into(), public: true, ..v1::Alternative::default() };
    let authentication = v1::Authentication { object: "ApiPolicy shop/open".into(), alternatives: vec![anybody] };
    v1::Policy { authentication: Some(authentication), ..v1::Policy::default() }
}

fn backend(endpoints: &str) -> v1::Backend {
    let source = if endpoints.is_empty() {
        Source::Address(v1::Address { ip: "127.0.0.1".into(), port: 80 })
    } else {
        Source::Endpoints(endpoints.into())
    };
    let endpoint = v1::EndpointSource { source: Some(source), priority: 0, weight: 1 };
    v1::Backend { endpoints: vec![endpoint], ..v1::Backend::default() }
}

fn key_set(jwks: &'static [u8]) -> Body {
    let source = Some(Keys::Jwks(Bytes::from_static(jwks)));
    Body::KeySet(v1::KeySet { issuer: "joe".into(), source, ca_certificates: vec![] })
}

fn acme() -> v1::Subscription {
    v1::Subscription {
        scope: Some(subscription::Scope::Product("shop/gold".into())),
        state: subscription::State::Active.into(),
        primary_sha256: Bytes::from_static(&[7; 32]),
        ..v1::Subscription::default()
    }
}

fn listener_for(runtime: &Runtime, host: &str) -> Arc<Listener> {
    Arc::clone(runtime.ports[&8080].listener(host).expect("a listener has the host"))
}

fn found(runtime: &Runtime, path: &str) -> Found {
    let headers = HeaderMap::new();
    let asked = Asked { host: "api.example.com", path, method: &Method::GET, headers: &headers, query: Query(None) };
    listener_for(runtime, "api.example.com").routes.find(&asked).expect("a rule matches")
}

/// Whether the rule that serves `path` denies because of [`WHY`].
fn is_closed(runtime: &Runtime, path: &str) -> bool {
    found(runtime, path).rule.deny.as_ref().is_some_and(|denial| denial.rejection().origin.message == WHY)
}

#[tokio::test]
async fn a_gateway_that_does_not_build_knows_no_address_and_keeps_its_listeners() {
    let mut world = World::in_force();
    let runtime = world.send(vec![(GATEWAY, gateway(&["10.0.0.0/8", "everybody"]))]);
    let listener = listener_for(&runtime, "api.example.com");
    assert!(listener.gateway.addresses_unknown && listener.gateway.trusted_proxies.is_empty());
    assert_eq!(listener.gateway.bounds.max_headers, 7);
    assert!(world.rejected()[0].contains("everybody"), "{:?}", world.rejected());
    let runtime = world.send(vec![(GATEWAY, gateway(&["10.0.0.0/8"]))]);
    assert!(!listener_for(&runtime, "api.example.com").gateway.addresses_unknown);
    assert_eq!(world.rejected(), Vec::<String>::new());
}

#[tokio::test]
async fn a_gateway_that_must_not_be_read_knows_no_address_and_keeps_its_listeners_and_bounds() {
    let mut world = World::in_force();
    let runtime = world.spoil(Kind::Gateway, GATEWAY, Some(gateway(&["10.0.0.0/8"])));
    let listener = listener_for(&runtime, "api.example.com");
    assert!(listener.gateway.addresses_unknown && listener.gateway.trusted_proxies.is_empty());
    assert_eq!(listener.gateway.bounds.max_headers, 7);
}

#[tokio::test]
async fn a_floor_of_a_gateway_that_does_not_parse_lets_nobody_pass() {
    let mut world = World::in_force();
    let filter =
        v1::IpFilter { object: "ApiPolicy shop/floor".into(), deny: vec!["all".into()], ..v1::IpFilter::default() };
    let broken = Body::Gateway(v1::Gateway { floor_filters: vec![filter], ..v1::Gateway::default() });
    let runtime = world.send(vec![(GATEWAY, broken)]);
    let listener = listener_for(&runtime, "api.example.com");
    assert!(listener.gateway.addresses_unknown);
    let peer = std::net::IpAddr::from([192, 0, 2, 1]);
    let refused = crate::pipeline::permit::admit_to_gateway(&listener.gateway, Some(peer)).unwrap_err();
    assert_eq!(
        (refused.reason, &*refused.origin.object),
        (crate::rejection::Reason::Configuration, "ApiPolicy shop/floor")
    );
    assert!(!runtime.ports[&8080].bars(peer), "it is told why");
    assert!(world.rejected()[0].contains("ipFilter.deny"), "{:?}", world.rejected());
}

/// Data planes of one Gateway know each other's numbers, and nobody else's.
#[tokio::test]
async fn what_one_data_plane_has_handed_out_the_others_of_its_gateway_know() {
    let now = Clock::default().now();
    let keyed = |key: &'static [u8]| {
        let nonce_key = Some(v1::Secret { value: Bytes::from_static(key) });
        let runtime =
            World::in_force().send(vec![(GATEWAY, Body::Gateway(v1::Gateway { nonce_key, ..v1::Gateway::default() }))]);
        let listener = listener_for(&runtime, "api.example.com");
        listener.gateway.nonces.clone().expect("the key that was sent")
    };
    let of = |nonces| OfGateway { nonces, gateway: GATEWAY };
    let (one, other, elsewhere) = (keyed(b"one"), keyed(b"one"), keyed(b"other"));
    let handed_out = of(&one).hand_out(now).unwrap();
    let judged = |nonces| of(nonces).judge(handed_out.to_str().unwrap(), now);
    assert_eq!([&*one, &other, &elsewhere].map(judged), [Worth::Fresh, Worth::Fresh, Worth::Nothing]);
    let without = World::in_force().send(vec![(GATEWAY, gateway(&[]))]);
    assert!(listener_for(&without, "api.example.com").gateway.nonces.is_none());
}

#[tokio::test]
async fn a_gateway_that_was_never_good_serves_and_knows_no_address() {
    let mut world = World::new();
    let runtime = world.send(vec![(GATEWAY, gateway(&["everybody"])), (LISTENER, listener(""))]);
    assert!(listener_for(&runtime, "api.example.com").gateway.addresses_unknown);
}

#[tokio::test]
async fn what_guards_and_must_not_be_read_denies() {
    let mut world = World::in_force();
    let acme = |runtime: &Runtime| runtime.keys.find(&[7; 32]).is_some();
    let runtime = world.spoil(Kind::Policy, "open", Some(Body::Policy(open())));
    let denial = runtime.policies["open"].deny.as_ref().map(|denial| denial.rejection().origin.message);
    assert_eq!(denial.as_deref(), Some(WHY));
    let runtime = world.spoil(Kind::Backend, "Backend/shop/shop", None);
    assert!(runtime.backends["Backend/shop/shop"].target.is_err());
    let runtime = world.spoil(Kind::Credential, "Backend/shop/shop", None);
    assert!(matches!(*runtime.credentials["Backend/shop/shop"], Credential::Unavailable(_)));
    let runtime = world.spoil(Kind::KeySet, "joe", None);
    assert!(!runtime.key_sets.contains_key("joe"));
    assert_eq!(runtime.unusable_key_sets["joe"], WHY);
    assert!(acme(&runtime) && runtime.products.contains_key("shop/gold"));
    let runtime = world.spoil(Kind::Product, "shop/gold", None);
    assert!(!runtime.products.contains_key("shop/gold"));
    let runtime = world.spoil(Kind::Subscription, "shop/acme", None);
    assert!(!acme(&runtime));
    assert_eq!(world.rejected().len(), 6);
    let runtime = world.send(everything());
    assert!(runtime.policies["open"].deny.is_none() && runtime.backends["Backend/shop/shop"].target.is_ok());
    assert!(runtime.key_sets.contains_key("joe") && runtime.unusable_key_sets.is_empty() && acme(&runtime));
    assert_eq!(world.rejected(), Vec::<String>::new());
}

#[tokio::test]
async fn a_route_that_must_not_be_read_closes_what_it_matched() {
    let mut world = World::in_force();
    assert!(!is_closed(&world.send(vec![]), "/orders"));
    let runtime = world.spoil(Kind::Route, ROUTE, Some(route("/elsewhere")));
    assert!(is_closed(&runtime, "/orders"), "the open route for all paths does not inherit it");
    assert!(!is_closed(&runtime, "/elsewhere"), "what came is not believed");
    assert!(is_closed(&world.spoil(Kind::Route, ROUTE, None), "/orders"), "nor does it a second time");
    assert!(is_closed(&world.send(vec![("HTTPRoute/shop/other", route("/other"))]), "/orders"));
    assert!(!is_closed(&world.send(vec![(ROUTE, route("/orders"))]), "/orders"));
    world.spoil(Kind::Route, ROUTE, None);
    assert_eq!(&*found(&world.remove(Kind::Route, ROUTE), "/orders").rule.name, "/", "it went");
}

#[tokio::test]
async fn a_new_route_that_must_not_be_read_closes_what_it_would_have_matched() {
    let mut world = World::in_force();
    let runtime = world.spoil(Kind::Route, "HTTPRoute/shop/new", Some(route("/new")));
    assert!(is_closed(&runtime, "/new") && !is_closed(&runtime, "/orders"));
    let mut nothing_known = World::in_force();
    let runtime = nothing_known.spoil(Kind::Route, "HTTPRoute/shop/new", None);
    assert!(!is_closed(&runtime, "/new"));
    assert_eq!(nothing_known.rejected(), [format!("Route HTTPRoute/shop/new: {WHY}")]);
}

#[tokio::test]
async fn a_listener_that_must_not_be_read_serves_nothing_and_leaves_its_host_to_nobody() {
    let mut world = World::in_force();
    world.send(vec![("shop/public/one", listener("one.example.com"))]);
    let runtime = world.spoil(Kind::Listener, "shop/public/one", None);
    assert_eq!(&*listener_for(&runtime, "one.example.com").name, "shop/public/one");
    let runtime = world.spoil(Kind::Listener, LISTENER, None);
    let headers = HeaderMap::new();
    let asked = Asked { host: "any", path: "/orders", method: &Method::GET, headers: &headers, query: Query(None) };
    assert!(listener_for(&runtime, "any").routes.find(&asked).is_none());
    let runtime = world.send(vec![(LISTENER, listener(""))]);
    assert!(listener_for(&runtime, "any").routes.find(&asked).is_some());
}

fn serves(runtime: &Runtime, host: &str) -> bool {
    let headers = HeaderMap::new();
    let asked = Asked { host, path: "/orders", method: &Method::GET, headers: &headers, query: Query(None) };
    listener_for(runtime, host).routes.find(&asked).is_some()
}

#[tokio::test]
async fn a_new_listener_that_must_not_be_read_keeps_its_host_from_broader_ones() {
    let mut world = World::in_force();
    let name = "shop/public/one";
    let runtime = world.spoil(Kind::Listener, name, Some(listener("one.example.com")));
    assert_eq!(&*listener_for(&runtime, "one.example.com").name, name);
    assert!(!serves(&runtime, "one.example.com") && serves(&runtime, "any"));
    let tls = |hostname: &str| match listener(hostname) {
        Body::Listener(one) => Body::Listener(v1::Listener { tls: Some(v1::ListenerTls::default()), ..one }),
        other => other,
    };
    let runtime = world.spoil(Kind::Listener, "shop/public/two", Some(tls("two.example.com")));
    assert!(!runtime.ports[&8080].is_tls, "it changes nothing for others of its port");
    let runtime = world.spoil(Kind::Listener, "shop/public/three", None);
    assert!(serves(&runtime, "three.example.com"), "nobody knows where it was");
    let runtime = world.remove(Kind::Listener, name);
    assert!(serves(&runtime, "one.example.com"), "it went");
}

#[tokio::test]
async fn a_listener_that_does_not_build_keeps_its_host_from_broader_ones() {
    let mut world = World::in_force();
    let body = |gateway: &str, port| {
        let (gateway, hostname) = (gateway.into(), "one.example.com".into());
        Body::Listener(v1::Listener { gateway, port, hostname, tls: None })
    };
    let name = "shop/public/one";
    let runtime = world.send(vec![(name, body("shop/nowhere", 8080))]);
    assert!(!serves(&runtime, "one.example.com") && serves(&runtime, "any"));
    assert!(world.rejected()[0].contains("shop/nowhere"), "{:?}", world.rejected());
    let runtime = world.send(vec![(name, body("shop/nowhere", 0))]);
    assert!(!serves(&runtime, "one.example.com"), "the place that it had is closed");
    world.send(vec![(name, body(GATEWAY, 8080))]);
    assert_eq!(world.rejected(), Vec::<String>::new());
    let runtime = world.remove(Kind::Gateway, GATEWAY);
    assert!(!serves(&runtime, "one.example.com") && !serves(&runtime, "any"));
}

#[tokio::test]
async fn a_certificate_that_must_not_be_read_leaves_the_last_good_one() {
    let made = rcgen::generate_simple_self_signed(["a.example.com".to_owned()]).unwrap();
    let certificate = v1::Certificate {
        chain: vec![made.cert.der().to_vec().into()],
        private_key: Some(v1::Secret { value: made.signing_key.serialize_der().into() }),
        ..v1::Certificate::default()
    };
    let mut world = World::in_force();
    world.send(vec![("shop/tls", Body::Certificate(certificate))]);
    world.spoil(Kind::Certificate, "shop/tls", None);
    assert!(world.store.certificates.contains_key("shop/tls"));
    assert_eq!(world.rejected(), [format!("Certificate shop/tls: {WHY}")]);
    world.remove(Kind::Certificate, "shop/tls");
    assert!(world.store.certificates.is_empty() && world.rejected().is_empty());
}

#[tokio::test]
async fn what_is_rejected_is_told_of_until_it_changes_or_goes() {
    let mut world = World::in_force();
    world.send(vec![("joe", key_set(b"no JSON")), ("open", Body::Policy(v1::Policy::default()))]);
    assert_eq!(world.rejected().len(), 2);
    world.send(vec![("shop/silver", Body::Product(v1::Product::default()))]);
    assert_eq!(world.rejected().len(), 2, "another change is not its business");
    world.send(vec![("open", Body::Policy(open()))]);
    assert_eq!(world.rejected().len(), 1, "{:?}", world.rejected());
    world.remove(Kind::KeySet, "joe");
    assert_eq!(world.rejected(), Vec::<String>::new());
}

#[tokio::test]
async fn a_backend_is_told_of_until_what_it_lacks_is_there() {
    let mut world = World::in_force();
    world.send(vec![("Backend/shop/pods", Body::Backend(backend("shop/pods/80")))]);
    assert!(world.rejected()[0].contains("shop/pods/80"), "{:?}", world.rejected());
    let ready = || Body::Endpoints(v1::Endpoints { ready: vec![v1::Address { ip: "127.0.0.1".into(), port: 80 }] });
    let runtime = world.send(vec![("shop/pods/80", ready())]);
    assert!(runtime.backends["Backend/shop/pods"].target.is_ok());
    assert_eq!(world.rejected(), Vec::<String>::new());
    let runtime = world.spoil(Kind::Endpoints, "shop/pods/80", Some(ready()));
    assert!(runtime.backends["Backend/shop/pods"].target.is_err(), "nobody knows who has these addresses now");
}

/// Asks for a key in these query parameters; `report` as well, without refusing anybody.
fn reads_keys(parameters: &[&str], report: &[&str]) -> Body {
    let asks = |parameters: &[&str]| {
        let query_parameters = parameters.iter().map(|name| (*name).to_owned()).collect();
        let key = v1::SubscriptionKey { headers: vec![], query_parameters };
        let alternative = v1::Alternative { subscription_key: Some(key), ..v1::Alternative::default() };
        let authentication =
            v1::Authentication { object: "ApiPolicy shop/keys".into(), alternatives: vec![alternative] };
        v1::Policy { authentication: Some(authentication), ..v1::Policy::default() }
    };
    let rehearsal = v1::Rehearsal { policy: Some(asks(report)), ..v1::Rehearsal::default() };
    let rehearsals = if report.is_empty() { vec![] } else { vec![rehearsal] };
    Body::Policy(v1::Policy { rehearsals, ..asks(parameters) })
}

#[tokio::test]
async fn a_gateway_knows_where_its_callers_show_keys() {
    let mut world = World::in_force();
    let keys = |runtime: &Runtime, gateway: &str| {
        runtime.key_parameters(gateway, "shop").map_or(String::new(), |shown| shown.names().join(" "))
    };
    let asked = world.send(vec![("open", reads_keys(&["k", "key"], &["token", "k"]))]);
    assert_eq!((&*keys(&asked, GATEWAY), &*keys(&asked, "shop/other")), ("k key token", ""));
    let nobody = world.send(vec![("unused", reads_keys(&["q"], &[]))]);
    assert_eq!(keys(&nobody, GATEWAY), "k key token", "no route is under that policy");
    let spoilt = world.spoil(Kind::Route, ROUTE, None);
    assert_eq!(keys(&spoilt, GATEWAY), "k key token", "its callers go on showing keys");
    let fewer = world.send(vec![("open", reads_keys(&["key"], &[]))]);
    assert_eq!(keys(&fewer, GATEWAY), "key");
    world.remove(Kind::Route, ROUTE);
    assert_eq!(keys(&world.remove(Kind::Route, "HTTPRoute/shop/all"), GATEWAY), "");
}

/// A route of `namespace` under the policy of the same name.
fn route_of(namespace: &str, hostnames: &[&str]) -> Body {
    let Body::Route(mut route) = route("/") else { panic!() };
    route.object = Some(v1::ObjectRef { namespace: namespace.into(), ..orders() });
    for attachment in &mut route.attachments {
        attachment.policies = vec![namespace.into()];
        attachment.hostnames = hostnames.iter().map(|name| (*name).to_owned()).collect();
    }
    Body::Route(route)
}

#[tokio::test]
async fn what_one_namespace_calls_a_key_is_none_in_another() {
    let mut world = World::in_force();
    let runtime = world.send(vec![
        ("one", reads_keys(&["code", "key"], &[])),
        ("other", reads_keys(&["other"], &[])),
        ("HTTPRoute/one/orders", route_of("one", &["www.example.com", "*.one.example.com"])),
        ("HTTPRoute/one/all", route_of("one", &[])),
        ("HTTPRoute/other/orders", route_of("other", &["other.example.com"])),
    ]);
    let shown = |namespace: &str| runtime.key_parameters(GATEWAY, namespace);
    let one = shown("one").unwrap();
    for (name, is_key) in [("code", true), ("key", true), ("other", false), ("ke", false), ("", false), ("keys", false)]
    {
        assert_eq!(one.is_in(name.as_bytes()), is_key, "{name}");
    }
    assert!(shown("other").unwrap().is_in(b"other") && !shown("other").unwrap().is_in(b"code"));
    assert!(shown("shop").is_none(), "nobody reads a key there");
    for (host, is_there) in [
        ("WWW.example.com", true),
        ("a.one.example.com", false),
        ("*.one.example.com", false),
        ("one.example.com", false),
        ("other.example.com", false),
        ("partner.example.org", false),
    ] {
        assert_eq!(one.is_for(host), is_there, "{host}");
    }
}

/// A new ticket key would have every caller make a full handshake at each change of any route.
#[tokio::test]
async fn the_tls_settings_of_a_listener_stay_until_its_certificates_change() {
    let certificate = || {
        let made = rcgen::generate_simple_self_signed(["one.example.com".to_owned()]).unwrap();
        Body::Certificate(v1::Certificate {
            chain: vec![made.cert.der().to_vec().into()],
            private_key: Some(v1::Secret { value: made.signing_key.serialize_der().into() }),
            ..v1::Certificate::default()
        })
    };
    let (name, tls) =
        ("shop/public/https", v1::ListenerTls { certificates: vec!["shop/one".into()], ..v1::ListenerTls::default() });
    let hostname = "one.example.com".into();
    let listener = v1::Listener { gateway: GATEWAY.into(), port: 8443, hostname, tls: Some(tls) };
    let mut world = World::in_force();
    let config = |runtime: &Runtime| {
        let listener = runtime.ports[&8443].listener("one.example.com").unwrap();
        listener.tls.as_ref().unwrap().config.clone()
    };
    let first = config(&world.send(vec![("shop/one", certificate()), (name, Body::Listener(listener))])).unwrap();
    let same = config(&world.send(vec![(ROUTE, route("/other"))])).unwrap();
    assert!(Arc::ptr_eq(&first, &same));
    let other = config(&world.send(vec![("shop/one", certificate())])).unwrap();
    assert!(!Arc::ptr_eq(&first, &other), "it shows another certificate");
    assert!(config(&world.remove(Kind::Certificate, "shop/one")).is_none(), "it shows none");
    let again = config(&world.send(vec![("shop/one", certificate())])).unwrap();
    assert!(!Arc::ptr_eq(&other, &again));
}
