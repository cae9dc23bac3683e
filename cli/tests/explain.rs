//! `sallyport explain`, as people use it before they ask for anything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

const BASE: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sallyport}
spec: {controllerName: sallyport.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  gatewayClassName: sallyport
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: shop}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: public}]
  rules:
  - matches: [{path: {value: /orders}}]
    backendRefs:
    - {group: sallyport.dev, kind: Backend, name: orders, weight: 9}
    - {group: sallyport.dev, kind: Backend, name: gone}
---
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {name: orders, namespace: shop}
spec:
  endpoints: [{address: {ip: 127.0.0.1, port: 9}}]
  credential: {header: {name: X-Api-Key, secretRef: {name: login, key: key}}}
---
apiVersion: v1
kind: Secret
metadata: {name: login, namespace: shop}
stringData: {key: the-secret-of-the-service}
---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {name: acme, namespace: shop}
spec: {scope: {apis: [{kind: HTTPRoute, name: orders}]}, keys: {secretName: acme}}
---
apiVersion: v1
kind: Secret
metadata: {name: acme, namespace: shop}
stringData: {primary: a-key-of-32-characters-or-even-more}
";

const POLICY: &str = "
---
apiVersion: sallyport.dev/v1alpha1
kind: ApiPolicy
metadata: {name: orders, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]
  ipFilter: {deny: [203.0.113.0/24]}
  request: {maxBodyBytes: 100}
  authentication:
  - name: machines
    clientCertificate: {identities: [{sha256Fingerprint: PRINT}]}
  - name: keys
    subscriptionKey: {}
  authorization: [{name: reads, require: 'request.method == \"GET\"'}]
  requestHeaders: {set: [{name: X-Way, expression: auth.alternative}, {name: X-Edge, value: public}]}
";

const KEY: &str = "sallyport-key: a-key-of-32-characters-or-even-more";

struct Shop {
    folder: TempDir,
    pem: String,
}

impl Shop {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = rcgen::generate_simple_self_signed(["shop.example.com".to_owned()]).unwrap();
        let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let print = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, made.cert.der());
        let print: String = print.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        let indented = |pem: &str| pem.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let secret = format!(
            "---\napiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {{name: shop, namespace: shop}}\nstringData:\n  tls.crt: |\n{}  tls.key: |\n{}",
            indented(&pem),
            indented(&key)
        );
        fs::write(folder.path().join("shop.yaml"), BASE.to_owned() + &secret + &POLICY.replace("PRINT", &print))
            .unwrap();
        Self { folder, pem }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
        command.arg("explain").arg("-f").arg(self.path()).args(arguments).output().unwrap()
    }

    /// What is told as JSON, and the exit code.
    fn told(&self, arguments: &[&str]) -> (Value, i32) {
        let output = self.run(&[arguments, &["-o", "json"]].concat());
        let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        assert!(told.is_object(), "{}", String::from_utf8_lossy(&output.stderr));
        (told, output.status.code().unwrap())
    }
}

#[test]
fn a_request_that_passes_is_told_with_what_the_service_would_see_and_no_secret() {
    let shop = Shop::new();
    let (told, code) = shop.told(&["http://shop.example.com/orders/1", "-H", KEY, "--from", "192.0.2.7"]);
    assert_eq!(code, 0, "{told:#}");
    assert_eq!(told["decision"]["forwarded"], true);
    assert_eq!(told["client"], "192.0.2.7");
    assert_eq!(told["headers"], serde_json::json!({"x-way": "keys", "x-edge": "public"}));
    let outcomes = told["steps"].as_array().unwrap().iter().map(|step| {
        (
            step["section"].as_str().unwrap().to_owned(),
            step["rule"].as_str().unwrap_or_default().to_owned(),
            step["outcome"].as_str().unwrap().to_owned(),
        )
    });
    let outcomes: Vec<_> = outcomes.collect();
    let expected = [
        ("ipFilter", "", "holds"),
        ("authentication", "machines", "refuses"),
        ("authentication", "keys", "holds"),
        ("authorization", "reads", "holds"),
        ("request", "", "holds"),
    ];
    assert_eq!(
        outcomes,
        expected.map(|(section, rule, outcome)| (section.to_owned(), rule.to_owned(), outcome.to_owned()))
    );
    assert_eq!(told["services"][0]["credential"], "a secret in the header x-api-key");
    assert_eq!((&told["services"][0]["weight"], &told["services"][1]["weight"]), (&9.into(), &1.into()));
    assert!(told["services"][1]["denied"].as_str().unwrap().contains("Backend shop/gone does not exist"));
    assert!(
        !told.to_string().contains("the-secret-of-the-service") && !told.to_string().contains("even-more"),
        "{told:#}"
    );
}

