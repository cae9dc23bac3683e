//! What Gateway API lets a Gateway say and this release does not do. It is said; and what asks for more than is done closes.

use std::collections::BTreeMap;

use sallyport_api::condition::Reason;
use sallyport_api::gateway_api::gateways::{GatewayAllowedListenersNamespacesFrom, GatewayListeners, GatewaySpec};

use crate::problem::Problem;

/// Fields of the Gateway as a whole.
pub(super) fn of_gateway(spec: &GatewaySpec) -> Vec<Problem> {
    let mut problems = Vec::new();
    if spec.addresses.as_ref().is_some_and(|addresses| !addresses.is_empty()) {
        let message = "addresses cannot be chosen here; remove them. The process that serves says where it listens";
        problems.push(Problem::new("spec.addresses", Reason::UnsupportedAddress, message));
    }
    let from = spec.allowed_listeners.as_ref().and_then(|allowed| allowed.namespaces.as_ref()?.from.as_ref());
    if from.is_some_and(|from| *from != GatewayAllowedListenersNamespacesFrom::None) {
        let message = "ListenerSets are not supported; state all listeners here, and remove allowedListeners";
        problems.push(Problem::new("spec.allowedListeners", Reason::UnsupportedValue, message));
    }
    if spec.tls.as_ref().is_some_and(|tls| tls.backend.is_some()) {
        let message =
            "a certificate for all services is not supported; state it as tls.clientCertificateRef of each Backend";
        problems.push(Problem::new("spec.tls.backend", Reason::UnsupportedValue, message));
    }
    problems
}

/// Options of a listener: each may ask for something, and none is known.
pub(super) fn of_listener(listener: &GatewayListeners, field: &str) -> Option<Problem> {
    let options = listener.tls.as_ref().and_then(|tls| tls.options.as_ref()).filter(|options| !options.is_empty())?;
    let names: Vec<_> = options.keys().map(String::as_str).collect();
    let message = format!("{} are not known; remove them. Until then handshakes are refused", names.join(", "));
    Some(Problem::new(format!("{field}.tls.options"), Reason::UnsupportedValue, message))
}

/// Certificates that the Gateway's owner demands of its clients, which nobody here asks for: of everybody, or on one port.
pub(super) struct Demands {
    default: Option<Problem>,
    /// What a port says holds there in place of the default, also where it says nothing.
    by_port: BTreeMap<i32, Option<Problem>>,
}

impl Demands {
    pub(super) fn of(spec: &GatewaySpec) -> Self {
        let frontend = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref());
        let default = frontend.and_then(|frontend| frontend.default.validation.as_ref());
        let by_port = frontend.and_then(|frontend| frontend.per_port.as_ref()).into_iter().flatten().enumerate();
        let by_port = by_port.map(|(at, one)| {
            let stated = one.tls.validation.as_ref();
            (one.port, stated.map(|_| demand(&format!("spec.tls.frontend.perPort[{at}].tls.validation"))))
        });
        Self { default: default.map(|_| demand("spec.tls.frontend.default.validation")), by_port: by_port.collect() }
    }

    /// What is demanded on `port`.
    pub(super) fn on(&self, port: i32) -> Option<&Problem> {
        self.by_port.get(&port).unwrap_or(&self.default).as_ref()
    }

    /// All of them, whether a listener is there for them or not.
    pub(super) fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.default.iter().chain(self.by_port.values().flatten())
    }
}

fn demand(field: &str) -> Problem {
    let message =
        "certificates of clients are not validated by this release; remove it. Until then handshakes are refused there";
    Problem::new(field, Reason::UnsupportedValue, message)
}
