//! Services that speak HTTP/2: how much they take at once, how they say goodbye, and what becomes of requests on the way.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::kit::caller::{HOST, get, hear, open, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route};

const PATIENCE: Duration = Duration::from_secs(10);
/// Of a gateway in a test.
const WORKERS: usize = 2;
/// Connections of one worker to one endpoint.
const MAX_CONNECTIONS: usize = 32;

async fn in_front_of(service: SocketAddr, more: &str) -> Gateway {
    let of_backend = backend("shop", service, &format!("protocol: H2C\n{more}"));
    let gateway =
        Gateway::start(&[GATEWAY, &route("orders", "shop"), &of_backend, &policy("orders", OPEN)].concat()).await;
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    gateway
}

/// A service that takes a few exchanges at once on each connection, and answers after a while.
struct Narrow {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    /// The most that were under way at once on any connection.
    most: Arc<AtomicUsize>,
}

impl Narrow {
    async fn start(streams: u32, pause: Duration) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (connections, most) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let (count, high) = (Arc::clone(&connections), Arc::clone(&most));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                let (here, high) = (Arc::<AtomicUsize>::default(), Arc::clone(&high));
                let service = service_fn(move |_: Request<Incoming>| {
                    let (here, high) = (Arc::clone(&here), Arc::clone(&high));
                    async move {
                        high.fetch_max(here.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::time::sleep(pause).await;
                        here.fetch_sub(1, Ordering::SeqCst);
                        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
                    }
                });
                let mut builder = http2::Builder::new(TokioExecutor::new());
                builder.max_concurrent_streams(streams);
                tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, connections, most }
    }
}

