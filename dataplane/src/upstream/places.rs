//! The endpoints of a Backend: where they are, and in which order one request tries them.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use sallyport_snapshot::v1::{self, endpoint_source::Source};
use smallvec::SmallVec;

use super::UpstreamFailure;
use super::target::Parts;
use crate::egress::AddressRules;
use crate::egress::leave::Leave;
use crate::names::Names;

/// Places of one priority that are tried for one request: two that are dead do not make a third.
const MAX_OF_PRIORITY: usize = 3;
/// Places that are tried for one request in all: with two priorities whole, what a caller still waits for.
const MAX_ATTEMPTS: usize = 6;
/// What an endpoint's weight is counted in, so that it can be divided among many addresses and each has a share.
const UNITS_OF_WEIGHT: u64 = 1 << 20;
/// 2^64 divided by the golden ratio. Its multiples fall into a circle as evenly as any, however few or many have been taken:
/// shares come true without bursts, and another Backend's turns in between do not disturb them.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Where one endpoint is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    Address(SocketAddr),
    Host(Arc<str>, u16),
    /// Spoken to in plain HTTP, and only with leave.
    PlainAddress(SocketAddr),
    PlainHost(Arc<str>, u16),
}

/// All places of a Backend, by priority; none of them is empty.
pub(super) struct Places(Vec<Priority>);

/// Places that share the requests of one priority.
#[derive(Default)]
struct Priority {
    places: Vec<Place>,
    /// The sum of the weights up to each place, itself included.
    sums: Vec<u64>,
}

impl Places {
    /// Reads the endpoints of `backend`; says what is missing or does not parse.
    pub(super) fn build(backend: &v1::Backend, parts: &impl Parts) -> Result<Self, String> {
        let mut by_priority = BTreeMap::<u32, Vec<(Place, u64)>>::new();
        for endpoint in &backend.endpoints {
            let places = places(endpoint, parts)?;
            let count = u64::try_from(places.len()).unwrap_or(u64::MAX).max(1);
            let share = (u64::from(endpoint.weight.max(1)) * UNITS_OF_WEIGHT / count).max(1);
            let weighted = places.into_iter().map(|place| (place, share));
            by_priority.entry(endpoint.priority).or_default().extend(weighted);
        }
        let filled = by_priority.into_values().filter(|places| !places.is_empty());
        Ok(Self(filled.map(Priority::new).collect()))
    }

    /// The places to try, in their order. Within a priority the turn decides on the first by weight; then others are tried, and then
    /// the next priority. No place comes twice in a priority.
    pub(super) fn order(&self, turn: u64) -> impl Iterator<Item = &Place> {
        self.0.iter().flat_map(move |priority| priority.order(turn).take(MAX_OF_PRIORITY)).take(MAX_ATTEMPTS)
    }
}

impl Priority {
    fn new(weighted: Vec<(Place, u64)>) -> Self {
        let (mut merged, mut known) = (Vec::<(Place, u64)>::with_capacity(weighted.len()), HashMap::new());
        for (place, weight) in weighted {
            let at = *known.entry(place.clone()).or_insert(merged.len());
            match merged.get_mut(at) {
                Some((_, sum)) => *sum += weight,
                None => merged.push((place, weight)),
            }
        }
        let mut priority = Self::default();
        let mut sum = 0;
        for (place, weight) in merged {
            sum += weight;
            priority.places.push(place);
            priority.sums.push(sum);
        }
        priority
    }

    /// The place whose turn it is, then the others, from one that differs from turn to turn: what falls to a dead place is spread.
    fn order(&self, turn: u64) -> impl Iterator<Item = &Place> {
        let (first, next) =
            (self.at(turn.wrapping_mul(GOLDEN)), self.at(turn.wrapping_mul(GOLDEN).wrapping_mul(GOLDEN)));
        let others = (next..self.places.len()).chain(0..next).filter(move |at| *at != first);
        std::iter::once(first).chain(others).filter_map(|at| self.places.get(at))
    }

    /// The place that `point` of the circle belongs to.
    fn at(&self, point: u64) -> usize {
        let total = self.sums.last().copied().unwrap_or(0);
        let weight = u64::try_from((u128::from(point) * u128::from(total)) >> 64).unwrap_or(0);
        self.sums.partition_point(|sum| *sum <= weight)
    }
}

