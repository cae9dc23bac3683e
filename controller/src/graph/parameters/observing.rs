//! What is told of requests.

use std::collections::BTreeMap;

use http::Uri;
use sallyport_api::GatewayParametersSpec;
use sallyport_api::condition::Reason;
use sallyport_api::observing::{AccessLogSettings, TelemetrySettings};
use sallyport_snapshot::v1;

use crate::cluster::ClusterState;
use crate::graph::Environment;
use crate::graph::outgoing::AddressRules;
use crate::problem::Problem;

/// Field by field the Gateway's own, else the class's. `None` where neither says anything.
pub fn access_log(own: Option<&AccessLogSettings>, of_class: Option<&AccessLogSettings>) -> Option<v1::AccessLog> {
    let stated = [own, of_class].into_iter().flatten();
    let message = v1::AccessLog {
        on: stated.clone().find_map(|one| one.enabled),
        sample_per_million: stated.clone().find_map(|one| one.sample_percent).map(per_million),
    };
    (message != v1::AccessLog::default()).then_some(message)
}

/// What of it cannot be read, and does not count.
pub fn judge(spec: &GatewayParametersSpec) -> impl Iterator<Item = Problem> + use<> {
    let stated = spec.telemetry.as_ref().and_then(|telemetry| telemetry.otlp_endpoint.as_deref());
    let why = stated.and_then(|endpoint| collector(endpoint).err());
    why.map(|why| {
        Problem::new(
            "spec.telemetry.otlpEndpoint",
            Reason::Invalid,
            format!("{why}. Until then it counts as not stated"),
        )
    })
    .into_iter()
}

/// Field by field the Gateway's own, else the class's; attributes add up. What cannot be read is left out. `None` where nothing is said.
pub fn telemetry(own: Option<&TelemetrySettings>, of_class: Option<&TelemetrySettings>) -> Option<v1::Telemetry> {
    let stated = || [own, of_class].into_iter().flatten();
    let attributes = stated().rev().filter_map(|one| one.resource_attributes.as_ref()).flat_map(|one| &one.0);
    let attributes: BTreeMap<_, _> = attributes.collect();
    let attribute = |(name, value): (&String, &String)| v1::Attribute { name: name.clone(), value: value.clone() };
    let message = v1::Telemetry {
        otlp_endpoint: stated()
            .filter_map(|one| one.otlp_endpoint.as_deref())
            .find_map(|endpoint| collector(endpoint).ok())
            .unwrap_or_default(),
        sample_per_million: stated().find_map(|one| one.sample_percent).map(per_million),
        resource_attributes: attributes.into_iter().map(attribute).collect(),
    };
    (message != v1::Telemetry::default()).then_some(message)
}

/// The address of a collector, in one spelling; or what is wrong with it. What it holds beside that may be a secret, and is not repeated.
fn collector(endpoint: &str) -> Result<String, String> {
    let invalid = |why: &str| Err(format!("{why}; write http://HOST:PORT or https://HOST:PORT"));
    if endpoint.contains('@') {
        return invalid("a collector is named without user and password");
    }
    let Ok(uri) = endpoint.parse::<Uri>() else { return invalid("this is no address") };
    let Some(scheme) = uri.scheme_str().filter(|scheme| ["http", "https"].contains(scheme)) else {
        return invalid("a collector is asked over http or https");
    };
    let Some(authority) = uri.authority().filter(|one| !one.host().is_empty()) else {
        return invalid("this names no host");
    };
    if uri.path_and_query().is_some_and(|rest| rest.as_str() != "/") || endpoint.contains('#') {
        return invalid("OTLP over gRPC has a path of its own");
    }
    if authority.port_u16().is_none_or(|port| port == 0) {
        return invalid("this names no port, which is 4317 as a rule");
    }
    let host = authority.host();
    if let Some(why) = host.trim_matches(['[', ']']).parse().ok().and_then(|ip| always_refused().refusal(ip)) {
        return Err(format!("{host}: {why}; name another address"));
    }
    Ok(format!("{scheme}://{authority}"))
}

/// What is refused wherever the data plane runs; it refuses more where it does.
fn always_refused() -> AddressRules {
    AddressRules::of(&ClusterState::default(), Environment::Standalone)
}

/// Of a hundred, as of a million: to the nearest of it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped to what fits")]
fn per_million(percent: f64) -> u32 {
    (percent * 10_000.0).round().clamp(0.0, 1_000_000.0) as u32
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.0, 0)]
    #[case(0.000_04, 0)]
    #[case(0.000_06, 1)]
    #[case(0.1, 1_000)]
    #[case(12.34, 123_400)]
    #[case(100.0, 1_000_000)]
    #[case(101.0, 1_000_000)]
    #[case(-1.0, 0)]
    #[case(f64::INFINITY, 1_000_000)]
    fn a_share_is_one_of_a_million(#[case] percent: f64, #[case] share: u32) {
        assert_eq!(per_million(percent), share);
    }

    #[rstest]
    #[case("http://otel-collector.observability:4317", "http://otel-collector.observability:4317")]
    #[case("https://collector.example:443/", "https://collector.example:443")]
    #[case("http://[2001:db8::1]:4317", "http://[2001:db8::1]:4317")]
    #[case("HTTP://10.0.0.1:4317", "http://10.0.0.1:4317")]
    fn a_collector_has_a_scheme_a_host_and_a_port(#[case] endpoint: &str, #[case] read: &str) {
        assert_eq!(collector(endpoint).as_deref(), Ok(read));
    }

    #[rstest]
    #[case::nothing("")]
    #[case::no_scheme("collector:4317")]
    #[case::another_scheme("grpc://collector:4317")]
    #[case::a_file("file:///etc/passwd")]
    #[case::no_host("http://:4317")]
    #[case::no_port("http://collector")]
    #[case::no_port_at_all("http://collector:0")]
    #[case::a_port_too_large("http://collector:65536")]
    #[case::a_path("http://collector:4318/v1/traces")]
    #[case::a_query("http://collector:4317?token=s3cret")]
    #[case::a_fragment("http://collector:4317#s3cret")]
    #[case::a_user("http://user:s3cret@collector:4317")]
    #[case::a_user_without_a_word("http://@collector:4317")]
    #[case::metadata("http://169.254.169.254:4317")]
    #[case::metadata_in_disguise("http://[::ffff:169.254.169.254]:4317")]
    #[case::no_single_host("http://0.0.0.0:4317")]
    #[case::spaces("http://collector :4317")]
    fn what_is_no_collector_is_told_without_what_may_be_secret(#[case] endpoint: &str) {
        let why = collector(endpoint).unwrap_err();
        assert!(why.contains("; ") && !why.contains("s3cret"), "{why}");
    }
}
