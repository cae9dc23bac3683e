//! What holds for any bytes: run by the fuzz targets, and over their corpora by the data plane's tests.

use std::borrow::Cow;
use std::cell::RefCell;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header;
use http_body_util::{BodyExt as _, Empty};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use sallyport_dataplane::clock::UnixMs;
use sallyport_dataplane::gate::{GateBounds, GatedIo, HeadBounds, REFUSED_METHOD};
use sallyport_dataplane::jwt::{self, KeyRing, Rules};
use sallyport_dataplane::path::{Authority, Query, canonical, without_parameters};
use sallyport_dataplane::server::proxy_header::{self, Told};
use sallyport_snapshot::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::io::InspectReader;

/// A canonical path stays as it is, and can be read in one way only.
pub fn path(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let _read = Authority::parse(text);
    assert_eq!(Query(Query(Some(text)).without(|_| true).as_deref()).decoded().count(), 0, "{text:?}");
    let Ok(path) = canonical(text) else { return };
    assert_eq!(canonical(&path).as_deref(), Ok(&*path), "{text:?}");
    let decoded = percent_encoding::percent_decode_str(&path).decode_utf8().expect("a canonical path is UTF-8");
    for reading in [path.to_string(), decoded.into_owned(), without_parameters(&path).unwrap_or_default()] {
        assert!(!reading.split('/').any(|segment| segment == "." || segment == ".."), "{text:?} {reading:?}");
        assert!(!reading.contains("//") && !reading.contains('\\') && !reading.contains('\0'), "{text:?} {reading:?}");
    }
}

/// Nobody can make a token without the key, and no text makes the judge fail in any other way than by saying so.
pub fn token(bytes: &[u8]) {
    static WORLD: OnceLock<(Rules, KeyRing)> = OnceLock::new();
    let (rules, keys) = WORLD.get_or_init(|| {
        let jwt = v1::Jwt {
            issuer: "https://issuer.example.com".into(),
            audiences: vec!["orders-api".into()],
            algorithms: ["RS256", "ES256", "EdDSA"].map(str::to_owned).to_vec(),
            key_set: "keys".into(),
            ..v1::Jwt::default()
        };
        let keys = br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
        (Rules::build(&jwt).expect("valid rules"), KeyRing::parse(keys).expect("a key set"))
    });
    if let Ok(text) = std::str::from_utf8(bytes) {
        assert!(jwt::verify(text, rules, Some(keys), UnixMs(1_800_000_000_000)).is_err());
    }
    let _read = KeyRing::parse(bytes);
}

/// A PROXY header is read whole, and in one way: neither with a byte less nor with one more. What it tells is one host's address.
pub fn proxy_header(bytes: &[u8]) {
    let Ok(told) = proxy_header::parse(bytes) else { return };
    assert!(bytes.len() <= 107 || bytes.starts_with(b"\r\n\r\n\0\r\nQUIT\n"), "{bytes:?}");
    let (shorter, longer) = (bytes.split_last().map_or(bytes, |(_, rest)| rest), [bytes, b"G"].concat());
    assert!(proxy_header::parse(shorter).is_err() && proxy_header::parse(&longer).is_err(), "{bytes:?}");
    if let Told::From(address) = told {
        assert!(!address.is_unspecified() && !address.is_multicast() && address == address.to_canonical(), "{bytes:?}");
    }
}

/// Behind the gate hyper serves the requests that stand in the bytes it is given, and the same however the bytes arrive; each has one
/// host and one framing.
pub fn gate(bytes: &[u8]) {
    let (whole, passed) = seen(&[bytes]);
    let written = plainly_read(&passed);
    assert!(written.starts_with(&whole), "{whole:?}, not {written:?}: {:?}", String::from_utf8_lossy(bytes));
    let (first, second) = bytes.split_at(bytes.len() / 2);
    assert_eq!(whole, seen(&[first, second]).0, "{:?}", String::from_utf8_lossy(bytes));
}

/// Requests: method, target, body.
type Seen = Vec<(String, String, Vec<u8>)>;

/// What is served behind the gate, and the bytes that the gate has let pass for it.
fn seen(parts: &[&[u8]]) -> (Seen, Vec<u8>) {
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    event_loop.expect("an event loop").block_on(served(parts))
}

