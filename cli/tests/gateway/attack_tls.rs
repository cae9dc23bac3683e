//! Attacks on the handshake: nothing but a whole, current one with a name that is served reaches HTTP.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, NamedGroup};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::caller::{get, over, raw, tls};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::secured::Secured;
use crate::kit::service::Service;

/// Type of a record that carries an alert, and one that carries a handshake (RFC 8446, 5.1).
const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// What the gateway answers to the first bytes of a connection, until it closes or is silent.
async fn answer(secured: &Secured, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = TcpStream::connect(secured.gateway.https()).await.unwrap();
    let _early = stream.write_all(bytes).await;
    let (mut heard, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match tokio::time::timeout(Duration::from_millis(700), stream.read(&mut buffer)).await {
            Ok(Ok(0) | Err(_)) => return (heard, true),
            Ok(Ok(count)) => heard.extend_from_slice(&buffer[..count]),
            Err(_) => return (heard, false),
        }
    }
}

/// A ClientHello for `name`, as a caller of today sends it: one handshake message in one record.
fn hello(secured: &Secured, name: &str) -> Vec<u8> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut caller = ClientConnection::new(Arc::new(secured.authority.client(&["h2"])), name).unwrap();
    let mut record = Vec::new();
    caller.write_tls(&mut record).unwrap();
    record
}

/// The same message in records of `size` bytes each.
fn fragmented(record: &[u8], size: usize) -> Vec<u8> {
    let (header, message) = record.split_at(5);
    let records = message.chunks(size).flat_map(|piece| {
        let length = u16::try_from(piece.len()).unwrap().to_be_bytes();
        [&header[..3], &length, piece].concat()
    });
    records.collect()
}

/// A ClientHello of TLS 1.1 with suites of its time.
fn hello_of_tls_1_1() -> Vec<u8> {
    let suites = [0xc0, 0x13, 0xc0, 0x14, 0x00, 0x2f];
    let body = [&[3, 2][..], &[7; 32], &[0], &[0, 6], &suites, &[1, 0]].concat();
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let message = [&[1][..], &length[1..], &body].concat();
    [&[HANDSHAKE, 3, 1][..], &u16::try_from(message.len()).unwrap().to_be_bytes(), &message].concat()
}

#[tokio::test]
async fn what_is_no_handshake_of_today_ends_without_an_answer_of_http() {
    let secured = Secured::start().await;
    let whole = hello(&secured, "one.example.com");
    let mut endless = vec![HANDSHAKE, 3, 1, 0x40, 0x00, 1, 0xff, 0xff, 0xff];
    endless.resize(64 * 1024, 0);
    let without_name = hello(&secured, "127.0.0.1");
    let cases: [(&str, Vec<u8>); 8] = [
        ("a request in cleartext", b"GET /orders HTTP/1.1\r\nHost: one.example.com\r\n\r\n".to_vec()),
        ("HTTP/2 in cleartext", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("TLS 1.1", hello_of_tls_1_1()),
        ("SSL 2", [0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10].repeat(5)),
        ("a message longer than any hello", endless),
        ("application data first", [&[23, 3, 3, 0, 4][..], b"GET "].concat()),
        ("no server name", without_name),
        ("a hello with a broken length", [&whole[..6], &[0, 0, 4], &whole[9..]].concat()),
    ];
    for (case, bytes) in cases {
        let (heard, closed) = answer(&secured, &bytes).await;
        assert!(closed, "{case}: the connection stays open");
        assert!(heard.is_empty() || heard[0] == ALERT, "{case}: {heard:?}");
    }
    assert_eq!(secured.service.count(), 0);
    assert_eq!(secured.get("one.example.com", "one.example.com").await.unwrap(), "200");
}

#[tokio::test]
async fn a_hello_in_pieces_is_the_same_hello() {
    let secured = Secured::start().await;
    for size in [1, 7, 100] {
        for (name, served) in [("one.example.com", true), ("elsewhere.org", false)] {
            let (heard, closed) = answer(&secured, &fragmented(&hello(&secured, name), size)).await;
            let kind = heard.first().copied();
            if served {
                assert_eq!((kind, closed), (Some(HANDSHAKE), false), "{name} in pieces of {size}");
            } else {
                assert!(closed && kind.is_none_or(|kind| kind == ALERT), "{name} in pieces of {size}: {heard:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_handshake_on_a_port_without_tls_is_malformed_http() {
    let service = Service::start().await;
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let heard = raw(gateway.http(), &[&[HANDSHAKE, 3, 1, 0, 5][..], b"hello\r\n\r\n"].concat()).await;
    assert_eq!((heard.statuses(), heard.closed), (vec![400], true));
    assert_eq!(service.count(), 0);
}

/// Offers the sessions of any host to every other.
#[derive(Debug)]
struct Promiscuous {
    cache: ClientSessionMemoryCache,
    kept_for: ServerName<'static>,
    tickets: AtomicUsize,
}

impl Promiscuous {
    fn new() -> Arc<Self> {
        let kept_for = ServerName::try_from("any.invalid").unwrap();
        Arc::new(Self { cache: ClientSessionMemoryCache::new(32), kept_for, tickets: AtomicUsize::new(0) })
    }

    fn tickets(&self) -> usize {
        self.tickets.load(Ordering::Relaxed)
    }
}

impl ClientSessionStore for Promiscuous {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.cache.set_kx_hint(self.kept_for.clone(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.cache.kx_hint(&self.kept_for)
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::Relaxed);
        self.cache.set_tls12_session(self.kept_for.clone(), session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.cache.tls12_session(&self.kept_for)
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.cache.remove_tls12_session(&self.kept_for);
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.tickets.fetch_add(1, Ordering::Relaxed);
        self.cache.insert_tls13_ticket(self.kept_for.clone(), ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.cache.take_tls13_ticket(&self.kept_for)
    }
}

/// How the handshake for `name` went, with a request answered on the connection, so that tickets have come.
async fn handshake(secured: &Secured, name: &str, config: &ClientConfig) -> HandshakeKind {
    let stream = tls(secured.gateway.https(), name, config.clone()).await.unwrap();
    let kind = stream.get_ref().1.handshake_kind().unwrap();
    let mut request = get("/orders", &[]);
    request.headers_mut().insert("host", name.parse().unwrap());
    assert_eq!(over(stream, request).await.verdict(), "200");
    kind
}

#[tokio::test]
async fn a_session_of_one_listener_resumes_at_no_other() {
    let secured = Secured::start().await;
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let sessions = Promiscuous::new();
        let mut config = secured.authority.client_of(&[version]);
        config.resumption = Resumption::store(Arc::clone(&sessions) as _);
        assert_eq!(handshake(&secured, "one.example.com", &config).await, HandshakeKind::Full);
        assert!(sessions.tickets() > 0, "there is a session to offer");
        assert_eq!(handshake(&secured, "one.example.com", &config).await, HandshakeKind::Resumed);
        for other in ["two.example.com", "other.example.com"] {
            assert_eq!(handshake(&secured, other, &config).await, HandshakeKind::Full, "{version:?} at {other}");
        }
    }
}
