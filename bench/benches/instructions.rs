//! Instructions that the hot functions take, counted under valgrind: nearly the same on every machine and at every load.
//!
//! Signatures and digests are left out: they are aws-lc's, and take whichever path the processor offers. Tables have the sizes
//! of the targets, so that a look-up that has become a scan is seen at once.

#![expect(unused_qualifications, reason = "gungraun's macros write whole paths")]

use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gungraun::{library_benchmark, library_benchmark_group, main};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sallyport_dataplane::clock::UnixMs;
use sallyport_dataplane::digest::Digest;
use sallyport_dataplane::gate::{GateBounds, GatedIo, HeadBounds};
use sallyport_dataplane::jwt::{self, KeyRing, Rules, TokenCache};
use sallyport_dataplane::path::{self, Query};
use sallyport_dataplane::pipeline::hygiene;
use sallyport_dataplane::route::{Asked, Found, PreparedRoute, RouteTable};
use sallyport_dataplane::runtime::keys::{Keys, Subscription};
use sallyport_snapshot::v1::{self, r#match::Path, resource::Body, subscription};
use sallyport_snapshot::{Difference, Snapshot};
use tokio::io::{AsyncRead as _, Empty, ReadBuf};

/// Look-ups in one count: hash tables are seeded anew in each process, and the average over so many moves little.
const LOOKUPS: u32 = 64;

const HEAD: &[u8] = b"GET /orders/17?expand=lines HTTP/1.1\r\nHost: api.example.com\r\nUser-Agent: curl/8.14.1\r\n\
    Accept: application/json\r\nAccept-Encoding: gzip, br\r\nAuthorization: Bearer 0123456789abcdef0123456789abcdef\r\n\
    Sallyport-Key: sp_0123456789abcdef0123456789abcdef\r\nX-Request-Id: 6f1c6ea0\r\n\r\n";

/// The token and key of RFC 7515, A.3, and a moment at which it was valid.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const KEY_SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const TOKEN_TIME: UnixMs = UnixMs(1_300_000_000_000);

#[library_benchmark]
#[bench::plain("/v1/orders/17/lines/3")]
#[bench::escaped("//v1/orders/%31%37/caf%c3%a9")]
fn canonical_path(raw: &str) -> usize {
    path::canonical(black_box(raw)).map_or(0, |path| path.len())
}

#[library_benchmark]
#[bench::among_1(args = (1), setup = routes)]
#[bench::among_10000(args = (10_000), setup = routes)]
fn route_match((table, headers, path): (RouteTable, HeaderMap, String)) -> (RouteTable, Option<Found>, HeaderMap) {
    let asked = Asked {
        host: "api.example.com",
        path: black_box(&path),
        method: &Method::GET,
        headers: &headers,
        query: Query(Some("expand=lines")),
    };
    let found = table.find(&asked);
    (table, found, headers)
}

#[library_benchmark]
#[bench::among_1(args = (1), setup = keys)]
#[bench::among_100000(args = (100_000), setup = keys)]
fn key_lookups((keys, asked): (Keys, Vec<Digest>)) -> (Keys, usize) {
    let found = asked.iter().filter(|digest| keys.find(black_box(digest)).is_some()).count();
    (keys, found)
}

#[library_benchmark]
#[bench::among_1(args = (1), setup = tokens)]
#[bench::among_2000(args = (2_000), setup = tokens)]
fn token_hits((cache, cases): (TokenCache, Vec<jwt::Case>)) -> (TokenCache, usize) {
    let found = cases.iter().filter(|case| cache.find(black_box(case), TOKEN_TIME).is_some()).count();
    (cache, found)
}

#[library_benchmark]
#[bench::typical(args = (&[]), setup = headers)]
#[bench::forged(args = (&[("connection", "close, x-drop"), ("x-drop", "1"), ("x_user_id", "root")]), setup = headers)]
fn header_hygiene(mut headers: HeaderMap) -> HeaderMap {
    let identity = [HeaderName::from_static("x-user-id"), HeaderName::from_static("x-user-email")];
    hygiene::remove_hop_by_hop(black_box(&mut headers));
    hygiene::join_cookies(&mut headers);
    hygiene::remove_claims(&mut headers, identity.iter());
    headers
}

#[library_benchmark]
#[bench::typical(args = (HEAD), setup = gate)]
fn gate_head((mut gate, mut room): (GatedIo<Empty>, Vec<u8>)) -> (GatedIo<Empty>, usize) {
    let mut read = ReadBuf::new(&mut room);
    let polled = Pin::new(&mut gate).poll_read(&mut Context::from_waker(Waker::noop()), black_box(&mut read));
    assert!(matches!(polled, Poll::Ready(Ok(()))), "a whole head is handed on at once");
    let count = read.filled().len();
    (gate, count)
}

#[library_benchmark]
#[bench::one_of_10000(args = (10_000), setup = snapshots)]
fn snapshot_difference((old, new): (Snapshot, Snapshot)) -> (Snapshot, Snapshot, Difference) {
    let difference = Difference::between(black_box(&old), &new);
    (old, new, difference)
}

library_benchmark_group!(
    name = hot,
    benchmarks = [canonical_path, route_match, key_lookups, token_hits, header_hygiene, gate_head, snapshot_difference]
);
main!(library_benchmark_groups = hot);

/// Prefixes of one host, as many as are asked for; and the path that the last of them serves.
fn routes(count: usize) -> (RouteTable, HeaderMap, String) {
    let prepared: Vec<_> = (0..count).map(|number| PreparedRoute::new(&route(number)).0).collect();
    let path = format!("/apis/{}/orders/17", count - 1);
    (RouteTable::build("infra/public/http", &prepared), headers(&[]), path)
}

fn route(number: usize) -> v1::Route {
    let prefix = v1::Match { path: Some(Path::Prefix(format!("/apis/{number}"))), ..v1::Match::default() };
    v1::Route {
        object: Some(v1::ObjectRef { kind: "HTTPRoute".into(), namespace: "shop".into(), name: number.to_string() }),
        created_ms: 0,
        attachments: vec![v1::Attachment {
            listener: "infra/public/http".into(),
            hostnames: vec!["api.example.com".into()],
            policies: vec!["all".into()],
        }],
        rules: vec![v1::Rule { name: "0".into(), matches: vec![prefix], ..v1::Rule::default() }],
    }
}

/// As many subscriptions, and the digests that are looked up among theirs.
fn keys(count: u32) -> (Keys, Vec<Digest>) {
    let mut keys = Keys::default();
    for number in 0..count {
        let built = Subscription::build(&format!("acme/{number}").into(), &subscription(number));
        keys.insert(&Arc::new(built.expect("the subscription is valid")));
    }
    (keys, (0..LOOKUPS).map(|number| digest_of(number * (count / LOOKUPS).max(1) % count)).collect())
}

fn subscription(number: u32) -> v1::Subscription {
    v1::Subscription {
        scope: Some(subscription::Scope::Product("shop/gold".into())),
        state: subscription::State::Active.into(),
        primary_sha256: Bytes::copy_from_slice(&digest_of(number)),
        ..v1::Subscription::default()
    }
}

/// As spread as a digest, without the price of one under valgrind (the finaliser of MurmurHash3).
fn digest_of(number: u32) -> Digest {
    let mut digest = [0; 32];
    for (word, salt) in digest.chunks_exact_mut(4).zip(1u32..) {
        let mut bits = number ^ salt.wrapping_mul(0x9e37_79b9);
        bits = (bits ^ (bits >> 16)).wrapping_mul(0x85eb_ca6b);
        bits = (bits ^ (bits >> 13)).wrapping_mul(0xc2b2_ae35);
        word.copy_from_slice(&(bits ^ (bits >> 16)).to_le_bytes());
    }
    digest
}

/// A cache that has seen as many tokens, and those that come again.
fn tokens(count: u32) -> (TokenCache, Vec<jwt::Case>) {
    let resource = v1::Jwt {
        issuer: "joe".into(),
        audience_unchecked: true,
        algorithms: vec!["ES256".into()],
        ..v1::Jwt::default()
    };
    let rules = Rules::build(&resource).expect("the rules are valid");
    let keys = KeyRing::parse(KEY_SET.as_bytes()).expect("the key set is the RFC's");
    let claims = Arc::new(jwt::verify(TOKEN, &rules, Some(&keys), TOKEN_TIME).expect("the token is the RFC's"));
    let cache = TokenCache::default();
    let case = |number: u32| TokenCache::case(&format!("{TOKEN}{number}"), &rules, &keys);
    for number in 0..count {
        cache.keep(case(number), &claims, TOKEN_TIME);
    }
    (cache, (0..LOOKUPS).map(|number| case(number * (count / LOOKUPS).max(1) % count)).collect())
}

/// What a browser or a client library sends, and `more`.
fn headers(more: &[(&'static str, &'static str)]) -> HeaderMap {
    let typical = [
        ("host", "api.example.com"),
        ("user-agent", "curl/8.14.1"),
        ("accept", "application/json"),
        ("accept-encoding", "gzip, br"),
        ("authorization", "Bearer 0123456789abcdef0123456789abcdef"),
        ("cookie", "session=0123456789abcdef"),
        ("x-request-id", "6f1c6ea0"),
        ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    ];
    let parsed =
        |(name, value): &(&'static str, &'static str)| (HeaderName::from_static(name), HeaderValue::from_static(value));
    typical.iter().chain(more).map(parsed).collect()
}

/// A connection whose first bytes are `head`.
fn gate(head: &[u8]) -> (GatedIo<Empty>, Vec<u8>) {
    let minute = Duration::from_secs(60);
    let bounds = GateBounds {
        head: HeadBounds { bytes: 64 * 1024, target_bytes: 8 * 1024, fields: 100 },
        head_timeout: minute,
        idle_timeout: minute,
    };
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_time().build();
    // The gate's timer needs it for as long as the process lives, which is one count.
    let event_loop = Box::leak(Box::new(event_loop.expect("a timer takes nothing of the system")));
    let _inside = event_loop.enter();
    let (gate, _control) = GatedIo::new(tokio::io::empty(), BytesMut::from(head), bounds);
    (gate, vec![0; 8 * 1024])
}

/// Two snapshots that differ in one resource.
fn snapshots(count: u32) -> (Snapshot, Snapshot) {
    let mut old = Snapshot::default();
    for number in 0..count {
        old.insert(format!("acme/{number}"), Body::Subscription(subscription(number)));
    }
    let mut new = old.clone();
    new.insert(format!("acme/{}", count / 2), Body::Subscription(subscription(count)));
    (old, new)
}
