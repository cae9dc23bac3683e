//! The way to a service: endpoints, connections kept for reuse, and one exchange.
//!
//! Everything here belongs to one worker, whose event loop has one thread: no locks.

mod connect;
mod places;
pub mod target;
mod wire;

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body as HttpBody;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use sallyport_snapshot::Hash;
use tokio::time::Instant;

use crate::egress::AddressRules;
use crate::map::Map;
use crate::names::Names;
use crate::rejection::Reason;
use crate::server::descriptors::Descriptors;
pub use connect::OnThisWorker;
use places::{Addresses, Place};
use target::Target;

/// Idle connections to one endpoint: a burst beyond this pays for new ones.
const MAX_IDLE: usize = 64;
/// Servers commonly close after 60 s or more: closing earlier ourselves avoids the race.
const IDLE_TIMEOUT: Duration = Duration::from_secs(45);
/// What each address of a host has at least for its connection, if the time for all allows it: a round trip around the world, and TLS.
const MIN_CONNECT_SHARE: Duration = Duration::from_secs(1);

/// Connections of one worker to all services.
pub struct Upstreams<B> {
    rules: AddressRules,
    descriptors: Descriptors,
    names: Names,
    idle: RefCell<Map<Key, Vec<Idle<B>>>>,
    shared: RefCell<Map<Key, Shared<B>>>,
    turn: Cell<u64>,
    /// When [`Self::tidy`] was called last: as exact as the age of an idle connection has to be.
    tidied: Cell<Instant>,
}

/// Connections are shared only by requests for the same settings of the same backend.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    target: Hash,
    address: SocketAddr,
}

struct Idle<B> {
    sender: http1::SendRequest<B>,
    /// Or some seconds before it became idle.
    since: Instant,
}

/// An HTTP/2 connection, which many exchanges are on at once.
struct Shared<B> {
    sender: http2::SendRequest<B>,
    /// When an exchange began on it last, or some seconds before.
    used: Instant,
}

/// A connection for one exchange.
enum Sender<B> {
    Http1(http1::SendRequest<B>),
    Http2(http2::SendRequest<B>),
}

/// Whether a connection may be one that was kept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reuse {
    Allowed,
    Forbidden,
}

/// One try at one place.
#[derive(Clone, Copy)]
struct Attempt<'a> {
    place: &'a Place,
    reuse: Reuse,
    ends: Ends,
}

/// Until when an attempt has what; `None` is no end.
#[derive(Clone, Copy)]
struct Ends {
    /// The response to its last byte.
    whole: Option<Instant>,
    /// The head of the response.
    head: Option<Instant>,
}

struct Connected<B> {
    sender: Sender<B>,
    address: SocketAddr,
    was_kept: bool,
}

/// A response, and the connection that it came on, to be given back when its body has ended.
pub struct Exchange<B> {
    pub response: Response<Incoming>,
    pub address: SocketAddr,
    pub lease: Option<Lease<B>>,
    /// Until when its body has to have ended.
    pub until: Option<Instant>,
}

/// An HTTP/1.1 connection that is busy until the response's body has ended.
pub struct Lease<B> {
    key: Key,
    sender: http1::SendRequest<B>,
}

/// Why no response came.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamFailure {
    #[error("no endpoint of the service is ready")]
    NoEndpoint,
    #[error("{address} must not be called; name another endpoint")]
    Forbidden { address: std::net::IpAddr },
    #[error("{place} cannot be connected to")]
    Connect { place: String, source: std::io::Error },
    #[error("the TLS handshake with {place} failed")]
    Tls { place: String, source: std::io::Error },
    #[error("no file descriptor is left for a connection to {place}; raise the limit of open files")]
    NoDescriptor { place: String },
    #[error("{place} did not accept a connection in time")]
    ConnectTimeout { place: String },
    #[error("the host that {address} would be told is none")]
    Host { address: SocketAddr },
    #[error("{address} broke off or does not speak HTTP")]
    Protocol { address: SocketAddr, source: hyper::Error },
    #[error("{address} did not answer in time")]
    Timeout { address: SocketAddr },
}

impl UpstreamFailure {
    /// What the caller is told.
    pub fn reason(&self) -> Reason {
        match self {
            Self::NoEndpoint => Reason::NoEndpoint,
            Self::NoDescriptor { .. } => Reason::Overloaded,
            Self::Forbidden { .. } | Self::Host { .. } => Reason::Configuration,
            Self::Connect { .. } => Reason::UpstreamConnect,
            Self::Tls { .. } => Reason::UpstreamTls,
            Self::Protocol { .. } => Reason::UpstreamProtocol,
            Self::ConnectTimeout { .. } | Self::Timeout { .. } => Reason::UpstreamTimeout,
        }
    }
}

