//! References into other namespaces (GEP-709): judged by what the namespace of the target grants.

use crate::cluster::{ClusterState, ObjectName, Stored};

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
    // Objects stand in the order of their namespaces: those of one are found without a look at all others.
    let grants = cluster.reference_grants.range(ObjectName::new(to.namespace, "")..);
    let there = grants.take_while(|(grant, _)| grant.namespace == to.namespace);
    let mut decoded = there.filter_map(|(_, grant)| match grant {
        Stored::Decoded(grant) => Some(grant),
        Stored::Undecodable(_) => None,
    });
    decoded.any(|grant| {
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
