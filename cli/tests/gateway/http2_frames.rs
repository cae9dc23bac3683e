//! HTTP/2 by raw frames: heads that must not be carried down to HTTP/1.1, and floods.

use std::time::Duration;

use rstest::rstest;

use crate::kit::caller::{HOST, get, send};
use crate::kit::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Frames, HEADERS, Outcome, PADDED, PING, PRIORITY, RST_STREAM,
    SETTINGS, WINDOW_UPDATE, WITH_PRIORITY, frame, head, indexed, remembered,
};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, gateway_with, policy, route};
use crate::kit::process::Process;
use crate::kit::service::Service;

const PROTOCOL_ERROR: u32 = 1;

fn all_to(service: &Service, protocol: &str) -> String {
    let all = route("all", "shop").replace("value: /all", "value: /");
    let shop = backend("shop", service.address, &format!("protocol: {protocol}"));
    [GATEWAY, &all, &shop, &policy("all", OPEN)].concat()
}

type Field = (&'static str, &'static str);

const METHOD: Field = (":method", "GET");
const SCHEME: Field = (":scheme", "http");
const AUTHORITY: Field = (":authority", HOST);
const PATH: Field = (":path", "/200");

/// A good head, with this field behind it.
fn and(field: Field) -> Vec<Field> {
    vec![METHOD, SCHEME, AUTHORITY, PATH, field]
}

/// A good head, with this field in the place of the one of its name.
fn with(field: Field) -> Vec<Field> {
    [METHOD, SCHEME, AUTHORITY, PATH].into_iter().map(|one| if one.0 == field.0 { field } else { one }).collect()
}

/// A good head without the field of this name.
fn without(name: &str) -> Vec<Field> {
    [METHOD, SCHEME, AUTHORITY, PATH].into_iter().filter(|one| one.0 != name).collect()
}

/// What becomes of the head on a connection of its own.
async fn outcome(gateway: &Gateway, fields: &[Field]) -> Outcome {
    let mut frames = Frames::open(gateway.http(), &[]).await;
    frames.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(fields))).await;
    frames.outcome(1).await
}

async fn check(expected: Outcome, cases: &[Vec<Field>]) {
    let service = Service::start().await;
    let gateway = Gateway::start(&all_to(&service, "HTTP11")).await;
    let mut neighbour = Frames::open(gateway.http(), &[]).await;
    let mut wrong = Vec::new();
    for fields in cases {
        let found = outcome(&gateway, fields).await;
        if found != expected || service.count() > 0 {
            wrong.push(format!("{fields:?}: {found:?}, {:?}", service.take()));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    neighbour.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(&with(PATH)))).await;
    assert_eq!(neighbour.outcome(1).await, Outcome::Answer(200), "others are served");
}

/// What is no field ends the connection: after it nobody knows what its table of fields holds.
#[tokio::test]
async fn what_is_no_field_ends_its_connection() {
    let cases = [
        and(("x-a", "a\r\nx-injected: 1")),
        and(("x-a", "a\nx-injected: 1")),
        and(("x-a", "a\rx-injected: 1")),
        and(("x-a", "a\0b")),
        and(("x-a", "a\u{7f}")),
        and(("x-a\r\nx-injected", "1")),
        and(("x-a: 1\r\nx-injected", "1")),
        and(("x a", "1")),
        and(("x-a:", "1")),
        and(("x-a\0", "1")),
        and(("", "1")),
        and(("X-Upper", "1")),
        and(("x-\u{e4}", "1")),
        and((":unknown", "1")),
        and(("authorization", "Bearer a\r\nx: 1")),
        and(("cookie", "a=1\r\nx: 1")),
        with((":method", "GET / HTTP/1.1\r\nx: ")),
        with((":method", "GE T")),
        with((":method", "")),
    ];
    check(Outcome::Goodbye(PROTOCOL_ERROR), &cases).await;
}

