//! Whether the store is there that counts the limits of a Gateway, as its data planes tell it.

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_snapshot::LIMIT_STORES;
use sallyport_snapshot::v1::issuer_health::State;

use super::View;
use super::condition::{Condition, condition};
use crate::cluster::ObjectName;
use crate::graph::gateway::GatewayNode;

/// Absent where limits are counted in each data plane, and while none has told anything.
pub(super) fn ready(view: View<'_>, name: &ObjectName, gateway: &GatewayNode) -> Option<Condition> {
    gateway.message.limit_store.as_ref()?;
    let told_as = format!("{LIMIT_STORES}{name}");
    let replicas = view.planes.iter().flat_map(|plane| &plane.replicas);
    let told: Vec<_> = replicas.filter_map(|replica| replica.issuer(&told_as)).collect();
    let mut away: Vec<_> = told.iter().filter(|health| health.state() != State::Healthy).collect();
    // Several data planes tend to say the same.
    away.sort_by_key(|health| &health.message);
    away.dedup_by_key(|health| &health.message);
    let texts: Vec<_> = away.iter().map(|health| health.message.as_str()).collect();
    let said = |holds, reason| condition(ConditionType::LimitStoreReady, holds, reason, &texts.join("; "));
    match (told.is_empty(), away.is_empty()) {
        (true, _) => None,
        (false, true) => Some(said(true, Reason::Ready)),
        (false, false) => Some(said(false, Reason::StoreUnreached)),
    }
}
