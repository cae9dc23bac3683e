//! Two Gateways that share a route, each with something of its own.

use super::*;
use crate::check::dangling;
use crate::v1::{
    Apis, Attachment, Backend, Credential, Gateway, Listener, Policy, Product, Rule, Subscription, WeightedBackend,
    weighted_backend::Target,
};

fn object(name: &str) -> ObjectRef {
    ObjectRef { kind: "HTTPRoute".into(), namespace: "shop".into(), name: name.into() }
}

/// A route to a backend and a credential of its own name, on listeners of these Gateways.
fn route(snapshot: &mut Snapshot, name: &str, gateways: &[&str]) {
    let attachments = gateways.iter().map(|gateway| {
        let policy = format!("{name} on {gateway}");
        snapshot.insert(policy.clone(), Body::Policy(Policy::default()));
        Attachment { listener: format!("{gateway}/http"), policies: vec![policy], ..Attachment::default() }
    });
    let attachments = attachments.collect();
    let target = Some(Target::Backend(name.to_owned()));
    let backend = WeightedBackend { target, credential: name.to_owned(), ..WeightedBackend::default() };
    let rules = vec![Rule { backends: vec![backend], ..Rule::default() }];
    snapshot.insert(name, Body::Backend(Backend::default()));
    snapshot.insert(name, Body::Credential(Credential { object: name.to_owned(), ..Credential::default() }));
    let route = Route { object: Some(object(name)), attachments, rules, ..Route::default() };
    snapshot.insert(format!("HTTPRoute/shop/{name}"), Body::Route(route));
}

fn world() -> Snapshot {
    let mut snapshot = Snapshot::default();
    for gateway in ["shop/one", "shop/two"] {
        snapshot.insert(gateway, Body::Gateway(Gateway::default()));
        let listener = Listener { gateway: gateway.into(), port: 80, ..Listener::default() };
        snapshot.insert(format!("{gateway}/http"), Body::Listener(listener));
        let scope = Some(Scope::AllApisOf(gateway.into()));
        snapshot
            .insert(format!("all of {gateway}"), Body::Subscription(Subscription { scope, ..Subscription::default() }));
    }
    route(&mut snapshot, "first", &["shop/one"]);
    route(&mut snapshot, "second", &["shop/two"]);
    route(&mut snapshot, "both", &["shop/one", "shop/two"]);
    route(&mut snapshot, "nowhere", &["shop/three"]);
    for (name, apis) in [("mixed", ["first", "second"]), ("others", ["second", "nowhere"])] {
        snapshot.insert(name, Body::Product(Product { apis: apis.map(object).to_vec(), ..Product::default() }));
        let scope = Some(Scope::Product(name.into()));
        snapshot.insert(format!("to {name}"), Body::Subscription(Subscription { scope, ..Subscription::default() }));
        let scope = Some(Scope::Apis(Apis { routes: apis.map(object).to_vec() }));
        snapshot.insert(format!("apis {name}"), Body::Subscription(Subscription { scope, ..Subscription::default() }));
    }
    snapshot
}

fn names(snapshot: &Snapshot, kind: Kind) -> Vec<&str> {
    snapshot.of_kind(kind).map(|(name, _)| &*name.name).collect()
}

#[test]
fn a_gateway_has_what_its_routes_lead_to_and_nothing_of_another() {
    let part = of_gateway(&world(), "shop/one");
    assert_eq!(names(&part, Kind::Gateway), ["shop/one"]);
    assert_eq!(names(&part, Kind::Listener), ["shop/one/http"]);
    assert_eq!(names(&part, Kind::Route), ["HTTPRoute/shop/both", "HTTPRoute/shop/first"]);
    assert_eq!(names(&part, Kind::Policy), ["both on shop/one", "first on shop/one"]);
    assert_eq!(names(&part, Kind::Backend), ["both", "first"]);
    assert_eq!(names(&part, Kind::Credential), ["both", "first"]);
    assert_eq!(names(&part, Kind::Product), ["mixed"]);
    assert_eq!(names(&part, Kind::Subscription), ["all of shop/one", "apis mixed", "to mixed"]);
    assert_eq!(dangling(&part), []);
}

#[test]
fn what_speaks_of_several_gateways_is_told_to_each_as_far_as_it_is_concerned() {
    let part = of_gateway(&world(), "shop/one");
    let body = |kind, name: &str| part.find(&Name::new(kind, name)).map(|resource| (**resource.body()).clone());
    let Some(Body::Route(both)) = body(Kind::Route, "HTTPRoute/shop/both") else { panic!() };
    assert_eq!(both.attachments.iter().map(|one| &*one.listener).collect::<Vec<_>>(), ["shop/one/http"]);
    assert_eq!(
        body(Kind::Product, "mixed"),
        Some(Body::Product(Product { apis: vec![object("first")], ..Product::default() }))
    );
    let Some(Body::Subscription(mixed)) = body(Kind::Subscription, "apis mixed") else { panic!() };
    assert_eq!(mixed.scope, Some(Scope::Apis(Apis { routes: vec![object("first")] })));
}

#[test]
fn a_route_that_is_nowhere_else_stays_as_it_is() {
    let (whole, part) = (world(), of_gateway(&world(), "shop/one"));
    let name = Name::new(Kind::Route, "HTTPRoute/shop/first");
    assert_eq!(part.find(&name), whole.find(&name));
}

#[test]
fn without_the_gateway_there_is_nothing() {
    assert!(of_gateway(&world(), "shop/three").is_empty() && of_gateway(&world(), "").is_empty());
}
