//! Requests to the API server, counted where they leave the process.

use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http::{Method, Request, Response};
use prometheus_client::encoding::EncodeLabelSet;
use tower::{Layer, Service};

use super::Metrics;

/// Method, and status or `error`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(super) struct Labels {
    http_request_method: &'static str,
    http_response_status_code: String,
}

/// Counts what goes through.
#[derive(Clone)]
pub(crate) struct Counted(pub(crate) Metrics);

#[derive(Clone)]
pub(crate) struct CountedService<S> {
    service: S,
    metrics: Metrics,
}

impl<S> Layer<S> for Counted {
    type Service = CountedService<S>;

    fn layer(&self, service: S) -> Self::Service {
        CountedService { service, metrics: self.0.clone() }
    }
}

impl<S, B, R> Service<Request<B>> for CountedService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send,
    R: Send,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<S::Response, S::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.service.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (metrics, method) = (self.metrics.clone(), method(request.method()));
        let answered = self.service.call(request);
        async move {
            let answered = answered.await;
            let status =
                answered.as_ref().map_or_else(|_| "error".to_owned(), |answer| answer.status().as_str().to_owned());
            let labels = Labels { http_request_method: method, http_response_status_code: status };
            metrics.0.api_requests.get_or_create(&labels).inc();
            answered
        }
        .boxed()
    }
}

/// Those that are used.
fn method(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "_OTHER",
    }
}
