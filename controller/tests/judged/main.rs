//! Manifests in; snapshot and status out.

#![expect(clippy::unwrap_used, clippy::panic, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod combination;
mod golden;
mod judged;
mod mutation;
mod restricted;
