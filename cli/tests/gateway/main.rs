//! The whole gateway in one process, from manifests to sockets: real connections, real TLS, a service that tells what it saw.

#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod kit;

mod inner_door;
mod outer_door;
