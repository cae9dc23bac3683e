//! `streams.endOnExpiry`: what lasts ends with what admitted it, or is let go on, whatever it is made of.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rstest::rstest;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::caller::{HOST, get, get_http2, http2, open};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, backend, policy_on};
use crate::kit::service::Service;

const ON_ROUTE: &str = "{group: gateway.networking.k8s.io, kind: KIND, name: orders}";
const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
/// Within a second, and what a busy machine takes besides.
const SOON: Duration = Duration::from_secs(3);
/// Longer than a second: what has not ended by then was not looked for.
const A_WHILE: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Server-sent events over HTTP/1.1.
    Events,
    /// The same over HTTP/2.
    EventsOverHttp2,
    /// A call that streams its answer.
    Grpc,
    WebSocket,
}

/// Something that lasts, and from which something comes again and again.
enum Lasting {
    Body(Incoming),
    Tunnel(TokioIo<hyper::upgrade::Upgraded>),
}

impl Lasting {
    async fn begin(kind: Kind, gateway: &Gateway, token: &str) -> Self {
        let stream = TcpStream::connect(gateway.http()).await.unwrap();
        let authorization = ("authorization", token);
        match kind {
            Kind::Events => Self::Body(open(stream, get("/orders/drip", &[authorization])).await.into_body()),
            Kind::EventsOverHttp2 => {
                let request = get_http2("http", HOST, "/orders/drip", &[authorization]);
                Self::Body(http2::<Empty<Bytes>>(stream).await.send_request(request).await.unwrap().into_body())
            }
            Kind::Grpc => {
                let request = Request::post(format!("http://{HOST}/shop.Orders/drip"))
                    .header(header::TE, "trailers")
                    .header(header::CONTENT_TYPE, "application/grpc")
                    .header(authorization.0, authorization.1)
                    .body(Full::new(Bytes::from_static(b"\0\0\0\0\0")))
                    .unwrap();
                Self::Body(http2(stream).await.send_request(request).await.unwrap().into_body())
            }
            Kind::WebSocket => {
                let mut request = get("/orders/ws", &[authorization]);
                request.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                request.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
                Self::Tunnel(TokioIo::new(hyper::upgrade::on(open(stream, request).await).await.unwrap()))
            }
        }
    }

    /// Whether something comes still.
    async fn goes_on(&mut self) -> bool {
        match self {
            Self::Body(body) => body.frame().await.is_some_and(|frame| frame.is_ok_and(|frame| frame.is_data())),
            Self::Tunnel(tunnel) => {
                let mut echo = [0; 4];
                tunnel.write_all(b"ping").await.is_ok() && tunnel.read_exact(&mut echo).await.is_ok()
            }
        }
    }