/// What the exchange needs besides the request.
#[derive(Clone, Copy)]
pub struct Terms {
    /// The end of everything: name look-ups, connecting, attempts at all places, and the response to its last byte.
    pub until: Option<Instant>,
    /// For one attempt: connecting, and the response to its last byte. A place that is asked a second time, since its kept
    /// connection was closed, has no more.
    pub attempt: Option<Duration>,
    /// For one attempt until the head of the response.
    pub head: Option<Duration>,
    /// Whether the connection will become a tunnel: it is made for it alone, with HTTP/1.1.
    pub purpose: Purpose,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Exchange,
    Upgrade,
}

impl<B> Upstreams<B>
where
    B: HttpBody<Data = Bytes> + Unpin + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    /// Connections under `rules`; `seed` decides which endpoint comes first.
    pub fn new(rules: AddressRules, descriptors: Descriptors, seed: u64) -> Self {
        Self {
            rules,
            descriptors,
            names: Names::of_system(),
            idle: RefCell::default(),
            shared: RefCell::default(),
            turn: Cell::new(seed),
            tidied: Cell::new(Instant::now()),
        }
    }

    /// Sends `request` to an endpoint of `target`. While nothing has been sent, another endpoint is tried.
    pub async fn send(
        &self,
        target: &Target,
        request: Request<B>,
        terms: Terms,
    ) -> Result<Exchange<B>, UpstreamFailure> {
        self.turn.set(self.turn.get().wrapping_add(1));
        let mut places = target.places.order(self.turn.get());
        let mut attempt = places.next().map(|place| Attempt::at(place, terms));
        let mut failure = UpstreamFailure::NoEndpoint;
        let mut request = request;
        while let Some(now) = attempt {
            let again = match self.connection(target, &now, terms.purpose).await {
                Ok(Connected { sender, address, was_kept }) => {
                    match pin!(self.exchange(target, sender, address, request, now.ends)).await {
                        Ok(exchange) => return Ok(exchange),
                        Err((error, None)) => return Err(error),
                        Err((error, Some(unsent))) => {
                            failure = error;
                            request = *unsent;
                            was_kept
                        }
                    }
                }
                Err(error) => {
                    failure = error;
                    false
                }
            };
            if terms.until.is_some_and(|until| until <= Instant::now()) {
                break;
            }
            // The service may have closed a connection that was kept while the request came: that says nothing of the service.
            attempt = if again { Some(now.afresh()) } else { places.next().map(|place| Attempt::at(place, terms)) };
        }
        Err(failure)
    }

    /// Takes a connection back for the next request.
    pub fn give_back(&self, lease: Lease<B>) {
        if lease.sender.is_closed() {
            return;
        }
        let mut idle = self.idle.borrow_mut();
        let connections = idle.entry(lease.key).or_default();
        if connections.len() < MAX_IDLE {
            connections.push(Idle { sender: lease.sender, since: self.tidied.get() });
        }
    }

    /// Closes what has been idle too long. To be called every few seconds.
    pub fn tidy(&self) {
        let now = Instant::now();
        self.tidied.set(now);
        self.idle.borrow_mut().retain(|_, connections| {
            connections.retain(|idle| now.duration_since(idle.since) < IDLE_TIMEOUT && !idle.sender.is_closed());
            !connections.is_empty()
        });
        // Exchanges that are on it still end well.
        self.shared
            .borrow_mut()
            .retain(|_, shared| now.duration_since(shared.used) < IDLE_TIMEOUT && !shared.sender.is_closed());
    }

    async fn connection(
        &self,
        target: &Target,
        attempt: &Attempt<'_>,
        purpose: Purpose,
    ) -> Result<Connected<B>, UpstreamFailure> {
        let mut deadline = None;
        let addresses = match attempt.place.address(self.rules) {
            Some(address) => address?,
            // Boxed, as is connecting: what is rarely done must not make every request larger.
            None => Box::pin(self.resolve(attempt, *deadline.insert(attempt.connect_until(target)))).await?,
        };
        let mut failure = UpstreamFailure::NoEndpoint;
        let count = addresses.len();
        for (tried, address) in addresses.into_iter().enumerate() {
            if purpose == Purpose::Exchange
                && attempt.reuse == Reuse::Allowed
                && let Some(sender) = self.kept(target, address)
            {
                return Ok(Connected { sender, address, was_kept: true });
            }
            let deadline = *deadline.get_or_insert_with(|| attempt.connect_until(target));
            let share = share(deadline.saturating_duration_since(Instant::now()), count - tried);
            match Box::pin(self.connect(target, address, purpose, share)).await {
                Ok(sender) => return Ok(Connected { sender, address, was_kept: false }),
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    async fn resolve(&self, attempt: &Attempt<'_>, deadline: Instant) -> Result<Addresses, UpstreamFailure> {
        let found = tokio::time::timeout_at(deadline, attempt.place.resolve(&self.names, self.rules)).await;
        found.unwrap_or_else(|_| Err(UpstreamFailure::ConnectTimeout { place: attempt.place.to_string() }))
    }

    /// A connection that is open already.
    fn kept(&self, target: &Target, address: SocketAddr) -> Option<Sender<B>> {
        let key = Key { target: target.identity, address };
        if let Some(shared) = self.shared.borrow_mut().get_mut(&key).filter(|shared| !shared.sender.is_closed()) {
            shared.used = self.tidied.get();
            return Some(Sender::Http2(shared.sender.clone()));
        }
        loop {
            let idle = self.idle.borrow_mut().get_mut(&key).and_then(Vec::pop)?;
            if !idle.sender.is_closed() {
                return Some(Sender::Http1(idle.sender));
            }
        }
    }

    async fn connect(
        &self,
        target: &Target,
        address: SocketAddr,
        purpose: Purpose,
        within: Duration,
    ) -> Result<Sender<B>, UpstreamFailure> {
        let made = connect::connect(target, address, purpose, self.descriptors);
        let sender = tokio::time::timeout(within, made).await;
        let sender = sender.map_err(|_| UpstreamFailure::ConnectTimeout { place: address.to_string() })??;
        if let Sender::Http2(sender) = &sender {
            let shared = Shared { sender: sender.clone(), used: self.tidied.get() };
            self.shared.borrow_mut().insert(Key { target: target.identity, address }, shared);
        }
        Ok(sender)
    }

    /// One exchange. The request comes back with the failure if nothing of it was sent.
    async fn exchange(
        &self,
        target: &Target,
        sender: Sender<B>,
        address: SocketAddr,
        request: Request<B>,
        ends: Ends,
    ) -> Result<Exchange<B>, (UpstreamFailure, Option<Box<Request<B>>>)> {
        let until = ends.whole;
        let key = Key { target: target.identity, address };
        let exchange = async {
            match sender {
                Sender::Http1(mut sender) => {
                    if let Err(source) = sender.ready().await {
                        return Err((UpstreamFailure::Protocol { address, source }, Some(Box::new(request))));
                    }
                    let response =
                        sender.try_send_request(wire::of_http1(request)).await.map_err(|error| unsent(error, address))?;
                    Ok(Exchange { response, address, lease: Some(Lease { key, sender }), until })
                }
                Sender::Http2(mut sender) => {
                    if let Err(source) = sender.ready().await {
                        self.shared.borrow_mut().remove(&key);
                        return Err((UpstreamFailure::Protocol { address, source }, Some(Box::new(request))));
                    }
                    let request = wire::of_http2(request, target.is_tls());
                    let request = request.ok_or((UpstreamFailure::Host { address }, None))?;
                    let response = sender.try_send_request(request).await.map_err(|error| unsent(error, address))?;
                    Ok(Exchange { response, address, lease: None, until })
                }
            }
        };
        match ends.head() {
            None => exchange.await,
            Some(end) => tokio::time::timeout_at(end, exchange)
                .await
                .unwrap_or(Err((UpstreamFailure::Timeout { address }, None))),
        }
    }
}

impl<'a> Attempt<'a> {
    /// Begins now.
    fn at(place: &'a Place, terms: Terms) -> Self {
        Self { place, reuse: Reuse::Allowed, ends: Ends::of(terms) }
    }

    /// The same place on a connection of its own, in what is left of the time.
    fn afresh(self) -> Self {
        Self { reuse: Reuse::Forbidden, ..self }
    }

    fn connect_until(&self, target: &Target) -> Instant {
        let until = Instant::now() + target.connect_timeout;
        self.ends.head().map_or(until, |end| end.min(until))
    }
}

impl Ends {
    /// The ends of an attempt that begins now. Without terms the clock is not read.
    fn of(terms: Terms) -> Self {
        let from_now = |time: Option<Duration>| time.map(|time| Instant::now() + time);
        Self { whole: earliest(terms.until, from_now(terms.attempt)), head: from_now(terms.head) }
    }

    fn head(self) -> Option<Instant> {
        earliest(self.whole, self.head)
    }
}

/// The earlier of two ends, where `None` is no end.
fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    one.into_iter().chain(other).min()
}

/// What of the time that is `left` one of `addresses` has: one that does not answer leaves some to the others.
fn share(left: Duration, addresses: usize) -> Duration {
    let equal = left / u32::try_from(addresses).unwrap_or(u32::MAX).max(1);
    equal.max(MIN_CONNECT_SHARE).min(left)
}

fn unsent<B>(
    mut error: hyper::client::conn::TrySendError<Request<B>>,
    address: SocketAddr,
) -> (UpstreamFailure, Option<Box<Request<B>>>) {
    let request = error.take_message().map(Box::new);
    (UpstreamFailure::Protocol { address, source: error.into_error() }, request)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_does_not_answer_leaves_time_to_the_others() {
        for (left_ms, addresses, share_ms) in
            [(5000, 1, 5000), (5000, 4, 1250), (3750, 3, 1250), (2000, 4, 1000), (400, 4, 400), (0, 4, 0)]
        {
            let share = share(Duration::from_millis(left_ms), addresses);
            assert_eq!(share, Duration::from_millis(share_ms), "{left_ms} ms for {addresses}");
        }
    }
}
