//! Secrets, looked for in everything that the gateway says: answers, access log, log, metrics, spans, findings and statuses.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::Full;
use rstest::rstest;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::kit::caller::{HOST, get, get_http2, http2, raw, read, send, tls};
use crate::kit::gateway::{Gateway, HTTPS};
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{OPEN, backend, pem, policy, route, secret, subscription};
use crate::kit::pki::{Authority, Identity};
use crate::kit::process::Process;
use crate::kit::secured::certificate;
use crate::kit::service::Service;
use crate::observed::collector;

/// What all secrets made of texts have in them.
const MARK: &str = "LEAK";
const KEY: &str = "sp_LEAKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const UNKNOWN_KEY: &str = "sp_LEAKbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

const BOTH_DOORS: &str = "
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
  - {name: http, port: 8080, protocol: HTTP}
  - {name: https, port: 8443, protocol: HTTPS, hostname: api.example.com, tls: {certificateRefs: [{name: front}]}}
";

/// Everything that is a secret here.
struct Secrets {
    authority: Authority,
    front: Identity,
    back: Identity,
    issuer: Issuer,
    token: String,
}

impl Secrets {
    async fn new() -> Self {
        let authority = Authority::new("all");
        let (front, back, issuer) =
            (authority.issue(&[HOST]), authority.issue(&["gateway.internal"]), Issuer::start().await);
        let token = issuer.token_with("orders-api", &json!({ "secret": MARK }));
        Self { authority, front, back, issuer, token }
    }

    /// Texts of which none may be said: marks, what a secret looks like when it is encoded, and pieces of keys and tokens.
    fn texts(&self) -> Vec<String> {
        let mut texts = vec![MARK.to_owned(), STANDARD.encode("gateway:LEAK-basic"), STANDARD.encode("caller:LEAK-x")];
        texts.extend(self.token.split('.').skip(1).map(str::to_owned));
        let keys = [&self.front.key, &self.back.key];
        texts.extend(
            keys.into_iter().flat_map(|key| key.lines()).filter(|line| !line.contains("---")).map(str::to_owned),
        );
        texts
    }

    fn assert_absent(&self, place: &str, text: &str) {
        for secret in self.texts() {
            if let Some(at) = text.find(&secret) {
                let around = text.get(at.saturating_sub(300)..(at + 100).min(text.len())).unwrap_or(text);
                panic!("{place} says {secret:?}: {around}");
            }
        }
    }
}

struct World {
    process: Process,
    secrets: Secrets,
    service: Service,
    mutual: Service,
    log: tempfile::TempDir,
    answers: String,
}

impl World {
    /// A process that says as much as it can be made to.
    async fn start(collector: &str) -> Self {
        let (secrets, service) = (Secrets::new().await, Service::start().await);
        let mutual =
            Service::with_tls(secrets.authority.demanding_server(&secrets.authority.issue(&["orders.internal"]))).await;
        let gone = Service::start().await;
        gone.stop();
        let log = tempfile::tempdir().unwrap();
        let file = |name: &str| Stdio::from(File::create(log.path().join(name)).unwrap());
        let manifests = manifests(&secrets, &service, &mutual, &gone);
        let process = Process::start_with("true", &manifests, |command| {
            command.args(["--access-log", "--otlp-endpoint", collector]);
            command.env("RUST_LOG", "trace").env("OTEL_TRACES_SAMPLER", "always_on");
            command.stdout(file("out")).stderr(file("err"));
        });
        let process = process.await;
        Self { process, secrets, service, mutual, log, answers: String::new() }
    }

    /// Sends, and keeps what the gateway itself answers.
    async fn ask(&mut self, target: &str, headers: &[(&str, &str)], expected: &str) {
        let answer = send(self.process.http, get(target, headers)).await;
        assert_eq!(answer.verdict(), expected, "{target}");
        self.keep(answer.status.as_u16(), format!("{answer:?} {}", String::from_utf8_lossy(&answer.body)));
    }

    async fn ask_http2(&mut self, target: &str, headers: &[(&str, &str)], expected: &str) {
        let mut sender = http2(TcpStream::connect(self.process.http).await.unwrap()).await;
        let answer = read(sender.send_request(get_http2("http", HOST, target, headers)).await.unwrap()).await;
        assert_eq!(answer.verdict(), expected, "{target} over HTTP/2");
        self.keep(answer.status.as_u16(), format!("{answer:?} {}", String::from_utf8_lossy(&answer.body)));
    }

