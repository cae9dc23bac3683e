//! Every example is served by `sallyport run`, and asked for what its use case promises.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

/// What is added to the listeners' ports.
const OFFSET: u16 = 8000;
const ADMIN: u16 = 9090;
/// A process that is not ready by then never will be.
const LOOKS: u32 = 1500;

const KEY: &str = "change-me-to-32-random-characters-or-more";
const SECOND_KEY: &str = "change-me-too-to-32-random-characters-or-more";

/// A request, and what comes of it.
struct Asked {
    method: &'static str,
    path: &'static str,
    headers: Vec<(&'static str, String)>,
    status: u16,
    /// Stands in the answer: the reason of a refusal, or what the service saw.
    has: Vec<&'static str>,
    /// Does not.
    lacks: Vec<&'static str>,
}

fn get(path: &'static str, status: u16) -> Asked {
    Asked { method: "GET", path, headers: vec![], status, has: vec![], lacks: vec![] }
}

/// What a browser asks before a page of this origin may `PUT`.
fn preflight(origin: &'static str) -> Asked {
    let asked = get("/orders", 204).with("origin", origin).with("access-control-request-method", "PUT");
    Asked { method: "OPTIONS", ..asked }
}

impl Asked {
    fn with(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    fn has(mut self, text: &'static str) -> Self {
        self.has.push(text);
        self
    }

    fn lacks(mut self, text: &'static str) -> Self {
        self.lacks.push(text);
        self
    }
}

/// Rules, in every spelling of what they are about.
fn of_rules() -> Vec<Asked> {
    vec![
        get("/orders", 401).has("credential-missing"),
        get("/orders", 200).with("sallyport-key", KEY),
        get("/orders", 200).with("sallyport-key", KEY).with("x-region", "eu"),
        get("/orders", 403).with("sallyport-key", KEY).with("x-region", "mars").has("X-Region is eu or us"),
        get("/orders", 403).with("sallyport-key", KEY).with("x_region", "mars"),
        get("/orders/internal/1", 403).with("sallyport-key", KEY).has("authorization-denied"),
        get("/orders/;x/internal/1", 403).with("sallyport-key", KEY),
        get("/orders/%3Bx/internal/1", 403).with("sallyport-key", KEY),
        get("/orders/internal;x/1", 403).with("sallyport-key", KEY),
    ]
}

/// What browsers ask for pages of three sites.
fn of_pages() -> Vec<Asked> {
    vec![
        preflight("https://shop.example.com")
            .with("access-control-request-headers", "sallyport-key,x-other")
            .has("access-control-allow-origin: https://shop.example.com")
            .has("access-control-allow-methods: GET, PUT")
            .has("access-control-allow-headers: content-type, sallyport-key\r")
            .has("access-control-max-age: 600"),
        preflight("https://other.example.com").lacks("access-control"),
        preflight("https://partner.example.org").lacks("access-control"),
        get("/orders", 401)
            .with("origin", "https://shop.example.com")
            .has("access-control-allow-origin: https://shop.example.com")
            .has("credential-missing"),
        get("/orders", 200)
            .with("origin", "https://partner.example.org")
            .with("sallyport-key", KEY)
            .lacks("allow-origin"),
    ]
}

/// Headers that callers would like to set themselves.
fn of_headers() -> Vec<Asked> {
    vec![
        get("/orders", 200).has("x-edge: public").has("x-region: eu").has("cache-control: no-store"),
        get("/orders", 200).with("x-wanted", "US").with("x_region", "mine").has("x-region: us").lacks("mine"),
        get("/orders", 200).with("x-user", "mine").with("x_user", "mine").lacks("mine"),
        get("/orders", 200).with("x-edge", "mine").with("x_edge", "mine").with("x-debug", "mine").lacks("mine"),
    ]
}

/// Each way in, and none of two at once.
fn of_ways_in() -> Vec<Asked> {
    vec![
        get("/orders", 401).has("Bearer").has("Sallyport-Key"),
        get("/orders", 200).with("x-api-key", KEY).lacks(KEY),
        get("/orders?key=change-me-to-32-random-characters-or-more&page=1", 200).has("/orders?page=1 ").lacks(KEY),
        get("/orders?key=change-me-to-32-random-characters-or-more", 400)
            .with("x-api-key", KEY)
            .has("credential-ambiguous"),
        get("/orders", 401).with("sallyport-key", KEY),
    ]
}

/// What is left is told, and then nothing is left.
fn of_limits() -> Vec<Asked> {
    let asked = |status| get("/orders", status).with("sallyport-key", KEY);
    vec![
        get("/orders", 401).lacks("ratelimit"),
        asked(200).has(r#"ratelimit-policy: "per-customer";q=3;w=60, "at-once";q=20;qu="concurrent-requests""#),
        asked(200).has(r#"ratelimit: "per-customer";r=1"#),
        asked(200),
        asked(429).has("rate-exceeded").has("retry-after: 6").has(r#"ratelimit: "per-customer";r=0"#),
    ]
}

fn of_logins() -> Vec<Asked> {
    let login = |pair: &str, status| {
        get("/orders", status).with("authorization", &format!("Basic {}", BASE64_STANDARD.encode(pair)))
    };
    vec![
        get("/orders", 401).has("credential-missing").has(r#"www-authenticate: Basic realm="orders", charset="UTF-8""#),
        login("anna:change-me", 200).has("x-user: anna").lacks("authorization"),
        login("ben:change-me", 200).has("x-user: ben"),
        login("anna:change-you", 401).has("login-invalid"),
        login("nobody:change-me", 401).has("login-invalid"),
        Asked { method: "POST", ..login("ben:change-me", 403).has("authorization-denied") },
        Asked { method: "POST", ..login("anna:change-me", 200) },
    ]
}

/// What comes through the firewall, and around it.
fn of_firewall() -> Vec<Asked> {
    let right = |path, status| get(path, status).with("x-origin", SECOND_KEY);
    vec![
        get("/orders", 403).has("origin-locked"),
        get("/elsewhere", 403).has("origin-locked"),
        get("/orders", 403).with("x-origin", "change-me").has("origin-locked"),
        get("/orders", 403).with("x_origin", KEY).has("origin-locked"),
        get("/orders", 200).with("x-origin", KEY).lacks(KEY),
        right("/orders", 200).with("X_Origin", SECOND_KEY).lacks(SECOND_KEY),
        right("/elsewhere", 404).has("no-route"),
        right("/orders", 403).with("x-forwarded-for", "203.0.113.66").has("address-denied"),
    ]
}

fn requests(example: &str) -> Vec<Asked> {
    match example {
        "addresses" => vec![
            get("/orders", 403).has("address-denied"),
            get("/orders", 200).with("x-forwarded-for", "203.0.113.5"),
            get("/orders", 200).with("x-forwarded-for", "203.0.113.66, 198.51.100.15"),
            get("/orders", 403).with("x-forwarded-for", "203.0.113.66"),
            get("/orders", 403).with("x-forwarded-for", "nonsense"),
        ],
        "authorization" => of_rules(),
        "basic" => of_logins(),
        "bounds" => {
            vec![
                get("/orders", 200),
                get("/orders", 431).with("x-long", &"x".repeat(5000)).has("head-too-large"),
                get("/orders", 413).with("content-length", "1025").has("body-too-large"),
            ]
        }
        "cors" => of_pages(),
        "credentials" => vec![
            get("/orders", 200).with("authorization", "Bearer mine").has("x-api-key: change-me").lacks("authorization"),
            get("/orders", 200).with("x_api_key", "mine").lacks("mine"),
        ],
        "entra-id" => vec![
            get("/orders", 401).has("credential-missing").has("www-authenticate: Bearer"),
            get("/orders", 401).with("authorization", "Bearer nonsense").has("token-invalid"),
        ],
        "external-authorization" => of_authorizer(),
        "first-policy" => of_first_policy(),
        "headers" => of_headers(),
        "ingress" => vec![
            get("/orders", 401).has("credential-missing"),
            get("/orders/1", 200).with("sallyport-key", KEY).lacks(KEY),
            get("/ordersX", 404).has("no-route"),
        ],
        "introspection" => vec![
            get("/orders", 401).has("credential-missing").has("www-authenticate: Bearer"),
            get("/orders", 401).with("authorization", "Bearer a,b").has("token-invalid"),
            get("/orders", 503).with("authorization", "Bearer opaque").has("introspection-unavailable"),
        ],
        "levels" => vec![get("/orders", 200), get("/elsewhere", 404)],
        "limits" => of_limits(),
        "origin-lock" => of_firewall(),
        "other-namespace" => vec![get("/orders", 200).has("x-api-key: change-me")],
        "product" => vec![
            get("/orders", 401).has("credential-missing"),
            get("/orders", 200).with("sallyport-key", KEY),
            get("/orders", 200).with("sallyport-key", SECOND_KEY).lacks(SECOND_KEY),
        ],
        "rehearsal" => vec![get("/orders", 200)],
        "routing" => vec![
            get("/orders/1", 200).has("GET /orders/1 "),
            get("/ordersx", 404),
            get("/v1/orders", 404).has("no-route"),
            get("/old", 301).has("/orders"),
        ],
        "token" => vec![
            get("/orders", 401).has("credential-missing").has("www-authenticate: Bearer"),
            get("/orders", 401).with("authorization", "Bearer nonsense").has("token-invalid"),
        ],
        "token-or-key" => of_ways_in(),
        other => panic!("{other}: what does the example promise?"),
    }
}

fn of_authorizer() -> Vec<Asked> {
    vec![
        get("/orders", 401).has("credential-missing"),
        get("/orders", 503).with("sallyport-key", KEY).has("external-authorization-unavailable").has("retry-after: 1"),
    ]
}

fn of_first_policy() -> Vec<Asked> {
    vec![
        get("/orders", 401).has("credential-missing").has("www-authenticate: Sallyport-Key"),
        get("/orders", 401).with("sallyport-key", "nobody").has("key-unknown"),
        get("/orders", 200).with("sallyport-key", KEY).has("authorization: Basic Z2F0ZXdheTpjaGFuZ2UtbWU=").lacks(KEY),
        get("/elsewhere", 404).has("no-route"),
    ]
}

/// As the example is, but for what lies outside of this machine.
fn manifests(example: &str, service: SocketAddr) -> String {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join(format!("examples/{example}/main.yaml"));
    let text = fs::read_to_string(file).unwrap();
    text.replace("port: 9000", &format!("port: {}", service.port()))
        .replace("https://login.example.com", "https://127.0.0.1:1")
        .replace("entraId:", "entraId:\n      authority: https://127.0.0.1:1")
        .replace("10.0.0.0/8", "127.0.0.0/8")
}

/// A service that answers with the head that it saw.
fn service() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = vec![0; 16 * 1024];
            let length = stream.read(&mut head).unwrap();
            let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
            // Whoever asked may have gone.
            let _gone = stream.write_all(answer.as_bytes()).and_then(|()| stream.write_all(&head[..length]));
        }
    });
    address
}

struct Gateway {
    child: Child,
    ip: IpAddr,
    _folder: tempfile::TempDir,
}

impl Gateway {
    fn start(number: u8, manifests: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("main.yaml"), manifests).unwrap();
        // By process and by gateway: tests run beside each other on the same ports.
        let [_, _, high, low] = std::process::id().to_be_bytes();
        let ip = IpAddr::from(Ipv4Addr::new(127, high, low, number));
        let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
        command.arg("run").arg("-f").arg(folder.path()).args(["--workers", "1", "--bind", &ip.to_string()]);
        command.args(["--port-offset", &OFFSET.to_string(), "--admin", &format!("{ip}:{ADMIN}")]);
        command.env_remove("OTEL_EXPORTER_OTLP_ENDPOINT").stdin(Stdio::null()).stderr(Stdio::null());
        let gateway = Self { child: command.spawn().unwrap(), ip, _folder: folder };
        assert!((0..LOOKS).any(|_| gateway.is_ready()), "not ready in time");
        gateway
    }

