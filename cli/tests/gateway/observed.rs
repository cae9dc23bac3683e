//! What the operator sees: spans, log lines, metrics.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use parking_lot::Mutex;
use prost::Message as _;
use sallyport_dataplane::observe::traces::Traces;
use tokio::net::TcpListener;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route, secret, subscription};
use crate::kit::service::Service;

pub type Spans = Arc<Mutex<Vec<Span>>>;

/// An OTLP collector.
pub async fn collector() -> (SocketAddr, Spans) {
    let spans = Spans::default();
    let received = Arc::clone(&spans);
    let address = collecting(move |_, exported| {
        let scopes = exported.resource_spans.into_iter().flat_map(|one| one.scope_spans);
        received.lock().extend(scopes.flat_map(|scope| scope.spans));
    });
    (address.await, spans)
}

/// An OTLP collector that hands on what it is sent, with the metadata.
pub async fn collecting(take: impl Fn(HeaderMap, ExportTraceServiceRequest) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let (address, take) = (listener.local_addr().unwrap(), Arc::new(take));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let take = Arc::clone(&take);
            let service = service_fn(move |request: Request<Incoming>| {
                let take = Arc::clone(&take);
                async move {
                    assert_eq!(request.uri().path(), "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
                    let (head, body) = request.into_parts();
                    let mut body = body.collect().await.unwrap().to_bytes();
                    // gRPC's frame: a flag and a length.
                    body.advance(5);
                    take(head.headers, ExportTraceServiceRequest::decode(body).unwrap());
                    let trailers: HeaderMap =
                        [("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))].into_iter().collect();
                    let frames =
                        [Ok::<_, Infallible>(Frame::data(Bytes::from_static(&[0; 5]))), Ok(Frame::trailers(trailers))];
                    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)));
                    response.headers_mut().insert("content-type", HeaderValue::from_static("application/grpc"));
                    Ok::<_, Infallible>(response)
                }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
            tokio::spawn(connection.serve_connection(TokioIo::new(stream), service));
        }
    });
    address
}

fn world(service: &Service) -> String {
    let parts = [
        GATEWAY,
        &route("open", "shop"),
        &route("keyed", "shop"),
        &backend("shop", service.address, "credential: {basic: {secretRef: {name: login}}}"),
        &secret("login", "{username: gateway, password: s3cret-of-the-service}"),
        &policy("open", OPEN),
        &policy(
            "keyed",
            "authentication: [{name: customers, subscriptionKey: {queryParameters: [key], headers: [Sallyport-Key]}}]",
        ),
        &subscription("acme", "{apis: [{kind: HTTPRoute, name: keyed}]}", &format!("{{primary: {KEY}}}")),
    ];
    parts.concat()
}

const KEY: &str = "sp_s3cret-of-the-customer-aaaaaaaaaaaaaaaaaaaaaa";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_span_for_each_request_in_the_callers_trace() {
    let ((address, spans), service) = (collector().await, Service::start().await);
    let mut gateway = Gateway::traced(Traces::to(&format!("http://{address}")).unwrap()).await;
    gateway.write("main.yaml", &world(&service));
    send(gateway.http(), get("/open", &[("traceparent", PARENT), ("tracestate", "a=b")])).await;
    let seen = service.one();
    let handed_on = seen.header("traceparent").unwrap().to_owned();
    assert!(handed_on.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && handed_on.ends_with("-01"), "{handed_on}");
    assert_eq!(seen.header("tracestate"), Some("a=b"));
    for garbage in ["00-0-0-0", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "nonsense"] {
        send(gateway.http(), get("/open", &[("traceparent", garbage)])).await;
        let seen = service.one();
        assert_eq!(seen.header("tracestate"), None, "there is none");
        let fresh = seen.header("traceparent").unwrap().to_owned();
        assert!(fresh.starts_with("00-") && !fresh.contains("0af7651916cd43dd8448eb211c80319c"), "{fresh}");
    }
    send(gateway.http(), get("/keyed", &[])).await;
    let line = gateway.log(1).await.remove(0);
    assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    gateway.drain(Duration::from_secs(2)).await;
    let spans = spans.lock();
    assert_eq!(spans.len(), 5);
    let child =
        spans.iter().find(|span| span.parent_span_id == [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]).unwrap();
    assert_eq!(child.name, "GET HTTPRoute/shop/open");
    let id: String = child.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(handed_on.contains(&id));
    let refused = spans.iter().find(|span| span.name == "GET HTTPRoute/shop/keyed").unwrap();
    let attributes = format!("{:?}", refused.attributes);
    assert!(attributes.contains("error.type") && attributes.contains("credential-missing"), "{attributes}");
}

#[tokio::test]
async fn without_a_collector_the_callers_trace_passes() {
    let service = Service::start().await;
    let gateway = Gateway::start(&world(&service)).await;
    send(gateway.http(), get("/open", &[("traceparent", PARENT)])).await;
    assert_eq!(service.one().header("traceparent"), Some(PARENT));
    send(gateway.http(), get("/open", &[])).await;
    assert_eq!(service.one().header("traceparent"), None);
    let lines = gateway.log(2).await;
    assert_eq!(lines[0]["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert!(lines[1]["trace_id"].is_null());
}

#[tokio::test]
async fn the_log_tells_who_decided_and_no_secret() {
    let service = Service::start().await;
    let gateway = Gateway::start(&world(&service)).await;
    let token = "Bearer s3cret-of-the-caller";
    send(
        gateway.http(),
        get("/open?token=s3cret-in-the-query", &[("authorization", token), ("cookie", "id=s3cret-cookie")]),
    )
    .await;
    send(gateway.http(), get(&format!("/keyed?key={KEY}"), &[])).await;
    send(gateway.http(), get("/keyed", &[("sallyport-key", "s3cret-wrong")])).await;
    send(gateway.http(), get("/nowhere", &[("authorization", token)])).await;
    let lines = gateway.log(4).await;
    assert_eq!((&lines[0]["route"], &lines[0]["status"]), (&"HTTPRoute/shop/open".into(), &200.into()));
    assert_eq!(lines[0]["upstream"], service.address.to_string());
    assert!(lines[0]["duration_ms"].is_number() && lines[0]["upstream_ms"].is_number() && lines[0]["time"].is_string());
    assert_eq!((&lines[1]["subscription"], &lines[1]["alternative"]), (&"shop/acme".into(), &"customers".into()));
    let refusal = &lines[2]["refusal"];
    assert_eq!((&refusal["reason"], &refusal["object"]), (&"key-unknown".into(), &"ApiPolicy shop/keyed".into()));
    assert_eq!(lines[3]["refusal"]["reason"], "no-route");
    let metrics = String::from_utf8(send(gateway.admin(), get("/metrics", &[])).await.body.to_vec()).unwrap();
    let everything = format!("{lines:?}{metrics}");
    assert!(!everything.contains("s3cret"), "{everything}");
    for metric in [
        r#"sallyport_decisions_total{reason="forwarded"} 2"#,
        r#"sallyport_decisions_total{reason="key-unknown"} 1"#,
        r#"sallyport_decisions_total{reason="no-route"} 1"#,
        r#"sallyport_configuration_generation 1"#,
    ] {
        assert!(metrics.contains(metric), "{metric}\n{metrics}");
    }
}
