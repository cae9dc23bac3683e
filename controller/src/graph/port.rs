//! Which port of a pod stands for which port of a Gateway.

use std::collections::BTreeSet;

use sallyport_api::condition::Reason;

use super::gateway::{GatewayNode, Standing};
use crate::problem::Problem;

/// What a data plane in a cluster adds to the port of a listener: no process without privileges can bind 80 or 443.
pub const PORT_OFFSET: u16 = 10_000;

/// The port that a data plane binds for the port of a listener: past the highest one there is, the port itself.
pub fn target(port: u16) -> u16 {
    port.checked_add(PORT_OFFSET).unwrap_or(port)
}

/// Of two ports of one Gateway that come to one port of its pods, the higher one is not served: what is for one must not reach the other.
pub(super) fn settle(gateway: &mut GatewayNode) {
    let in_place = gateway.listeners.iter().filter(|listener| listener.standing != Standing::SetAside);
    let lower: BTreeSet<_> = in_place.map(|listener| listener.port).collect();
    for (at, listener) in gateway.listeners.iter_mut().enumerate() {
        let is_bound_as_it_is = listener.port + u32::from(PORT_OFFSET) > u16::MAX.into();
        let other = listener.port.saturating_sub(PORT_OFFSET.into());
        if listener.standing != Standing::SetAside && is_bound_as_it_is && lower.contains(&other) {
            let message =
                format!("port {} cannot be had beside port {other} of one Gateway; choose another", listener.port);
            listener.problems.push(Problem::new(
                format!("spec.listeners[{at}].port"),
                Reason::PortUnavailable,
                message,
            ));
            listener.standing = Standing::SetAside;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::infra::ADMIN_PORT;

    #[test]
    fn every_port_can_be_bound_without_privileges_beside_the_probes() {
        for port in 1..=u16::MAX {
            let bound = target(port);
            assert!(bound >= 1024 && bound != ADMIN_PORT, "{port}: {bound}");
        }
        for (port, bound) in [(80, 10_080), (443, 10_443), (55_535, 65_535), (55_536, 55_536), (65_535, 65_535)] {
            assert_eq!(target(port), bound, "{port}");
        }
    }
}
