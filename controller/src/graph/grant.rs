//! References into other namespaces (GEP-709): judged by what the namespace of the target grants.

use sallyport_api::gateway_api::ReferenceGrant;
use sallyport_api::gateway_api::referencegrants::{ReferenceGrantSpec, ReferenceGrantTo};

use serde_json::Value;

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
    from.namespace == to.namespace
        || grants(cluster, to).any(|grant| match grant {
            Stored::Decoded(grant) => is_granted(&grant.spec, from, to, name),
            Stored::Undecodable(_) => false,
        })
}

/// Whether `from` may refer to it, or might: a grant that cannot be decoded may have said so.
pub fn may_permit(cluster: &ClusterState, from: End<'_>, to: End<'_>, name: &str) -> bool {
    permits(cluster, from, to, name)
        || grants(cluster, to).any(|grant| match grant {
            Stored::Decoded(_) => false,
            Stored::Undecodable(grant) => may_speak_of(&grant.raw["spec"], from.namespace),
        })
}

/// Whether it can be a namespace at all (RFC 1123 label).
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Whether a grant that cannot be decoded may be for `namespace`: not if all namespaces that it states are others.
fn may_speak_of(spec: &Value, namespace: &str) -> bool {
    let stated: Option<Vec<_>> =
        spec["from"].as_array().map(|from| from.iter().filter_map(|one| one["namespace"].as_str()).collect());
    match (stated, spec["from"].as_array()) {
        (Some(stated), Some(from)) if stated.len() == from.len() && !from.is_empty() => {
            stated.contains(&namespace) || !stated.iter().all(|one| is_label(one))
        }
        _ => true,
    }
}

/// What the namespace of `to` grants. Objects stand in the order of their namespaces: those of one are found without a look at all others.
fn grants<'a>(cluster: &'a ClusterState, to: End<'a>) -> impl Iterator<Item = &'a Stored<ReferenceGrant>> {
    let from_there = cluster.reference_grants.range(ObjectName::new(to.namespace, "")..);
    from_there.take_while(move |(grant, _)| grant.namespace == to.namespace).map(|(_, grant)| grant)
}

fn is_granted(spec: &ReferenceGrantSpec, from: End<'_>, to: End<'_>, name: &str) -> bool {
    let mut from_fits = spec.from.iter().map(|one| (&*one.group, &*one.kind, &*one.namespace));
    let to_fits = |one: &ReferenceGrantTo| {
        one.group == to.group && one.kind == to.kind && one.name.as_deref().is_none_or(|only| only == name)
    };
    from_fits.any(|one| one == (from.group, from.kind, from.namespace)) && spec.to.iter().any(to_fits)
}