#[test]
fn a_request_that_is_refused_is_told_with_who_refuses_it_and_the_cure() {
    let shop = Shop::new();
    for (arguments, status, reason, section) in [
        (&["http://shop.example.com/orders"][..], 401, "credential-missing", "authentication"),
        (&["http://shop.example.com/orders", "-H", "Sallyport-Key: nobody"], 401, "key-unknown", "authentication"),
        (&["http://shop.example.com/orders", "-H", KEY, "--from", "203.0.113.9"], 403, "address-denied", "ipFilter"),
        (&["http://shop.example.com/orders", "-H", KEY, "-X", "PUT"], 403, "authorization-denied", "authorization"),
        (&["http://shop.example.com/elsewhere"], 404, "no-route", ""),
        (&["http://shop.example.com/orders/%zz"], 400, "malformed-request", ""),
    ] {
        let (told, code) = shop.told(arguments);
        let decision = &told["decision"];
        assert_eq!((code, &decision["forwarded"]), (1, &Value::Bool(false)), "{arguments:?}: {told:#}");
        assert_eq!((&decision["status"], &decision["reason"]), (&status.into(), &reason.into()), "{arguments:?}");
        assert_eq!(decision["section"].as_str().unwrap_or_default(), section, "{arguments:?}");
        assert!(!decision["cure"].as_str().unwrap().is_empty());
    }
    for (bytes, reason) in [("100", Value::Null), ("101", "body-too-large".into())] {
        let (told, _) = shop.told(&["http://shop.example.com/orders", "-H", KEY, "--body-bytes", bytes]);
        assert_eq!(told["decision"]["reason"], reason, "{told:#}");
    }
}

#[test]
fn a_certificate_is_as_if_it_had_been_shown_where_the_listener_speaks_tls() {
    let shop = Shop::new();
    let file = shop.path().join("machine.pem");
    fs::write(&file, &shop.pem).unwrap();
    let certificate = ["--certificate", file.to_str().unwrap()];
    let (told, code) = shop.told(&[&certificate[..], &["https://shop.example.com/orders"]].concat());
    assert_eq!((code, &told["headers"]["x-way"]), (0, &"machines".into()), "{told:#}");
    let (told, _) = shop.told(&["https://shop.example.com/orders"]);
    assert_eq!(told["decision"]["reason"], "credential-missing", "{told:#}");
    let (told, _) = shop.told(&[&certificate[..], &["http://shop.example.com/orders"]].concat());
    assert!(told["steps"][1]["message"].as_str().unwrap().contains("the listener speaks no TLS"), "{told:#}");
}

#[test]
fn headers_come_from_a_file_that_nobody_sees_among_the_processes() {
    let shop = Shop::new();
    let file = shop.path().join("headers");
    fs::write(&file, format!("{KEY}\n\nX-Team: a\n")).unwrap();
    let (told, code) = shop.told(&["-H", &format!("@{}", file.display()), "http://shop.example.com/orders"]);
    assert_eq!(code, 0, "{told:#}");
}

#[test]
fn what_cannot_be_asked_ends_with_two_and_says_why() {
    let shop = Shop::new();
    for (arguments, said) in [
        (&["shop.example.com/orders"][..], "is no address"),
        (&["ftp://shop.example.com/orders"], "is no address of http or https"),
        (&["http://me:pass@shop.example.com/orders"], "a user in the address"),
        (&["http://shop.example.com:81/orders"], "no listener is at port 81"),
        (&["http://shop.example.com/orders", "-H", "no-colon-and-a-secret"], "a header is written as"),
        (&["http://shop.example.com/orders", "-H", "@/nowhere"], "@/nowhere"),
        (&["http://shop.example.com/orders", "-X", "G T"], "is no method"),
        (&["http://shop.example.com/orders", "--certificate", "/nowhere"], "--certificate /nowhere"),
        (&["http://shop.example.com/orders", "--gateway", "public"], "--gateway is for a cluster"),
        (&["http://shop.example.com/orders", "--body-bytes", "99999999999"], "body-bytes"),
    ] {
        let output = shop.run(arguments);
        let aside = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {aside}");
        assert!(aside.contains(said) && !aside.contains("and-a-secret"), "{arguments:?}: {aside}");
    }
    let nowhere =
        Command::new(env!("CARGO_BIN_EXE_sallyport")).args(["explain", "-f", "/nowhere", "http://a/"]).output();
    assert_eq!(nowhere.unwrap().status.code(), Some(2));
}

#[test]
fn people_read_it_line_by_line() {
    let shop = Shop::new();
    let output = shop.run(&["http://shop.example.com/orders?page=2", "-H", "Sallyport-Key: nobody"]);
    let said = String::from_utf8(output.stdout).unwrap();
    for line in [
        "GET http://shop.example.com/orders?page=2",
        "  listener        shop/public/http",
        "  route           HTTPRoute shop/orders, rule 0",
        "  holds           ipFilter of ApiPolicy shop/orders",
        "  no              authentication keys of ApiPolicy shop/orders: key-unknown: no subscription has this key",
        "  answer          401 key-unknown",
        "  by              ApiPolicy shop/orders authentication keys",
    ] {
        assert!(said.lines().any(|own| own == line), "{line}: {said}");
    }
    assert!(said.contains("note: 1 problems in the files"), "the Backend that is gone: {said}");
}
