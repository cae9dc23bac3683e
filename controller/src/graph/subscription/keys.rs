//! The keys of a Subscription: whose Secret they are in, and their digests.

use bytes::Bytes;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use sallyport_api::condition::Reason;
use sallyport_api::rotation::{KeyName, ROTATE_ANNOTATION, Rotation, RotationRequest};
use sallyport_api::{GROUP, SubscriptionKeys};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::cluster::{ClusterState, ObjectKind, ObjectName};
use crate::graph::Environment;
use crate::graph::certificate::{secret, withheld};
use crate::hex;
use crate::problem::Problem;

/// On a Secret that the controller made: when its `primary` was made (RFC 3339).
pub const PRIMARY_MADE: &str = "sallyport.dev/primary-made";
/// The same of `secondary`.
pub const SECONDARY_MADE: &str = "sallyport.dev/secondary-made";
/// When `secondary`, which was `primary` before, is made anew.
pub const SECONDARY_ENDS: &str = "sallyport.dev/secondary-ends";
/// The request by hand that was carried out last.
pub const ROTATED: &str = "sallyport.dev/rotated";
/// The kind of the owner of such a Secret.
pub const OWNER_KIND: &str = "Subscription";

/// The shortest key that is taken from a Secret.
const MIN_KEY_CHARACTERS: usize = 32;
/// The shortest time between two keys, and in which one goes on beside the next.
const MIN_EVERY_S: i64 = 3_600;
const MIN_OVERLAP_S: i64 = 60;
/// SHA-256.
const DIGEST_BYTES: usize = 32;
const FIELD: &str = "spec.keys.secretName";

/// Where the keys are. A digest is empty where there is no such key.
#[derive(Default)]
pub struct KeysNode {
    /// The Secret that is named for them.
    pub secret: Option<ObjectName>,
    pub source: KeySource,
    pub schedule: Option<Schedule>,
    /// What was asked for by hand last, carried out or not.
    pub request: Option<RotationRequest>,
    pub primary: Bytes,
    pub secondary: Bytes,
}

/// Where keys come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum KeySource {
    /// Nowhere: what is named cannot be used, or nobody makes it.
    #[default]
    Nowhere,
    /// Their owner: digests, or a Secret that is not ours to write.
    Given,
    /// They are the controller's to make.
    Missing,
    /// The controller made them.
    Made(Made),
}

/// What a Secret that the controller made says of its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    /// `metadata.resourceVersion`: whoever writes about another version loses.
    pub version: String,
    /// When the Secret was made, by the API server's clock.
    pub created_s: i64,
    /// Seconds since 1970 UTC; of the Secret itself, where that cannot be read.
    pub primary_made_s: i64,
    pub secondary_made_s: i64,
    pub secondary_ends_s: Option<i64>,
    pub rotated: Option<String>,
}

/// When keys are made anew by themselves, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    pub every_s: i64,
    pub overlap_s: i64,
}

/// The Subscription whose keys are looked for.
#[derive(Clone, Copy)]
pub(super) struct KeyHolder<'a> {
    pub(super) name: &'a ObjectName,
    pub(super) metadata: &'a ObjectMeta,
    pub(super) environment: Environment,
}

/// Looks for the keys; what is wrong with them is said, and the rest taken.
pub(super) fn of(
    cluster: &ClusterState,
    holder: KeyHolder<'_>,
    keys: &SubscriptionKeys,
    problems: &mut Vec<Problem>,
) -> KeysNode {
    if let Some(digests) = &keys.sha256 {
        let read = |text: &Option<String>| text.as_deref().and_then(hex::bytes).map(Bytes::from).unwrap_or_default();
        let (primary, secondary) = (read(&digests.primary), read(&digests.secondary));
        return KeysNode { source: KeySource::Given, primary, secondary, ..KeysNode::default() };
    }
    let place = ObjectName::new(&holder.name.namespace, keys.secret_name.as_deref().unwrap_or_default());
    let request = holder.request().unwrap_or_else(|problem| {
        problems.push(problem);
        None
    });
    let schedule =
        keys.rotation.as_ref().and_then(|rotation| schedule(rotation).map_err(|problem| problems.push(problem)).ok());
    let found = holder.look(cluster, &place, problems).unwrap_or_else(|problem| {
        problems.push(problem);
        KeysNode::default()
    });
    let is_asked_for = schedule.is_some() || request.is_some();
    if found.source == KeySource::Given && is_asked_for && holder.environment == Environment::Cluster {
        problems.push(not_ours(&place));
    }
    KeysNode { secret: Some(place), schedule, request, ..found }
}

