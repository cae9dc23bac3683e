//! The gate by itself, and beside hyper.

use std::convert::Infallible;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http_body_util::{BodyExt as _, Empty};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::*;

const BOUNDS: GateBounds = GateBounds {
    head: HeadBounds { bytes: 4096, target_bytes: 1024, fields: 20 },
    head_timeout: Duration::from_secs(10),
    idle_timeout: Duration::from_secs(60),
};

/// What comes out of the gate when `pieces` come in one after the other, and then the end; and why it refused.
async fn pass(pieces: &[&[u8]]) -> (io::Result<Vec<u8>>, Option<Refusal>) {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let (mut gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
    let read = async {
        let mut seen = Vec::new();
        let mut piece = [0; 512];
        loop {
            let count = gated.read(&mut piece).await?;
            seen.extend_from_slice(&piece[..count]);
            if count == 0 || seen.ends_with(STAND_IN) {
                return Ok(seen);
            }
        }
    };
    let write = async {
        for piece in pieces {
            client.write_all(piece).await.unwrap();
            tokio::task::yield_now().await;
        }
        client.shutdown().await.unwrap();
    };
    let (seen, ()) = tokio::join!(read, write);
    (seen, control.refusal().copied())
}

#[tokio::test(start_paused = true)]
async fn what_is_well_formed_passes_unchanged() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "POST /x?y=1 HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/x HTTP/1.1\r\nHost: a\r\nX:\r\nY: \t z \r\n\r\n",
        "GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\ncontent-length: 0\r\n\r\n",
    ] {
        let (seen, refusal) = pass(&[request.as_bytes()]).await;
        assert_eq!(refusal, None, "{request:?}");
        assert_eq!(String::from_utf8(seen.unwrap()).unwrap(), request);
    }
}

#[tokio::test(start_paused = true)]
async fn what_can_be_read_in_two_ways_is_refused() {
    for (request, reason) in ambiguous_requests() {
        let (seen, refusal) = pass(&[request.as_bytes()]).await;
        assert_eq!(refusal.map(|refusal| refusal.reason), Some(reason), "{request:?}");
        assert_eq!(seen.unwrap(), STAND_IN, "{request:?}: nothing of it reaches the server");
    }
}

fn ambiguous_requests() -> Vec<(String, Reason)> {
    let malformed = ambiguous_framing().into_iter().chain(malformed_lines());
    malformed.map(|request| (request, Reason::Malformed)).chain(refused_for_what_they_are()).collect()
}