    async fn ask_raw(&mut self, text: &str, expected: u16) {
        let heard = raw(self.process.http, text.as_bytes()).await;
        assert_eq!(heard.statuses().first(), Some(&expected), "{heard:?}");
        self.keep(expected, heard.text);
    }

    fn keep(&mut self, status: u16, text: String) {
        // What a service says is the service's.
        if status >= 400 {
            self.answers += &text;
        }
    }

    fn said(&self, name: &str) -> String {
        String::from_utf8_lossy(&std::fs::read(self.log.path().join(name)).unwrap()).into_owned()
    }
}

fn manifests(secrets: &Secrets, service: &Service, mutual: &Service, gone: &Service) -> String {
    let jwt = format!(
        "jwt: {{issuer: '{}', audiences: [orders-api], keys: {{inline: '{}'}}}}",
        secrets.issuer.name(),
        secrets.issuer.key_set()
    );
    let by_token = format!("authentication:\n- name: staff\n  {jwt}\n");
    let by_key =
        "authentication: [{name: customers, subscriptionKey: {headers: [Sallyport-Key], queryParameters: [key]}}]";
    let basic = "credential: {basic: {secretRef: {name: login}}}";
    let tls = |authority: &str| {
        format!(
            "tls: {{validation: {{hostname: orders.internal, caCertificateRefs: [{{kind: ConfigMap, name: {authority}}}]}}, clientCertificateRef: {{kind: Secret, name: back}}}}"
        )
    };
    let header = "credential: {header: {name: X-Api-Key, prefix: 'Key ', secretRef: {name: vendor, key: header}}}";
    let query = "credential: {queryParameter: {name: apikey, secretRef: {name: vendor, key: query}}}";
    let open =
        ["basic", "header", "query", "mutual", "gone", "untrusted", "lost", "slow"].map(|name| policy(name, OPEN));
    let rehearsed = policy("rehearsed", OPEN)
        + &policy("rehearsed", &format!("mode: Report\n{by_token}"))
            .replace("metadata: {name: rehearsed", "metadata: {name: rehearsal");
    let backends = [
        backend("plain", service.address, ""),
        backend("basic", service.address, basic),
        backend("header", service.address, header),
        backend("query", service.address, &format!("protocol: H2C\n{query}")),
        backend("mutual", mutual.address, &format!("{}\n{header}", tls("all"))),
        backend("untrusted", mutual.address, &format!("{}\n{header}", tls("others"))),
        backend("gone", gone.address, query),
        backend("lost", service.address, "credential: {basic: {secretRef: {name: nowhere}}}"),
        backend("slow", service.address, &format!("timeouts: {{request: 200ms}}\n{basic}")),
    ];
    let routes =
        ["basic", "header", "query", "mutual", "gone", "untrusted", "lost", "slow"].map(|name| route(name, name));
    [
        BOTH_DOORS.to_owned(),
        ["token", "keyed", "rehearsed"].map(|name| route(name, "plain")).concat(),
        routes.concat(),
        backends.concat(),
        open.concat(),
        rehearsed,
        policy("token", &by_token),
        policy("keyed", by_key),
        subscription("acme", "{apis: [{kind: HTTPRoute, name: keyed}]}", &format!("{{primary: {KEY}}}")),
        secret("login", "{username: gateway, password: LEAK-basic}"),
        secret("vendor", "{header: LEAK-header, query: LEAKquery}"),
        certificate("front", &secrets.front),
        certificate("back", &secrets.back),
        pem("ConfigMap", "all", &[("ca.crt", &secrets.authority.pem())]),
        pem("ConfigMap", "others", &[("ca.crt", &Authority::new("others").pem())]),
    ]
    .concat()
}