impl KeyHolder<'_> {
    fn look(
        self,
        cluster: &ClusterState,
        place: &ObjectName,
        problems: &mut Vec<Problem>,
    ) -> Result<KeysNode, Problem> {
        cluster.asked.note(ObjectKind::Secret, place);
        if !cluster.secrets.contains_key(place) {
            withheld(cluster, ObjectKind::Secret, place, FIELD)?;
            return self.missing(place);
        }
        let found = secret(cluster, place, FIELD)?;
        let source = match owner(found) {
            None => KeySource::Given,
            Some(owner) if self.is(owner) => KeySource::Made(made(found)),
            Some(owner) => return Err(of_another(place, owner)),
        };
        let (primary, secondary) = digests(found, place, problems)?;
        Ok(KeysNode { source, primary, secondary, ..KeysNode::default() })
    }

    fn missing(self, place: &ObjectName) -> Result<KeysNode, Problem> {
        match self.environment {
            Environment::Cluster => Ok(KeysNode { source: KeySource::Missing, ..KeysNode::default() }),
            Environment::Standalone => Err(Problem::new(
                FIELD,
                Reason::SecretNotFound,
                format!(
                    "Secret {place} does not exist, and keys are made only in a cluster; write the Secret yourself"
                ),
            )),
        }
    }

    /// Whether it is the owner that a Secret names. In files, objects have no uid as a rule.
    fn is(self, owner: &OwnerReference) -> bool {
        match &self.metadata.uid {
            Some(uid) => *uid == owner.uid,
            None => self.environment == Environment::Standalone && owner.name == self.name.name,
        }
    }

    fn request(self) -> Result<Option<RotationRequest>, Problem> {
        let annotations = self.metadata.annotations.as_ref();
        let Some(text) = annotations.and_then(|annotations| annotations.get(ROTATE_ANNOTATION)) else {
            return Ok(None);
        };
        let field = format!("metadata.annotations.{ROTATE_ANNOTATION}");
        text.parse().map(Some).map_err(|error| Problem::new(field, Reason::Invalid, format!("{error}")))
    }
}

/// The Subscription that a Secret was made for.
fn owner(secret: &Secret) -> Option<&OwnerReference> {
    let is_ours = |owner: &&OwnerReference| {
        owner.kind == OWNER_KIND && owner.api_version.split('/').next().is_some_and(|group| group == GROUP)
    };
    secret.metadata.owner_references.iter().flatten().find(is_ours)
}

fn of_another(place: &ObjectName, owner: &OwnerReference) -> Problem {
    let message = format!(
        "Secret {place} was made for another Subscription, {} of uid {}; name a Secret of its own here, or wait until that one is gone",
        owner.name, owner.uid
    );
    Problem::new(FIELD, Reason::SecretOfAnother, message)
}

fn not_ours(place: &ObjectName) -> Problem {
    let message = format!(
        "Secret {place} was not made by the controller, and is never written: its keys are not rotated; change them there, or name a Secret that does not exist, which is then made"
    );
    Problem::new("spec.keys", Reason::SecretNotOurs, message)
}

fn made(secret: &Secret) -> Made {
    let metadata = &secret.metadata;
    let created_s = metadata.creation_timestamp.as_ref().map_or(0, |time| time.0.as_second());
    let annotation = |key: &str| metadata.annotations.as_ref().and_then(|all| all.get(key));
    let moment = |key: &str| annotation(key).and_then(|text| text.parse::<Timestamp>().ok()).map(Timestamp::as_second);
    Made {
        version: metadata.resource_version.clone().unwrap_or_default(),
        created_s,
        primary_made_s: moment(PRIMARY_MADE).unwrap_or(created_s),
        secondary_made_s: moment(SECONDARY_MADE).unwrap_or(created_s),
        secondary_ends_s: moment(SECONDARY_ENDS),
        rotated: annotation(ROTATED).cloned(),
    }
}