async fn served(parts: &[&[u8]]) -> (Seen, Vec<u8>) {
    let (mut caller, inner) = tokio::io::duplex(1 << 20);
    let head = HeadBounds { bytes: 8192, target_bytes: 2048, fields: 32 };
    let bounds = GateBounds { head, head_timeout: Duration::from_secs(1), idle_timeout: Duration::from_secs(1) };
    let (gated, control) = GatedIo::new(inner, BytesMut::new(), bounds);
    let (log, passed) = (Rc::<RefCell<Seen>>::default(), Rc::<RefCell<Vec<u8>>>::default());
    let (entries, copy) = (Rc::clone(&log), Rc::clone(&passed));
    let overheard = InspectReader::new(gated, move |bytes: &[u8]| copy.borrow_mut().extend_from_slice(bytes));
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (entries, control) = (Rc::clone(&entries), Arc::clone(&control));
        async move {
            let (head, body) = request.into_parts();
            if head.method.as_str() != REFUSED_METHOD {
                judge_head(&head);
                if let Ok(body) = body.collect().await {
                    let entry = (head.method.to_string(), head.uri.to_string(), body.to_bytes().to_vec());
                    entries.borrow_mut().push(entry);
                }
            }
            control.take_up();
            control.resume();
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    let connection = builder.half_close(true).serve_connection(TokioIo::new(overheard), service);
    let talk = async {
        for part in parts {
            let _gone = caller.write_all(part).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let _gone = caller.shutdown().await;
        while caller.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {}
    };
    let _ended = tokio::join!(tokio::time::timeout(Duration::from_secs(10), connection), talk);
    (log.take(), passed.take())
}

/// One host, which only HTTP/1.0 can do without, and one framing.
fn judge_head(head: &http::request::Parts) {
    let hosts = head.headers.get_all(header::HOST).iter().count();
    assert!(hosts == 1 || (hosts == 0 && head.version == http::Version::HTTP_10), "{:?}", head.headers);
    let framings = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
    assert!(framings.iter().filter(|name| head.headers.contains_key(*name)).count() <= 1, "{:?}", head.headers);
}

/// The whole requests in bytes that the gate has let pass. Of what is well-formed no more has to be known than stands here: whoever
/// needs more to find the same requests has found others.
fn plainly_read(mut bytes: &[u8]) -> Seen {
    let mut requests = Seen::new();
    loop {
        while let Some(rest) = bytes.strip_prefix(b"\r\n") {
            bytes = rest;
        }
        let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return requests };
        let (head, rest) = bytes.split_at(end + 4);
        let lines: Vec<_> =
            head.split(|byte| *byte == b'\n').map(|line| String::from_utf8_lossy(line.trim_ascii())).collect();
        let Some((body, rest)) = plain_body(&lines, rest) else { return requests };
        let mut words = lines.iter().flat_map(|line| line.split(' '));
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        requests.push((method.to_owned(), as_hyper_writes(target), body));
        bytes = rest;
    }
}

/// The body behind a head of these lines, and what follows it; `None` if it is not there as a whole.
fn plain_body<'a>(lines: &[Cow<'_, str>], rest: &'a [u8]) -> Option<(Vec<u8>, &'a [u8])> {
    let fields = lines.iter().skip(1).filter_map(|line| line.split_once(':'));
    let value = |wanted: &str| {
        fields.clone().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value.trim())
    };
    if value("transfer-encoding").is_some() {
        return plain_chunks(rest);
    }
    let length = value("content-length").map_or(Some(0), |length| length.parse().ok())?;
    rest.split_at_checked(length).map(|(body, rest)| (body.to_vec(), rest))
}

fn plain_chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut data = Vec::new();
    loop {
        let line;
        (line, rest) = plain_line(rest)?;
        let size = std::str::from_utf8(line).ok()?.split(';').next()?;
        match usize::from_str_radix(size, 16).ok()? {
            0 => break,
            size => {
                let (chunk, behind) = rest.split_at_checked(size)?;
                data.extend_from_slice(chunk);
                rest = behind.strip_prefix(b"\r\n")?;
            }
        }
    }
    loop {
        let line;
        (line, rest) = plain_line(rest)?;
        if line.is_empty() {
            return Some((data, rest));
        }
    }
}

/// A line without its CR LF, and what follows it.
fn plain_line(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.windows(2).position(|window| window == b"\r\n")?;
    Some((bytes.get(..end)?, bytes.get(end + 2..)?))
}

/// A path as it stands; of an absolute address the scheme in lower case, and at least a slash behind the authority.
fn as_hyper_writes(target: &str) -> String {
    match target.parse::<http::Uri>() {
        Ok(address) if address.scheme().is_some() => address.to_string(),
        _ => target.to_owned(),
    }
}