/// Through all that a gateway does, with secrets in every place where callers have some.
async fn traffic(world: &mut World) {
    let bearer = format!("Bearer {}", world.secrets.token);
    let token = ("authorization", &*bearer);
    let cookie = ("cookie", "id=LEAK-cookie");
    let callers = ("authorization", "Basic Y2FsbGVyOkxFQUsteA==");
    world.ask("/token?access_token=LEAK-in-query", &[token, cookie], "200").await;
    world.ask("/keyed", &[("sallyport-key", KEY)], "200").await;
    world.ask(&format!("/keyed?a=1&key={KEY}"), &[callers], "200").await;
    for target in ["/basic?x=LEAK", "/header?x=LEAK", "/query?x=LEAK", "/mutual?x=LEAK"] {
        world.ask(target, &[cookie, token], "200").await;
        world.ask_http2(target, &[cookie, callers], "200").await;
    }
    world.ask("/rehearsed", &[callers, cookie], "200").await;
    world.ask("/token", &[callers, cookie], "401 credential-missing").await;
    world.ask("/token", &[("authorization", &bearer[..bearer.len() - 5])], "401 token-invalid").await;
    world.ask_http2("/token?x=LEAK", &[("authorization", "Bearer LEAK.LEAK.LEAK")], "401 token-invalid").await;
    world.ask("/keyed", &[("sallyport-key", UNKNOWN_KEY)], "401 key-unknown").await;
    world.ask(&format!("/keyed?key={KEY}"), &[("sallyport-key", KEY)], "400 credential-ambiguous").await;
    world.ask(&format!("/keyed?key={UNKNOWN_KEY}"), &[], "401 key-unknown").await;
    for (target, expected) in [
        ("/gone?x=LEAK", "502 upstream-connect"),
        ("/untrusted?x=LEAK", "502 upstream-tls"),
        ("/lost?x=LEAK", "500 configuration"),
        ("/slow/slow?x=LEAK", "504 upstream-timeout"),
        ("/nowhere?x=LEAK", "404 no-route"),
        ("/basic/%zz?x=LEAK", "400 malformed-request"),
    ] {
        world.ask(target, &[token, cookie], expected).await;
        world.ask_http2(target, &[token, cookie], expected).await;
    }
    let begun = |line: &str| format!("{line}\r\nHost: {HOST}\r\nAuthorization: {bearer}\r\nCookie: id=LEAK-cookie\r\n");
    let long = "LEAK".repeat(12_000);
    for (text, expected) in [
        (begun("GET /token HTTP/1.1") + &format!("Authorization: {bearer}\r\n\r\n"), 400),
        (begun("GET /token HTTP/1.1") + "X: LEAK\0\r\n\r\n", 400),
        (begun("GET /token HTTP/1.1") + &format!("X: {long}\r\n\r\n"), 431),
        (begun(&format!("GET /token?{} HTTP/1.1", &long[..9000])) + "\r\n", 414),
        (begun("GET /token HTTP/1.1") + "Expect: LEAK\r\n\r\n", 417),
        (begun("POST /token HTTP/1.1") + "Transfer-Encoding: chunked\r\n\r\nLEAK\r\n", 400),
        (begun("LEAK?? /token HTTP/1.1") + "\r\n", 400),
    ] {
        world.ask_raw(&text, expected).await;
    }
    post(world).await;
    over_tls(world).await;
}

/// A body, and a WebSocket's head.
async fn post(world: &mut World) {
    let request = Request::post("/basic").header(header::HOST, HOST).body(Full::new(Bytes::from("LEAK-body"))).unwrap();
    assert_eq!(send(world.process.http, request).await.status, 200);
    let upgrade = format!(
        "GET /header/ws HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: upgrade\r\nCookie: id=LEAK-cookie\r\n\r\nLEAK-in-the-tunnel"
    );
    world.ask_raw(&upgrade, 101).await;
}