/// As a rule there is one.
pub(super) type Addresses = SmallVec<[SocketAddr; 1]>;

impl Place {
    /// The address, where it needs no look-up.
    pub(super) fn address(&self, allowed: Allowed<'_>) -> Option<Result<Addresses, UpstreamFailure>> {
        match self {
            Self::Address(address) => Some(allowed.addresses(SmallVec::from_buf([*address]))),
            Self::PlainAddress(address) => {
                let has_leave = allowed.leave.is_some_and(|leave| leave.permits_plain_address(address.ip()));
                Some(self.plainly(has_leave).and_then(|()| allowed.addresses(SmallVec::from_buf([*address]))))
            }
            Self::PlainHost(name, _) => {
                let has_leave = allowed.leave.is_some_and(|leave| leave.permits_plain_host(name));
                self.plainly(has_leave).err().map(Err)
            }
            Self::Host(..) => None,
        }
    }

    /// The addresses to connect to.
    pub(super) async fn resolve(&self, names: &Names, allowed: Allowed<'_>) -> Result<Addresses, UpstreamFailure> {
        match self {
            Self::Address(address) | Self::PlainAddress(address) => allowed.addresses(SmallVec::from_buf([*address])),
            Self::Host(name, port) | Self::PlainHost(name, port) => {
                let resolved = names.addresses(name).await;
                let resolved =
                    resolved.map_err(|source| UpstreamFailure::Connect { place: name.to_string(), source })?;
                allowed.addresses(resolved.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect())
            }
        }
    }

    fn plainly(&self, has_leave: bool) -> Result<(), UpstreamFailure> {
        if has_leave { Ok(()) } else { Err(UpstreamFailure::Plaintext { place: self.to_string() }) }
    }
}

/// What one request may be sent to.
#[derive(Clone, Copy)]
pub(super) struct Allowed<'a> {
    pub(super) rules: &'a AddressRules,
    pub(super) leave: Option<&'a Leave>,
}

impl Allowed<'_> {
    /// One that must not be connected to ends the attempt: it was no accident.
    fn addresses(self, addresses: Addresses) -> Result<Addresses, UpstreamFailure> {
        let permit = |ip| self.rules.permit(ip) || self.leave.is_some_and(|leave| leave.permits(ip));
        match addresses.iter().find(|address| !permit(address.ip())) {
            Some(forbidden) => Err(UpstreamFailure::Forbidden { address: forbidden.ip() }),
            None => Ok(addresses),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) | Self::PlainAddress(address) => address.fmt(f),
            Self::Host(name, port) | Self::PlainHost(name, port) => write!(f, "{name}:{port}"),
        }
    }
}

fn places(endpoint: &v1::EndpointSource, parts: &impl Parts) -> Result<Vec<Place>, String> {
    match &endpoint.source {
        Some(Source::Endpoints(name)) => {
            let found = parts.endpoints(name).ok_or_else(|| format!("endpoints {name} are not there"))?;
            found.ready.iter().map(|one| address(one).map(Place::Address)).collect()
        }
        Some(Source::Address(one)) => Ok(vec![Place::Address(address(one)?)]),
        Some(Source::Host(host)) => Ok(vec![Place::Host(host.name.as_str().into(), port(host.port)?)]),
        Some(Source::PlainAddress(one)) => Ok(vec![Place::PlainAddress(address(one)?)]),
        Some(Source::PlainHost(host)) => Ok(vec![Place::PlainHost(host.name.as_str().into(), port(host.port)?)]),
        None => Err("an endpoint names no place".to_owned()),
    }
}

fn address(address: &v1::Address) -> Result<SocketAddr, String> {
    let ip = address.ip.parse().map_err(|_| format!("{:?} is no IP address", address.ip))?;
    Ok(SocketAddr::new(ip, port(address.port)?))
}

fn port(port: u32) -> Result<u16, String> {
    u16::try_from(port).ok().filter(|port| *port != 0).ok_or_else(|| format!("{port} is no port"))
}

#[cfg(test)]
mod tests;
