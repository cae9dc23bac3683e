//! What Gateway API lets a Gateway say and this release does not do. It is said; and what asks for more than is done closes.

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
