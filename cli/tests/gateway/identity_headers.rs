//! Headers that only the gateway may say, forged in every way that a caller has.

use std::time::Duration;

use rstest::rstest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::kit::caller::{HOST, hear, raw};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route, secret, subscription};
use crate::kit::service::{Seen, Service};

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SETS: &str = "requestHeaders: {set: [{name: X-User, value: verified}]}";

/// `/orders` and `/keyed` say who calls; `/public` of the same service says nothing, and `/other` is another service's.
async fn world(service: &Service, other: &Service) -> Gateway {
    let by_key = "authentication: [{name: customers, subscriptionKey: {}}]";
    let own = "credential: {header: {name: X-Api-Key, secretRef: {name: vendor, key: key}}}";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &route("public", "shop"),
        &route("keyed", "shop"),
        &route("other", "other"),
        &route("broken", "shop").replace("kind: Backend, name: shop", "kind: Backend, name: nobody"),
        &backend("shop", service.address, own),
        // By its name: Backends of one address would be one service.
        &backend("other", other.address, "").replace("address: {ip: 127.0.0.1", "host: {name: localhost"),
        &secret("vendor", "{key: of-the-gateway}"),
        &policy("orders", &format!("{OPEN}\n{SETS}")),
        &policy("public", OPEN),
        &policy("keyed", &format!("{by_key}\n{SETS}")),
        &policy("other", OPEN),
        &policy("broken", OPEN),
        &subscription("acme", "{apis: [{kind: HTTPRoute, name: keyed}]}", &format!("{{primary: {KEY}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    assert!(gateway.said("ApiPolicy shop/orders").is_empty(), "{:?}", gateway.diagnostics);
    gateway
}

/// What a service that reads names as CGI does would take for `name`: every value, in whatever spelling.
fn read_as(seen: &Seen, name: &str) -> Vec<String> {
    let variable = |name: &str| name.to_ascii_lowercase().replace('_', "-");
    let found = seen.headers.iter().filter(|(one, _)| variable(one.as_str()) == name);
    found.map(|(_, value)| value.to_str().unwrap().to_owned()).collect()
}

/// Fields as a caller writes them, of which none may arrive.
const FORGED: [&str; 16] = [
    "X-User: forged",
    "x-user: forged",
    "X_USER: forged",
    "x_user: forged",
    "X-USER: forged",
    "X-User:forged",
    "X-User:  \t forged \t",
    "X-User: verified, forged",
    "X-User: forged\r\nX-User: forged",
    "X-User: forged\r\nX_User: forged",
    "X-User: forged\r\nConnection: X-User",
    "Connection: keep-alive, x-user\r\nX-User: forged",
    "X_User: forged\r\nConnection: x_user, x-user",
    "X-User:",
    "X-User: forged\r\nTE: trailers\r\nConnection: TE, X-User",
    "X-User: \u{66}\u{f6}rged",
];

#[tokio::test]
async fn the_service_reads_the_gateways_word_alone() {
    let (service, other) = (Service::start().await, Service::start().await);
    let gateway = world(&service, &other).await;
    for forged in FORGED {
        for (path, expected) in [("/orders", vec!["verified"]), ("/public", vec![]), ("/keyed", vec!["verified"])] {
            let asked = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nSallyport-Key: {KEY}\r\n{forged}\r\n\r\n");
            let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
            stream.write_all(asked.as_bytes()).await.unwrap();
            assert_eq!(answered(&mut stream).await, 200, "{path} {forged:?}");
            let seen = service.one();
            assert_eq!(read_as(&seen, "x-user"), expected, "{path} {forged:?}: {seen:?}");
            assert!(read_as(&seen, "sallyport-key").is_empty(), "{path} {forged:?}");
        }
    }
}

/// The status of the one answer; the connection stays open.
async fn answered(stream: &mut TcpStream) -> u16 {
    use tokio::io::AsyncReadExt as _;
    let mut bytes = [0; 4096];
    let count = tokio::time::timeout(Duration::from_secs(5), stream.read(&mut bytes)).await.unwrap().unwrap();
    String::from_utf8_lossy(&bytes[9..12.min(count)]).parse().expect("a status")
}

/// The same field is anybody's where no policy of the service says it.
#[tokio::test]
async fn what_one_service_is_told_is_of_no_concern_to_another() {
    let (service, other) = (Service::start().await, Service::start().await);
    let gateway = world(&service, &other).await;
    let asked = format!("GET /other HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nX-User: mine\r\n\r\n");
    assert_eq!(raw(gateway.http(), asked.as_bytes()).await.statuses(), [200]);
    assert_eq!(read_as(&other.one(), "x-user"), ["mine"]);
}

/// Names that are none are not carried on in the hope that the service reads them otherwise.
#[rstest]
#[case("X-User : forged")]
#[case("X-User\t: forged")]
#[case(" X-User: forged")]
#[case("A: b\r\n X-User: forged")]
#[case("A: b\r\n\tX-User: forged")]
#[case("X-User\0: forged")]
#[case("X-User: for\0ged")]
#[case("A: b\nX-User: forged")]
#[case("A: b\rX-User: forged")]
#[case(": forged")]
#[case("X-User forged")]
#[case("X User: forged")]
#[case("\u{fe}X-User: forged")]
#[tokio::test]
async fn what_is_no_field_is_refused(#[case] forged: &str) {
    let (service, other) = (Service::start().await, Service::start().await);
    let gateway = world(&service, &other).await;
    for path in ["/orders", "/public"] {
        let asked = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\n{forged}\r\n\r\n");
        let heard = raw(gateway.http(), asked.as_bytes()).await;
        assert_eq!(heard.statuses(), [400], "{forged:?}: {heard:?}");
    }
    assert_eq!(service.count(), 0);
}

/// Fields that no caller may say to any service: keys, certificates that a proxy would tell of, and the gateway's own credential.
#[rstest]
#[case("Sallyport-Key", &["/orders", "/public", "/other"])]
#[case("sallyport_key", &["/orders", "/public", "/other"])]
#[case("SALLYPORT-KEY", &["/orders", "/public", "/other"])]
#[case("Client-Cert", &["/orders", "/public", "/other"])]
#[case("client_cert", &["/orders", "/public", "/other"])]
#[case("Client-Cert-Chain", &["/orders", "/public", "/other"])]
#[case("X-Forwarded-Client-Cert", &["/orders", "/public", "/other"])]
#[case("X_Forwarded_Client_Cert", &["/orders", "/public", "/other"])]
#[case("Proxy-Authorization", &["/orders", "/public", "/other"])]
#[case("X_Api_Key", &["/orders", "/public"])]
#[case("x-api_key", &["/orders", "/public"])]
#[tokio::test]
async fn some_fields_reach_no_service(#[case] name: &str, #[case] paths: &[&str]) {
    let (service, other) = (Service::start().await, Service::start().await);
    let gateway = world(&service, &other).await;
    for path in paths {
        let asked = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{name}: forged\r\n{name}: forged too\r\n\r\n"
        );
        assert_eq!(raw(gateway.http(), asked.as_bytes()).await.statuses(), [200], "{path}");
        let seen = if *path == "/other" { other.one() } else { service.one() };
        let variable = name.to_ascii_lowercase().replace('_', "-");
        let expected: &[&str] = if variable == "x-api-key" { &["of-the-gateway"] } else { &[] };
        assert_eq!(read_as(&seen, &variable), expected, "{path}");
    }
}

/// A trailer section comes when the request has been judged.
#[tokio::test]
async fn nothing_is_forged_in_trailers() {
    let (service, other) = (Service::start().await, Service::start().await);
    let gateway = world(&service, &other).await;
    let trailers = "X-User: forged\r\nx_user: forged\r\nX-Api-Key: forged\r\nSallyport-Key: forged\r\nClient-Cert: forged\r\nX-Sum: 1";
    for path in ["/orders/trailers", "/public/trailers"] {
        let asked = format!(
            "POST {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nTE: trailers\r\nTrailer: X-User, x_user, X-Api-Key, Sallyport-Key, X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n{trailers}\r\n\r\n"
        );
        let heard = raw(gateway.http(), asked.as_bytes()).await;
        assert_eq!(heard.statuses(), [200], "{path} {heard:?}");
        let seen = service.one();
        let received = seen.trailers.clone().unwrap_or_default();
        assert!(!format!("{received:?}{:?}", seen.headers).contains("forged"), "{path} {seen:?}");
        assert_eq!(seen.body, "body");
    }
}

/// An upgrade carries a head like any other.
#[tokio::test]
async fn a_websocket_begins_with_the_gateways_word() {
    let (service, other) = (Service::start().await, Service::start().await);
    let gateway = world(&service, &other).await;
    for (path, expected) in [("/orders/ws", vec!["verified"]), ("/public/ws", vec![])] {
        let asked = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nUpgrade: websocket\r\nConnection: Upgrade, X-User\r\nX-User: forged\r\nX_User: forged\r\n\r\n"
        );
        let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
        stream.write_all(asked.as_bytes()).await.unwrap();
        assert_eq!(hear(&mut stream).await.statuses(), [101], "{path}");
        assert_eq!(read_as(&service.one(), "x-user"), expected, "{path}");
    }
}

