//! Amounts as Kubernetes writes them: `2`, `500m`, `256Mi`.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

/// A Kubernetes quantity, as text. A number is taken as well.
#[derive(Clone, Debug, Serialize, PartialEq, Eq)]
pub struct Quantity(pub String);

/// What YAML makes of an amount: `cpu: 2` is a number, `cpu: 500m` a text.
#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Whole(u64),
    Text(String),
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(match Written::deserialize(deserializer)? {
            Written::Whole(number) => number.to_string(),
            Written::Text(text) => text,
        }))
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "maxLength": 24,
            "x-kubernetes-validations": [{
                "rule": "isQuantity(string(self)) && quantity(string(self)).isGreaterThan(quantity('0'))",
                "message": "no amount; write a number above 0 with an optional unit, such as 2, 500m or 256Mi",
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
    fn numbers_are_amounts_as_well() {
        for (written, amount) in [(json!(2), "2"), (json!("2"), "2"), (json!("500m"), "500m"), (json!("1.5"), "1.5")] {
            assert_eq!(serde_json::from_value::<Quantity>(written).unwrap(), Quantity(amount.into()));
        }
        for written in [json!(-1), json!(1.5), json!(true), json!({}), json!(null)] {
            assert!(serde_json::from_value::<Quantity>(written.clone()).is_err(), "{written}");
        }
    }
}
