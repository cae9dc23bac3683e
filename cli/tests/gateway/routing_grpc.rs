//! GRPCRoute: what its matches take, and how callers that speak gRPC are refused.

use bytes::Bytes;
use http::{HeaderMap, Request, Response, header};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::SendRequest;
use rstest::rstest;
use tokio::net::TcpStream;

use crate::kit::caller::{Answer, HOST, http2, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy_on, subscription};
use crate::kit::service::Service;

const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]";
const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A rule that says its name in the response.
fn rule(name: &str, matching: &str, to: &str) -> String {
    format!(
        "
  - matches: [{matching}]
    filters: [{{type: ResponseHeaderModifier, responseHeaderModifier: {{set: [{{name: X-Rule, value: {name}}}]}}}}]
    backendRefs: [{{group: sallyport.dev, kind: Backend, name: {to}}}]"
    )
}

fn grpc_route(name: &str, rules: &[String]) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{name: {name}, namespace: shop}}
spec:
  parentRefs: [{{name: public}}]
  rules:{}
",
        rules.concat()
    )
}

async fn world(service: &Service, spec: &str, route: &str) -> Gateway {
    let shop = backend("shop", service.address, "protocol: H2C");
    Gateway::start(&[GATEWAY, &shop, &policy_on("all", ON_GATEWAY, spec), route].concat()).await
}

struct Client(SendRequest<Full<Bytes>>);

impl Client {
    async fn of(gateway: &Gateway) -> Self {
        Self(http2(TcpStream::connect(gateway.http()).await.unwrap()).await)
    }

    async fn begin(&mut self, path: &str, headers: &[(&str, &str)]) -> Response<Incoming> {
        let mut request = Request::post(format!("http://{HOST}{path}")).header(header::TE, "trailers");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.0.ready().await.unwrap();
        self.0.send_request(request.body(Full::new(Bytes::from_static(b"\0\0\0\0\0"))).unwrap()).await.unwrap()
    }

    async fn call(&mut self, path: &str, headers: &[(&str, &str)]) -> Answer {
        read(self.begin(path, headers).await).await
    }
}

const GRPC: (&str, &str) = ("content-type", "application/grpc");

