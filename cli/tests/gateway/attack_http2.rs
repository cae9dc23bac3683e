//! HTTP/2: h2spec, floods, and what must not be carried down to HTTP/1.1.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{Empty, Full};
use hyper::client::conn::http2::SendRequest;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::caller::{HOST, get, get_http2, http2, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};
use crate::kit::service::Service;

const H2SPEC_VERSION: &str = "2.2.1";
/// Cases of h2spec that are answered otherwise, each with its reason.
const EXCEPTIONS: [(&str, &str); 1] = [(
    "Sends invalid connection preface",
    "the port speaks HTTP/1.1 as well: what is no preface is answered 400 in HTTP/1.1, and the connection closed",
)];

async fn world() -> (Gateway, Service) {
    let service = Service::start().await;
    let all = route("all", "shop").replace("value: /all", "value: /");
    let manifests = [GATEWAY, &all, &backend("shop", service.address, ""), &policy("all", OPEN)];
    (Gateway::start(&manifests.concat()).await, service)
}

fn h2spec() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from);
    let program = cache.join("sallyport").join(format!("h2spec-{H2SPEC_VERSION}")).join("h2spec");
    assert!(program.exists(), "{} is not there; `make unit` installs it", program.display());
    program
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h2spec_passes() {
    let (gateway, _service) = world().await;
    let address = gateway.http();
    let output = tokio::process::Command::new(h2spec())
        .args(["-h", &address.ip().to_string(), "-p", &address.port().to_string(), "-P", "/hello", "--timeout", "3"])
        .stdin(Stdio::null())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let failed: Vec<_> = said.lines().filter(|line| line.contains('×')).map(str::trim).collect();
    let unexpected: Vec<_> =
        failed.iter().filter(|line| !EXCEPTIONS.iter().any(|(case, _)| line.contains(case))).collect();
    assert!(unexpected.is_empty(), "{unexpected:#?}");
    assert!(said.contains("146 tests") || said.contains("145 tests"), "{}", said.lines().last().unwrap_or_default());
}

#[tokio::test]
async fn what_cannot_be_said_in_http_1_is_refused_or_cleaned() {
    let (gateway, service) = world().await;
    let mut sender = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let mut verdict = async |request: Request<Empty<Bytes>>| match sender.ready().await {
        Ok(()) => match sender.send_request(request).await {
            Ok(response) => read(response).await.verdict(),
            Err(_) => "reset".to_owned(),
        },
        Err(_) => "closed".to_owned(),
    };
    let with = |name: &str, value: &str| {
        let mut request = get_http2("http", HOST, "/200", &[]);
        request.headers_mut().insert(name.parse::<header::HeaderName>().unwrap(), value.parse().unwrap());
        request
    };
    for (name, value) in [
        ("connection", "x"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "websocket"),
        ("keep-alive", "5"),
        ("te", "gzip"),
    ] {
        let answer = verdict(with(name, value)).await;
        // The client's library or the server's may refuse it; if it arrives, it arrives without.
        assert!(answer.starts_with("400") || answer == "reset" || answer == "200", "{name}: {answer}");
        assert!(service.take().iter().all(|seen| seen.header(name).is_none()), "{name} was carried down");
    }
    let other = with("host", "other.example.com");
    assert!(verdict(other).await.starts_with("400"), ":authority and Host differ");
    let twice = get_http2("http", HOST, "/200", &[("authorization", "Bearer a"), ("authorization", "Bearer b")]);
    assert!(verdict(twice).await.starts_with("400"));
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_length_that_the_body_does_not_have_never_makes_a_whole_request() {
    let (gateway, service) = world().await;
    for (length, body) in [("10", "short"), ("2", "longer than that")] {
        let mut sender = http2::<Full<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
        let request = Request::post(format!("http://{HOST}/200"))
            .header(header::CONTENT_LENGTH, length)
            .body(Full::new(Bytes::from_static(body.as_bytes())))
            .unwrap();
        if let Ok(response) = sender.send_request(request).await {
            assert!(
                response.status().is_client_error() || response.status().is_server_error(),
                "{}",
                response.status()
            );
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(service.take().iter().all(|seen| &*seen.body == b"broken"), "{length}");
    }
}

/// Frames by hand, after the preface and empty settings.
async fn frames(gateway: &Gateway, make: impl Fn(u32) -> Vec<u8>, count: u32) -> bool {
    let mut stream = TcpStream::connect(gateway.http()).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(4, 0, 0, &[])).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let drained = tokio::spawn(async move {
        let mut bytes = vec![0; 65_536];
        while reader.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
    });
    for number in 0..count {
        if writer.write_all(&make(number)).await.is_err() {
            break;
        }
    }
    tokio::time::timeout(Duration::from_secs(2), drained).await.is_ok()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags];
    bytes.extend(stream.to_be_bytes());
    bytes.extend(payload);
    bytes
}