/// Where a request is refused nothing of it reaches anybody, and the answer repeats none of it.
#[tokio::test]
async fn on_routes_that_refuse_nothing_is_carried_anywhere() {
    let (service, other) = (Service::start().await, Service::start().await);
    let gateway = world(&service, &other).await;
    for (path, status) in [("/keyed", 401), ("/broken", 500), ("/nowhere", 404), ("/orders/%2e%2e%2fpublic", 400)] {
        let asked = format!(
            "GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nX-User: forged-here\r\nX_User: forged-here\r\n\r\n"
        );
        let heard = raw(gateway.http(), asked.as_bytes()).await;
        assert_eq!(heard.statuses(), [status], "{path} {heard:?}");
        assert!(!heard.text.contains("forged-here") && !heard.text.contains("verified"), "{heard:?}");
    }
    assert_eq!((service.count(), other.count()), (0, 0));
}

/// A header becomes the gateway's word, and anybody's again, with the policy that says it.
#[tokio::test]
async fn a_header_is_guarded_from_the_moment_that_a_policy_sets_it() {
    let (service, other) = (Service::start().await, Service::start().await);
    let mut gateway = world(&service, &other).await;
    let asked = format!("GET /public HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\nX-Team: mine\r\n\r\n");
    let team = async |gateway: &Gateway| {
        assert_eq!(raw(gateway.http(), asked.as_bytes()).await.statuses(), [200]);
        read_as(&service.one(), "x-team")
    };
    assert_eq!(team(&gateway).await, ["mine"]);
    let more = "requestHeaders: {set: [{name: X-Team, value: ours}]}";
    let target = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
    gateway
        .write("team.yaml", &crate::kit::manifest::policy_on("team", target, &format!("enforcement: Floor\n{more}")));
    assert_eq!(team(&gateway).await, ["ours"], "{:?}", gateway.diagnostics);
    gateway.remove("team.yaml");
    assert_eq!(team(&gateway).await, ["mine"]);
}
