//! Which client addresses pass.

use std::net::IpAddr;

use sallyport_snapshot::v1;

use super::{Denial, in_force};
use crate::ip_set::IpSet;
use crate::rejection::Origin;

/// Which client addresses pass.
pub struct IpFilter {
    pub origin: Origin,
    pub allow: Option<IpSet>,
    pub deny: IpSet,
    pub unavailable: Option<Denial>,
}

impl IpFilter {
    /// Stands in for one that does not parse.
    pub(in crate::runtime) fn unavailable(object: &str, why: &str) -> Self {
        let origin = Origin { object: object.into(), section: "ipFilter", ..Origin::default() };
        let unavailable = Some(Denial::configuration(object, why));
        Self { origin, allow: None, deny: IpSet::default(), unavailable }
    }

    /// Whether `address` passes.
    pub fn admits(&self, address: IpAddr) -> bool {
        !self.deny.contains(address) && self.allow.as_ref().is_none_or(|allow| allow.contains(address))
    }

    /// Whether it only keeps data planes from letting anybody in that do not know what stands beside it.
    pub(in crate::runtime) fn is_for_older(filter: &v1::IpFilter) -> bool {
        let says_nothing = filter.allow.is_empty() && filter.deny.is_empty();
        says_nothing && filter.unavailable.is_some() && in_force(filter.unavailable.as_ref()).is_none()
    }

    /// Parses a filter.
    pub(in crate::runtime) fn build(filter: &v1::IpFilter) -> Result<Self, String> {
        let set = |field: &str, entries: &[String]| {
            IpSet::parse(entries).map_err(|error| format!("{} ipFilter.{field}: {error}", filter.object))
        };
        let allow = (!filter.allow.is_empty()).then(|| set("allow", &filter.allow)).transpose()?;
        let origin = Origin { object: filter.object.as_str().into(), section: "ipFilter", ..Origin::default() };
        let unavailable = in_force(filter.unavailable.as_ref()).map(Denial::new);
        Ok(Self { origin, allow, deny: set("deny", &filter.deny)?, unavailable })
    }
}