/// `GET http /200` with the literal host, in HPACK without an index.
fn head() -> Vec<u8> {
    let mut block = vec![0x82, 0x86, 0x04, 0x04];
    block.extend(b"/200");
    block.extend([0x01, u8::try_from(HOST.len()).unwrap()]);
    block.extend(HOST.as_bytes());
    block
}

fn resident_kb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn floods_end_their_own_connection_and_nobody_elses() {
    let (gateway, _service) = world().await;
    let before = resident_kb();
    let odd = |number: u32| number * 2 + 1;
    // Rapid reset: a request and its cancellation, over and over.
    let reset = |number| [frame(1, 5, odd(number), &head()), frame(3, 0, odd(number), &8_u32.to_be_bytes())].concat();
    let ended = frames(&gateway, reset, 20_000).await;
    assert!(ended, "rapid reset");
    // A head that never ends.
    let endless = |number: u32| if number == 0 { frame(1, 0, 1, &head()) } else { frame(9, 0, 1, &[0; 1024]) };
    assert!(frames(&gateway, endless, 5_000).await, "CONTINUATION without end");
    // Frames that ask for an answer, or for nothing at all; the connection may stand, the process does not grow.
    frames(&gateway, |_| frame(6, 0, 0, &[0; 8]), 20_000).await;
    frames(&gateway, |_| frame(4, 0, 0, &[]), 20_000).await;
    frames(&gateway, |number| if number == 0 { frame(1, 4, 1, &head()) } else { frame(0, 0, 1, &[]) }, 20_000).await;
    assert_eq!(send(gateway.http(), get("/200", &[])).await.status, 200, "others are served");
    let grown = resident_kb().saturating_sub(before);
    assert!(grown < 64 * 1024, "{grown} kB");
}

/// Streams that hyper has handed on, and that are reset before they are answered (CVE-2023-44487): each costs a look at its credential and
/// an exchange with the service.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_back_most_of_what_it_asks_for_is_cut_off_and_nobody_else() {
    let (gateway, service) = world().await;
    let honest = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let attacker = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let ask = |sender: &SendRequest<Empty<Bytes>>| {
        let mut sender = sender.clone();
        tokio::spawn(async move { sender.send_request(get_http2("http", HOST, "/slow", &[])).await.is_ok() })
    };
    let waiting = ask(&honest);
    for _ in 0..40 {
        let before = service.count();
        let asked: Vec<_> = (0..50).map(|_| ask(&attacker)).collect();
        for _ in 0..100 {
            if service.count() >= before + 50 || attacker.is_closed() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        asked.iter().for_each(tokio::task::JoinHandle::abort);
        if attacker.is_closed() {
            break;
        }
    }
    assert!(attacker.is_closed(), "{} reached the service", service.count());
    assert!(service.count() < 1000, "{}", service.count());
    assert!(waiting.await.unwrap(), "others have their answers");
}