    fn is_ready(&self) -> bool {
        let ready =
            ask((self.ip, ADMIN), &get("/readyz", 200)).is_some_and(|answer| answer.starts_with("HTTP/1.1 200"));
        if !ready {
            thread::sleep(Duration::from_millis(20));
        }
        ready
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
    }
}

/// The whole answer; `None` where nobody answers.
fn ask(address: (IpAddr, u16), asked: &Asked) -> Option<String> {
    let mut stream = TcpStream::connect(address).ok()?;
    let headers: String = asked.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let Asked { method, path, .. } = asked;
    let request = format!("{method} {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n{headers}\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    // Of a connection that is reset counts what came before.
    let _reset = stream.read_to_end(&mut answer);
    (!answer.is_empty()).then(|| String::from_utf8_lossy(&answer).into_owned())
}

/// All but those for a cluster.
fn examples() -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("examples");
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name != "cluster").collect()
}

#[test]
fn every_example_does_what_its_use_case_promises() {
    let service = service();
    for (number, example) in (1..).zip(examples()) {
        let gateway = Gateway::start(number, &manifests(&example, service));
        for asked in requests(&example) {
            let answer = ask((gateway.ip, 80 + OFFSET), &asked).unwrap_or_default();
            let begin = format!("HTTP/1.1 {} ", asked.status);
            assert!(answer.starts_with(&begin), "{example} {}: {answer}", asked.path);
            for text in &asked.has {
                assert!(answer.contains(text), "{example} {} lacks {text}: {answer}", asked.path);
            }
            for text in &asked.lacks {
                assert!(!answer.contains(text), "{example} {} has {text}: {answer}", asked.path);
            }
        }
    }
}