/// What is malformed as a request ends its stream (RFC 9113, 8.1.1).
#[tokio::test]
async fn what_is_no_request_ends_its_stream() {
    let cases = [
        with((":path", "/a b")),
        with((":path", "/200 HTTP/1.1\r\nx-injected: 1\r\n\r\n")),
        with((":path", "/200?x=\r\n")),
        with((":path", "/2\u{0}00")),
        with((":path", "")),
        with((":path", "200")),
        with((":path", "http://evil.example.com/200")),
        with((":method", "CONNECT")),
        with((":scheme", "http://x")),
        with((":authority", "")),
        with((":authority", "api.example.com\r\nx-injected: 1")),
        with((":authority", "api.example.com/path")),
        with((":authority", "api.example.com:80:80")),
        with((":authority", "api.example.com, evil.example.com")),
        with((":authority", "api.example.com evil")),
        without(":path"),
        without(":method"),
        without(":scheme"),
        and((":path", "/other")),
        and((":method", "POST")),
        and((":authority", "evil.example.com")),
        and((":scheme", "https")),
        and((":status", "200")),
        and((":protocol", "websocket")),
        vec![METHOD, SCHEME, AUTHORITY, ("x-a", "1"), PATH],
        vec![("x-a", "1"), METHOD, SCHEME, AUTHORITY, PATH],
        and(("transfer-encoding", "chunked")),
        and(("connection", "close")),
        and(("connection", "x-user")),
        and(("keep-alive", "5")),
        and(("proxy-connection", "keep-alive")),
        and(("upgrade", "websocket")),
        and(("te", "gzip")),
        and(("content-length", "5")),
        and(("content-length", "+0")),
        and(("content-length", "0, 0")),
        and(("content-length", "-1")),
    ];
    check(Outcome::Reset(PROTOCOL_ERROR), &cases).await;
}

#[tokio::test]
async fn what_could_be_read_in_two_ways_is_answered_400() {
    let cases = [
        and(("host", "evil.example.com")),
        and(("host", "api.example.com:80")),
        and(("host", "")),
        vec![METHOD, SCHEME, PATH, ("host", HOST), ("host", HOST)],
        vec![METHOD, SCHEME, PATH, ("host", "")],
        without(":authority"),
        with((":authority", "user@api.example.com")),
        with((":path", "/\u{e4}")),
        with((":path", "/..%2f200")),
        with((":path", "*")),
        with((":method", "SALLYPORT-REFUSED")),
        and(("x-a", " a")),
        and(("x-a", "a ")),
        and(("x-a", "\ta")),
        and(("x-a", "a\t")),
        and(("x-a", " ")),
        and(("authorization", " Bearer a")),
        vec![METHOD, SCHEME, AUTHORITY, PATH, ("authorization", "Bearer a"), ("authorization", "Bearer a")],
    ];
    check(Outcome::Answer(400), &cases).await;
}

#[tokio::test]
async fn an_expectation_that_nobody_knows_is_answered_417() {
    check(Outcome::Answer(417), &[and(("expect", "200-ok")), and(("expect", "100-continue, 200-ok"))]).await;
}

/// What is odd but clear is served, and the service reads it in the one form that was judged.
#[tokio::test]
async fn what_is_odd_but_clear_is_served_in_one_form() {
    let service = Service::start().await;
    let gateway = Gateway::start(&all_to(&service, "HTTP11")).await;
    let cases: [(Vec<Field>, &str); 10] = [
        (with((":path", "/200#fragment")), "/200"),
        (with((":path", "//evil.example.com/200")), "/evil.example.com/200"),
        (with((":path", "/%32%30%30")), "/200"),
        (with((":scheme", "ftp")), "/200"),
        (with((":method", "OPTIONS")), "/200"),
        (and(("host", HOST)), "/200"),
        (and(("host", "API.example.com")), "/200"),
        (vec![METHOD, SCHEME, PATH, ("host", HOST)], "/200"),
        (and(("te", "trailers")), "/200"),
        (and(("http2-settings", "AAMAAABkAAQAAP__")), "/200"),
    ];
    for (fields, target) in cases {
        let found = outcome(&gateway, &fields).await;
        assert_eq!(found, Outcome::Answer(200), "{fields:?}");
        let seen = service.one();
        assert_eq!((&*seen.target, &*seen.authority), (target, HOST), "{fields:?}");
        assert_eq!(seen.header("x-forwarded-proto"), Some("http"), "not what the caller says");
        assert!(["http2-settings", "upgrade"].iter().all(|name| seen.header(name).is_none()), "{seen:?}");
        // `TE` is of the connection, and the gateway's own (RFC 9110, 10.1.4).
        assert_eq!(seen.header("connection"), seen.header("te").map(|_| "te"), "{seen:?}");
    }
}

