//! What of a `GatewayParameters` says what is told of the requests of a Gateway.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Which requests have a line in the access log.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct AccessLogSettings {
    /// Whether lines are written, refusals included. Default: as the data plane was started: in a cluster yes, from files only with
    /// `--access-log`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// How many of a hundred requests have a line, 0 to 100, by 0.0001; the others are chosen at random. Only what went well is left out:
    /// what is refused, would have been (Report mode), or is answered with 500 or more always has its line. Default: 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub sample_percent: Option<f64>,
}

/// Where the spans of requests go, which of them, and what they carry.
#[derive(Clone, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct TelemetrySettings {
    /// The OpenTelemetry collector that spans are sent to by OTLP over gRPC: `http://` or `https://`, a host and a port, without user,
    /// path or query. Over https its certificate has to be one that the system trusts. Loopback is refused in a cluster, and so are
    /// metadata addresses and the API server. Default: none in a cluster; from files, where the process was started to send to, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 8, max = 512))]
    pub otlp_endpoint: Option<String>,
    /// How many of a hundred requests are recorded, 0 to 100, by 0.0001, by the number of their trace. Of requests that come with a
    /// `traceparent` its flag says it. Default: all; from files as `OTEL_TRACES_SAMPLER` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0.0, max = 100.0))]
    pub sample_percent: Option<f64>,
    /// What all spans say of where they come from, beside `service.name` (default: sallyport), e.g. `deployment.environment.name`. At
    /// most 32 attributes with names of up to 128 letters, digits, dots, dashes and underscores; a value has up to 1,024 characters. A
    /// Gateway's are added to the class's, and win.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_attributes: Option<Attributes>,
}

/// Texts by the names of attributes.
#[derive(Clone, Debug, Default, Deserialize, Serialize, PartialEq, Eq)]
pub struct Attributes(pub BTreeMap<String, String>);

impl JsonSchema for Attributes {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Attributes".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "additionalProperties": { "type": "string", "maxLength": 1024 },
            "maxProperties": 32,
            "x-kubernetes-validations": [{
                "rule": r#"self.all(name, name.matches("^[A-Za-z][A-Za-z0-9_.-]{0,127}$"))"#,
                "message": "a name is no attribute's; begin with a letter, and write up to 128 letters, digits, '.', '-' or '_'",
            }],
        })
    }

    fn inline_schema() -> bool {
        true
    }
}
