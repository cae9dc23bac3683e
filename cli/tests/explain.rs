//! `sallyport explain`, as people use it before they ask for anything.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::net::TcpListener;
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
  - matches: [{path: {value: /orders/partly}}]
    backendRefs:
    - {group: sallyport.dev, kind: Backend, name: orders, weight: 9}
    - {group: sallyport.dev, kind: Backend, name: gone}
  - matches: [{path: {value: /orders/gone}}]
    backendRefs: [{group: sallyport.dev, kind: Backend, name: gone}, {group: sallyport.dev, kind: Backend, name: orders, weight: 0}]
  - matches: [{path: {value: /orders/nothing}}]
    backendRefs: [{group: sallyport.dev, kind: Backend, name: orders, weight: 0}]
  - matches: [{path: {value: /orders/keyless}}]
    backendRefs: [{group: sallyport.dev, kind: Backend, name: keyless}]
  - matches: [{path: {value: /orders/old}}]
    filters: [{type: RequestRedirect, requestRedirect: {hostname: new.example.com, statusCode: 301}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {name: keyless, namespace: shop}
spec:
  endpoints: [{address: {ip: 127.0.0.1, port: 9}}]
  credential: {header: {name: X-Api-Key, secretRef: {name: nowhere, key: key}}}
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

    fn add(&self, file: &str, text: &str) {
        fs::write(self.path().join(file), text).unwrap();
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
    assert_eq!(told["headers"], serde_json::json!({"x-way": "(4 characters)", "x-edge": "(6 characters)"}));
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
    assert_eq!(told["services"][0]["weight"], 9);
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
    let (told, code) = shop.told(&[&certificate[..], &["--show-values", "https://shop.example.com/orders"]].concat());
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
        (&["http://shop.example.com:81/orders"], "no listener is at port 81; there are some at 80"),
        (&["http://shop.example.com/orders", "-H", "no-colon-and-a-secret"], "a header is written as"),
        (&["http://shop.example.com/orders", "-H", "@/nowhere"], "@/nowhere"),
        (&["http://shop.example.com/orders", "-X", "G T"], "is no method"),
        (&["http://shop.example.com/orders", "--certificate", "/nowhere"], "--certificate /nowhere"),
        (&["http://shop.example.com/orders", "--gateway", "public"], "cannot be used with '--gateway"),
        (&["http://shop.example.com:443/orders"], "speaks TLS; state https"),
        (&["https://shop.example.com:80/orders"], "speaks no TLS; state http"),
        (&["@/nowhere"], "@/nowhere"),
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
        "GET http://shop.example.com/orders?…",
        "  listener        shop/public/http",
        "  route           HTTPRoute shop/orders, rule 0",
        "  holds           ipFilter of ApiPolicy shop/orders",
        "  no              authentication keys of ApiPolicy shop/orders: key-unknown: no subscription has this key",
        "  answer          401 key-unknown",
        "  by              ApiPolicy shop/orders authentication keys",
    ] {
        assert!(said.lines().any(|own| own == line), "{line}: {said}");
    }
    assert!(said.contains("note: `sallyport validate` has") && !said.contains("page=2"), "{said}");
}

#[test]
fn what_no_service_gets_is_answered_as_it_would_be() {
    let shop = Shop::new();
    for (path, said) in [
        ("gone", "Backend shop/gone does not exist"),
        ("nothing", ""),
        ("keyless", "Secret shop/nowhere does not exist"),
    ] {
        let (told, code) = shop.told(&[&format!("http://shop.example.com/orders/{path}"), "-H", KEY]);
        let decision = &told["decision"];
        assert_eq!((code, &decision["forwarded"]), (1, &Value::Bool(false)), "{path}: {told:#}");
        assert_eq!(
            (&decision["status"], &decision["reason"]),
            (&500.into(), &"configuration".into()),
            "{path}: {told:#}"
        );
        assert!(decision["message"].as_str().unwrap().contains(said), "{told:#}");
    }
    let (told, code) = shop.told(&["http://shop.example.com/orders/partly", "-H", KEY]);
    let decision = &told["decision"];
    assert_eq!((code, &decision["forwarded"], &decision["partial"]), (1, &true.into(), &true.into()), "{told:#}");
    assert!(told["services"][1]["denied"].as_str().unwrap().contains("Backend shop/gone does not exist"));
    let (told, code) = shop.told(&["http://shop.example.com/orders/old"]);
    assert_eq!((code, &told["decision"]["status"]), (1, &301.into()), "{told:#}");
    assert_eq!(told["answer"]["location"], "http://new.example.com/orders/old");
}

#[test]
fn every_method_is_judged() {
    let shop = Shop::new();
    for method in ["HEAD", "OPTIONS", "DELETE", "CONNECT", "PURGE"] {
        let (told, code) = shop.told(&["http://shop.example.com/orders", "-X", method, "-H", KEY]);
        assert_eq!(code, 1, "{method}: {told:#}");
        assert!(told["decision"]["status"].as_u64().unwrap() >= 400, "{method}: {told:#}");
    }
}

/// Somebody listens where nobody is to be asked.
fn nobody_asks() -> (TcpListener, u16) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

#[test]
fn authorisers_are_not_asked_and_what_hangs_on_them_cannot_be_told() {
    let (listener, port) = nobody_asks();
    for (mode, code, forwarded) in [("Enforce", 2, true), ("Report", 0, true)] {
        let shop = Shop::new();
        shop.add(
            "authorizer.yaml",
            &format!(
                "{{apiVersion: sallyport.dev/v1alpha1, kind: Backend, metadata: {{name: authorizer, namespace: shop}}, spec: {{endpoints: [{{address: {{ip: 127.0.0.1, port: {port}}}}}]}}}}\n---\n{{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {{name: asks, namespace: shop}}, spec: {{mode: {mode}, targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}}], externalAuthorization: {{backendRef: {{group: sallyport.dev, kind: Backend, name: authorizer}}, protocol: GRPC, forwardBody: {{maxBytes: 100}}}}}}}}\n"
            ),
        );
        let (told, ended) = shop.told(&["http://shop.example.com/orders", "-H", KEY]);
        assert_eq!((ended, &told["decision"]["forwarded"]), (code, &forwarded.into()), "{mode}: {told:#}");
        if mode == "Enforce" {
            assert_eq!(told["decision"]["conditional"], true, "{told:#}");
            let (told, _) = shop.told(&["http://shop.example.com/orders", "-H", KEY, "--body-bytes", "101"]);
            assert_eq!(told["decision"]["status"], 413, "what costs nothing to find out is told: {told:#}");
        } else {
            assert_eq!(told["wouldRefuse"][0]["reason"], "rehearsal-incomplete", "{told:#}");
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(listener.accept().is_err(), "{mode}: somebody was asked");
    }
}

#[test]
fn issuers_are_not_asked_about_tokens_and_what_hangs_on_them_cannot_be_told() {
    let (listener, port) = nobody_asks();
    for mode in ["Enforce", "Report"] {
        let shop = Shop::new();
        shop.add(
            "introspection.yaml",
            &format!(
                "{{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {{name: tokens, namespace: shop}}, spec: {{mode: {mode}, targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: tokens}}], authentication: [{{name: asked, introspection: {{endpoint: 'http://127.0.0.1:{port}/', issuer: 'http://127.0.0.1:{port}', audiences: [orders], clientAuthentication: {{id: me, method: ClientSecretBasic, secretRef: {{name: client}}}}}}}}]}}}}\n---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: tokens, namespace: shop}}, spec: {{parentRefs: [{{name: public}}], rules: [{{matches: [{{path: {{value: /tokens}}}}], backendRefs: [{{group: sallyport.dev, kind: Backend, name: orders}}]}}]}}}}\n---\n{{apiVersion: v1, kind: Secret, metadata: {{name: client, namespace: shop, annotations: {{sallyport.dev/hosts: 127.0.0.1}}}}, stringData: {{client-secret: change-me}}}}\n"
            ),
        );
        let (told, code) = shop.told(&["http://shop.example.com/tokens", "-H", "Authorization: Bearer abc"]);
        if mode == "Enforce" {
            assert_eq!((code, &told["decision"]["conditional"]), (2, &true.into()), "{told:#}");
            assert_eq!(told["steps"][0]["outcome"], "unknown", "{told:#}");
        } else {
            assert_eq!(told["decision"]["reason"], "unprotected", "{told:#}");
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
        assert!(listener.accept().is_err(), "{mode}: somebody was asked");
    }
}

#[test]
fn who_is_barred_learns_by_whom_and_that_nobody_would_have_answered() {
    let shop = Shop::new();
    shop.add(
        "floor.yaml",
        "{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {name: floor, namespace: shop}, spec: {enforcement: Floor, targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public}], ipFilter: {deny: [203.0.113.0/24]}}}",
    );
    for scheme in ["http", "https"] {
        let url = format!("{scheme}://shop.example.com/orders");
        let (told, code) = shop.told(&[&url, "-H", KEY, "--from", "203.0.113.9"]);
        let decision = &told["decision"];
        assert_eq!(
            (code, &decision["closed"], &decision["reason"]),
            (1, &true.into(), &"address-denied".into()),
            "{told:#}"
        );
        assert_eq!(decision["object"], "ApiPolicy shop/floor", "{told:#}");
        let (told, code) = shop.told(&[&url, "-H", KEY, "--from", "192.0.2.7"]);
        assert_eq!((code, &told["decision"]["closed"]), (0, &false.into()), "{told:#}");
        assert!(
            told["steps"].as_array().unwrap().iter().any(|step| step["object"] == "ApiPolicy shop/floor"),
            "{told:#}"
        );
    }
}

#[test]
fn a_file_that_cannot_be_read_may_guard_the_rest() {
    let shop = Shop::new();
    shop.add("broken.yaml", "kind: [");
    let output = shop.run(&["http://shop.example.com/orders", "-H", KEY]);
    let aside = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{aside}");
    assert!(aside.contains("broken.yaml cannot be read"), "{aside}");
}

#[test]
fn a_key_in_the_query_is_not_printed_and_may_come_from_a_file() {
    let shop = Shop::new();
    let key = "a-key-of-32-characters-or-even-more";
    let file = shop.path().join("url");
    fs::write(&file, format!("http://shop.example.com/orders?sallyport-key={key}\n")).unwrap();
    let at = format!("@{}", file.display());
    for output in ["table", "json"] {
        let said = shop.run(&[&at, "-o", output]);
        let text = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
        assert!(!text.contains(key) && text.contains("shop/orders"), "{text}");
    }
    let wrong = shop.run(&[&format!("shop.example.com/orders?sallyport-key={key}")]);
    assert!(!String::from_utf8_lossy(&wrong.stderr).contains(key));
}

/// A password is compared also where that is only reported: nobody waits for it.
#[test]
fn rehearsals_are_judged_as_if_they_were_enforced() {
    let shop = Shop::new();
    shop.add(
        "report.yaml",
        "{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {name: passwords, namespace: shop}, spec: {mode: Report, targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}], authentication: [{name: login, basic: {secretRef: {name: users}}}]}}\n---\n{apiVersion: v1, kind: Secret, metadata: {name: users, namespace: shop}, stringData: {htpasswd: 'ben:$6$orderdesk$Aj9xxEqlEehuo5WTM9/qVmUdz5AkkINB7hyxn3QBrUGK99eoR5CJMkjXb60AL4pVfuQAlaxheaX006VCvipvS.'}}",
    );
    for (login, reason) in [("YmVuOndyb25n", "login-invalid".into()), ("YmVuOmNoYW5nZS1tZQ==", Value::Null)] {
        let authorization = format!("Authorization: Basic {login}");
        let (told, _) = shop.told(&["http://shop.example.com/orders", "-H", KEY, "-H", &authorization]);
        assert_eq!(told["wouldRefuse"][0]["reason"], reason, "{told:#}");
    }
}

#[test]
fn a_proxy_that_tells_in_front_of_the_connection_is_stated() {
    let shop = Shop::new();
    let class = "{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: sallyport}, spec: {controllerName: sallyport.dev/gateway-controller, parametersRef: {group: sallyport.dev, kind: GatewayParameters, name: ours, namespace: shop}}}";
    let parameters = "\n---\n{apiVersion: sallyport.dev/v1alpha1, kind: GatewayParameters, metadata: {name: ours, namespace: shop}, spec: {trustedProxies: {cidrs: [10.0.0.0/8], proxyProtocol: Required}}}\n";
    let whole = fs::read_to_string(shop.path().join("shop.yaml")).unwrap();
    let (_, rest) = whole.split_once("---").unwrap();
    shop.add("shop.yaml", &format!("{class}{parameters}---{rest}"));
    let url = "http://shop.example.com/orders";
    for (arguments, closed, client) in [
        (&["--from", "192.0.2.7"][..], false, Some("192.0.2.7")),
        (&["--from", "192.0.2.7", "--proxy", "10.0.0.1"], false, Some("192.0.2.7")),
        (&["--from", "10.0.0.1"], true, None),
        (&["--from", "192.0.2.7", "--proxy", "192.0.2.8"], true, None),
    ] {
        let (told, _) = shop.told(&[arguments, &[url, "-H", KEY]].concat());
        assert_eq!(told["decision"]["closed"], closed, "{arguments:?}: {told:#}");
        assert_eq!(told["client"].as_str(), client, "{arguments:?}: {told:#}");
    }
}

/// Who shows none in the handshake comes to no request: it is told what asks for one.
#[test]
fn a_certificate_that_the_gateway_wants_in_the_handshake_is_missed() {
    let shop = Shop::new();
    let pem: String = shop.pem.lines().map(|line| format!("    {line}\n")).collect();
    let whole = fs::read_to_string(shop.path().join("shop.yaml")).unwrap();
    let frontend =
        "tls: {frontend: {default: {validation: {caCertificateRefs: [{group: '', kind: ConfigMap, name: clients}]}}}}";
    let whole =
        whole.replacen("  gatewayClassName: sallyport\n", &format!("  gatewayClassName: sallyport\n  {frontend}\n"), 1);
    shop.add("shop.yaml", &whole);
    let authority = include_str!("explain/authority.pem");
    let indented: String = authority.lines().map(|line| format!("    {line}\n")).collect();
    shop.add("clients.yaml", &format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: clients, namespace: shop}}\ndata:\n  ca.crt: |\n{indented}"));
    let file = shop.path().join("machine.pem");
    fs::write(&file, pem.replace("    ", "")).unwrap();
    let url = "https://shop.example.com/orders";
    for arguments in [&[url, "-H", KEY][..], &[url, "-H", KEY, "--certificate", file.to_str().unwrap()]] {
        let (told, code) = shop.told(arguments);
        let decision = &told["decision"];
        assert_eq!((code, &decision["reason"]), (1, &"misdirected-request".into()), "{told:#}");
        assert_eq!(
            (&decision["object"], &decision["section"]),
            (&"Gateway shop/public".into(), &"tls.frontend".into())
        );
        assert!(decision["message"].as_str().unwrap().contains("a handshake with no other certificate is refused"));
    }
    let (told, code) = shop.told(&["http://shop.example.com/orders", "-H", KEY]);
    assert_eq!(code, 0, "it is for TLS alone: {told:#}");
}