/// The same request, explained.
fn explained(folder: &Path, asked: &Asked) -> Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    command.arg("explain").arg("-f").arg(folder).args(["-X", asked.method, "-o", "json"]);
    for (name, value) in &asked.headers {
        command.arg("-H").arg(format!("{name}: {value}"));
    }
    let output = command.arg(format!("http://a.example{}", asked.path)).output().unwrap();
    let told = serde_json::from_slice(&output.stdout);
    told.unwrap_or_else(|_| panic!("{}: {}", asked.path, String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn what_is_explained_is_what_is_answered() {
    let service = service();
    for example in examples() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("main.yaml"), manifests(&example, service)).unwrap();
        // What has been used before nobody knows who explains.
        for asked in requests(&example).iter().filter(|asked| asked.status != 429) {
            let told = explained(folder.path(), asked);
            let decision = &told["decision"];
            // Others would be asked.
            if decision["conditional"] == true {
                continue;
            }
            let is_forwarded = asked.status == 200;
            assert_eq!(decision["forwarded"], is_forwarded, "{example} {}: {told:#}", asked.path);
            if !is_forwarded {
                assert_eq!(decision["status"], asked.status, "{example} {}: {told:#}", asked.path);
            }
            let secrets = [KEY, SECOND_KEY, "change-me"];
            assert!(secrets.iter().all(|secret| !told.to_string().contains(secret)), "{told:#}");
        }
    }
}

#[test]
fn a_rehearsal_is_told_by_the_metrics() {
    let gateway = Gateway::start(101, &manifests("rehearsal", service()));
    let refusals = |reason: &str| {
        let metrics = ask((gateway.ip, ADMIN), &get("/metrics", 200)).unwrap();
        let begin = format!("sallyport_rehearsed_refusals_total{{reason=\"{reason}\"}} ");
        metrics.lines().find_map(|line| line.strip_prefix(&begin)).unwrap().trim().to_owned()
    };
    assert_eq!(refusals("credential-missing"), "0");
    ask((gateway.ip, 80 + OFFSET), &get("/orders", 200)).unwrap();
    assert_eq!((refusals("credential-missing").as_str(), refusals("key-unknown").as_str()), ("1", "0"));
}