async fn over_tls(world: &mut World) {
    let mut address = world.process.http;
    address.set_port(HTTPS);
    let stream = tls(address, HOST, world.secrets.authority.client(&["h2"])).await.unwrap();
    let request = get_http2("https", HOST, "/basic?x=LEAK", &[("cookie", "id=LEAK-cookie")]);
    assert_eq!(read(http2(stream).await.send_request(request).await.unwrap()).await.status, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_that_is_said_while_requests_run_holds_a_secret() {
    let (address, spans) = collector().await;
    let mut world = World::start(&format!("http://{address}")).await;
    traffic(&mut world).await;
    let metrics = send(world.process.admin, get("/metrics", &[])).await;
    let metrics = String::from_utf8(metrics.body.to_vec()).unwrap();
    world.process.terminate().await;
    tokio::time::timeout(Duration::from_secs(30), world.process.ended()).await.expect("it ends");
    let spans = format!("{:?}", spans.lock());
    let (access_log, log) = (world.said("out"), world.said("err"));
    // What is looked through is what there should be, and the service has been shown the secrets.
    assert!(access_log.lines().count() > 30 && access_log.contains("key-unknown"), "{access_log}");
    assert!(log.contains("configuration in force") && log.contains("TRACE"), "{}", log.len());
    assert!(
        metrics.contains("upstream-tls")
            && spans.contains("credential-missing")
            && world.answers.contains("token-invalid")
    );
    let seen = format!("{:?}{:?}", world.service.take(), world.mutual.take());
    let shown = ["LEAK-header", "LEAKquery", &STANDARD.encode("gateway:LEAK-basic"), &*world.secrets.token];
    assert!(shown.iter().all(|secret| seen.contains(secret)), "{seen}");
    for (place, text) in [
        ("an answer", &world.answers),
        ("the access log", &access_log),
        ("a metric", &metrics),
        ("a span", &spans),
        ("the log", &log),
    ] {
        world.secrets.assert_absent(place, text);
    }
}

/// Manifests that are wrong in a way that people are wrong, each with a secret in it.
const WRONG: [(&str, &str); 30] = [
    (
        "a list for a text",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {password: [LEAK]}\n",
    ),
    (
        "an object for a text",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {password: {LEAK: 1}}\n",
    ),
    ("a text for an object", "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: LEAK\n"),
    ("no base64", "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\ndata: {password: 'LEAK!!'}\n"),
    (
        "a misspelt field",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringdata: {password: LEAK}\n",
    ),
    (
        "a misspelt kind",
        "apiVersion: v1\nkind: Secrets\nmetadata: {name: s, namespace: shop}\nstringData: {password: LEAK}\n",
    ),
    ("no kind", "apiVersion: v1\nmetadata: {name: s, namespace: shop}\nstringData: {password: LEAK}\n"),
    ("no name", "apiVersion: v1\nkind: Secret\nstringData: {password: LEAK}\n"),
    (
        "a brace that is not closed",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {password: LEAK\n",
    ),
    (
        "a quote that is not closed",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password: 'LEAK\n",
    ),
    (
        "one member twice",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData: {password: LEAK1, password: LEAK2}\n",
    ),
    (
        "an asterisk in front",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password: *LEAK\n",
    ),
    (
        "an exclamation mark in front",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password: !LEAK\n",
    ),
    (
        "an ampersand in front",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password: &LEAK\n",
    ),
    (
        "an at sign in front",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password: @LEAK\n",
    ),
    (
        "a per cent sign in front",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password: %LEAK\n",
    ),
    (
        "a bar in front",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password: |LEAK\n",
    ),
    (
        "a colon within",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password: LEAK: LEAK\n",
    ),
    (
        "a line too far left",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: s, namespace: shop}\nstringData:\n  password:\nLEAK\n",
    ),
    (
        "a password beside its reference",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Backend\nmetadata: {name: b, namespace: shop}\nspec: {endpoints: [{address: {ip: 127.0.0.1, port: 1}}], credential: {basic: {username: u, password: LEAK}}}\n",
    ),
    (
        "a password for a reference",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Backend\nmetadata: {name: b, namespace: shop}\nspec: {endpoints: [{address: {ip: 127.0.0.1, port: 1}}], credential: {basic: {secretRef: LEAK}}}\n",
    ),
    (
        "a key for a reference",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Backend\nmetadata: {name: b, namespace: shop}\nspec: {endpoints: [{address: {ip: 127.0.0.1, port: 1}}], credential: {header: {name: X-Key, value: LEAK}}}\n",
    ),
    (
        "a key for its digest",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: c, namespace: shop}\nspec: {scope: {apis: [{kind: HTTPRoute, name: orders}]}, keys: {sha256: {primary: sp_LEAKaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa}}}\n",
    ),
    (
        "a key beside",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: c, namespace: shop}\nspec: {scope: {apis: [{kind: HTTPRoute, name: orders}]}, keys: {primary: LEAK}}\n",
    ),
    (
        "a key for all keys",
        "apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: c, namespace: shop}\nspec: {scope: {apis: [{kind: HTTPRoute, name: orders}]}, keys: LEAK}\n",
    ),
    (
        "a key that is too short",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: k, namespace: shop}\nstringData: {primary: LEAK}\n---\napiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: c, namespace: shop}\nspec: {scope: {apis: [{kind: HTTPRoute, name: orders}]}, keys: {secretName: k}}\n",
    ),
    (
        "a certificate that is none",
        "apiVersion: v1\nkind: Secret\ntype: kubernetes.io/tls\nmetadata: {name: front, namespace: shop}\nstringData: {tls.crt: LEAK, tls.key: \"-----BEGIN PRIVATE KEY-----\\nLEAK\\n-----END PRIVATE KEY-----\\n\"}\n",
    ),
    (
        "a credential of more than one line",
        "apiVersion: v1\nkind: Secret\nmetadata: {name: v, namespace: shop}\nstringData: {key: \"LEAK\\nLEAK\"}\n---\napiVersion: sallyport.dev/v1alpha1\nkind: Backend\nmetadata: {name: b, namespace: shop}\nspec: {endpoints: [{address: {ip: 127.0.0.1, port: 1}}], credential: {header: {name: X-Key, secretRef: {name: v, key: key}}}}\n",
    ),
    (
        "a private key set",
        "apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public}]\n  authentication: [{name: a, jwt: {issuer: 'https://a.example.com', audiences: [a], keys: {inline: '{\"keys\":[{\"kty\":\"oct\",\"kid\":\"k\",\"k\":\"LEAK\"}]}'}}}]\n",
    ),
    (
        "a key set that is no JSON",
        "apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {name: p, namespace: shop}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public}]\n  authentication: [{name: a, jwt: {issuer: 'https://a.example.com', audiences: [a], keys: {inline: '{\"keys\": LEAK'}}}]\n",
    ),
];

