//! What holds for any bytes: run by the fuzz targets, and over their corpora by the data plane's tests.

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
use sallyport_snapshot::v1;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

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

/// Behind the gate hyper sees the same requests however the bytes arrive, and each with one host and one framing.
pub fn gate(bytes: &[u8]) {
    let whole = seen(&[bytes]);
    let (first, second) = bytes.split_at(bytes.len() / 2);
    assert_eq!(whole, seen(&[first, second]), "{:?}", String::from_utf8_lossy(bytes));
}

type Seen = Vec<(String, String, Vec<u8>)>;

fn seen(parts: &[&[u8]]) -> Seen {
    let event_loop = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    event_loop.expect("an event loop").block_on(served(parts))
}

async fn served(parts: &[&[u8]]) -> Seen {
    let (mut caller, inner) = tokio::io::duplex(1 << 20);
    let head = HeadBounds { bytes: 8192, target_bytes: 2048, fields: 32 };
    let bounds = GateBounds { head, head_timeout: Duration::from_secs(1), idle_timeout: Duration::from_secs(1) };
    let (gated, control) = GatedIo::new(inner, BytesMut::new(), bounds);
    let log = Rc::<RefCell<Seen>>::default();
    let entries = Rc::clone(&log);
    let service = service_fn(move |request: http::Request<hyper::body::Incoming>| {
        let (entries, control) = (Rc::clone(&entries), Arc::clone(&control));
        async move {
            let (head, body) = request.into_parts();
            if head.method.as_str() != REFUSED_METHOD {
                assert_eq!(head.headers.get_all(header::HOST).iter().count(), 1);
                let framed = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING]
                    .iter()
                    .filter(|name| head.headers.contains_key(*name))
                    .count();
                assert!(framed <= 1, "{:?}", head.headers);
                if let Ok(body) = body.collect().await {
                    entries.borrow_mut().push((
                        head.method.to_string(),
                        head.uri.to_string(),
                        body.to_bytes().to_vec(),
                    ));
                }
            }
            control.take_up();
            control.resume();
            Ok::<_, Infallible>(http::Response::new(Empty::<Bytes>::new()))
        }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    let connection = builder.half_close(true).serve_connection(TokioIo::new(gated), service);
    let talk = async {
        for part in parts {
            let _gone = caller.write_all(part).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        let _gone = caller.shutdown().await;
        while caller.read(&mut [0; 4096]).await.is_ok_and(|count| count > 0) {}
    };
    let _ended = tokio::join!(tokio::time::timeout(Duration::from_secs(10), connection), talk);
    log.take()
}
