//! The measurement behind ADR 1: a bare hyper proxy in three process models, by CPU time for each request.
//!
//! `cargo run --release -p sallyport-bench --example process_model`. It runs itself once more for each proxy; load and service are in
//! the first process. Two workers, 32 kept-alive connections, loopback.

#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a measurement prints, and ends where it cannot go on"
)]

use std::cell::RefCell;
use std::convert::Infallible;
use std::env;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command, Stdio};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use parking_lot::Mutex;
use socket2::{Domain, Socket, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::task::{LocalSet, spawn_local};

const WORKERS: usize = 2;
const CONNECTIONS: usize = 32;
const BLOCKS: usize = 5;
const RUN: Duration = Duration::from_secs(3);
const SERVICE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18_080);
const PROXY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 18_081);
/// In the order of a block; the first is the one that was decided for.
const MODELS: [&str; 3] = ["loops-of-their-own", "stealing-own-pool", "stealing-shared-client"];
const REQUEST: &[u8] = b"GET /orders HTTP/1.1\r\nhost: a.example\r\n\r\n";

fn main() {
    match env::args().nth(1).as_deref() {
        None => measure(),
        Some("loops-of-their-own") => loops_of_their_own(),
        Some("stealing-own-pool") => stealing(pooled),
        Some("stealing-shared-client") => stealing(by_client),
        Some(other) => unreachable!("{other} is none of {MODELS:?}"),
    }
}

/// Blocks of all models, so that what the machine does beside hits each alike; medians at the end.
fn measure() {
    std::thread::spawn(|| single().block_on(serve_here(listen(SERVICE, false), |_| answer())));
    let mut figures = [const { Vec::new() }; MODELS.len()];
    for block in 0..BLOCKS {
        for (model, figures) in MODELS.iter().zip(&mut figures) {
            let mut child = start(model);
            single().block_on(load(Duration::from_millis(500)));
            let before = cpu_us(&child);
            let requests = single().block_on(load(RUN));
            let us = (cpu_us(&child) - before) / f64::from(requests);
            child.kill().and_then(|()| child.wait()).unwrap();
            println!("block {block} {model:<24} {us:6.2} us for each of {requests} requests");
            figures.push(us);
        }
    }
    for (model, mut figures) in MODELS.iter().zip(figures) {
        figures.sort_by(f64::total_cmp);
        println!("{model:<24} median {:6.2} us ({:.2}-{:.2})", figures[BLOCKS / 2], figures[0], figures[BLOCKS - 1]);
    }
}

/// The service's.
async fn answer() -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(Response::new(Full::new(Bytes::from_static(&[b'x'; 200]))))
}

fn start(model: &str) -> Child {
    let child = Command::new(env::current_exe().unwrap()).arg(model).stdin(Stdio::null()).spawn().unwrap();
    while std::net::TcpStream::connect(PROXY).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

/// CPU time of all threads, in microseconds.
fn cpu_us(child: &Child) -> f64 {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", child.id())).unwrap();
    let line = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("schedstat")).unwrap();
    tasks.map(|task| line(task.unwrap()).split(' ').next().unwrap().parse::<f64>().unwrap() / 1000.0).sum()
}

/// A closed loop on each connection; how many requests were answered.
async fn load(length: Duration) -> u32 {
    let local = LocalSet::new();
    let callers: Vec<_> =
        (0..CONNECTIONS).map(|_| local.spawn_local(tokio::time::timeout(length * 2, call(length)))).collect();
    local.await;
    let mut sum = 0;
    for caller in callers {
        sum += caller.await.unwrap().expect("the proxy answers in time");
    }
    sum
}

async fn call(length: Duration) -> u32 {
    let mut stream = TcpStream::connect(PROXY).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let end = tokio::time::Instant::now() + length;
    let (mut answer, mut requests) = ([0; 1024], 0);
    while tokio::time::Instant::now() < end {
        stream.write_all(REQUEST).await.unwrap();
        let mut read = 0;
        // The answer ends with its 200 bytes, which the head has none of.
        while !answer.get(..read).is_some_and(|answer| answer.ends_with(&[b'x'; 200])) {
            read += stream.read(&mut answer[read..]).await.unwrap();
        }
        requests += 1;
    }
    requests
}

