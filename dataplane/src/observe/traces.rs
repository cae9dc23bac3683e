//! One span for each request, in W3C trace context, sent by OTLP; attributes after OpenTelemetry's HTTP conventions.
//!
//! Without an exporter a caller's `traceparent` travels on as it came, and only the log speaks of it.

pub(crate) mod collector;
pub(crate) mod exporters;

use std::sync::Arc;

use http::header::HeaderName;
use http::{HeaderMap, HeaderValue, Method};
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator as _};
use opentelemetry::trace::{
    Span as _, SpanKind, Status, TraceContextExt as _, TraceId, Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{ExporterBuildError, SpanExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkError;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider, Span};

use super::access_log::Line;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Where spans go.
pub struct Traces {
    to: Option<(SdkTracerProvider, SdkTracer)>,
    /// As the process was started with it.
    endpoint: Option<Box<str>>,
}

/// The part of a trace that a request is.
pub(crate) enum Trace {
    /// Nobody records it here.
    Passing(TraceId),
    /// Its exporter is there as long as it lasts.
    Recorded(Box<(Span, Arc<Traces>)>),
}

impl Traces {
    /// No span is made.
    pub fn off() -> Self {
        Self { to: None, endpoint: None }
    }

    /// Exports to an OTLP collector (gRPC) in batches, from a thread of its own. Which requests are sampled is a matter of the
    /// caller's flag and of `OTEL_TRACES_SAMPLER`. Has to be called on the tokio runtime that is to carry the connection.
    pub fn to(endpoint: &str) -> Result<Self, ExporterBuildError> {
        let traces = Self::exporting(Self::exporter(endpoint)?, None, []);
        Ok(Self { endpoint: Some(endpoint.into()), ..traces })
    }

    fn exporter(endpoint: &str) -> Result<SpanExporter, ExporterBuildError> {
        SpanExporter::builder().with_tonic().with_endpoint(endpoint).build()
    }

    /// Exports by `exporter`. Of traces that no caller speaks of `share` are sampled; without one it is as the environment says.
    fn exporting(exporter: SpanExporter, share: Option<f64>, attributes: impl IntoIterator<Item = KeyValue>) -> Self {
        let resource = Resource::builder().with_service_name("sallyport").with_attributes(attributes).build();
        let builder = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter);
        let by_share = |share| Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(share)));
        let provider = match share {
            Some(share) => builder.with_sampler(by_share(share)),
            None => builder,
        }
        .build();
        let tracer = provider.tracer("sallyport");
        Self { to: Some((provider, tracer)), endpoint: None }
    }

    /// Begins the span of a request, as the child of the one that its headers name.
    pub(crate) fn begin(self: &Arc<Self>, method: &Method, headers: &HeaderMap) -> Option<Trace> {
        let Some((_, tracer)) = &self.to else {
            let known = headers.contains_key(TRACEPARENT).then(|| parent(headers).span().span_context().trace_id());
            return known.filter(|id| *id != TraceId::INVALID).map(Trace::Passing);
        };
        let builder = tracer.span_builder(method.as_str().to_owned()).with_kind(SpanKind::Server);
        let span = tracer.build_with_context(builder, &parent(headers));
        Some(Trace::Recorded(Box::new((span, Arc::clone(self)))))
    }

    /// Sends what has not been sent; may take as long as the collector does, within the exporter's bounds.
    pub fn finish(&self) {
        let Some((provider, _)) = &self.to else { return };
        match provider.shutdown() {
            Ok(()) | Err(OTelSdkError::AlreadyShutdown) => {}
            Err(error) => tracing::warn!(%error, "the last spans could not be exported"),
        }
    }
}

impl Trace {
    pub(crate) fn id(&self) -> TraceId {
        match self {
            Self::Passing(id) => *id,
            Self::Recorded(recorded) => recorded.0.span_context().trace_id(),
        }
    }

    /// Names this span as the parent of the service's.
    pub(crate) fn hand_on(&self, headers: &mut HeaderMap) {
        let Self::Recorded(recorded) = self else { return };
        headers.remove(TRACEPARENT);
        headers.remove(TRACESTATE);
        let context = Context::new().with_remote_span_context(recorded.0.span_context().clone());
        TraceContextPropagator::new().inject_context(&context, &mut Headers(headers));
    }

    /// Ends the span with what came of the request. What is left names the trace.
    pub(crate) fn ended(self, line: &Line) -> Self {
        let id = self.id();
        self.end(line);
        Self::Passing(id)
    }

    fn end(self, line: &Line) {
        let Self::Recorded(recorded) = self else { return };
        let (mut span, _exporter) = *recorded;
        if !span.is_recording() {
            return;
        }
        let route =
            line.rule.as_ref().map(|rule| format!("{}/{}/{}", rule.api.kind, rule.api.namespace, rule.api.name));
        if let Some(route) = &route {
            span.update_name(format!("{} {route}", line.method));
        }
        let mut attributes = vec![
            KeyValue::new("http.request.method", line.method.as_str().to_owned()),
            KeyValue::new("http.response.status_code", i64::from(line.status.as_u16())),
        ];
        let texts = [
            ("http.route", route),
            ("client.address", line.client.map(|client| client.to_string())),
            ("network.peer.address", line.peer.map(|peer| peer.ip().to_string())),
            ("sallyport.policy", line.policy.as_ref().map(|policy| policy.objects.to_string())),
            ("sallyport.alternative", line.alternative.as_deref().map(str::to_owned)),
            ("sallyport.subscription", line.subscription.as_deref().map(str::to_owned)),
            ("sallyport.upstream", line.upstream.map(|upstream| upstream.to_string())),
            ("error.type", line.rejection.as_ref().map(|rejection| rejection.reason.code().to_owned())),
        ];
        attributes.extend(texts.into_iter().filter_map(|(name, text)| Some(KeyValue::new(name, text?))));
        span.set_attributes(attributes);
        // A caller that speaks gRPC reads 200 of every answer.
        let status = line.rejection.as_ref().map_or(line.status, |rejection| rejection.reason.meaning().status);
        if status.is_server_error() {
            span.set_status(Status::error(""));
        }
        span.end();
    }
}

/// The span that a caller names; one that is stated twice, or not as W3C has it, is none.
fn parent(headers: &HeaderMap) -> Context {
    let once = headers.get_all(TRACEPARENT).iter().nth(1).is_none();
    if once { TraceContextPropagator::new().extract(&Fields(headers)) } else { Context::new() }
}

struct Fields<'a>(&'a HeaderMap);

impl Extractor for Fields<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

struct Headers<'a>(&'a mut HeaderMap);

impl Injector for Headers<'_> {
    fn set(&mut self, key: &str, value: String) {
        // A caller without a state has none: an empty field is legal, and better not sent (W3C Trace Context, 3.3.1).
        if value.is_empty() {
            return;
        }
        if let (Ok(name), Ok(value)) = (key.parse::<HeaderName>(), HeaderValue::try_from(value)) {
            self.0.insert(name, value);
        }
    }
}
