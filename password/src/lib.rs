//! Hashes of passwords: which are taken, what they cost, and whether a password fits one. The controller judges by it what it is given, and data
//! planes whoever calls.
//!
//! The hashes themselves are computed by libraries. Here is what they leave open: which kinds are strong enough to be taken, and how much work
//! whoever writes a hash may put on a gateway.

#![warn(missing_docs)]

mod hash;

pub use hash::{MAX_MEMORY_KIB, MAX_PASSWORD_BYTES, PasswordHash, Unfit};
