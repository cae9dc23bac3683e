//! How many requests may come.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;

/// How many requests may come, of each caller or whatever else `by` tells apart: in a time, or at once. What is over it is answered 429, with
/// `Retry-After`.
///
/// The number is for all replicas of the Gateway together, each of which has an equal share of it, rounded down, and one at least.
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
    /// The length of that time, 1s to 1h: a window that slides. What was used comes back at most a sixtieth of it late.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('1h')")
        .message("out of bounds; state 1s to 1h"))]
    pub per: Option<Duration>,
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
