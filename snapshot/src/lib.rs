//! The contract between controller and data plane: resources, their content hashes, and the difference between two
//! snapshots.
//!
//! The messages are defined in `proto/`; this crate adds the few operations that both sides have to agree on. It knows
//! neither Kubernetes nor HTTP nor TLS.

#![warn(missing_docs)]

pub mod check;
mod closure;
mod difference;
pub mod expression;
pub mod pieces;
mod resource;
mod snapshot;

pub use closure::of_gateway;
pub use difference::Difference;
pub use resource::{Hash, Name, Versioned};
pub use snapshot::{Held, Snapshot};

/// What both halves know of what closes something: each edition brought fields that a data plane must not pass over. 1: `authorizations`
/// of policies. 2: `types`, `max_lifetime_ms` and `token_places` of tokens, headers that are computed. 3: `entra_id` and
/// `decryption_keys` of tokens, certificates of callers. 4: `request` of policies, `cors` of policies and rules. 5: `limits` of policies. 6:
/// passwords of callers. 7: `origin_locks` of Gateways. 8: `sender_constraint` of tokens. 9: `client_certificate_header` of
/// Gateways. 10: `introspection` of alternatives. 11: `external_authorizations` of policies. 12: `frontend_validation` of listeners. 13:
/// `proofs` of tokens. A [`Deny`](v1::Deny) with `REASON_OLDER` stands beside such a field.
pub const EDITION: u32 = 13;

/// What the names of questions to issuers begin with ([`Introspection`](v1::Introspection)), of which data planes tell beside KeySets: they are no resources of their own.
pub const QUESTIONS: &str = "introspection:";

/// What the name of a store of limits begins with ([`LimitStore`](v1::LimitStore)), of which data planes tell beside KeySets; the name of the Gateway follows.
pub const LIMIT_STORES: &str = "limit-store:";

/// The longest window of a limit that data planes count by themselves: what lasts longer they would forget with each restart, and a store counts it.
pub const MAX_LOCAL_WINDOW: std::time::Duration = std::time::Duration::from_secs(3600);

/// The messages described by themselves (a `google.protobuf.FileDescriptorSet`), for whoever prints them.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The generated message types, documented in the `.proto` files.
pub mod v1 {
    #![allow(missing_docs, unreachable_pub, rust_2018_idioms, reason = "generated code")]
    include!(concat!(env!("OUT_DIR"), "/sallyport.snapshot.v1.rs"));

    impl std::fmt::Debug for Secret {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Secret(..)")
        }
    }

    impl std::fmt::Debug for VersionedResource {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("VersionedResource")
                .field("name", &self.name)
                .field("hash", &self.hash)
                .finish_non_exhaustive()
        }
    }
}