/// A value with space around it is another to a rule that matches it, and the same to a service that reads HTTP/1.1.
#[tokio::test]
async fn space_around_a_value_leads_past_no_rule() {
    let service = Service::start().await;
    let guarded = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: guarded, namespace: shop}
spec:
  parentRefs: [{name: public}]
  rules:
  - matches: [{headers: [{name: X-Admin, value: 'true'}]}]
    backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]
";
    let by_key = policy("guarded", "authentication: [{name: customers, subscriptionKey: {}}]");
    let gateway = Gateway::start(&[&*all_to(&service, "HTTP11"), guarded, &by_key].concat()).await;
    assert_eq!(outcome(&gateway, &and(("x-admin", "true"))).await, Outcome::Answer(401));
    for value in [" true", "true ", "\ttrue", "true\t"] {
        assert_eq!(outcome(&gateway, &and(("x-admin", value))).await, Outcome::Answer(400), "{value:?}");
    }
    assert_eq!(service.count(), 0);
}

/// A stream that is ended takes no other with it.
#[tokio::test]
async fn a_connection_goes_on_after_a_stream_that_was_no_request() {
    let service = Service::start().await;
    let gateway = Gateway::start(&all_to(&service, "HTTP11")).await;
    let mut frames = Frames::open(gateway.http(), &[]).await;
    let bad = [with((":path", "/a b")), and(("connection", "close")), without(":path"), and((":path", "/other"))];
    for (number, fields) in (0..).zip(&bad) {
        frames.send(&frame(HEADERS, END_STREAM | END_HEADERS, number * 2 + 1, &head(fields))).await;
        assert_eq!(frames.outcome(number * 2 + 1).await, Outcome::Reset(PROTOCOL_ERROR), "{fields:?}");
    }
    frames.send(&frame(HEADERS, END_STREAM | END_HEADERS, 99, &head(&with(PATH)))).await;
    assert_eq!(frames.outcome(99).await, Outcome::Answer(200));
    assert_eq!(service.count(), 1);
}

/// What comes of a request whose trailer section holds this field.
async fn with_trailer(gateway: &Gateway, field: Field) -> Outcome {
    let mut frames = Frames::open(gateway.http(), &[]).await;
    let post = head(&[(":method", "POST"), SCHEME, AUTHORITY, PATH]);
    let sent = [
        frame(HEADERS, END_HEADERS, 1, &post),
        frame(DATA, 0, 1, b"body"),
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &head(&[field])),
    ];
    frames.send(&sent.concat()).await;
    frames.outcome(1).await
}