fn get(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

fn line(line: &str) -> String {
    format!("{line}\r\nHost: a\r\n\r\n")
}

fn ambiguous_framing() -> Vec<String> {
    vec![
        get("Content-Length: 1\r\nTransfer-Encoding: chunked"),
        get("Transfer-Encoding: chunked\r\nContent-Length: 0"),
        get("Content-Length: 1\r\nContent-Length: 1"),
        get("Content-Length: 1, 1"),
        get("Content-Length: +1"),
        get("Content-Length: -1"),
        get("Content-Length: 0x1"),
        get("Content-Length: 1 1"),
        get("Content-Length:"),
        get("Content-Length: 99999999999999999999"),
        get("Content-Length : 1"),
        get("Transfer-Encoding: gzip"),
        get("Transfer-Encoding: gzip, chunked"),
        get("Transfer-Encoding: chunked, chunked"),
        get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        get("Transfer-Encoding: xchunked"),
        get("Transfer-Encoding:\u{b}chunked"),
        get("Transfer-Encoding: \"chunked\""),
        get("Transfer-Encoding: identity"),
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
        get("Host: b"),
        "GET / HTTP/1.1\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: \r\n\r\n".into(),
    ]
}

fn malformed_lines() -> Vec<String> {
    vec![
        get("X: a\r\n b"),
        get(" X: a"),
        get("X a"),
        get(": a"),
        get("X : a"),
        get("X\t: a"),
        get("X: a\0"),
        get("X: a\rb"),
        get("X: a\u{7f}"),
        get("X(: a"),
        "GET / HTTP/1.1\nHost: a\n\n".into(),
        "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n".into(),
        "GET / HTTP/1.1\r\nHost: a\r\n\n".into(),
        line("GET  / HTTP/1.1"),
        line("GET /  HTTP/1.1"),
        line("GET\t/ HTTP/1.1"),
        line(" GET / HTTP/1.1"),
        line("GET / HTTP/1.1 "),
        line("GET /"),
        line("GET / HTTP/1.2"),
        line("GET / HTTP/2.0"),
        line("GET / http/1.1"),
        line("G(T / HTTP/1.1"),
        line("GET x HTTP/1.1"),
        line("GET * HTTP/1.1"),
        line("GET ftp://a/ HTTP/1.1"),
        line("GET /\u{e9} HTTP/1.1"),
        line("GET /\x01 HTTP/1.1"),
        get("Upgrade: websocket\r\nConnection: upgrade\r\nContent-Length: 5"),
        get("Upgrade: websocket\r\nConnection: upgrade\r\nTransfer-Encoding: chunked"),
    ]
}

fn refused_for_what_they_are() -> Vec<(String, Reason)> {
    use Reason as R;
    let long_target = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(1100));
    let long_head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(5000));
    let many_fields = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "X: 1\r\n".repeat(21));
    vec![
        (get("Authorization: a\r\nAuthorization: a"), R::CredentialAmbiguous),
        (line("CONNECT a:443 HTTP/1.1"), R::MethodUnsupported),
        (line("SALLYPORT-REFUSED / HTTP/1.1"), R::MethodUnsupported),
        (get("Expect: 200-ok"), R::ExpectationUnknown),
        (get("Expect: 100-continue, x"), R::ExpectationUnknown),
        (long_target, R::TargetTooLong),
        (long_head, R::HeadTooLarge),
        (get(&format!("{}: a", "x".repeat(1025))), R::HeadTooLarge),
        (many_fields, R::HeadTooLarge),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_was_good_before_a_refusal_is_still_served() {
    let good = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let (seen, refusal) = pass(&[good.as_bytes(), b"GET /2 HTTP/1.1\n\n"]).await;
    assert!(refusal.is_some());
    assert_eq!(seen.unwrap(), [good.as_bytes(), STAND_IN].concat());
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_is_an_error_of_the_body() {
    let (seen, refusal) = pass(&[b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", b"zz\r\n"]).await;
    assert_eq!((seen.unwrap_err().kind(), refusal), (io::ErrorKind::InvalidData, None));
}

#[tokio::test(start_paused = true)]
async fn empty_lines_between_requests_say_nothing_however_they_arrive() {
    let (one, other) = ("GET /1 HTTP/1.1\r\nHost: a\r\n\r\n", "GET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    for lines in ["\r\n", "\r\n\r\n\r\n"] {
        let text = format!("{lines}{one}{lines}{other}{lines}");
        for split in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(split);
            let (seen, refusal) = pass(&[first, second]).await;
            assert_eq!((seen.unwrap(), refusal), (format!("{one}{other}").into_bytes(), None), "{split}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_body_takes_no_request_before_it_along() {
    let good = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    let broken = "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n";
    for bytes in [format!("{good}{broken}"), format!("{good}{broken}{good}")] {
        assert_eq!(seen_by_hyper(bytes.as_bytes()).await, [("GET".to_owned(), "/1".to_owned(), vec![])]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_head_is_refused_in_time() {
    let (mut client, server) = tokio::io::duplex(1024);
    let (mut gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
    client.write_all(b"GET / HT").await.unwrap();
    let began = Instant::now();
    let mut seen = [0; 512];
    let count = gated.read(&mut seen).await.unwrap();
    assert_eq!(&seen[..count], STAND_IN);
    assert_eq!(began.elapsed().as_secs(), BOUNDS.head_timeout.as_secs());
    assert_eq!(control.refusal().unwrap().reason, Reason::HeadTooSlow);
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_ends_only_after_its_requests_have() {
    let (mut client, server) = tokio::io::duplex(1024);
    let (mut gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
    client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    let mut seen = [0; 512];
    assert!(gated.read(&mut seen).await.unwrap() > 0);
    let under_way = tokio::time::timeout(BOUNDS.idle_timeout * 10, gated.read(&mut seen)).await;
    assert!(under_way.is_err(), "a response under way keeps the connection");
    control.finish(Instant::now());
    let began = Instant::now();
    assert_eq!(gated.read(&mut seen).await.unwrap(), 0);
    assert!(began.elapsed() <= BOUNDS.idle_timeout + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_an_upgrade_before_it_is_decided() {
    let upgrade = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    for tunnels in [true, false] {
        let (mut client, server) = tokio::io::duplex(1024);
        let (mut gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
        client.write_all(upgrade).await.unwrap();
        client.write_all(b"\x01raw\n\n").await.unwrap();
        let mut seen = [0; 512];
        assert_eq!(gated.read(&mut seen).await.unwrap(), upgrade.len());
        let held = tokio::time::timeout(Duration::from_secs(1), gated.read(&mut seen)).await;
        assert!(held.is_err());
        control.take_up();
        if tunnels {
            control.tunnel()
        } else {
            control.resume()
        }
        let count = gated.read(&mut seen).await.unwrap();
        let expected: &[u8] = if tunnels { b"\x01raw\n\n" } else { STAND_IN };
        assert_eq!(&seen[..count], expected);
    }
}

const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";

/// Whatever it has said before, as long as that is little.
#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_while_its_upgrade_is_decided_is_noticed() {
    for said in [&b""[..], b"\x01raw"] {
        let (mut client, server) = tokio::io::duplex(1024);
        let (mut gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
        client.write_all(&[UPGRADE, said].concat()).await.unwrap();
        let mut seen = [0; 512];
        assert_eq!(gated.read(&mut seen).await.unwrap(), UPGRADE.len());
        control.take_up();
        drop(client);
        let end = tokio::time::timeout(Duration::from_secs(1), gated.read(&mut seen)).await;
        assert_eq!(end.expect("the end is noticed").unwrap(), 0, "{said:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_held_for_an_upgrade_is_bounded_and_lost_to_nobody() {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let (mut gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
    let said: Vec<u8> = (0..100_000_u32).map(|number| number.to_le_bytes()[0]).collect();
    client.write_all(&[UPGRADE, &said].concat()).await.unwrap();
    client.shutdown().await.unwrap();
    let mut seen = [0; 512];
    assert_eq!(gated.read(&mut seen).await.unwrap(), UPGRADE.len());
    control.take_up();
    assert!(tokio::time::timeout(BOUNDS.idle_timeout * 3, gated.read(&mut seen)).await.is_err(), "it is under way");
    assert!(gated.buffer.len() < HELD_BYTES + READ_BYTES, "{}", gated.buffer.len());
    control.tunnel();
    let mut rest = Vec::new();
    gated.read_to_end(&mut rest).await.unwrap();
    assert!(rest == said, "{} bytes of {}", rest.len(), said.len());
}

/// Its request has ended without a word about the upgrade: nobody will decide any more.
#[tokio::test(start_paused = true)]
async fn an_upgrade_that_nobody_decides_is_not_held_for_ever() {
    let (mut client, server) = tokio::io::duplex(1024);
    let (mut gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
    client.write_all(UPGRADE).await.unwrap();
    let mut seen = [0; 512];
    assert_eq!(gated.read(&mut seen).await.unwrap(), UPGRADE.len());
    control.take_up();
    control.finish(Instant::now());
    let end = tokio::time::timeout(BOUNDS.idle_timeout * 3, gated.read(&mut seen)).await;
    assert_eq!(end.expect("an end").unwrap(), 0);
}

/// On a connection that is kept alive, and where the upgrade was sent before the answer to the request in front of it.
#[tokio::test(start_paused = true)]
async fn what_is_answered_to_an_earlier_request_decides_no_upgrade() {
    let plain = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
    for sent_early in [false, true] {
        let (mut client, server) = tokio::io::duplex(1024);
        let (mut gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
        let mut seen = [0; 512];
        client.write_all(plain.as_bytes()).await.unwrap();
        if sent_early {
            client.write_all(format!("{upgrade}\x01raw\n\n").as_bytes()).await.unwrap();
        }
        assert!(gated.read(&mut seen).await.unwrap() >= plain.len());
        control.take_up();
        control.resume();
        if !sent_early {
            client.write_all(format!("{upgrade}\x01raw\n\n").as_bytes()).await.unwrap();
            assert_eq!(gated.read(&mut seen).await.unwrap(), upgrade.len());
        }
        let held = tokio::time::timeout(Duration::from_secs(1), gated.read(&mut seen)).await;
        assert!(held.is_err(), "sent early: {sent_early}");
        control.take_up();
        control.tunnel();
        let count = gated.read(&mut seen).await.unwrap();
        assert_eq!(&seen[..count], b"\x01raw\n\n");
    }
}

/// Whether hyper's reader takes it, by which it would answer itself.
fn is_taken(target: &str) -> bool {
    http::Uri::try_from(target).is_ok()
}

#[tokio::test(start_paused = true)]
async fn what_the_gate_lets_in_hyper_takes_for_a_target() {
    let places =
        ["/a{}b", "/a?b{}c", "/{}", "http://a/{}b", "http://a?{}", "http://{}", "http://a{}b/", "http://a:{}/x"];
    let odd = ["", "a@", "@a", "[::1]", "[", "]", "a:b", "1:2", "%61", "%", "a:99999", "a..b", "[::1]:1:2"];
    let bytes: Vec<String> = (0x21..0x7f_u8).map(|byte| char::from(byte).to_string()).collect();
    for place in places {
        for filling in odd.iter().copied().chain(bytes.iter().map(String::as_str)) {
            let target = place.replace("{}", filling);
            let (seen, refusal) = pass(&[format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes()]).await;
            let is_refused = seen.unwrap() == STAND_IN;
            assert_eq!(is_refused, !is_taken(&target) || target.contains('#'), "{target}");
            assert!(refusal.is_none_or(|refusal| refusal.reason == Reason::Malformed), "{target}");
        }
    }
}

/// A request as far as two readers have to agree on it: method, target, body.
type Read = (String, String, Vec<u8>);

/// The requests that hyper sees behind the gate.
async fn seen_by_hyper(bytes: &[u8]) -> Vec<Read> {
    let (mut client, server) = tokio::io::duplex(1 << 16);
    let (gated, control) = GatedIo::new(server, BytesMut::new(), BOUNDS);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&seen);
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (log, control) = (Arc::clone(&log), Arc::clone(&control));
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.map(|body| body.to_bytes().to_vec());
            if let Ok(body) = body
                && head.method.as_str() != REFUSED_METHOD
            {
                log.lock().push((head.method.to_string(), head.uri.to_string(), body));
            }
            control.take_up();
            control.resume();
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    client.write_all(bytes).await.unwrap();
    client.shutdown().await.unwrap();
    let connection =
        hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(gated), service);
    let drain = async { while client.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {} };
    let served = async { tokio::time::timeout(Duration::from_secs(5), connection).await };
    let _ends = tokio::join!(served, drain);
    seen.lock().clone()
}

fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("GET /a HTTP/1.1\r\n".to_owned()),
        Just("POST /b HTTP/1.1\r\n".to_owned()),
        Just("Host: a\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just("Content-Length: 5\r\n".to_owned()),
        Just("Content-Length: 0\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("5\r\nhello\r\n".to_owned()),
        Just("0\r\n\r\n".to_owned()),
        Just("hello".to_owned()),
        Just("X: y\r\n".to_owned()),
        Just(" folded\r\n".to_owned()),
        Just("GET /c HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        Just("POST /i HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n".to_owned()),
        Just("GET http://a/f?x HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        Just("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n".to_owned()),
        Just("POST /h HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n003\r\nllo\r\n0\r\nY: z\r\n\r\n".to_owned()),
        Just("POST /d HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned()),
        Just("POST /e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".to_owned()),
        "[ -~]{0,6}",
    ]
}

/// The same, and requests that the gate holds others back for.
fn piece_or_upgrade() -> impl Strategy<Value = String> {
    let upgrade = "GET /g HTTP/1.1\r\nHost: a\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n";
    prop_oneof![20 => piece(), 1 => Just(upgrade.to_owned())]
}

/// The whole requests at the front of `bytes`, as the gate reads them.
fn read_by_the_gate(mut bytes: &[u8]) -> Vec<Read> {
    let mut requests = Vec::new();
    loop {
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        let Ok(Some(length)) = head::find_end(bytes, 0, &BOUNDS.head) else { return requests };
        let (head, rest) = bytes.split_at(length);
        let Ok(framing) = head::judge(head, &BOUNDS.head) else { return requests };
        let taken = match framing {
            Framing::Empty | Framing::Upgrade => 0,
            Framing::Length(bytes) => usize::try_from(bytes).unwrap(),
            Framing::Chunked => match Chunks::default().advance(rest) {
                Ok((taken, true)) => taken,
                Ok((_, false)) | Err(_) => return requests,
            },
        };
        let Some((body, rest)) = rest.split_at_checked(taken) else { return requests };
        let body = if framing == Framing::Chunked { data(body) } else { body.to_vec() };
        let line = std::str::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
        let mut words = line.split(' ').map(str::to_owned);
        requests.push((words.next().unwrap(), words.next().unwrap(), body));
        bytes = rest;
    }
}

/// The data of a chunked body that the gate has found whole.
fn data(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let digits = body.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
        let size = usize::from_str_radix(std::str::from_utf8(&body[..digits]).unwrap(), 16).unwrap();
        let begin = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        if size == 0 {
            return data;
        }
        data.extend_from_slice(&body[begin..begin + size]);
        body = &body[begin + size + 2..];
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// What hyper serves is what the gate has read, in its order and byte for byte: nothing less, nothing more, and nothing else.
    #[test]
    fn hyper_reads_the_requests_that_the_gate_does(pieces in prop::collection::vec(piece_or_upgrade(), 1..9)) {
        let text = pieces.concat();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let seen = runtime.block_on(seen_by_hyper(text.as_bytes()));
        prop_assert_eq!(seen, read_by_the_gate(text.as_bytes()), "{:?}", text);
    }

    #[test]
    fn any_split_gives_the_same_outcome(pieces in prop::collection::vec(piece(), 1..7), split in 0usize..200) {
        let text = pieces.concat();
        let (first, second) = text.as_bytes().split_at(split.min(text.len()));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        let (whole, refused) = runtime.block_on(pass(&[text.as_bytes()]));
        let (parts, refused_parts) = runtime.block_on(pass(&[first, second]));
        prop_assert_eq!(refused.map(|refusal| refusal.reason), refused_parts.map(|refusal| refusal.reason));
        prop_assert_eq!(whole.is_ok(), parts.is_ok());
        if let (Ok(whole), Ok(parts)) = (whole, parts) { prop_assert_eq!(whole, parts); }
    }
}
