//! The controller's half of Sallyport: from manifests to a judged graph, and from the graph to a snapshot and statuses; and the program
//! that does this for a cluster.

pub mod access;
pub mod authority;
pub mod brain;
pub mod builder;
pub mod clock;
pub mod cluster;
pub mod compile;
pub mod fleet;
pub mod graph;
pub mod herald;
mod hex;
pub mod infra;
pub mod keys;
pub mod manifest;
pub mod metrics;
pub mod problem;
pub mod program;
pub mod publish;
pub mod seed;
pub mod status;
pub mod stream;
pub mod vault;
pub mod watch;
pub mod write;
