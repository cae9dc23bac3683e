//! Every write that the controller makes: the program as it is built, against an API server of the test's own that notes each request.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod api;
mod kit;
mod life;
mod others;
mod reach;
mod rights;
mod told;
