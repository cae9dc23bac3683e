//! A controller's port, data planes of all sorts, and ways to wait for what they do.

pub mod controller;
pub mod plane;
pub mod raw;
pub mod tokens;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sallyport_controller::cluster::ObjectName;
use sallyport_controller::fleet::{Fleet, Pod, Standings};
use sallyport_controller::publish::{Enforced, Standing};
use sallyport_snapshot::v1::{self, Kind, resource::Body};
use sallyport_snapshot::{Name, Snapshot};

/// For what has to happen: many times what it takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for `future`, and says what did not come.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} does not come"))
}

pub fn gateway(name: &str) -> ObjectName {
    ObjectName::new("shop", name)
}

pub fn pod(gateway: &str, name: &str) -> Pod {
    Pod { gateway: self::gateway(gateway), name: name.into() }
}

/// A product whose content is told by its routes.
pub fn product(content: &str) -> Body {
    let api = v1::ObjectRef { name: content.into(), ..v1::ObjectRef::default() };
    Body::Product(v1::Product { apis: vec![api], ..v1::Product::default() })
}

/// Products by name and content.
pub fn snapshot(products: &[(&str, &str)]) -> Snapshot {
    let mut snapshot = Snapshot::default();
    for (name, content) in products {
        snapshot.insert(*name, product(content));
    }
    snapshot
}

pub fn name(product: &str) -> Name {
    Name::new(Kind::Product, product)
}

/// What `of` are to have.
pub fn publish(fleet: &Fleet, of: &[(&str, &Snapshot)]) {
    let snapshots = of.iter().map(|(name, snapshot)| (gateway(name), Arc::new((*snapshot).clone())));
    fleet.publish(snapshots.collect::<BTreeMap<_, _>>());
}

/// Waits until the standings are as `is_so` wants them.
pub async fn standings(fleet: &Fleet, what: &str, is_so: impl Fn(&Standings) -> bool) -> Standings {
    let mut changes = fleet.changes();
    within(what, async {
        loop {
            changes.mark_unchanged();
            let standings = fleet.standings();
            if is_so(&standings) {
                return standings;
            }
            changes.changed().await.unwrap();
        }
    })
    .await
}

/// The one standing of a pod; `None` if it has none.
pub fn standing<'a>(standings: &'a Standings, pod: &Pod) -> Option<&'a Standing> {
    match standings.get(&pod.gateway)?.get(&pod.name)?.as_slice() {
        [one] => Some(one),
        _ => None,
    }
}

/// Whether `pod` has all of `wanted` in force.
pub fn enforces(standings: &Standings, pod: &Pod, wanted: &Snapshot) -> bool {
    let standing = standing(standings, pod);
    standing.is_some_and(|standing| wanted.iter().all(|(name, _)| standing.enforces(wanted, name) == Enforced::Yes))
}

/// Waits until `pod` has all of `wanted` in force.
pub async fn enforced(fleet: &Fleet, pod: &Pod, wanted: &Snapshot) -> Standings {
    standings(fleet, &format!("what is wanted at {pod}"), |standings| enforces(standings, pod, wanted)).await
}

/// Waits until no pod is known.
pub async fn nobody(fleet: &Fleet) {
    standings(fleet, "the end of all", Standings::is_empty).await;
}
