//! References into namespaces that the controller does not watch: of what is there it cannot tell whether it is there, nor what grants
//! stand beside it. They are refused, and nothing is concluded from them.

use sallyport_api::condition::Reason;

use crate::cluster::{ClusterState, ObjectKind};
use crate::problem::Problem;

/// Refuses what `field` names, if objects of that kind and namespace are not watched.
pub fn judge(cluster: &ClusterState, kind: ObjectKind, namespace: &str, field: &str) -> Result<(), Problem> {
    match refusal(cluster, kind, namespace) {
        Some(why) => Err(Problem::new(field, Reason::NamespaceNotWatched, why)),
        None => Ok(()),
    }
}

/// Why it is refused, and the cure.
pub fn refusal(cluster: &ClusterState, kind: ObjectKind, namespace: &str) -> Option<String> {
    (!cluster.reach.sees(kind, namespace)).then(|| {
        format!(
            "namespace {namespace} is not watched by this controller; add it to watchNamespaces of the chart, or name \
             something of a namespace that is"
        )
    })
}
