//! References into other namespaces (GEP-709): judged by what the namespace of the target grants.

use crate::cluster::{ClusterState, Stored};

/// One end of a reference.
#[derive(Clone, Copy)]
pub struct End<'a> {
    pub group: &'a str,
    pub kind: &'a str,
    pub namespace: &'a str,
}

/// Whether `from` may refer to the object `name` of `to`. Within one namespace it always may; a grant that cannot be decoded grants nothing.
pub fn permits(cluster: &ClusterState, from: End<'_>, to: End<'_>, name: &str) -> bool {
    if from.namespace == to.namespace {
        return true;
    }
    let grants = cluster.reference_grants.iter().filter(|(grant, _)| grant.namespace == to.namespace);
    let decoded = grants.filter_map(|(_, grant)| match grant {
        Stored::Decoded(grant) => Some(grant),
        Stored::Undecodable(_) => None,
    });
    decoded.into_iter().any(|grant| {
        let from_fits = grant
            .spec
            .from
            .iter()
            .any(|one| one.group == from.group && one.kind == from.kind && one.namespace == from.namespace);
        let to_fits = grant.spec.to.iter().any(|one| {
            one.group == to.group && one.kind == to.kind && one.name.as_deref().is_none_or(|only| only == name)
        });
        from_fits && to_fits
    })
}