#[tokio::test]
async fn calls_are_matched_by_service_method_and_metadata() {
    let service = Service::start().await;
    let rules = [
        rule("method-only", "{method: {method: Ping}}", "shop"),
        rule("service", "{method: {service: hello.Greeter}}", "shop"),
        rule("regex", "{method: {type: RegularExpression, service: 're\\.[A-Z][a-z]+', method: 'Get.*'}}", "shop"),
        rule("team", "{method: {service: hello.Greeter, method: Say}, headers: [{name: X-Team, value: blue}]}", "shop"),
        rule("one", "{method: {service: hello.Greeter, method: Say}}", "shop"),
    ];
    let gateway = world(&service, OPEN, &grpc_route("greeter", &rules)).await;
    let mut client = Client::of(&gateway).await;
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
    let cases: [Case<'_>; 16] = [
        ("/hello.Greeter/Say", &[GRPC], "one"),
        ("/hello.Greeter/Say", &[GRPC, ("x-team", "blue")], "team"),
        ("/hello.Greeter/Say", &[GRPC, ("x-team", "red")], "one"),
        ("/hello.Greeter/Other", &[GRPC], "service"),
        ("/hello.Other/Ping", &[GRPC], "method-only"),
        ("/re.Thing/GetAll", &[GRPC], "regex"),
        ("/re.thing/GetAll", &[GRPC], "404 no-route"),
        ("/reXThing/GetAll", &[GRPC], "404 no-route"),
        ("/re.Thing/SetAll", &[GRPC], "404 no-route"),
        ("/hello.greeter/Say", &[GRPC], "404 no-route"),
        ("/hello.GreeterX/Say", &[GRPC], "404 no-route"),
        ("/hello.Other/PingX", &[GRPC], "404 no-route"),
        ("/hello.Other/ping", &[GRPC], "404 no-route"),
        ("/a/hello.Other/Ping", &[GRPC], "404 no-route"),
        ("/x/hello.Greeter/Say", &[GRPC], "404 no-route"),
        ("/", &[GRPC], "404 no-route"),
    ];
    let mut wrong = Vec::new();
    for (path, headers, expected) in cases {
        let answer = client.call(path, headers).await;
        let found = answer.header("x-rule").map_or_else(|| answer.verdict(), str::to_owned);
        if found != expected {
            wrong.push(format!("{path} {headers:?}: {found}, not {expected}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?} {:?}", gateway.diagnostics);
    assert_eq!(service.count(), 6);
}

#[rstest]
#[case::grpc("application/grpc", true)]
#[case::with_its_coding("application/grpc+proto", true)]
#[case::for_browsers("application/grpc-web", false)]
#[case::json("application/json", false)]
#[case::something_like_it("application/grpcx", false)]
#[tokio::test]
async fn a_backend_that_is_not_there_is_unavailable_to_whoever_speaks_grpc(#[case] kind: &str, #[case] is_grpc: bool) {
    let service = Service::start().await;
    let gateway = world(&service, OPEN, &grpc_route("greeter", &[rule("lost", "{}", "nobody")])).await;
    let mut client = Client::of(&gateway).await;
    let response = client.begin("/hello.Greeter/Say", &[("content-type", kind)]).await;
    assert_eq!(response.body().is_end_stream(), is_grpc, "nothing but a head is gRPC's Trailers-Only");
    let answer = read(response).await;
    if is_grpc {
        assert_unavailable(&answer);
    } else {
        assert_eq!(answer.verdict(), "500 configuration");
        assert_eq!(answer.header("grpc-status"), None);
    }
    let line = gateway.log(1).await.remove(0);
    assert_eq!(line["refusal"]["reason"], "configuration", "the operator reads the same: {line}");
    assert_eq!(service.count(), 0);
}

fn assert_unavailable(answer: &Answer) {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!((answer.header("grpc-status"), answer.header("content-type")), (Some("14"), Some("application/grpc")));
    let message = answer.header("grpc-message").unwrap_or_default();
    assert!(message.contains("not configured correctly") && !message.contains("nobody"), "{message}");
    assert_eq!((answer.body.len(), &answer.trailers), (0, &None::<HeaderMap>));
}

/// Only for its share: the other backend's calls go through.
#[tokio::test]
async fn a_share_without_a_backend_is_unavailable_and_the_rest_is_served() {
    let service = Service::start().await;
    let both = rule("both", "{}", "shop")
        .replace("name: shop}]", "name: shop}, {group: sallyport.dev, kind: Backend, name: nobody}]");
    let gateway = world(&service, OPEN, &grpc_route("greeter", &[both])).await;
    let mut client = Client::of(&gateway).await;
    let mut unavailable = 0;
    for _ in 0..200 {
        let answer = client.call("/hello.Greeter/Say", &[GRPC]).await;
        assert_eq!(answer.status, 200);
        unavailable += usize::from(answer.header("grpc-status") == Some("14"));
    }
    assert!((45..=155).contains(&unavailable), "{unavailable}");
    assert_eq!(service.count(), 200 - unavailable);
}

/// An HTTPRoute answers as HTTP, whatever it carries.
#[tokio::test]
async fn grpc_through_an_http_route_reads_500() {
    let service = Service::start().await;
    let route = crate::kit::manifest::route("hello.Greeter", "nobody");
    let gateway = world(&service, OPEN, &route).await;
    let answer = Client::of(&gateway).await.call("/hello.Greeter/Say", &[GRPC]).await;
    assert_eq!((answer.verdict().as_str(), answer.header("grpc-status")), ("500 configuration", None));
}

/// gRPC reads 401 as UNAUTHENTICATED, 403 as PERMISSION_DENIED, 404 as UNIMPLEMENTED, 502 and 503 as UNAVAILABLE.
#[tokio::test]
async fn every_other_refusal_keeps_its_status() {
    let service = Service::start().await;
    let route = grpc_route("greeter", &[rule("one", "{method: {service: hello.Greeter}}", "shop")])
        + &grpc_route("other", &[rule("other", "{method: {service: hello.Other}}", "shop")])
        + &subscription("acme", "{apis: [{kind: GRPCRoute, name: greeter}]}", &format!("{{primary: {KEY}}}"));
    let gateway = world(&service, BY_KEY, &route).await;
    let mut client = Client::of(&gateway).await;
    for (path, key, expected) in [
        ("/hello.Greeter/Say", None, "401 credential-missing"),
        ("/hello.Greeter/Say", Some("nobody"), "401 key-unknown"),
        ("/hello.Other/Say", Some(KEY), "403 key-out-of-scope"),
        ("/hello.Nobody/Say", Some(KEY), "404 no-route"),
        ("/hello.Greeter/Say", Some(KEY), "200"),
    ] {
        let headers: Vec<_> = key.map(|key| ("sallyport-key", key)).into_iter().chain([GRPC]).collect();
        let answer = client.call(path, &headers).await;
        assert_eq!(answer.verdict(), expected, "{path} {:?}", gateway.diagnostics);
        assert_eq!(answer.header("grpc-status"), None, "{path}");
        if answer.status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some(r#"Sallyport-Key realm="sallyport""#));
        }
    }
    assert_eq!(service.count(), 1);
    service.stop();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    let gateway = world(&service, OPEN, &grpc_route("greeter", &[rule("one", "{}", "shop")])).await;
    let answer = Client::of(&gateway).await.call("/hello.Greeter/Say", &[GRPC]).await;
    assert_eq!(answer.verdict(), "502 upstream-connect");
}

/// gRPC is HTTP/2; whoever asks in HTTP/1.1 reads the same refusals.
#[tokio::test]
async fn a_caller_without_http_2_is_refused_as_any_other() {
    let service = Service::start().await;
    let gateway = world(&service, BY_KEY, &grpc_route("greeter", &[rule("one", "{}", "shop")])).await;
    let request = Request::post("/hello.Greeter/Say")
        .header(header::HOST, HOST)
        .header(GRPC.0, GRPC.1)
        .body(Full::new(Bytes::from_static(b"\0\0\0\0\0")))
        .unwrap();
    assert_eq!(send(gateway.http(), request).await.verdict(), "401 credential-missing");
    assert_eq!(service.count(), 0);
}
