use rstest::rstest;

use super::room::MAX_MESSAGE_BYTES;
use super::*;
use crate::graph::Environment;
use crate::manifest::{self, SourceFile};

const WORLD: &str = r#"
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: sallyport}, spec: {controllerName: sallyport.dev/gateway-controller}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec: {gatewayClassName: sallyport, listeners: [{name: http, port: 80, protocol: HTTP}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: public}]
  rules: [{matches: [{path: {type: PathPrefix, value: /orders}}], backendRefs: [{group: sallyport.dev, kind: Backend, name: orders}]}]
---
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {name: orders, namespace: shop}
spec: {endpoints: [{host: {name: orders.example.com, port: 443}}], tls: {validation: {hostname: orders.example.com, wellKnownCACertificates: System}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: ApiPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]
  authentication: [{name: token, jwt: {issuer: "https://login.example.com", audiences: [orders], keys: {inline: '{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'}}}]
"#;

fn world(text: &str) -> (Graph, ClusterState) {
    let loaded = manifest::load(&[SourceFile { path: "manifests".into(), text: text.to_owned() }]);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    let mut cluster = ClusterState::default();
    for object in loaded.objects {
        cluster.apply(object.name, object.object);
    }
    (Graph::build(&cluster, Environment::Cluster), cluster)
}

fn bodies(compiled: &Compiled) -> Vec<Body> {
    compiled.snapshot.iter().map(|(_, resource)| resource.body().as_ref().clone()).collect()
}

#[test]
fn where_there_is_no_room_everything_denies_and_is_told() {
    let (graph, cluster) = world(WORLD);
    let compiled = within(&mut Room::of_share(0), &graph, &cluster);
    let (mut policies, mut routes, mut backends, mut keys) = (0, 0, 0, 0);
    for body in bodies(&compiled) {
        match body {
            Body::Policy(policy) => {
                assert!(policy.deny.is_some() && policy.authentication.is_none(), "{policy:?}");
                policies += 1;
            }
            Body::Route(route) => {
                let denies =
                    |rule: &v1::Rule| rule.deny.is_some() && rule.backends.is_empty() && !rule.matches.is_empty();
                assert!(route.rules.iter().all(denies) && !route.rules.is_empty(), "{route:?}");
                assert!(!route.attachments.is_empty() && route.attachments.iter().all(|one| one.policies.is_empty()));
                routes += 1;
            }
            Body::Backend(backend) => {
                assert!(backend.deny.is_some() && backend.endpoints.is_empty(), "{backend:?}");
                backends += 1;
            }
            Body::KeySet(set) => {
                assert_eq!(set, brought::without_keys(&set));
                keys += 1;
            }
            _ => {}
        }
    }
    assert_eq!((policies, routes, backends, keys), (1, 1, 1, 1));
    let orders = ObjectName::new("shop", "orders");
    let gateway = ObjectName::new("shop", "public");
    assert_eq!(compiled.excess.at(&gateway, "HTTPRoute", &orders).count(), 2, "the policy at the place, and the route");
    assert_eq!(compiled.excess.of("Backend", &orders).count(), 1);
    assert_eq!(compiled.withheld[&orders].len(), 2, "the place, and the keys");
}

/// Data planes of one Gateway know each other's numbers; where nobody asks for any, there is nothing to know them by.
#[test]
fn a_gateway_has_a_key_for_numbers_where_a_policy_demands_them() {
    let key = |constraint: &str, seed: Option<&[u8]>| {
        let (graph, mut cluster) =
            world(&WORLD.replace("audiences: [orders]", &format!("audiences: [orders]{constraint}")));
        cluster.seed = seed.map(Seed::of);
        let mut gateways = bodies(&compile(&graph, &cluster)).into_iter().filter_map(|body| match body {
            Body::Gateway(gateway) => Some(gateway.nonce_key.map(|key| key.value)),
            _ => None,
        });
        gateways.next().unwrap()
    };
    let demanding = ", senderConstraint: {require: DPoP, dpop: {nonce: Required}}";
    let demanded = key(demanding, Some(b"a")).unwrap();
    assert_eq!(demanded, Seed::of(b"a").of_nonces(&ObjectName::new("shop", "public")).value);
    assert_ne!(key(demanding, Some(b"b")).unwrap(), demanded);
    assert_eq!(key(demanding, None), None, "from files");
    for constraint in ["", ", senderConstraint: {require: DPoP}", ", senderConstraint: {require: Certificate}"] {
        assert_eq!(key(constraint, Some(b"a")), None, "{constraint}");
    }
}

/// The second policy finds what stands in for the keys of the first, and not the keys.
#[test]
fn two_policies_with_one_key_set_have_no_more_room_than_one() {
    let policy = WORLD.rsplit("---").next().unwrap();
    let second = policy.replacen("metadata: {name: orders,", "metadata: {name: others,", 1);
    let (graph, cluster) = world(&format!("{WORLD}---{second}"));
    let compiled = within(&mut Room::of_share(0), &graph, &cluster);
    let sets =
        bodies(&compiled).into_iter().filter_map(|body| if let Body::KeySet(set) = body { Some(set) } else { None });
    let sets: Vec<_> = sets.collect();
    assert!(sets.len() == 1 && sets[0] == brought::without_keys(&sets[0]), "{sets:?}");
    assert!(compiled.withheld.contains_key(&ObjectName::new("shop", "others")));
}

/// Two policies with one Secret: there is room for it once, or for neither.
#[rstest]
#[case::for_none(0, 0, 2)]
#[case::for_all(MAX_MESSAGE_BYTES, 1, 0)]
fn two_policies_with_one_password_file_have_it_both_or_neither(
    #[case] share: usize,
    #[case] users: usize,
    #[case] told: usize,
) {
    let (before, policy) = WORLD.rsplit_once("authentication:").unwrap();
    assert!(policy.contains("jwt"));
    let first = format!("{before}authentication: [{{name: login, basic: {{secretRef: {{name: staff}}}}}}]\n");
    let second =
        first.rsplit("---").next().unwrap().replacen("metadata: {name: orders,", "metadata: {name: others,", 1);
    let hash = "$2y$04$abcdefghijklmnopqrstuukt5gEdxhyYU8q7nPVxOXoWsXfLuYbs6";
    let secret = format!(
        "{{apiVersion: v1, kind: Secret, metadata: {{name: staff, namespace: shop}}, stringData: {{htpasswd: \"anna:{hash}\"}}}}\n"
    );
    let (graph, cluster) = world(&format!("{first}---{second}---\n{secret}"));
    let compiled = within(&mut Room::of_share(share), &graph, &cluster);
    let files = bodies(&compiled).into_iter();
    let files: Vec<_> =
        files.filter_map(|body| if let Body::PasswordFile(file) = body { Some(file) } else { None }).collect();
    assert!(files.len() == 1 && files[0].logins.len() == users, "{files:?}");
    let file = Name::new(v1::Kind::PasswordFile, "shop/staff/htpasswd");
    assert_eq!(compiled.contributors(&file).count(), 2);
    let of_file = |problem: &&Problem| problem.field == "spec.authentication";
    assert_eq!(compiled.withheld.values().flatten().filter(of_file).count(), told);
}

#[test]
fn with_room_for_all_nothing_is_told() {
    let (graph, cluster) = world(WORLD);
    let compiled = compile(&graph, &cluster);
    assert!(bodies(&compiled).iter().all(|body| !matches!(body, Body::Policy(policy) if policy.deny.is_some())));
    assert!(compiled.withheld.is_empty());
}

/// Three routes of a Service, each with fewer names than the Service has room for.
#[test]
fn of_a_service_with_too_much_guarded_its_routes_are_told() {
    let mut text = WORLD.split("---").take(2).collect::<Vec<_>>().join("---");
    text +=
        "---\n{apiVersion: v1, kind: Service, metadata: {name: app, namespace: shop}, spec: {ports: [{port: 80}]}}\n";
    for route in ["a", "b", "c"] {
        text += &format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: {route}, namespace: shop}}, spec: {{parentRefs: [{{name: public}}], rules: [{{backendRefs: [{{name: app, port: 80}}]}}]}}}}\n"
        );
        for policy in 0..60 {
            let header = |at: usize| format!("{{name: {}, value: x}}", format!("x-{route}-{policy}-{at}-").repeat(20));
            let headers: Vec<_> = (0..16).map(header).collect();
            text += &format!(
                "---\n{{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {{name: {route}{policy}, namespace: shop}}, spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {route}}}], requestHeaders: {{set: [{}]}}}}}}\n",
                headers.join(", ")
            );
        }
    }
    let (graph, cluster) = world(&text);
    let compiled = compile(&graph, &cluster);
    let denied = |body: &Body| matches!(body, Body::Backend(backend) if backend.deny.is_some());
    assert_eq!(bodies(&compiled).iter().filter(|body| denied(body)).count(), 1);
    for route in ["a", "b", "c"] {
        let told: Vec<_> = compiled.excess.of("HTTPRoute", &ObjectName::new("shop", route)).collect();
        assert!(told.iter().any(|problem| problem.message.contains("Service shop/app")), "{told:?}");
    }
}

#[test]
fn a_service_takes_room_of_its_namespace_as_a_backend_does() {
    let mut text = WORLD.split("---").take(2).collect::<Vec<_>>().join("---");
    text +=
        "---\n{apiVersion: v1, kind: Service, metadata: {name: app, namespace: shop}, spec: {ports: [{port: 80}]}}\n";
    text += "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {name: a, namespace: shop}, spec: {parentRefs: [{name: public}], rules: [{backendRefs: [{name: app, port: 80}]}]}}\n";
    let (graph, cluster) = world(&text);
    let compiled = within(&mut Room::of_share(0), &graph, &cluster);
    let denied = bodies(&compiled).into_iter().filter(|body| matches!(body, Body::Backend(one) if one.deny.is_some()));
    assert_eq!(denied.count(), 1);
    let told: Vec<_> = compiled.excess.of("HTTPRoute", &ObjectName::new("shop", "a")).collect();
    assert!(told.iter().any(|problem| problem.message.contains("Service shop/app answers 500")), "{told:?}");
}
