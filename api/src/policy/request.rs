//! How large requests may be.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::infrastructure::Quantity;

/// What requests may be like. Stated empty: without a bound of this policy, and of those further off.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RequestBounds {
    /// The largest body, in bytes as they are sent: `1Mi`, `500k`, `2048`; 0 for none at all. Up to 64Gi. A larger one is answered 413: before anything is forwarded where the request says its length, else as
    /// soon as more has come, and the request to the service is broken off. Of a stream, a gRPC call among them, it bounds all that the caller sends. Default: bodies of any length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_bytes: Option<ByteCount>,
}

/// So many bytes: a whole number, or a text of one with a unit.
#[derive(Clone, Copy, Debug, Serialize, PartialEq, Eq)]
pub struct ByteCount(pub u64);

/// Units as Kubernetes writes them.
const UNITS: [(&str, u64); 6] =
    [("Ki", 1 << 10), ("Mi", 1 << 20), ("Gi", 1 << 30), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)];

const MOST: u64 = 64 << 30;

impl ByteCount {
    fn read(text: &str) -> Option<Self> {
        let unit = UNITS.iter().find_map(|(unit, bytes)| Some((text.strip_suffix(unit)?, *bytes)));
        let (number, bytes) = unit.unwrap_or((text, 1));
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| number.parse::<u64>().ok()?.checked_mul(bytes).map(Self))?
    }
}

impl<'de> Deserialize<'de> for ByteCount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Quantity(text) = Quantity::deserialize(deserializer)?;
        Self::read(&text)
            .filter(|count| count.0 <= MOST)
            .ok_or_else(|| D::Error::custom("no number of bytes up to 64Gi"))
    }
}

impl JsonSchema for ByteCount {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteCount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 14,
            "x-kubernetes-validations": [{
                "rule": "string(self).matches('^[0-9]{1,11}(k|M|G|Ki|Mi|Gi)?$') && quantity(string(self)).compareTo(quantity('64Gi')) <= 0",
                "message": "no number of bytes; write a whole one up to 64Gi, with k, M, G, Ki, Mi or Gi if you like, such as 1Mi",
            }],
        })
    }

    fn inline_schema() -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bytes_are_whole_numbers_with_units() {
        for (written, bytes) in [
            (json!(0), 0),
            (json!(2048), 2048),
            (json!("0"), 0),
            (json!("2048"), 2048),
            (json!("500k"), 500_000),
            (json!("2M"), 2_000_000),
            (json!("3G"), 3_000_000_000),
            (json!("1Ki"), 1024),
            (json!("1Mi"), 1_048_576),
            (json!("64Gi"), 68_719_476_736),
        ] {
            assert_eq!(serde_json::from_value::<ByteCount>(written.clone()).unwrap(), ByteCount(bytes), "{written}");
        }
        for written in [
            json!(-1),
            json!(1.5),
            json!(true),
            json!(null),
            json!(""),
            json!("Ki"),
            json!("-1"),
            json!("+1"),
            json!("1.5Ki"),
            json!("1e3"),
            json!("500m"),
            json!("1 Mi"),
            json!("1mi"),
            json!("1KiB"),
            json!("65Gi"),
            json!(68_719_476_737_u64),
            json!("99999999999999999999"),
            json!("18446744073709551615Gi"),
        ] {
            assert!(serde_json::from_value::<ByteCount>(written.clone()).is_err(), "{written}");
        }
    }
}
