//! A request of a connection: who asks, and for what.

use std::sync::Arc;

use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;

use super::Bounds;
use super::call;
use super::connection::Line;
use super::gatekeeper::{Admission, Bearer, Caller, Gatekeeper, Refusal};
use super::term::Term;
use super::{standings, updates};
use crate::fleet::{Fleet, StreamRefusal};

/// The methods of the contract.
pub(crate) const FOLLOW: &str = "/sallyport.snapshot.v1.Updates/Follow";
pub(crate) const WATCH: &str = "/sallyport.snapshot.v1.Standings/Watch";

/// Why there is no stream: for us, and for the caller.
type Refused = (StreamRefusal, Status);

pub(super) struct Service {
    fleet: Fleet,
    gatekeeper: Arc<dyn Gatekeeper>,
    bounds: Bounds,
    verifications: Semaphore,
    closing: CancellationToken,
}

impl Service {
    pub(super) fn new(
        fleet: Fleet,
        gatekeeper: Arc<dyn Gatekeeper>,
        bounds: Bounds,
        closing: CancellationToken,
    ) -> Self {
        let verifications = Semaphore::new(bounds.verifications);
        Self { fleet, gatekeeper, bounds, verifications, closing }
    }

    pub(super) fn fleet(&self) -> &Fleet {
        &self.fleet
    }

    pub(super) fn bounds(&self) -> &Bounds {
        &self.bounds
    }

    pub(super) fn closing(&self) -> &CancellationToken {
        &self.closing
    }

    /// Opens the stream that is asked for, or says why not. The connection of whoever is refused ends with the answer.
    pub(super) async fn answer(self: &Arc<Self>, request: Request<Incoming>, line: &Arc<Line>) -> Response<Body> {
        let opened =
            self.admit(request.headers(), line).await.and_then(|admission| self.open(request, admission, line));
        opened.unwrap_or_else(|(why, status)| {
            self.fleet.counts().refused_stream(why);
            line.end();
            status.into_http()
        })
    }

    async fn admit(&self, headers: &HeaderMap, line: &Line) -> Result<Admission, Refused> {
        let mut shown = headers.get_all(header::AUTHORIZATION).iter();
        let header = shown.next().filter(|_| shown.next().is_none()).and_then(|value| value.to_str().ok());
        let none = || (StreamRefusal::NoToken, Status::unauthenticated("show one bearer token"));
        let token = header.and_then(Bearer::of_header).ok_or_else(none)?;
        let verified = async {
            let _turn = self.verifications.acquire().await;
            line.is_verifying();
            self.gatekeeper.admit(token).await
        };
        let late = |_| Refusal::Unavailable("there was no answer in time".to_owned());
        let verified = tokio::time::timeout(self.bounds.verification, verified).await.map_err(late).flatten();
        verified.map_err(|refusal| {
            // What there is to know of the token stays here.
            tracing::warn!(%refusal, "a stream is refused");
            match refusal {
                Refusal::Refused(_) => (StreamRefusal::TokenRefused, Status::unauthenticated("the token is refused")),
                Refusal::Unavailable(_) => {
                    (StreamRefusal::TokenNotVerified, Status::unavailable("the token cannot be verified now"))
                }
            }
        })
    }

    fn open(
        self: &Arc<Self>,
        request: Request<Incoming>,
        admission: Admission,
        line: &Arc<Line>,
    ) -> Result<Response<Body>, Refused> {
        let term = Term::new(&self.bounds, admission.valid_for, self.closing.clone());
        let service = Arc::clone(self);
        match (request.uri().path(), admission.caller) {
            (FOLLOW, Caller::DataPlane(pod)) => {
                let (incoming, outgoing, response) = call::open(request);
                let presence = line.admitted();
                tokio::spawn(updates::Session { service, pod, term, incoming, outgoing }.run(presence));
                Ok(response)
            }
            (WATCH, Caller::Controller { pod }) => {
                let (incoming, outgoing, response) = call::open(request);
                let presence = line.admitted();
                tokio::spawn(standings::Session { service, pod, term, incoming, outgoing }.run(presence));
                Ok(response)
            }
            (FOLLOW | WATCH, caller) => {
                tracing::warn!(?caller, "a stream is refused: it is not for this caller");
                Err((StreamRefusal::NotForCaller, Status::permission_denied("the stream is not for this caller")))
            }
            _ => Err((StreamRefusal::NoSuchMethod, Status::unimplemented("there is no such method"))),
        }
    }
}
