//! How many requests may come.

use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use std::time::Duration as StdDuration;

use crate::duration::{Duration, InvalidDuration};

/// How many requests may come, of each caller or whatever else `by` tells apart: in a time, or at once. What is over it is answered 429, with
/// `Retry-After`.
///
/// The number is for all replicas of the Gateway together. Without a store each of them has an equal share of it, rounded down, and one at least
/// (`limits` of GatewayParameters).
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("has(self.requests) != has(self.concurrent)")
        .message("state exactly one of requests, with per, and concurrent"),
    validation = Rule::new("has(self.requests) == has(self.per)")
        .message("requests and per go together: so many in that time"),
    validation = Rule::new("(self.by == 'Expression') == has(self.expression)")
        .message("expression goes with by: Expression, and only with it")
)]
pub struct Limit {
    /// Names the limit in logs, and to callers in the field `RateLimit`.
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// So many requests in any time of the length `per`. 1 to 1,000,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000))]
    pub requests: Option<u32>,
    /// The length of that time, 1s to 24h: a window that slides; what was used comes back at most a sixtieth of it late. Or Day or Month, which begin at
    /// 00:00 UTC. More than 1h, Day and Month are counted where the Gateway's GatewayParameters say `limits.store: Redis`; elsewhere no request passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("self in ['Day','Month'] || duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("out of bounds; state 1s to 24h, Day or Month"))]
    pub per: Option<Per>,
    /// So many requests under way. A stream or WebSocket counts for as long as it lasts. 1 to 1,000,000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub concurrent: Option<u32>,
    /// By what requests are told apart. Those that have no such thing have one share together, of the same size; so have those of newcomers
    /// where there are about 100,000 of them.
    pub by: LimitKey,
    /// With `by: Expression`: an expression in CEL that gives a string of 1 to 256 bytes, or an optional one (the reference of expressions says
    /// what it may name). Where neither it nor `when` names `auth`, it is counted before it is known who calls. In a Floor `auth` is what the Floor's own
    /// `authentication` has found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub expression: Option<String>,
    /// Which requests are counted: an expression that gives true or false. Default: all. One of which it cannot be told is counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096))]
    pub when: Option<String>,
}

/// A time in which requests are counted, as text. [`Per::parse`] tells what it is.
#[derive(Clone, Debug, Deserialize, Serialize, PartialEq, Eq)]
pub struct Per(pub String);

/// What a [`Per`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Any time of that length.
    Window(StdDuration),
    /// A day of UTC.
    Day,
    /// A month of UTC.
    Month,
}

impl Per {
    /// What it is, or what is wrong with the text.
    pub fn parse(&self) -> Result<Period, InvalidDuration> {
        match &*self.0 {
            "Day" => Ok(Period::Day),
            "Month" => Ok(Period::Month),
            text => Duration(text.to_owned()).parse().map(Period::Window),
        }
    }
}

impl JsonSchema for Per {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Per".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": r"^(Day|Month|([0-9]{1,5}(h|m|s|ms)){1,4})$", "maxLength": 32 })
    }

    fn inline_schema() -> bool {
        true
    }
}

/// By what a limit tells requests apart.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum LimitKey {
    /// The Subscription whose key was sent.
    Subscription,
    /// Who calls: `auth.identity`.
    Identity,
    /// The client address; of IPv6 its network of 64 bits. Counted before it is known who calls.
    ClientAddress,
    /// What `expression` gives.
    Expression,
}
