//! Where limits are counted.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::backend::Validation;
use crate::duration::Duration;
use crate::reference::SecretReference;

/// Where the requests are counted that `limits` of policies allow.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("(self.store == 'Redis') == has(self.redis)")
    .message("redis goes with store: Redis, and only with it"))]
pub struct LimitSettings {
    /// Local (default) counts in each replica, which has an equal share of what is allowed; windows of up to 1h. Redis counts for all replicas
    /// together, of all Gateways that name the same; windows of up to 24h, and quotas per Day and Month. Requests under way are counted in
    /// each replica in any case.
    #[serde(default)]
    pub store: LimitStore,
    /// The server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<RedisStore>,
}

/// Where limits are counted.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum LimitStore {
    /// In each replica by itself.
    #[default]
    Local,
    /// In a server that speaks the protocol of Redis.
    Redis,
}

/// A server that speaks the protocol of Redis, version 7 or later, or of Valkey. One that evicts nothing (`maxmemory-policy noeviction`), and keeps
/// what it has (`appendonly yes`) where quotas are; no cluster of several that share keys.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RedisStore {
    /// Host and port, e.g. `valkey.infra.svc:6379`. 1 to 16, all of one set of data; they are tried in their order until one answers that takes
    /// writes. Without `tls` only Services, as `NAME.NAMESPACE.svc` (in a Gateway's own parameters of its own namespace), and loopback addresses, which
    /// only a gateway without a cluster may call.
    #[schemars(
        length(min = 1, max = 16),
        inner(length(min = 3, max = 261), regex(pattern = r"^(\[[0-9a-fA-F:.]+\]|[0-9A-Za-z.-]+):[0-9]{1,5}$"))
    )]
    pub addresses: Vec<String>,
    /// How it proves who it is. Default: it is spoken to in the clear.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RedisTls>,
    /// A Secret beside these GatewayParameters with the entry `password`, and `username` where the server has several users. Its annotation
    /// `sallyport.dev/hosts` has to list each host of `addresses`: whoever keeps it says where it may be sent. Default: no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<SecretReference>,
    /// How long an answer is waited for, of all limits together that are judged at the same step; later ones count as if the server were away. 5ms to
    /// 1s, default 50ms.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5ms') && duration(self) <= duration('1s')")
        .message("out of bounds; state 5ms to 1s"))]
    pub timeout: Option<Duration>,
    /// What becomes of requests while the server is away.
    #[serde(default)]
    pub when_away: WhenAway,
    /// What names in the server begin with, so that installations keep apart. 1 to 63 letters, digits, `-` and `_`. Default: sallyport.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = r"^[0-9A-Za-z_-]+$"))]
    pub prefix: Option<String>,
}

/// How a store proves who it is.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct RedisTls {
    /// The name that its certificate has to be for, and by whom it has to be issued.
    pub validation: Validation,
}

/// What becomes of requests while the store is away.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum WhenAway {
    /// Each replica goes on with its share: of windows, counting what it has admitted itself; of quotas, of what was left when the server told of them
    /// last. A quota that it has told nothing of is answered 503. What is admitted meanwhile is added once it is back.
    #[default]
    Share,
    /// Requests that a window or quota speaks of are answered 503 `store-unavailable`.
    Deny,
}
