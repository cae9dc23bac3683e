//! Labels and annotations, as Kubernetes takes them: a bad one would make it refuse the object as a whole.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// The form of a key, where it is a text of its own.
pub(super) const KEY_PATTERN: &str = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$";
/// The form of a label's value.
pub(super) const VALUE_PATTERN: &str = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$";

/// An optional prefix, which is a DNS name, and a name of at most 63 characters.
const KEY: &str = "self.all(key, key.matches(r\"\"\"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$\"\"\"))";
const KEY_MESSAGE: &str =
    "a key is no label's; write an optional DNS name with a slash, then up to 63 letters, digits, '-', '_' or '.'";
const PREFIX: &str = "self.all(key, key.split('/')[0].size() < 253)";
const PREFIX_MESSAGE: &str = "what stands before the slash of a key is too long; write less than 253 characters";

/// Labels by key.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Labels(pub BTreeMap<String, String>);

/// Annotations by key.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Annotations(pub BTreeMap<String, String>);

impl JsonSchema for Labels {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Labels".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        map(json_schema!({ "type": "string", "maxLength": 63, "pattern": VALUE_PATTERN }))
    }

    fn inline_schema() -> bool {
        true
    }
}

impl JsonSchema for Annotations {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Annotations".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        map(json_schema!({ "type": "string", "maxLength": 4096 }))
    }

    fn inline_schema() -> bool {
        true
    }
}

fn map(value: Schema) -> Schema {
    json_schema!({
        "type": "object",
        "additionalProperties": value,
        "maxProperties": 16,
        "x-kubernetes-validations": [
            { "rule": KEY, "message": KEY_MESSAGE },
            { "rule": PREFIX, "message": PREFIX_MESSAGE },
        ],
    })
}
