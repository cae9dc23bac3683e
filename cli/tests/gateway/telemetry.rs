//! `telemetry` of GatewayParameters: each Gateway says where its spans go, which are recorded, and what they carry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use parking_lot::Mutex;
use rstest::rstest;
use sallyport_dataplane::observe::traces::Traces;

use crate::kit::caller::{get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{OPEN, backend, gateway_with, other_gateway, policy, route};
use crate::kit::service::Service;
use crate::observed::collecting;

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const NOT_SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

/// What came to a collector.
#[derive(Clone, Default)]
struct Exports(Arc<Mutex<Vec<ExportTraceServiceRequest>>>);

impl Exports {
    async fn collector() -> (SocketAddr, Self) {
        let exports = Self::default();
        let received = exports.clone();
        let address = collecting(move |metadata, exported| {
            assert!(metadata.get("authorization").is_none(), "{metadata:?}");
            received.0.lock().push(exported);
        });
        (address.await, exports)
    }

    /// Names of spans, in order.
    fn names(&self) -> Vec<String> {
        let exports = self.0.lock();
        let scopes = exports.iter().flat_map(|one| &one.resource_spans).flat_map(|one| &one.scope_spans);
        let mut names: Vec<_> = scopes.flat_map(|scope| &scope.spans).map(|span| span.name.clone()).collect();
        names.sort();
        names
    }

    /// What the spans say of where they come from, where it is a text.
    fn resource(&self, name: &str) -> Option<String> {
        let exports = self.0.lock();
        let resource = exports.iter().flat_map(|one| &one.resource_spans).find_map(|one| one.resource.as_ref())?;
        let attribute = resource.attributes.iter().find(|attribute| attribute.key == name)?;
        match attribute.value.as_ref()?.value.as_ref()? {
            Value::StringValue(text) => Some(text.clone()),
            _ => None,
        }
    }

    async fn until(&self, names: &[&str]) {
        for _ in 0..800 {
            if self.names() == names {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not {names:?} but {:?}", self.names());
    }
}

fn world(telemetry: &str, service: &Service) -> String {
    let parts = [
        gateway_with(&format!("{{telemetry: {telemetry}}}")),
        route("open", "shop"),
        backend("shop", service.address, ""),
        policy("open", &format!("{OPEN}\nipFilter: {{allow: [127.0.0.1]}}")),
    ];
    parts.concat()
}

async fn asked(gateway: &Gateway, headers: &[(&str, &str)]) {
    assert_eq!(send(gateway.http(), get("/open", headers)).await.verdict(), "200", "{:?}", gateway.diagnostics);
}

const OPEN_SPAN: &str = "GET HTTPRoute/shop/open";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn spans_of_a_gateway_go_to_its_collector_and_to_no_other() {
    let ((of_process, others), (address, exports)) = (Exports::collector().await, Exports::collector().await);
    let service = Service::start().await;
    let mut gateway = Gateway::traced(Traces::to(&format!("http://{of_process}")).unwrap()).await;
    let attributes = "{deployment.environment.name: production, service.name: edge}";
    let telemetry = format!("{{otlpEndpoint: \"http://{address}\", resourceAttributes: {attributes}}}");
    gateway.write("main.yaml", &world(&telemetry, &service));
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    asked(&gateway, &[("traceparent", SAMPLED)]).await;
    let handed_on = service.one().header("traceparent").unwrap().to_owned();
    assert!(handed_on.starts_with("00-0af7651916cd43dd8448eb211c80319c-") && handed_on != SAMPLED, "{handed_on}");
    assert_eq!(send(gateway.http(), get("/nowhere", &[])).await.verdict(), "404 no-route");
    assert_eq!(send(gateway.http(), get("/a/../b", &[])).await.verdict(), "400 malformed-request");
    gateway.drain(Duration::from_secs(2)).await;
    assert_eq!(exports.names(), ["GET", "GET", OPEN_SPAN]);
    assert_eq!(others.names(), [""; 0]);
    assert_eq!(exports.resource("deployment.environment.name").as_deref(), Some("production"));
    assert_eq!(exports.resource("service.name").as_deref(), Some("edge"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_counts_at_once_and_loses_no_span() {
    let ((one, first), (other, second)) = (Exports::collector().await, Exports::collector().await);
    let (mut gateway, service) = (Gateway::empty().await, Service::start().await);
    let to = |address: SocketAddr| world(&format!("{{otlpEndpoint: \"http://{address}\"}}"), &service);
    gateway.write("main.yaml", &to(one));
    asked(&gateway, &[]).await;
    gateway.write("main.yaml", &to(other));
    asked(&gateway, &[]).await;
    first.until(&[OPEN_SPAN]).await;
    gateway.write("main.yaml", &world("{}", &service));
    second.until(&[OPEN_SPAN]).await;
    service.take();
    asked(&gateway, &[("traceparent", SAMPLED)]).await;
    assert_eq!(service.one().header("traceparent"), Some(SAMPLED), "nobody records any more");
    gateway.drain(Duration::from_secs(2)).await;
    assert_eq!((first.names().len(), second.names().len()), (1, 1));
}

#[rstest]
#[case::none_that_nobody_asks_for("0", &[], 0)]
#[case::none_of_a_caller_that_does_not_want_it("100", &[("traceparent", NOT_SAMPLED)], 0)]
#[case::one_of_a_caller_that_wants_it("0", &[("traceparent", SAMPLED)], 1)]
#[case::all("100", &[], 1)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_of_traces_is_recorded(
    #[case] percent: &str,
    #[case] headers: &[(&str, &str)],
    #[case] recorded: usize,
) {
    let (address, exports) = Exports::collector().await;
    let (mut gateway, service) = (Gateway::empty().await, Service::start().await);
    let telemetry = format!("{{otlpEndpoint: \"http://{address}\", samplePercent: {percent}}}");
    gateway.write("main.yaml", &world(&telemetry, &service));
    asked(&gateway, headers).await;
    gateway.drain(Duration::from_secs(2)).await;
    assert_eq!(exports.names().len(), recorded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_share_alone_counts_for_the_collector_of_the_process() {
    let (address, exports) = Exports::collector().await;
    let service = Service::start().await;
    let mut gateway = Gateway::traced(Traces::to(&format!("http://{address}")).unwrap()).await;
    gateway.write("main.yaml", &world("{samplePercent: 0}", &service));
    asked(&gateway, &[]).await;
    gateway.write("main.yaml", &world("{samplePercent: 100, resourceAttributes: {team: shop}}", &service));
    asked(&gateway, &[]).await;
    gateway.drain(Duration::from_secs(2)).await;
    assert_eq!(exports.names(), [OPEN_SPAN]);
    assert_eq!(exports.resource("team").as_deref(), Some("shop"));
}

#[rstest]
#[case::a_secret("http://user:s3cret@127.0.0.1:4317")]
#[case::a_secret_in_the_query("http://127.0.0.1:4317/?token=s3cret")]
#[case::no_scheme("127.0.0.1:4317")]
#[case::no_port("http://localhost")]
#[case::metadata("http://169.254.169.254:4317")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_collector_is_told_and_closes_nothing(#[case] endpoint: &str) {
    let (address, exports) = Exports::collector().await;
    let service = Service::start().await;
    let mut gateway = Gateway::traced(Traces::to(&format!("http://{address}")).unwrap()).await;
    gateway.write("main.yaml", &world(&format!("{{otlpEndpoint: \"{endpoint}\"}}"), &service));
    let said = gateway.said("GatewayParameters shop/ours");
    assert!(said.contains("spec.telemetry.otlpEndpoint: ") && said.contains("; "), "{said}");
    assert!(!gateway.said("Gateway shop/public").is_empty(), "{:?}", gateway.diagnostics);
    assert!(!format!("{:?}{:?}", gateway.diagnostics, gateway.statuses).contains("s3cret"));
    asked(&gateway, &[]).await;
    gateway.drain(Duration::from_secs(2)).await;
    assert_eq!(exports.names(), [OPEN_SPAN], "where the process sends its spans");
}

#[rstest]
#[case::more_than_all("{samplePercent: 100.1}")]
#[case::a_number_for_a_value("{resourceAttributes: {team: 7}}")]
#[case::no_name("{resourceAttributes: {\"\": shop}}")]
#[case::a_name_with_spaces("{resourceAttributes: {\"the team\": shop}}")]
#[case::unknown("{endpoint: \"http://127.0.0.1:4317\"}")]
#[tokio::test]
async fn what_cannot_be_read_is_told_of(#[case] telemetry: &str) {
    let service = Service::start().await;
    let gateway = Gateway::start(&world(telemetry, &service)).await;
    assert!(!gateway.said("GatewayParameters shop/ours").is_empty(), "{:?}", gateway.diagnostics);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_collector_that_is_not_there() {
    let service = Service::start().await;
    let gateway = Gateway::start(&world("{otlpEndpoint: \"http://127.0.0.1:1\"}", &service)).await;
    let began = tokio::time::Instant::now();
    for _ in 0..20 {
        asked(&gateway, &[]).await;
    }
    assert!(began.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gateways_of_one_port_have_each_its_own_collector() {
    let ((one, first), (two, second)) = (Exports::collector().await, Exports::collector().await);
    let (mut gateway, service) = (Gateway::empty().await, Service::start().await);
    gateway.write("main.yaml", &world(&format!("{{otlpEndpoint: \"http://{one}\"}}"), &service));
    gateway.write("other.yaml", &other_gateway(&format!("telemetry: {{otlpEndpoint: \"http://{two}\"}}")));
    assert!(gateway.diagnostics.is_empty(), "{:?}", gateway.diagnostics);
    asked(&gateway, &[]).await;
    let mut elsewhere = get("/nowhere", &[]);
    elsewhere.headers_mut().insert("host", "other.example.com".parse().unwrap());
    assert_eq!(send(gateway.http(), elsewhere).await.verdict(), "404 no-route");
    gateway.drain(Duration::from_secs(2)).await;
    assert_eq!((first.names(), second.names()), (vec![OPEN_SPAN.to_owned()], vec!["GET".to_owned()]));
}
