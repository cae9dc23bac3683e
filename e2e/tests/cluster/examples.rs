//! `examples/cluster` hold in a cluster, with a real identity provider in it and services that say what they were shown.

use std::path::Path;

use serde_json::{Value, json};

use crate::kit::authority::Authority;
use crate::kit::fate::kubectl;
use crate::kit::identity_provider::{issuer, start, token};
use crate::kit::manifest::SERVICE;
use crate::kit::world::World;

/// The manifests of an example.
pub fn example(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    std::fs::read_to_string(root.join(format!("examples/cluster/{name}/main.yaml"))).unwrap()
}

/// The same, with the identity provider of this namespace for issuer.
pub fn with_issuer(world: &World, name: &str) -> String {
    let line = |text: &str| format!("issuer: {text}\n");
    let of_tests = line(&issuer(world)) + "      caCertificateRefs: [{kind: ConfigMap, name: login-ca}]\n";
    let written = example(name);
    assert!(written.contains(&line("https://login.example.com")));
    written.replace(&line("https://login.example.com"), &of_tests)
}

/// The echo service by another name.
pub fn service(name: &str) -> String {
    SERVICE.replace("name: echo}", &format!("name: {name}}}")).replace("app: echo", &format!("app: {name}"))
}

/// A service that speaks TLS, and tells which client certificate it was shown.
fn service_over_tls(name: &str) -> String {
    let mut documents: Vec<Value> =
        service(name).split("\n---\n").map(|text| serde_saphyr::from_str(text).unwrap()).collect();
    let pod = &mut documents[0]["spec"]["template"]["spec"];
    let (identity, authority) = ("/identity", "/authority");
    pod["containers"][0]["env"] = json!([
        { "name": "TLS_SERVER_CERT", "value": format!("{identity}/tls.crt") },
        { "name": "TLS_SERVER_PRIVKEY", "value": format!("{identity}/tls.key") },
        { "name": "TLS_CLIENT_CACERTS", "value": format!("{authority}/ca.crt") },
    ]);
    pod["containers"][0]["volumeMounts"] = json!([
        { "name": "identity", "mountPath": identity }, { "name": "authority", "mountPath": authority },
    ]);
    pod["volumes"] = json!([
        { "name": "identity", "secret": { "secretName": format!("{name}-identity") } },
        { "name": "authority", "configMap": { "name": "internal-ca" } },
    ]);
    documents[1]["spec"]["ports"] = json!([{ "name": "https", "port": 443, "targetPort": 8443 }]);
    documents.iter().map(Value::to_string).collect::<Vec<_>>().join("\n---\n")
}

/// One of the two keys that the controller has made for a Subscription.
pub async fn made_key(namespace: &str, subscription: &str, entry: &str) -> String {
    let get = |what: &str, path: &str| {
        let (what, path) = (what.to_owned(), format!("go-template={{{{{path}}}}}"));
        async move { kubectl(&["get", &what, "-n", namespace, "-o", &path]).await }
    };
    let secret = get(&format!("subscription/{subscription}"), ".status.secretRef.name").await;
    get(&format!("secret/{secret}"), &format!("index .data \"{entry}\" | base64decode")).await
}

