//! Secrets are in no log, status, Event, metric or dump.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::kit::authority::Authority;
use crate::kit::fate::{CONTROLLER, kubectl};
use crate::kit::manifest::{BY_KEY, GATEWAY, SERVICE, backend, key, policy, route, subscription};
use crate::kit::world::World;

const PASSWORD: &str = "canary-password-4c1d7e";
const API_KEY: &str = "canary-api-key-90b2aa";
/// Of Secrets that cannot be used: what is said of them must not repeat them.
const BROKEN: [&str; 3] = ["canary-user-6e:name", "canary-certificate-b1", "canary short key 77"];
const UNKNOWN: &str = "canary-unknown-key-that-nobody-has-0123456789";

const OPENING: &str = r#"authentication:
  - {name: customers, subscriptionKey: {}}
  - name: staff
    jwt:
      issuer: https://login.example.com
      audiences: [orders]
      decryptionKeyRefs: [{name: client, key: tls.key}]
      keys: {inline: '{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}'}
"#;

/// Backends whose credentials are good and bad, a listener and a Subscription whose Secrets are broken.
fn manifests(key: &str, authority: &Authority) -> Vec<String> {
    let secret = |name: &str, data: &str| {
        format!("{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: {{{data}}}}}")
    };
    let header = backend("header").replace(
        "basic: {secretRef: {name: login}}",
        "header: {name: X-Api-Key, secretRef: {name: api-key, key: value}}",
    );
    let bad = backend("bad").replace("name: login", "name: bad-login");
    let mutual = backend("mutual")
        + "  tls: {clientCertificateRef: {name: client}, validation: {hostname: echo, caCertificateRefs: [{kind: ConfigMap, name: ca}]}}\n";
    let broken = backend("broken")
        + "  tls: {clientCertificateRef: {name: broken}, validation: {hostname: echo, caCertificateRefs: [{kind: ConfigMap, name: ca}]}}\n";
    let mut all = vec![
        SERVICE.to_owned(),
        GATEWAY.to_owned(),
        secret("login", &format!("username: gateway, password: {PASSWORD}")),
        secret("api-key", &format!("value: {API_KEY}")),
        secret("bad-login", &format!("username: '{}', password: {PASSWORD}", BROKEN[0])),
        secret("broken", &format!("tls.crt: {0}, tls.key: {0}", BROKEN[1])),
        authority.config_map("ca"),
        authority.issue("gateway.example.com").secret("client"),
        subscription("orders", key).replace("kind: HTTPRoute, name: orders", "kind: HTTPRoute, name: orders}, {kind: HTTPRoute, name: header}, {kind: HTTPRoute, name: mutual}, {kind: HTTPRoute, name: bad}, {kind: HTTPRoute, name: broken"),
        subscription("short", BROKEN[2]),
        backend("orders"),
        header,
        bad,
        mutual,
        broken,
    ];
    for name in ["orders", "header", "bad", "mutual", "broken", "short"] {
        // The key of the client certificate opens encrypted tokens as well.
        let spec = if name == "header" { OPENING } else { BY_KEY };
        all.extend([policy(name, spec), route(name)]);
    }
    all
}

/// Everything that is written down anywhere but in Secrets.
async fn written_down(world: &World) -> Vec<(String, String)> {
    let (ours, system) = (world.namespace.as_str(), CONTROLLER.0);
    let kinds = "gateways,httproutes,apipolicies,backends,subscriptions,products,gatewayparameters,pods,services,deployments,configmaps,events";
    let mut found = vec![];
    for namespace in [ours, system] {
        found.push((format!("objects of {namespace}"), kubectl(&["get", kinds, "-n", namespace, "-o", "yaml"]).await));
        let pods = kubectl(&[
            "get",
            "pods",
            "-n",
            namespace,
            "-l",
            "app.kubernetes.io/name",
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ])
        .await;
        assert!(!pods.is_empty(), "{namespace}");
        for pod in pods.split_whitespace() {
            found.push((format!("log of {pod}"), kubectl(&["logs", "-n", namespace, pod]).await));
            let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:9090/proxy/metrics");
            found.push((format!("metrics of {pod}"), kubectl(&["get", "--raw", &path]).await));
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_written_down_nowhere() {
    let (key, authority) = (key("canary"), Authority::new());
    let world = World::with("canary", &manifests(&key, &authority)).await;
    let address = world.address("public").await;
    world.ready("Subscription", "orders").await;
    for (kind, name) in [("Backend", "bad"), ("Backend", "broken"), ("Subscription", "short")] {
        world.condition(kind, name, "Ready", false).await;
    }
    world.verdict(&address, "/orders", &[("sallyport-key", &key)], "200").await;
    let token = format!("Bearer {UNKNOWN}");
    for path in ["/orders", "/header", "/bad", "/mutual", "/broken", "/short"] {
        for headers in
            [&[("sallyport-key", key.as_str())][..], &[("sallyport-key", UNKNOWN)], &[("authorization", &token)]]
        {
            world.ask(&address, path, headers).await;
        }
    }
    let private = kubectl(&[
        "get",
        "secret",
        "client",
        "-n",
        &world.namespace,
        "-o",
        "go-template={{index .data \"tls.key\" | base64decode}}",
    ])
    .await;
    let body = private.lines().nth(1).expect("a line of the private key").to_owned();
    let canaries = [&key, PASSWORD, API_KEY, BROKEN[0], BROKEN[1], BROKEN[2], UNKNOWN, &body];
    for (place, text) in written_down(&world).await {
        for canary in canaries {
            assert!(!text.contains(canary), "{canary} is in the {place}");
            // From its second byte on as well: how it is encoded depends on what stands before.
            for from in 0..3 {
                let encoded = STANDARD.encode(&canary[from..canary.len() / 3 * 3 - 3 + from]);
                assert!(!text.contains(&encoded), "{canary} is in the {place}, encoded");
            }
        }
    }
}