async fn verdicts(gateway: &Gateway, count: usize) -> Vec<String> {
    let http = gateway.http();
    let all: Vec<_> = (0..count).map(|_| tokio::spawn(send(http, get("/orders", &[])))).collect();
    let mut verdicts = Vec::new();
    for one in all {
        verdicts.push(timeout(PATIENCE * 2, one).await.expect("an answer").unwrap().verdict());
    }
    verdicts.sort();
    verdicts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_takes_at_once_is_respected_and_more_connections_are_made_up_to_a_bound() {
    let service = Narrow::start(2, Duration::from_millis(100)).await;
    let gateway = in_front_of(service.address, "").await;
    let verdicts = verdicts(&gateway, 200).await;
    assert!(verdicts.iter().all(|verdict| verdict == "200"), "{verdicts:?}");
    let (connections, most) = (service.connections.load(Ordering::SeqCst), service.most.load(Ordering::SeqCst));
    assert!(most <= 2, "{most} at once on one connection");
    assert!((3..=WORKERS * MAX_CONNECTIONS).contains(&connections), "{connections} connections");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_takes_many_at_once_has_few_connections() {
    let service = Narrow::start(1000, Duration::from_millis(300)).await;
    let gateway = in_front_of(service.address, "").await;
    let verdicts = verdicts(&gateway, 60).await;
    assert!(verdicts.iter().all(|verdict| verdict == "200"), "{verdicts:?}");
    let connections = service.connections.load(Ordering::SeqCst);
    assert!(connections <= WORKERS, "{connections} connections for 60 requests at once");
}

/// Nobody waits without an end: no longer than a connection may take.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_room_in_time_is_told() {
    let service = Narrow::start(1, PATIENCE / 4).await;
    let gateway = in_front_of(service.address, "timeouts: {connect: 300ms}").await;
    let verdicts = verdicts(&gateway, 100).await;
    let served = verdicts.iter().filter(|verdict| *verdict == "200").count();
    assert!((2..=WORKERS * MAX_CONNECTIONS).contains(&served), "{served} served: {verdicts:?}");
    let told = verdicts.iter().filter(|verdict| *verdict == "504 upstream-timeout").count();
    assert_eq!(served + told, 100, "{verdicts:?}");
}

const SETTINGS: u8 = 4;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const GOAWAY: u8 = 7;
const CANCEL: u8 = 8;
const REFUSED_STREAM: u8 = 7;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    [&[0, 0, u8::try_from(payload.len()).unwrap(), kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A service that answers every request but the second of its first connection, which has these frames.
struct Leaving {
    address: SocketAddr,
    /// Heads that came, and the connections that they came on.
    heads: Arc<Mutex<Vec<usize>>>,
}

impl Leaving {
    async fn start(answer: Vec<u8>, then_closes: bool) -> Self {
        Self::with_settings(&[], answer, then_closes).await
    }

    async fn with_settings(settings: &'static [u8], answer: Vec<u8>, then_closes: bool) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, heads) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<usize>>>::default());
        let seen = Arc::clone(&heads);
        tokio::spawn(async move {
            for connection in 0.. {
                let Ok((mut stream, _)) = listener.accept().await else { return };
                stream.write_all(&frame(SETTINGS, 0, 0, settings)).await.unwrap();
                tokio::spawn(leave(stream, connection, answer.clone(), then_closes, Arc::clone(&seen)));
            }
        });
        Self { address, heads }
    }
}

async fn leave(
    mut stream: TcpStream,
    connection: usize,
    answer: Vec<u8>,
    then_closes: bool,
    heads: Arc<Mutex<Vec<usize>>>,
) -> Option<()> {
    const OK: u8 = 0x88;
    stream.read_exact(&mut [0; 24]).await.ok()?;
    loop {
        let mut header = [0; 9];
        stream.read_exact(&mut header).await.ok()?;
        let [high, middle, low, kind, _, _, _, _, number] = header;
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        stream.read_exact(&mut vec![0; length]).await.ok()?;
        if kind != HEADERS {
            continue;
        }
        heads.lock().push(connection);
        if number != 3 || connection > 0 {
            stream.write_all(&frame(HEADERS, 5, number, &[OK])).await.ok()?;
        } else {
            stream.write_all(&answer).await.ok()?;
            if then_closes {
                return None;
            }
        }
    }
}

/// A caller that stays on one worker.
async fn caller(gateway: &Gateway) -> SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(gateway.http()).await.unwrap();
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

/// What a request is answered, if it is.
async fn ask(caller: &mut SendRequest<Full<Bytes>>, body: &'static str) -> String {
    caller.ready().await.unwrap();
    let method = if body.is_empty() { "GET" } else { "POST" };
    let request = Request::builder().method(method).uri("/orders").header(header::HOST, HOST);
    let request = request.body(Full::new(Bytes::from_static(body.as_bytes()))).unwrap();
    match timeout(PATIENCE, caller.send_request(request)).await {
        Ok(response) => read(response.unwrap()).await.verdict(),
        Err(_) => "nothing".to_owned(),
    }
}

/// GOAWAY with the last stream that is processed, and an error code.
fn goaway(last: u8, code: u8) -> Vec<u8> {
    frame(GOAWAY, 0, 0, &[0, 0, 0, last, 0, 0, 0, code])
}

fn reset(code: u8) -> Vec<u8> {
    frame(RST_STREAM, 0, 3, &[0, 0, 0, code])
}

#[tokio::test]
async fn what_a_service_has_not_processed_is_sent_again_and_nothing_else_is() {
    const INTERNAL_ERROR: u8 = 2;
    for (what, answer, closes, body, verdict, heads) in [
        ("goodbye before the request", goaway(1, 0), true, "", "200", vec![0, 0, 1]),
        ("goodbye before the request, without an end", goaway(1, 0), false, "", "200", vec![0, 0, 1]),
        ("goodbye with an error before the request", goaway(1, INTERNAL_ERROR), true, "", "200", vec![0, 0, 1]),
        ("refused", reset(REFUSED_STREAM), false, "", "200", vec![0, 0, 1]),
        ("goodbye after the request, and the end", goaway(3, 0), true, "", "502 upstream-protocol", vec![0, 0]),
        ("cancelled", reset(CANCEL), false, "", "502 upstream-protocol", vec![0, 0]),
        ("an error", reset(INTERNAL_ERROR), false, "", "502 upstream-protocol", vec![0, 0]),
        ("the end without a goodbye", vec![], true, "", "502 upstream-protocol", vec![0, 0]),
        (
            "goodbye before a request whose body is gone",
            goaway(1, 0),
            true,
            "body",
            "502 upstream-protocol",
            vec![0, 0],
        ),
    ] {
        let service = Leaving::start(answer, closes).await;
        let gateway = in_front_of(service.address, "").await;
        let mut caller = caller(&gateway).await;
        assert_eq!(ask(&mut caller, "").await, "200", "{what}");
        assert_eq!(ask(&mut caller, body).await, verdict, "{what}");
        assert_eq!(*service.heads.lock(), heads, "{what}");
        assert_eq!(ask(&mut caller, "").await, "200", "{what}: the next request");
    }
}

/// Its stream is busy as long as its body is, and the service has no other on that connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_body_that_outlasts_its_answer_is_still_under_way() {
    const ONE_STREAM: &[u8] = &[0, 3, 0, 0, 0, 1];
    let service = Leaving::with_settings(ONE_STREAM, vec![], false).await;
    let gateway = in_front_of(service.address, "").await;
    let mut uploads = Vec::new();
    for _ in 0..4 {
        let mut upload = TcpStream::connect(gateway.http()).await.unwrap();
        let begun = format!("POST /orders HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: 10\r\n\r\nbody");
        upload.write_all(begun.as_bytes()).await.unwrap();
        assert_eq!(hear(&mut upload).await.statuses(), [200]);
        uploads.push(upload);
    }
    for _ in 0..6 {
        let answer = timeout(PATIENCE / 2, send(gateway.http(), get("/orders", &[]))).await;
        assert_eq!(answer.expect("somebody else's body is not waited for").verdict(), "200");
    }
}

/// A service that answers once, says nothing any more on that connection, and takes others.
#[tokio::test]
async fn a_connection_that_has_fallen_silent_is_not_tried_again_and_again() {
    let service = Leaving::start(vec![], false).await;
    let gateway = in_front_of(service.address, "timeouts: {request: 300ms}").await;
    let mut caller = caller(&gateway).await;
    assert_eq!(ask(&mut caller, "").await, "200");
    assert_eq!(ask(&mut caller, "").await, "504 upstream-timeout");
    assert_eq!(ask(&mut caller, "").await, "200");
    assert_eq!(*service.heads.lock(), [0, 0, 1]);
}

#[tokio::test]
async fn a_service_that_does_not_speak_http_2_is_told_before_it_is_asked() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            let _preface = stream.read(&mut head).await;
            let _answer = stream.write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
        }
    });
    let gateway = in_front_of(address, "").await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "502 upstream-protocol");
}

/// All requests for a service share its connection: what some callers do not take must not hold up what others would.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_that_take_nothing_hold_nobody_else_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = service_fn(|_: Request<Incoming>| async {
                Ok::<_, Infallible>(Response::new(Full::new(Bytes::from(vec![b'x'; 16 << 20]))))
            });
            let builder = http2::Builder::new(TokioExecutor::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(stream), service));
        }
    });
    let gateway = in_front_of(address, "").await;
    let mut stuck = Vec::new();
    for _ in 0..24 {
        let stream = TcpStream::connect(gateway.http()).await.unwrap();
        stuck.push(open(stream, get("/orders", &[])).await);
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
    for _ in 0..4 {
        let stream = TcpStream::connect(gateway.http()).await.unwrap();
        let response = timeout(PATIENCE, open(stream, get("/orders", &[]))).await.expect("a head");
        let body = timeout(PATIENCE, response.into_body().collect()).await.expect("all of the body").unwrap();
        assert_eq!(body.to_bytes().len(), 16 << 20);
    }
    drop(stuck);
}
