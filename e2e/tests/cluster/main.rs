//! The main job in a real cluster, with the real chart and images. Each test has a namespace of its own.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "tests")]

mod basic;
mod bound_tokens;
mod canary;
mod cert_manager;
mod cli;
mod client_certificate;
mod egress;
mod examples;
mod external_authorization;
mod figures;
mod held_back;
mod ingress;
mod introspection;
mod kit;
mod limit_store;
mod limits;
mod lossless;
mod main_job;
mod origin_lock;
mod outage;
mod subscriptions;
mod upgrade;
mod windows;
