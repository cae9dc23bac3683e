//! The verbs that speak with a cluster: the program as it is built, against an API server of the test's own that notes each write.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

#[allow(dead_code, reason = "the tests of the controller's writes ask more of it")]
#[path = "../../../controller/tests/writes/api.rs"]
mod api;
mod approvals;
mod checks;
mod demos;
mod keys;
mod kit;
mod stands;
