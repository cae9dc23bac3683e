//! What callers are told of limits: the fields of the IETF draft "RateLimit header fields for HTTP" (revision 10).

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const LEFT: HeaderName = HeaderName::from_static("ratelimit");
/// So many limits are told; the tightest first.
const MAX_TOLD: usize = 4;

/// The limits that a request was counted in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    limits: Vec<Told>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// In the letters of DNS labels.
    pub name: Arc<str>,
    /// What is allowed altogether.
    pub quota: u32,
    /// What is left of a window or period, and when there is more. `None`: requests at once.
    pub left: Option<Left>,
}

/// What is left of a window, or of a calendar period, which has no length that can be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    pub window: Option<Duration>,
    pub requests: u32,
    pub until: Duration,
}

impl Allowance {
    /// One more, if it may be told.
    pub fn add_if(&mut self, may_be_told: bool, told: impl FnOnce() -> Told) {
        if may_be_told {
            self.limits.push(told());
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.limits.len()
    }

    /// Only the first of them.
    pub fn truncate(&mut self, kept: usize) {
        self.limits.truncate(kept);
    }

    /// Whether nobody is told of anything.
    pub fn is_empty(&self) -> bool {
        self.limits.is_empty()
    }

    /// Says it in an answer, beside what the service says of its own.
    pub fn write(&self, headers: &mut HeaderMap) {
        let mut limits: Vec<&Told> = self.limits.iter().collect();
        limits.sort_by(|one, other| one.left().total_cmp(&other.left()));
        limits.truncate(MAX_TOLD);
        let (mut policy, mut left) = (String::new(), String::new());
        for told in limits {
            // Writing into a text never fails.
            let _ = told.write(&mut policy, &mut left);
        }
        for (name, text) in [(POLICY, policy), (LEFT, left)] {
            if let (false, Ok(value)) = (text.is_empty(), HeaderValue::try_from(text)) {
                headers.append(name, value);
            }
        }
    }
}

impl Told {
    /// Which part of it is left.
    fn left(&self) -> f64 {
        self.left.map_or(1.0, |left| f64::from(left.requests) / f64::from(self.quota))
    }

    fn write(&self, policy: &mut String, left: &mut String) -> std::fmt::Result {
        let Self { name, quota, left: told } = self;
        let next = |text: &str| if text.is_empty() { "" } else { ", " };
        write!(policy, r#"{}"{name}";q={quota}"#, next(policy))?;
        let Some(Left { window, requests, until }) = told else {
            return policy.write_str(r#";qu="concurrent-requests""#);
        };
        if let Some(length) = window {
            write!(policy, ";w={}", seconds(*length))?;
        }
        write!(left, r#"{}"{name}";r={requests};t={}"#, next(left), seconds(*until))
    }
}

/// Whole seconds, rounded up.
pub fn seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, quota: u32, window: Option<(u64, u32, u64)>) -> Told {
        let left = window.map(|(s, requests, ms)| Left {
            window: (s > 0).then(|| Duration::from_secs(s)),
            requests,
            until: Duration::from_millis(ms),
        });
        Told { name: name.into(), quota, left }
    }

    fn written(limits: &[Told]) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        Allowance { limits: limits.to_vec() }.write(&mut headers);
        headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect()
    }

    fn pair(name: &str, value: &str) -> (String, String) {
        (name.into(), value.into())
    }

    #[test]
    fn a_window_is_told_with_what_is_left_of_it() {
        let expected = vec![
            pair("ratelimit-policy", r#""per-customer";q=100;w=60"#),
            pair("ratelimit", r#""per-customer";r=57;t=13"#),
        ];
        assert_eq!(written(&[told("per-customer", 100, Some((60, 57, 12_001)))]), expected);
    }

    #[test]
    fn a_calendar_period_has_no_length() {
        let expected = vec![pair("ratelimit-policy", r#""monthly";q=9"#), pair("ratelimit", r#""monthly";r=5;t=60"#)];
        assert_eq!(written(&[told("monthly", 9, Some((0, 5, 60_000)))]), expected);
    }

    #[test]
    fn requests_at_once_have_a_policy_and_nothing_left() {
        let expected = vec![pair("ratelimit-policy", r#""at-once";q=20;qu="concurrent-requests""#)];
        assert_eq!(written(&[told("at-once", 20, None)]), expected);
    }

    #[test]
    fn the_tightest_come_first_and_no_more_than_four() {
        let limits: Vec<_> = (0..6).map(|at| told(&format!("l{at}"), 10, Some((1, 9 - at, 1)))).collect();
        let policy = r#""l5";q=10;w=1, "l4";q=10;w=1, "l3";q=10;w=1, "l2";q=10;w=1"#;
        let left = r#""l5";r=4;t=1, "l4";r=5;t=1, "l3";r=6;t=1, "l2";r=7;t=1"#;
        assert_eq!(written(&limits), vec![pair("ratelimit-policy", policy), pair("ratelimit", left)]);
    }

    #[test]
    fn of_nothing_nothing_is_said() {
        assert_eq!(written(&[]), vec![]);
    }
}
