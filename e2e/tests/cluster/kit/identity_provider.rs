//! A real identity provider in the cluster: `oidc-provider`, as `cli/tests/identity-provider` sets it up.

use std::time::Duration;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::authority::{Authority, Identity};
use super::fate::kubectl;
use super::world::{World, until};

/// It starts Node.
const PATIENCE: Duration = Duration::from_secs(60);
const ASKED: &str = "grant_type=client_credentials&client_secret=not-a-secret-outside-of-tests";
const ORDERS: &str = "&resource=urn:test:orders";

/// The issuer of the provider in this namespace.
pub fn issuer(world: &World) -> String {
    format!("https://{}:8443", host(world))
}

fn host(world: &World) -> String {
    format!("login.{}.svc.cluster.local", world.namespace)
}

/// Starts it, with its authority in the ConfigMap `login-ca`.
pub async fn start(world: &World) {
    let authority = Authority::new();
    let identity = authority.issue(&host(world));
    let serve = json!({
        "do": "serve", "host": "0.0.0.0", "port": 8443, "plainPort": 8080, "issuer": issuer(world), "alg": "RS256", "kid": "one",
        "tls": { "cert": identity.certificate, "key": identity.key },
    });
    let container = json!({
        "name": "login", "image": "localhost/identity-provider:e2e", "imagePullPolicy": "Never",
        "args": ["/server.mjs", "/installed", json!([serve]).to_string()],
        "readinessProbe": { "tcpSocket": { "port": 8080 }, "periodSeconds": 1 },
    });
    let spec = json!({ "terminationGracePeriodSeconds": 1, "containers": [container] });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "login", "labels": { "app": "login" } }, "spec": spec,
    });
    let ports = json!([{ "name": "https", "port": 8443 }, { "name": "http", "port": 8080 }]);
    let service = json!({
        "apiVersion": "v1", "kind": "Service", "metadata": { "name": "login" },
        "spec": { "selector": { "app": "login" }, "ports": ports },
    });
    world.apply(&authority.config_map("login-ca")).await;
    world.apply(&pod.to_string()).await;
    world.apply(&service.to_string()).await;
}

/// An access token with this scope, once it is there to give one.
pub async fn token(world: &World, scope: &str) -> String {
    token_of(world, &format!("{ASKED}{ORDERS}&client_id=test-client&scope={scope}"), None).await
}

/// The same of a client whose tokens are bound to its certificate (RFC 8705), of which whoever stands in front of the provider tells.
pub async fn token_of_machine(world: &World, scope: &str, machine: &Identity) -> String {
    token_of(world, &format!("{ASKED}{ORDERS}&client_id=test-machine&scope={scope}"), Some(machine)).await
}

/// What a client with a key of its own gets that asks for `url` at this address of its host, with a token of the provider (see `client.mjs`).
pub async fn call_with_proof(world: &World, url: &str, address: &str, trusted: &str) -> Value {
    let told =
        json!({ "issuer": issuer(world), "address": url, "resource": "urn:test:orders", "scope": "orders.read" });
    let name = url.split('/').nth(2).unwrap();
    let container = json!({
        "name": "client", "image": "localhost/identity-provider:e2e", "imagePullPolicy": "Never",
        "args": ["/client.mjs", "/installed", told.to_string()],
        "env": [{ "name": "NODE_EXTRA_CA_CERTS", "value": "/trusted/ca.crt" }],
        "volumeMounts": [{ "name": "trusted", "mountPath": "/trusted" }],
    });
    let spec = json!({
        "restartPolicy": "Never", "containers": [container],
        "hostAliases": [{ "ip": address, "hostnames": [name] }],
        "volumes": [{ "name": "trusted", "configMap": { "name": trusted } }],
    });
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "client" }, "spec": spec });
    world.apply(&pod.to_string()).await;
    let ended = async || {
        let pod = world.get("Pod", "client").await?;
        let phase = pod["status"]["phase"].as_str()?.to_owned();
        matches!(phase.as_str(), "Succeeded" | "Failed").then_some(phase)
    };
    let phase = until("the client has ended", ended).await;
    let said = kubectl(&["logs", "-n", &world.namespace, "client"]).await;
    assert_eq!(phase, "Succeeded", "{said}");
    serde_json::from_str(&said).unwrap()
}

/// The same that says nothing by itself.
pub async fn opaque_token(world: &World, scope: &str) -> String {
    token_of(world, &format!("{ASKED}&resource=urn:test:opaque&client_id=test-client&scope={scope}"), None).await
}

/// Takes a token back (RFC 7009).
pub async fn revoke(world: &World, token: &str) {
    let service = world.get("Service", "login").await.unwrap();
    let url = format!("http://{}:8080/token/revocation", service["spec"]["clusterIP"].as_str().unwrap());
    let caller: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let form = format!("token={token}&client_id=test-client&client_secret=not-a-secret-outside-of-tests");
    let request = Request::post(&url).header("content-type", "application/x-www-form-urlencoded");
    let response = caller.request(request.body(Full::from(form)).unwrap()).await.unwrap();
    assert!(response.status().is_success(), "{response:?}");
}

async fn token_of(world: &World, form: &str, machine: Option<&Identity>) -> String {
    let service = world.get("Service", "login").await.unwrap();
    let url = format!("http://{}:8080/token", service["spec"]["clusterIP"].as_str().unwrap());
    let caller: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build_http();
    let began = Instant::now();
    let mut last = String::new();
    while began.elapsed() < PATIENCE {
        let mut request = Request::post(&url).header("content-type", "application/x-www-form-urlencoded");
        if let Some(machine) = machine {
            request = request.header("x-client-certificate", machine.rfc9440().trim_matches(':'));
        }
        match caller.request(request.body(Full::from(form.to_owned())).unwrap()).await {
            Ok(response) => {
                let body = response.into_body().collect().await.unwrap().to_bytes();
                let answer: Value = serde_json::from_slice(&body).unwrap_or_default();
                if let Some(token) = answer["access_token"].as_str() {
                    return token.to_owned();
                }
                last = String::from_utf8_lossy(&body).into_owned();
            }
            Err(error) => last = format!("{error:?}"),
        }
        sleep(Duration::from_millis(200)).await;
    }
    panic!("{url} gives no token: {last}")
}
