//! Durations as Gateway API writes them (GEP-2257): `10s`, `1h30m`, `500ms`.

use std::fmt;
use std::time::Duration as StdDuration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// A Gateway API duration, as text. [`Duration::parse`] gives its length.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Duration(pub String);

/// The form that Gateway API allows: up to four numbers of up to five digits with their units.
pub const PATTERN: &str = "^([0-9]{1,5}(h|m|s|ms)){1,4}$";

impl Duration {
    /// The length, or what is wrong with the text.
    pub fn parse(&self) -> Result<StdDuration, InvalidDuration> {
        parse(&self.0).ok_or_else(|| InvalidDuration { text: self.0.clone() })
    }
}

/// A text that is no duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a duration; write numbers with the units h, m, s or ms, such as 1m30s")]
pub struct InvalidDuration {
    text: String,
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": PATTERN, "maxLength": 32 })
    }

    fn inline_schema() -> bool {
        true
    }
}

fn parse(text: &str) -> Option<StdDuration> {
    let (mut rest, mut total, mut parts) = (text, StdDuration::ZERO, 0);
    while !rest.is_empty() {
        let digits = rest.find(|letter: char| !letter.is_ascii_digit())?;
        let (number, after) = rest.split_at_checked(digits).filter(|(number, _)| (1..=5).contains(&number.len()))?;
        let number: u64 = number.parse().ok()?;
        // "ms" before "m": the longer unit first.
        let units: [(&str, u64); 4] = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let (unit, unit_ms) = units.into_iter().find(|(unit, _)| after.starts_with(unit))?;
        total += StdDuration::from_millis(number * unit_ms);
        rest = after.strip_prefix(unit)?;
        parts += 1;
    }
    (1..=4).contains(&parts).then_some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_gep_2257() {
        for (text, length_ms) in
            [("0s", 0), ("500ms", 500), ("1m30s", 90_000), ("1h2m3s4ms", 3_723_004), ("99999h", 359_996_400_000)]
        {
            assert_eq!(Duration(text.into()).parse(), Ok(StdDuration::from_millis(length_ms)), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in ["", "1", "s", "-1s", "1.5s", "1d", "100000s", "1h1h1h1h1h", "1 s", "1S", "１s"] {
            assert!(Duration(text.into()).parse().is_err(), "{text}");
        }
    }
}