#[tokio::test]
async fn no_finding_and_no_status_repeats_a_secret() {
    let mut gateway = Gateway::start(BOTH_DOORS).await;
    let mut wrong = Vec::new();
    for (what, manifest) in WRONG {
        gateway.write("wrong.yaml", manifest);
        let said = format!("{:?} {:?}", gateway.diagnostics, gateway.statuses);
        assert!(!gateway.diagnostics.is_empty(), "{what}");
        wrong.extend(said.contains(MARK).then(|| format!("{what}: {said}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

async fn validate(folder: &Path, output: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    let ended =
        command.args(["validate", "-o", output, "-f"]).arg(folder).env("RUST_LOG", "trace").output().await.unwrap();
    String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).into_owned()
}

#[rstest]
#[tokio::test]
async fn validate_repeats_no_secret(#[values("table", "json")] output: &str) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("doors.yaml"), BOTH_DOORS).unwrap();
    let mut wrong = Vec::new();
    for (what, manifest) in WRONG {
        std::fs::write(folder.path().join("wrong.yaml"), manifest).unwrap();
        let said = validate(folder.path(), output).await;
        assert!(said.contains("wrong.yaml") || said.contains("doors.yaml"), "{what}: {said}");
        wrong.extend(said.contains(MARK).then(|| format!("{what}: {said}")));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The same in the log of a gateway that hears of each of them while it runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_of_a_gateway_repeats_no_secret_of_its_manifests() {
    let log = tempfile::tempdir().unwrap();
    let path = log.path().join("err");
    let file = File::create(&path).unwrap();
    let process = Process::start_with("true", BOTH_DOORS, |command| {
        command.env("RUST_LOG", "trace").stderr(file);
    });
    let process = process.await;
    let said = || String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
    for (what, manifest) in WRONG.iter().step_by(2) {
        let before = said().matches("configuration in force").count();
        process.write("wrong.yaml", manifest);
        let heard = async {
            while said().matches("configuration in force").count() == before {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), heard).await.unwrap_or_else(|_| panic!("{what} is not heard of"));
    }
    let said = said();
    assert!(said.contains("wrong.yaml"), "{said}");
    let line = said.lines().find(|line| line.contains(MARK));
    assert_eq!(line, None);
}