/// Bounds that the CRD states as well: an object may have been stored under another one.
fn schedule(rotation: &Rotation) -> Result<Schedule, Problem> {
    let field = |name: &str| format!("spec.keys.rotation.{name}");
    let invalid = |name: &str, message: &str| Problem::new(field(name), Reason::Invalid, message);
    let seconds = |name: &str, duration: &sallyport_api::duration::Duration| {
        let parsed = duration.parse().ok().and_then(|duration| i64::try_from(duration.as_secs()).ok());
        parsed.ok_or_else(|| invalid(name, "it is no duration; write it as 720h"))
    };
    let (every_s, overlap_s) = (seconds("every", &rotation.every)?, seconds("overlap", &rotation.overlap)?);
    match () {
        () if every_s < MIN_EVERY_S => Err(invalid("every", "at least 1h. Keys are not rotated")),
        () if overlap_s < MIN_OVERLAP_S => Err(invalid("overlap", "at least 1m. Keys are not rotated")),
        () if overlap_s >= every_s => {
            Err(invalid("overlap", "overlap has to be shorter than every. Keys are not rotated"))
        }
        () => Ok(Schedule { every_s, overlap_s }),
    }
}

fn digests(secret: &Secret, place: &ObjectName, problems: &mut Vec<Problem>) -> Result<(Bytes, Bytes), Problem> {
    let mut digest = |entry: KeyName| match secret.data.as_ref().and_then(|data| data.get(entry.as_str())) {
        None => Bytes::new(),
        Some(key) if key.0.len() < MIN_KEY_CHARACTERS || !key.0.iter().all(u8::is_ascii_graphic) => {
            let message = format!(
                "Secret {place}: {entry} has fewer than {MIN_KEY_CHARACTERS} characters, or others than visible ASCII; store a longer key, without a line end"
            );
            problems.push(Problem::new(FIELD, Reason::SecretInvalid, message));
            Bytes::new()
        }
        Some(key) => Bytes::copy_from_slice(Sha256::digest(&key.0).as_slice()),
    };
    let found = (digest(KeyName::Primary), digest(KeyName::Secondary));
    if found.0.is_empty() && found.1.is_empty() {
        let message = format!(
            "Secret {place} has no usable entry primary or secondary, and is left as it is; add one, or name another Secret"
        );
        return Err(Problem::new(FIELD, Reason::SecretNotFound, message));
    }
    Ok(found)
}

/// Keys of a Subscription that cannot be decoded, as far as they can be read. Where neither a digest nor the name of a Secret that is
/// there can be, nobody knows what it held: a younger one with the same key has it then. What was made for another one it never held.
pub(super) fn held_by_undecodable(cluster: &ClusterState, namespace: &str, subscription: &Value) -> Vec<Bytes> {
    let (keys, uid) = (&subscription["spec"]["keys"], subscription["metadata"]["uid"].as_str());
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let digest = |entry: KeyName| text(&keys["sha256"][entry.as_str()]).filter(|text| text.len() == 2 * DIGEST_BYTES);
    let stated = KeyName::ALL.into_iter().filter_map(digest).filter_map(|text| hex::bytes(&text).map(Bytes::from));
    let place = text(&keys["secretName"]).map(|name| ObjectName::new(namespace, name));
    let of_secret = place.and_then(|place| {
        let secret = secret(cluster, &place, FIELD).ok()?;
        let is_of_another = owner(secret).is_some_and(|owner| uid != Some(owner.uid.as_str()));
        if is_of_another {
            return None;
        }
        digests(secret, &place, &mut vec![]).ok()
    });
    let of_secret = of_secret.into_iter().flat_map(|(primary, secondary)| [primary, secondary]);
    stated.chain(of_secret).filter(|digest| !digest.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As an API server with a weaker schema would have stored it.
    #[test]
    fn a_rotation_beyond_its_bounds_is_none_and_names_the_field() {
        for (every, overlap, field) in [
            ("0s", "0s", "every"),
            ("59m59s", "1m", "every"),
            ("1h", "59s", "overlap"),
            ("1h", "1h", "overlap"),
            ("24h", "99999h", "overlap"),
            ("often", "1m", "every"),
            ("1h", "", "overlap"),
        ] {
            let rotation = serde_json::from_value(serde_json::json!({ "every": every, "overlap": overlap }));
            let problem = schedule(&rotation.expect("a rotation")).expect_err(every);
            assert_eq!(problem.field, format!("spec.keys.rotation.{field}"), "{every} {overlap}");
        }
        let rotation = serde_json::from_value(serde_json::json!({ "every": "1h", "overlap": "59m" }));
        let expected = Schedule { every_s: 3_600, overlap_s: 3_540 };
        assert_eq!(schedule(&rotation.expect("a rotation")), Ok(expected));
    }
}