    /// Whether things come for longer than it takes to notice a change.
    async fn lasts(&mut self) -> bool {
        let until = tokio::time::Instant::now() + A_WHILE;
        while tokio::time::Instant::now() < until {
            if !self.goes_on().await {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// Ends soon, and not as if it were whole.
    async fn breaks_off(mut self) {
        let ended = async {
            match &mut self {
                Self::Body(body) => loop {
                    match body.frame().await {
                        Some(Ok(frame)) => assert!(!frame.is_trailers(), "what breaks off has no trailers"),
                        Some(Err(_)) => break,
                        None => panic!("it looks whole"),
                    }
                },
                Self::Tunnel(tunnel) => {
                    let mut rest = Vec::new();
                    let _broken = tunnel.read_to_end(&mut rest).await;
                }
            }
        };
        tokio::time::timeout(SOON, ended).await.expect("it ends within a second");
    }
}

struct World {
    gateway: Gateway,
    issuer: Issuer,
    kind: Kind,
    more: String,
    _service: Service,
}

impl World {
    /// `/orders` behind a token, with `more` in the policy.
    async fn start(kind: Kind, more: &str) -> Self {
        let (service, issuer) = (Service::start().await, Issuer::start().await);
        let protocol = if kind == Kind::Grpc { "protocol: H2C" } else { "protocol: HTTP11" };
        let gateway = Gateway::start(&[GATEWAY, &backend("shop", service.address, protocol)].concat()).await;
        let mut world = Self { gateway, issuer, kind, more: more.to_owned(), _service: service };
        world.gateway.write("route.yaml", &route_of(kind));
        world.require("");
        world
    }

    /// Changes what the token has to be.
    fn require(&mut self, jwt: &str) {
        let spec = format!(
            "authentication:\n- name: staff\n  jwt: {{issuer: '{}', audiences: [orders-api], keys: {{inline: '{}'}}{jwt}}}\n{}",
            self.issuer.name(),
            self.issuer.key_set(),
            self.more
        );
        let target = ON_ROUTE.replace("KIND", if self.kind == Kind::Grpc { "GRPCRoute" } else { "HTTPRoute" });
        self.gateway.write("policy.yaml", &policy_on("orders", &target, &spec));
        assert!(self.gateway.diagnostics.is_empty(), "{:?}", self.gateway.diagnostics);
    }

    /// Something that lasts, with a token that is good for ten minutes.
    async fn begin(&self) -> Lasting {
        let end = self.gateway.clock.now().seconds() + 600;
        let token = format!("Bearer {}", self.issuer.token_with("orders-api", &json!({ "exp": end })));
        let mut lasting = Lasting::begin(self.kind, &self.gateway, &token).await;
        assert!(lasting.goes_on().await);
        lasting
    }
}

fn route_of(kind: Kind) -> String {
    let kind = if kind == Kind::Grpc { "GRPCRoute" } else { "HTTPRoute" };
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: {kind}
metadata: {{name: orders, namespace: shop}}
spec:
  parentRefs: [{{name: public}}]
  rules: [{{backendRefs: [{{group: sallyport.dev, kind: Backend, name: shop}}]}}]
"
    )
}

const GO_ON: &str = "streams: {endOnExpiry: false}\n";

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lasts_ends_with_its_token(
    #[values(Kind::Events, Kind::EventsOverHttp2, Kind::Grpc, Kind::WebSocket)] kind: Kind,
    #[values("", "streams: {endOnExpiry: true}\n")] more: &str,
) {
    let world = World::start(kind, more).await;
    let lasting = world.begin().await;
    world.gateway.clock.advance(Duration::from_secs(601));
    lasting.breaks_off().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_go_on_outlasts_its_token_and_the_policy(
    #[values(Kind::Events, Kind::EventsOverHttp2, Kind::Grpc, Kind::WebSocket)] kind: Kind,
) {
    let mut world = World::start(kind, GO_ON).await;
    let mut lasting = world.begin().await;
    world.gateway.clock.advance(Duration::from_secs(601));
    assert!(lasting.lasts().await, "the token has expired");
    world.require(", scopes: [orders.write]");
    assert!(lasting.lasts().await, "the policy asks for more");
}

#[rstest]
#[case::a_scope(", scopes: [orders.write]")]
#[case::a_claim(", claims: [{name: roles, anyOf: [admin]}]")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lasts_ends_when_more_is_asked_for(
    #[case] more: &str,
    #[values(Kind::Events, Kind::Grpc, Kind::WebSocket)] kind: Kind,
) {
    let mut world = World::start(kind, "").await;
    let lasting = world.begin().await;
    world.require(more);
    lasting.breaks_off().await;
}

#[derive(Clone, Copy, Debug)]
enum Narrowing {
    AddressFilter,
    FloorOnTheGateway,
    RouteGone,
    GatewayGone,
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lasts_ends_when_what_admitted_it_is_no_more(
    #[values(Narrowing::AddressFilter, Narrowing::FloorOnTheGateway, Narrowing::RouteGone, Narrowing::GatewayGone)]
    narrowing: Narrowing,
    #[values(Kind::Events, Kind::Grpc, Kind::WebSocket)] kind: Kind,
) {
    let mut world = World::start(kind, "").await;
    let lasting = world.begin().await;
    match narrowing {
        Narrowing::AddressFilter => {
            world.more = "ipFilter: {allow: [203.0.113.0/24]}\n".to_owned();
            world.require("");
        }
        Narrowing::FloorOnTheGateway => {
            let floor = "enforcement: Floor\nauthentication: [{name: customers, subscriptionKey: {}}]";
            world.gateway.write("floor.yaml", &policy_on("floor", ON_GATEWAY, floor));
        }
        Narrowing::RouteGone => world.gateway.remove("route.yaml"),
        Narrowing::GatewayGone => world.gateway.remove("main.yaml"),
    }
    lasting.breaks_off().await;
}

/// A Floor decides as well: of what it and the route state the strictest holds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_floor_ends_what_the_route_would_let_go_on() {
    let mut world = World::start(Kind::Events, GO_ON).await;
    world
        .gateway
        .write("floor.yaml", &policy_on("floor", ON_GATEWAY, "enforcement: Floor\nstreams: {endOnExpiry: true}"));
    let lasting = world.begin().await;
    world.gateway.clock.advance(Duration::from_secs(601));
    lasting.breaks_off().await;
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_lasts_goes_on_when_something_else_changes(
    #[values(Kind::Events, Kind::EventsOverHttp2, Kind::Grpc, Kind::WebSocket)] kind: Kind,
) {
    let mut world = World::start(kind, "").await;
    let mut lasting = world.begin().await;
    world.gateway.write("other.yaml", &crate::kit::manifest::secret("other", "{key: value}"));
    let other = ON_ROUTE.replace("KIND", "HTTPRoute").replace("orders", "other");
    world.gateway.write(
        "policy-2.yaml",
        &policy_on("other", &other, "authentication: [{name: customers, subscriptionKey: {}}]"),
    );
    assert!(lasting.lasts().await);
}
