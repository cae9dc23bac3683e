//! What alternatives of a policy are judged by. Of what there is no room for, the policy is told, and nobody is admitted by it.

use bytes::Bytes;
use prost::Message as _;
use sallyport_snapshot::Name;
use sallyport_snapshot::v1::{self, resource::Body};

use super::Compiled;
use super::room::Room;
use crate::cluster::ObjectName;
use crate::graph::alternatives::Brought;

pub(super) fn of_policy(name: &ObjectName, brought: &Brought, room: &mut Room, compiled: &mut Compiled) {
    for (key_set, message) in &brought.key_sets {
        let body = Body::KeySet(message.clone());
        let fits =
            compiled.has(v1::Kind::KeySet, key_set, &body) || has_room(name, message.encoded_len(), room, compiled);
        let body = if fits { body } else { Body::KeySet(without_keys(message)) };
        compiled.put("ApiPolicy", name, key_set.clone(), body);
    }
    for (trust, message) in &brought.trusts {
        // One that trusts nobody is refused by data planes, as a set without keys is.
        let fits = has_room(name, message.encoded_len(), room, compiled);
        let message = if fits { message.clone() } else { v1::ClientTrust::default() };
        compiled.put("ApiPolicy", name, trust.clone(), Body::ClientTrust(message));
    }
    for (file, message) in &brought.password_files {
        password_file(name, (file, message), room, compiled);
    }
}

/// One Secret says the same to all who name it: there is room for it once, or for none of them.
fn password_file(
    name: &ObjectName,
    (file, message): (&str, &v1::PasswordFile),
    room: &mut Room,
    compiled: &mut Compiled,
) {
    let named = Name::new(v1::Kind::PasswordFile, file);
    match compiled.snapshot.find(&named).map(|held| names_users(held.body())) {
        Some(true) => compiled.owe("ApiPolicy", name, &named),
        Some(false) => {
            compiled.owe("ApiPolicy", name, &named);
            tell(name, room, compiled);
        }
        None => {
            // One without users is refused by data planes.
            let fits = has_room(name, message.encoded_len(), room, compiled);
            let message = if fits { message.clone() } else { v1::PasswordFile::default() };
            compiled.put("ApiPolicy", name, file.to_owned(), Body::PasswordFile(message));
        }
    }
}

/// Whether there is room for what a policy brings along. If not, the policy is told.
fn has_room(policy: &ObjectName, bytes: usize, room: &mut Room, compiled: &mut Compiled) -> bool {
    let fits = room.takes(&policy.namespace, bytes);
    if !fits {
        tell(policy, room, compiled);
    }
    fits
}

fn tell(policy: &ObjectName, room: &Room, compiled: &mut Compiled) {
    let problem = room.none_left(&policy.namespace, "spec.authentication", &format!("ApiPolicy {policy}"));
    compiled.withheld.entry(policy.clone()).or_default().insert(problem);
}

fn names_users(body: &Body) -> bool {
    matches!(body, Body::PasswordFile(file) if !file.logins.is_empty())
}

/// A data plane refuses it, and admits nobody by it.
pub(super) fn without_keys(set: &v1::KeySet) -> v1::KeySet {
    let none = v1::key_set::Source::Jwks(Bytes::from_static(br#"{"keys": []}"#));
    v1::KeySet { issuer: set.issuer.clone(), source: Some(none), ca_certificates: vec![] }
}