/// Each worker is a thread with an event loop, a socket and connections of its own: nothing is shared.
fn loops_of_their_own() {
    let workers: Vec<_> = (0..WORKERS)
        .map(|_| {
            std::thread::spawn(|| {
                let pool = Rc::new(RefCell::new(Vec::new()));
                single()
                    .block_on(serve_here(listen(PROXY, true), move |request| forward_here(Rc::clone(&pool), request)));
            })
        })
        .collect();
    workers.into_iter().for_each(|worker| worker.join().unwrap());
}

async fn forward_here(
    pool: Rc<RefCell<Vec<SendRequest<Incoming>>>>,
    request: Request<Incoming>,
) -> Result<Response<Incoming>, hyper::Error> {
    let idle = pool.borrow_mut().pop();
    let mut sender = match idle {
        Some(sender) => sender,
        None => {
            let (sender, connection) = handshake(TokioIo::new(connect().await)).await?;
            spawn_local(connection);
            sender
        }
    };
    sender.ready().await?;
    let response = sender.send_request(request).await?;
    pool.borrow_mut().push(sender);
    Ok(response)
}

/// One work-stealing runtime, one socket; what a request needs is shared by all threads.
fn stealing<S, F>(forward: fn(S, Request<Incoming>) -> F)
where
    S: Shared + Clone + Send + 'static,
    F: Future<Output = Response<Incoming>> + Send + 'static,
{
    let runtime = runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build().unwrap();
    let shared = S::new();
    let accept = async move {
        let listener = TcpListener::from_std(listen(PROXY, false)).unwrap();
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            let shared = shared.clone();
            let service = service_fn(move |request| {
                let answer = forward(shared.clone(), request);
                async move { Ok::<_, Infallible>(answer.await) }
            });
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    };
    runtime.block_on(async move { tokio::spawn(accept).await.unwrap() });
}

trait Shared {
    fn new() -> Self;
}

type Pool = Arc<Mutex<Vec<SendRequest<Incoming>>>>;

impl Shared for Pool {
    fn new() -> Self {
        Self::default()
    }
}

async fn pooled(pool: Pool, request: Request<Incoming>) -> Response<Incoming> {
    let idle = pool.lock().pop();
    let mut sender = match idle {
        Some(sender) => sender,
        None => {
            let (sender, connection) = handshake(TokioIo::new(connect().await)).await.unwrap();
            tokio::spawn(connection);
            sender
        }
    };
    sender.ready().await.unwrap();
    let response = sender.send_request(request).await.unwrap();
    pool.lock().push(sender);
    response
}

type SharedClient = Client<HttpConnector, Incoming>;

impl Shared for SharedClient {
    fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Client::builder(TokioExecutor::new()).build(connector)
    }
}

async fn by_client(client: SharedClient, mut request: Request<Incoming>) -> Response<Incoming> {
    *request.uri_mut() = format!("http://{SERVICE}{}", request.uri().path()).parse().unwrap();
    client.request(request).await.unwrap()
}

async fn connect() -> TcpStream {
    let stream = TcpStream::connect(SERVICE).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Serves on this thread, for ever.
async fn serve_here<B, F, E>(listener: std::net::TcpListener, answer: impl Fn(Request<Incoming>) -> F + Clone + 'static)
where
    B: hyper::body::Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>> + 'static,
    F: Future<Output = Result<Response<B>, E>> + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    let listener = TcpListener::from_std(listener).unwrap();
    let local = LocalSet::new();
    let accept = async {
        while let Ok((stream, _)) = listener.accept().await {
            stream.set_nodelay(true).unwrap();
            spawn_local(http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer.clone())));
        }
    };
    local.run_until(accept).await;
}

fn single() -> runtime::Runtime {
    runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn listen(address: SocketAddr, is_shared: bool) -> std::net::TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(is_shared).unwrap();
    socket.bind(&address.into()).unwrap();
    socket.listen(1024).unwrap();
    socket.set_nonblocking(true).unwrap();
    socket.into()
}