async fn all_ready(world: &World, objects: &[(&str, &str)]) {
    for (kind, name) in objects {
        world.ready(kind, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pass_through() {
    let world = World::with("pass-through", &[service("orders")]).await;
    start(&world).await;
    world.apply(&with_issuer(&world, "pass-through")).await;
    all_ready(&world, &[("ApiPolicy", "orders"), ("Product", "shop"), ("Subscription", "acme")]).await;
    let (address, key) = (world.address("public").await, made_key(&world.namespace, "acme", "primary").await);
    let bearer = format!("Bearer {}", token(&world, "orders.read").await);
    let unfit = format!("Bearer {}", token(&world, "orders.write").await);
    let answer =
        world.verdict(&address, "/orders", &[("authorization", &bearer), ("sallyport-key", &key)], "200").await;
    assert_eq!((answer.saw("Authorization"), answer.saw("Sallyport-Key")), (Some(&*bearer), None));
    for (headers, verdict) in [
        (&[][..], "401 credential-missing"),
        (&[("authorization", &*bearer)], "401 credential-missing"),
        (&[("sallyport-key", &key)], "401 credential-missing"),
        (&[("authorization", &bearer), ("sallyport-key", "spk_nobody")], "401 key-unknown"),
        (&[("authorization", &unfit), ("sallyport-key", &key)], "403 scope-insufficient"),
        (&[("authorization", "Bearer nonsense"), ("sallyport-key", &key)], "401 token-invalid"),
    ] {
        assert_eq!(world.ask(&address, "/orders", headers).await.verdict(), verdict, "{headers:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mutual_tls_and_a_login() {
    let (inside, elsewhere) = (Authority::new(), Authority::new());
    let name = "accounts.internal.example.com";
    let identity = inside.issue("gateway.example.com");
    let given = [
        inside.config_map("internal-ca"),
        inside.issue(name).secret("accounts-identity"),
        identity.secret("gateway-identity"),
        service_over_tls("accounts"),
        service("legacy"),
    ];
    let world = World::with("mutual-tls", &given).await;
    start(&world).await;
    world.apply(&with_issuer(&world, "mutual-tls")).await;
    all_ready(&world, &[("ApiPolicy", "accounts"), ("Backend", "accounts"), ("Backend", "legacy")]).await;
    let (address, bearer) = (world.address("public").await, format!("Bearer {}", token(&world, "orders.read").await));
    let with_token = [("authorization", bearer.as_str())];
    let answer = world.verdict(&address, "/accounts", &with_token, "200").await;
    assert_eq!(answer.saw("Authorization"), None, "the token is the gateway's");
    assert_eq!(answer.body["tls"]["peerCertificates"][0].as_str().map(str::trim), Some(identity.certificate.trim()));
    let answer = world.verdict(&address, "/legacy", &with_token, "200").await;
    assert_eq!(answer.saw("Authorization"), Some("Basic Z2F0ZXdheTpjaGFuZ2UtbWU="));
    for path in ["/accounts", "/legacy"] {
        assert_eq!(world.ask(&address, path, &[]).await.verdict(), "401 credential-missing");
    }
    // A service that proves itself by another authority is not spoken to.
    world.apply(&elsewhere.config_map("internal-ca")).await;
    world.verdict(&address, "/accounts", &with_token, "502 upstream-tls").await;
}

/// It is in the namespace `default`, where the Kubernetes API is a Service.
/// Where the chart is installed.
const HOME: &str = "sallyport-system";

#[tokio::test(flavor = "multi_thread")]
async fn getting_started() {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../examples/cluster/getting-started/main.yaml");
    kubectl(&["apply", "-f", file]).await;
    for object in ["apipolicy/start", "backend/start", "subscription/start", "gatewayparameters/start"] {
        kubectl(&["wait", "-n", HOME, "--for=condition=Ready", object, "--timeout=60s"]).await;
    }
    kubectl(&["wait", "-n", HOME, "--for=condition=Programmed", "gateway/start", "--timeout=60s"]).await;
    let address = kubectl(&["get", "-n", HOME, "gateway/start", "-o", "jsonpath={.status.addresses[0].value}"]).await;
    let world = World::with("getting-started", &[""; 0]).await;
    for entry in ["primary", "secondary"] {
        let key = made_key(HOME, "start", entry).await;
        let answer = world.verdict(&address, "/metrics", &[("sallyport-key", &key)], "200").await;
        assert!(
            answer.body.as_str().is_some_and(|text| text.contains("sallyport_controller_leader")),
            "{}",
            answer.body
        );
    }
    assert_eq!(world.ask(&address, "/metrics", &[]).await.verdict(), "401 credential-missing");
    assert_eq!(world.ask(&address, "/api", &[]).await.verdict(), "404 no-route");
    kubectl(&["delete", "-f", file]).await;
}
