//! What is told of exchanges: the access log, and metrics.

pub mod access_log;
pub mod metrics;
pub mod traces;