#[rstest]
#[tokio::test]
async fn a_trailer_that_is_no_field_makes_no_whole_request(#[values("HTTP11", "H2C")] protocol: &str) {
    let service = Service::start().await;
    let gateway = Gateway::start(&all_to(&service, protocol)).await;
    let bad =
        [("X-Upper", "1"), ("x-a", "a\r\nx-injected: 1"), ("connection", "close"), ("transfer-encoding", "chunked")];
    for field in bad {
        let outcome = with_trailer(&gateway, field).await;
        assert!(matches!(outcome, Outcome::Reset(_) | Outcome::Goodbye(_)), "{field:?}: {outcome:?}");
        // The service hears of the end a moment later.
        for _ in 0..100 {
            if service.take().iter().inspect(|seen| assert_eq!(seen.body, "broken", "{field:?}")).count() > 0 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// The head has said where the request goes; what looks like another in its trailers is dropped.
#[rstest]
#[tokio::test]
async fn a_trailer_changes_nothing_of_where_a_request_goes(#[values("HTTP11", "H2C")] protocol: &str) {
    let service = Service::start().await;
    let gateway = Gateway::start(&all_to(&service, protocol)).await;
    for field in [(":path", "/other"), (":authority", "evil.example.com"), (":method", "DELETE"), (":status", "500")] {
        let outcome = with_trailer(&gateway, field).await;
        assert!(matches!(outcome, Outcome::Reset(_) | Outcome::Answer(200)), "{field:?}: {outcome:?}");
        for seen in service.take() {
            assert_eq!((&*seen.method, &*seen.target, &*seen.authority), ("POST", "/200", HOST), "{field:?}");
            assert!(seen.trailers.is_none_or(|trailers| trailers.is_empty()), "{field:?}");
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flood {
    /// A request and its cancellation, over and over.
    RapidReset,
    /// The gateway is made to cancel: by a window that does not grow.
    MadeToResetByWindows,
    /// By data that nobody expects.
    MadeToResetByData,
    /// By a length that the body exceeds.
    MadeToResetByLength,
    /// A head that never ends.
    Continuation,
    /// The same with padding and a priority in its first frame.
    PaddedContinuation,
    /// Pieces of a head that hold nothing.
    EmptyContinuation,
    EmptyData,
    /// Data of which all but a byte is padding.
    PaddedData,
    Ping,
    Settings,
    Priority,
    Window,
    Unknown,
    /// Each head refers to one large field again and again.
    HeaderBomb,
}

impl Flood {
    fn odd(number: u32) -> u32 {
        number * 2 + 1
    }

    /// What is sent as the one with this number.
    fn make(self, number: u32) -> Vec<u8> {
        let stream = Self::odd(number);
        let get = head(&with(PATH));
        let post = head(&[(":method", "POST"), SCHEME, AUTHORITY, PATH, ("content-length", "1")]);
        match self {
            Self::RapidReset => [
                frame(HEADERS, END_STREAM | END_HEADERS, stream, &get),
                frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()),
            ]
            .concat(),
            Self::MadeToResetByWindows => {
                [frame(HEADERS, END_HEADERS, stream, &post), frame(WINDOW_UPDATE, 0, stream, &[0; 4])].concat()
            }
            Self::MadeToResetByData => {
                [frame(HEADERS, END_STREAM | END_HEADERS, stream, &get), frame(DATA, 0, stream, b"x")].concat()
            }
            Self::MadeToResetByLength => {
                [frame(HEADERS, END_HEADERS, stream, &post), frame(DATA, 0, stream, b"too much")].concat()
            }
            Self::Continuation if number == 0 => frame(HEADERS, END_STREAM, 1, &get),
            Self::Continuation => frame(CONTINUATION, 0, 1, &head(&[("x-fill", &"x".repeat(1000))])),
            Self::PaddedContinuation if number == 0 => {
                let padded = [&[10][..], &[0, 0, 0, 0, 15], &get, &[0; 10]].concat();
                frame(HEADERS, END_STREAM | PADDED | WITH_PRIORITY, 1, &padded)
            }
            Self::PaddedContinuation => frame(CONTINUATION, 0, 1, &[0; 1000]),
            Self::EmptyContinuation if number == 0 => frame(HEADERS, END_STREAM, 1, &get),
            Self::EmptyContinuation => frame(CONTINUATION, 0, 1, &[]),
            Self::EmptyData | Self::PaddedData if number == 0 => {
                frame(HEADERS, END_HEADERS, 1, &head(&[(":method", "POST"), SCHEME, AUTHORITY, PATH]))
            }
            Self::EmptyData => frame(DATA, 0, 1, &[]),
            Self::PaddedData => frame(DATA, PADDED, 1, &[&[200, b'x'][..], &[0; 200]].concat()),
            Self::Ping => frame(PING, 0, 0, &[0; 8]),
            Self::Settings => frame(SETTINGS, 0, 0, &[]),
            Self::Priority => frame(PRIORITY, 0, stream, &[0, 0, 0, 0, 15]),
            Self::Window => frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
            Self::Unknown => frame(0x42, 0, 0, &[0; 100]),
            Self::HeaderBomb => {
                let large = remembered("x-bomb", &"x".repeat(3900));
                let bomb = [get, large, vec![indexed(62); 10_000]].concat();
                frame(HEADERS, END_STREAM | END_HEADERS, stream, &bomb)
            }
        }
    }
}

/// Beyond what a gateway in use varies by.
const MOST_GROWN_KB: usize = 16 * 1024;
const MANY: u32 = 10_000;

/// Memory of a process of its own is measured: other tests do not count.
async fn flooded(flood: Flood) -> bool {
    let service = Service::start().await;
    let process = Process::start("true", &all_to(&service, "HTTP11")).await;
    assert_eq!(send(process.http, get("/200", &[])).await.status, 200);
    let before = process.resident_kb();
    let ended = Frames::open(process.http, &[]).await.flood(|number| flood.make(number), MANY).await;
    // A caller that takes no answer either, not even to its pings.
    let mut unread = Frames::open(process.http, &[(INITIAL_WINDOW, 0)]).await;
    unread.flood_unread(|number| flood.make(number), MANY).await;
    let grown = process.resident_kb().saturating_sub(before);
    assert!(grown < MOST_GROWN_KB, "{flood:?}: {grown} kB");
    assert_eq!(send(process.http, get("/200", &[])).await.status, 200, "others are served");
    assert!(service.count() <= 300, "{flood:?} reaches the service {} times", service.count());
    ended
}

#[rstest]
#[case(Flood::RapidReset)]
#[case(Flood::MadeToResetByWindows)]
#[case(Flood::MadeToResetByData)]
#[case(Flood::MadeToResetByLength)]
#[case(Flood::Continuation)]
#[case(Flood::PaddedContinuation)]
#[case(Flood::EmptyContinuation)]
#[case(Flood::EmptyData)]
#[case(Flood::HeaderBomb)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_costs_ends_its_connection_and_nobody_elses(#[case] flood: Flood) {
    assert!(flooded(flood).await, "the connection stands");
}

/// A caller that takes its requests back one after the other, each when it has reached the service; also one that does not hear that its
/// connection ends.
#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_taken_back_end_their_connection(#[values(false, true)] after_goodbye: bool) {
    let service = Service::start().await;
    let bounds = gateway_with("{bounds: {idleTimeout: 60s, headerTimeout: 300ms}}");
    let gateway = Gateway::start(&all_to(&service, "HTTP11").replace(GATEWAY, &bounds)).await;
    let upload = head(&[(":method", "POST"), SCHEME, AUTHORITY, PATH, ("content-length", "9")]);
    let mut frames = Frames::open(gateway.http(), &[]).await;
    // Requests under way keep the connection; a head that does not end brings the goodbye about.
    assert!(frames.send(&frame(HEADERS, END_HEADERS, 1, &upload)).await);
    if after_goodbye {
        assert!(frames.send(&frame(HEADERS, END_STREAM, 3, &head(&with(PATH)))).await);
        assert_eq!(frames.goodbye().await, Some(0));
        assert!(frames.send(&frame(CONTINUATION, END_HEADERS, 3, &[])).await);
    }
    let mut taken_back = 0;
    for stream in (5..).step_by(2).take(1_000) {
        let is_taken = frames.send(&frame(HEADERS, END_HEADERS, stream, &upload)).await;
        tokio::time::sleep(Duration::from_millis(1)).await;
        if !is_taken || !frames.send(&frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())).await {
            break;
        }
        taken_back += 1;
    }
    // On a busy machine several come at once, of which fewer are borne.
    assert!(taken_back < 900, "{taken_back}");
    assert_eq!(send(gateway.http(), get("/200", &[])).await.status, 200, "others are served");
}

/// What is answered with as little as it costs to send may go on; the gateway gathers none of it.
#[rstest]
#[case(Flood::PaddedData)]
#[case(Flood::Ping)]
#[case(Flood::Settings)]
#[case(Flood::Priority)]
#[case(Flood::Window)]
#[case(Flood::Unknown)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_that_costs_little_takes_no_memory(#[case] flood: Flood) {
    let _may_stand = flooded(flood).await;
}

/// Settings by number (RFC 9113, 6.5.2).
const INITIAL_WINDOW: u16 = 4;

/// Endless answers on many streams, of which the caller takes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_takes_are_not_gathered() {
    let service = Service::start().await;
    let process = Process::start("true", &all_to(&service, "HTTP11")).await;
    assert_eq!(send(process.http, get("/200", &[])).await.status, 200);
    let before = process.resident_kb();
    let mut frames = Frames::open(process.http, &[(INITIAL_WINDOW, 0)]).await;
    for number in 0..100 {
        frames.send(&frame(HEADERS, END_STREAM | END_HEADERS, number * 2 + 1, &head(&with((":path", "/flood"))))).await;
    }
    while service.count() < 101 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    let grown = process.resident_kb().saturating_sub(before);
    assert!(grown < 2 * MOST_GROWN_KB, "{grown} kB");
    assert_eq!(send(process.http, get("/200", &[])).await.status, 200, "others are served");
}
