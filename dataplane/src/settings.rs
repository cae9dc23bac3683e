//! Every bound and time-out of the data plane, by name, with its default and the reason for it.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::time::Duration;

use sallyport_snapshot::v1;

use crate::explain::AsIf;
use crate::server::socket::Binding;

/// What one process is started with; everything else comes as configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Threads that serve requests, each with its own event loop and connection pools.
    pub workers: NonZeroUsize,
    /// Where the ports of listeners are bound.
    pub binding: Binding,
    /// Where probes and metrics are served.
    pub admin: Option<SocketAddr>,
    /// Which outgoing addresses are refused.
    pub environment: Environment,
    /// In a cluster, where its API server is: an outgoing address that is refused as well.
    pub api_server: Option<IpAddr>,
    /// Present: requests are explained, and none is forwarded.
    pub explains: Option<AsIf>,
}

/// Where the process runs: decides which outgoing addresses are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Beside others who must not be reached: loopback and link-local are refused.
    Cluster,
    /// On somebody's own machine: loopback is allowed, also without TLS.
    Standalone,
}

/// Bounds that a Gateway can set; each has a default that a well-behaved client never meets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Connections of one worker. 10,000: at about 20 kB each, 200 MB.
    pub max_connections: usize,
    /// Bytes of a request head. 32 KiB: a token of 16 kB beside cookies.
    pub max_header_bytes: usize,
    /// Fields of a request head. 100: as most servers have it.
    pub max_headers: usize,
    /// Time for a request head, and for a TLS handshake. 10 s.
    pub header_timeout: Duration,
    /// Time between requests of a kept-alive connection. 75 s: longer than what most load balancers keep.
    pub idle_timeout: Duration,
    /// Pause of a request's body that nobody answers yet, in which too little is as much as nothing, or of a caller that takes a
    /// response. 60 s: as other proxies have it.
    pub body_timeout: Duration,
    /// Time without a byte in an upgraded connection. 1 h: longer than any ping of a WebSocket library.
    pub tunnel_idle_timeout: Duration,
    /// HTTP/2 streams of one connection. 128.
    pub max_concurrent_streams: u32,
    /// Time that requests have left to finish when the process is told to stop. 25 s: within Kubernetes' 30.
    pub drain_timeout: Duration,
    /// Requests of one worker between their head and the end of their response. 10,000.
    pub max_requests_in_flight: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_header_bytes: 32 * 1024,
            max_headers: 100,
            header_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(75),
            body_timeout: Duration::from_secs(60),
            tunnel_idle_timeout: Duration::from_secs(60 * 60),
            max_concurrent_streams: 128,
            drain_timeout: Duration::from_secs(25),
            max_requests_in_flight: 10_000,
        }
    }
}

impl Bounds {
    /// Reads a Gateway's bounds; what is 0 keeps its default.
    pub fn of_gateway(bounds: &v1::Bounds) -> Self {
        let default = Self::default();
        let count =
            |value: u32, default: usize| usize::try_from(value).ok().filter(|value| *value != 0).unwrap_or(default);
        let time =
            |value_ms: u32, default| if value_ms == 0 { default } else { Duration::from_millis(value_ms.into()) };
        let streams = Some(bounds.max_concurrent_streams).filter(|streams| *streams != 0);
        let in_flight = usize::try_from(bounds.max_requests_in_flight).ok().filter(|value| *value != 0);
        Self {
            max_connections: count(bounds.max_connections, default.max_connections),
            max_header_bytes: count(bounds.max_header_bytes, default.max_header_bytes),
            max_headers: count(bounds.max_headers, default.max_headers),
            header_timeout: time(bounds.header_timeout_ms, default.header_timeout),
            idle_timeout: time(bounds.idle_timeout_ms, default.idle_timeout),
            body_timeout: time(bounds.body_timeout_ms, default.body_timeout),
            tunnel_idle_timeout: time(bounds.tunnel_idle_timeout_ms, default.tunnel_idle_timeout),
            max_concurrent_streams: streams.unwrap_or(default.max_concurrent_streams),
            drain_timeout: time(bounds.drain_timeout_ms, default.drain_timeout),
            max_requests_in_flight: in_flight.unwrap_or(default.max_requests_in_flight),
        }
    }

    /// The larger of each: for a port that two Gateways share.
    #[must_use]
    pub fn loosest(&self, other: &Self) -> Self {
        Self {
            max_connections: self.max_connections.max(other.max_connections),
            max_header_bytes: self.max_header_bytes.max(other.max_header_bytes),
            max_headers: self.max_headers.max(other.max_headers),
            header_timeout: self.header_timeout.max(other.header_timeout),
            idle_timeout: self.idle_timeout.max(other.idle_timeout),
            body_timeout: self.body_timeout.max(other.body_timeout),
            tunnel_idle_timeout: self.tunnel_idle_timeout.max(other.tunnel_idle_timeout),
            max_concurrent_streams: self.max_concurrent_streams.max(other.max_concurrent_streams),
            drain_timeout: self.drain_timeout.max(other.drain_timeout),
            max_requests_in_flight: self.max_requests_in_flight.max(other.max_requests_in_flight),
        }
    }
}
