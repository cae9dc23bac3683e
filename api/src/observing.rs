//! What of a `GatewayParameters` says what is told of the requests of a Gateway.

use schemars::JsonSchema;
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
