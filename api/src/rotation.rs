//! Rotation of subscription keys: by the clock, and by hand.

use std::fmt;
use std::str::FromStr;

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// Annotation of a Subscription by which somebody who may write it asks for a new key, once for each text: a [`RotationRequest`].
pub const ROTATE_ANNOTATION: &str = "sallyport.dev/rotate";

/// When keys are made anew by themselves.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("duration(self.overlap) < duration(self.every)").message("overlap has to be shorter than every"))]
pub struct Rotation {
    /// A new `primary` is made this long after the one before, which is `secondary` from then on. At least 1h.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1h')").message("at least 1h"))]
    pub every: Duration,
    /// The key before goes on for this long as `secondary`; then that is made anew as well. At least 1m, less than `every`.
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m')").message("at least 1m"))]
    pub overlap: Duration,
}

/// One of the two keys of a Subscription, which is an entry of its Secret by the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyName {
    /// The first.
    Primary,
    /// The second.
    Secondary,
}

impl KeyName {
    /// Both, in order.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Secondary];

    /// The entry of the Secret.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Secondary => "secondary",
        }
    }
}

impl fmt::Display for KeyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What [`ROTATE_ANNOTATION`] says: the key that is replaced, at once, while the other one goes on; and anything behind a blank that
/// tells the request from the one before, such as the time: `primary 2026-11-26T09:00:00Z`. At most 128 bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationRequest {
    /// Which key.
    pub key: KeyName,
    /// The annotation as a whole: what was carried out last is compared with it.
    pub text: String,
}

/// The longest request.
const MAX_REQUEST_BYTES: usize = 128;

impl FromStr for RotationRequest {
    type Err = InvalidRequest;

    fn from_str(text: &str) -> Result<Self, InvalidRequest> {
        let word = text.split(' ').next().unwrap_or_default();
        let key = KeyName::ALL.into_iter().find(|key| key.as_str() == word);
        let key = key.filter(|_| text.len() <= MAX_REQUEST_BYTES).ok_or(InvalidRequest)?;
        Ok(Self { key, text: text.to_owned() })
    }
}

/// A text that asks for nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it names no key; write primary or secondary, and behind a blank anything that is new, such as the time, in 128 bytes at most"
)]
pub struct InvalidRequest;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_a_key_and_is_told_from_others_by_the_rest() {
        let request = |text: &str| text.parse::<RotationRequest>();
        for (text, key) in [
            ("primary", KeyName::Primary),
            ("secondary", KeyName::Secondary),
            ("primary 2026-11-26T09:00:00Z", KeyName::Primary),
            ("secondary  any thing", KeyName::Secondary),
        ] {
            assert_eq!(request(text), Ok(RotationRequest { key, text: text.to_owned() }));
        }
        let long = format!("primary {}", "x".repeat(121));
        for text in ["", " ", "Primary", "both", "primary,secondary", "primary\t1", " primary", "2026 primary", &long] {
            assert_eq!(request(text), Err(InvalidRequest), "{text:?}");
        }
    }
}
