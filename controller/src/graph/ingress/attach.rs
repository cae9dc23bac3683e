//! Which listeners of its Gateway carry an Ingress.

use std::collections::BTreeMap;

use sallyport_api::condition::Reason;

use super::part::{Over, Part};
use super::{Claim, Claimed, class};
use crate::cluster::{ClusterState, ObjectName};
use crate::graph::gateway::{GatewayNode, ListenerNode};
use crate::graph::route::{AttachmentNode, ClosedNode, ParentNode, covers, not_serving, not_taken};
use crate::problem::Problem;

/// The port on which TLS is expected where none is stated.
const HTTPS_PORT: u32 = 443;

/// Attaches one Ingress to its Gateway.
pub(super) struct Attach<'a> {
    cluster: &'a ClusterState,
    pub(super) name: &'a ObjectName,
    gateway: &'a GatewayNode,
    namespace: &'a str,
    /// Why its class takes it off: what it matches there closes, if a policy guards it.
    pub(super) broken: Option<Problem>,
}

impl<'a> Attach<'a> {
    /// To the Gateway that its class names; `None` if that is not there, or cannot be told.
    pub(super) fn new(
        cluster: &'a ClusterState,
        gateways: &'a BTreeMap<ObjectName, GatewayNode>,
        ingress: &Claimed<'a>,
    ) -> Option<Self> {
        let Claim::Class(class) = ingress.class else { return None };
        let name = class.gateway.as_ref()?;
        let gateway = gateways.get(name)?;
        let broken = class.problems.first().map(|problem| class::passed_on(class, problem));
        Some(Self { cluster, name, gateway, namespace: &ingress.name.namespace, broken })
    }

    /// Whether a listener takes Ingresses of this namespace.
    fn is_taken(&self, listener: &ListenerNode) -> bool {
        listener.takes_ingresses && listener.takes(self.cluster, self.name, self.namespace)
    }

    /// The port over which a part is reached by TLS, 0 where that need not be said; `None` if there is none.
    pub(super) fn port_of(&self, part: &Part) -> Option<u32> {
        let on = |listener: &&ListenerNode| {
            listener.tls.is_some()
                && listener.serves()
                && self.is_taken(listener)
                && intersection(&listener.hostname, &part.host).is_some()
        };
        let ports = self.gateway.listeners.iter().filter(on).map(|listener| listener.port);
        ports.min_by_key(|port| (*port != HTTPS_PORT, *port)).map(|port| if port == HTTPS_PORT { 0 } else { port })
    }

    /// Puts the part called `at` where it belongs, and says if that is nowhere.
    pub(super) fn part(&self, at: usize, part: &Part, parent: &mut ParentNode) {
        let on = self.gateway.listeners.iter().filter(|listener| match part.over {
            Over::Any => true,
            Over::Tls => listener.tls.is_some(),
            Over::Cleartext => listener.tls.is_none(),
        });
        let message = format!("no listener of Gateway {} has this host; use one below a listener's", self.name);
        let mut refusal = Problem::new(&part.field, Reason::NoMatchingListenerHostname, message);
        let mut is_attached = false;
        for listener in on {
            let Some(hostnames) = intersection(&listener.hostname, &part.host) else { continue };
            let place = || AttachmentNode {
                part: at,
                listener: listener.name.clone(),
                port: listener.port,
                hostnames: hostnames.clone(),
            };
            if !listener.serves() {
                refusal = Problem::new(&part.field, Reason::ListenersNotValid, not_serving(self.name, listener));
            } else if !self.is_taken(listener) {
                let may_take = listener.takes_ingresses && listener.may_take(self.cluster, self.name, self.namespace);
                let message = not_taken(self.name, self.namespace, may_take);
                refusal = Problem::new("spec.ingressClassName", Reason::NotAllowedByListeners, message);
                parent.closed.extend(may_take.then(|| ClosedNode { attachment: place(), why: refusal.clone() }));
            } else if let Some(why) = &self.broken {
                parent.closed.push(ClosedNode { attachment: place(), why: why.clone() });
            } else {
                parent.attachments.push(place());
                is_attached = true;
            }
        }
        // Of a host that asks for TLS where nobody speaks it, its part in cleartext tells.
        let is_of_tls = part.over == Over::Tls && refusal.reason == Reason::NoMatchingListenerHostname;
        let is_told = is_attached || self.broken.is_some() || part.over == Over::Cleartext || is_of_tls;
        if !is_told && !parent.problems.contains(&refusal) {
            parent.problems.push(refusal);
        }
    }
}

/// Hostnames, as attachments have them, that a listener and a host of an Ingress both take; `None` if there is none. The wildcard of an
/// Ingress stands for exactly one label, that of a listener for one or more.
pub(super) fn intersection(listener: &str, host: &str) -> Option<Vec<String>> {
    if host.is_empty() {
        return Some(if listener.is_empty() { vec![] } else { vec![listener.to_owned()] });
    }
    let single = host.strip_prefix("*.");
    if listener.is_empty() || covers(listener, host) {
        return Some(vec![single.map_or_else(|| host.to_owned(), |rest| format!("?.{rest}"))]);
    }
    let is_one_of_host = !listener.starts_with('*') && single == listener.split_once('.').map(|(_, rest)| rest);
    (single.is_some() && is_one_of_host).then(|| vec![listener.to_owned()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_an_ingress_intersect_with_listeners_by_one_label() {
        for (listener, host, found) in [
            ("", "", Some(vec![])),
            ("a.com", "", Some(vec!["a.com"])),
            ("*.a.com", "", Some(vec!["*.a.com"])),
            ("", "a.com", Some(vec!["a.com"])),
            ("a.com", "a.com", Some(vec!["a.com"])),
            ("*.com", "a.com", Some(vec!["a.com"])),
            ("b.com", "a.com", None),
            ("*.a.com", "a.com", None),
            ("", "*.a.com", Some(vec!["?.a.com"])),
            ("*.a.com", "*.a.com", Some(vec!["?.a.com"])),
            ("*.com", "*.a.com", Some(vec!["?.a.com"])),
            ("x.a.com", "*.a.com", Some(vec!["x.a.com"])),
            ("y.x.a.com", "*.a.com", None),
            ("*.x.a.com", "*.a.com", None),
            ("a.com", "*.a.com", None),
            ("com", "*.a.com", None),
        ] {
            let found = found.map(|found: Vec<&str>| found.into_iter().map(str::to_owned).collect::<Vec<_>>());
            assert_eq!(intersection(listener, host), found, "{listener} {host}");
        }
    }
}
