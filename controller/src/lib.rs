//! The controller's half of Sallyport: from manifests to a judged graph, and from the graph to a snapshot and statuses.

pub mod authority;
pub mod cluster;
pub mod compile;
pub mod fleet;
pub mod graph;
pub mod infra;
pub mod manifest;
pub mod problem;
pub mod publish;
pub mod status;
pub mod watch;
pub mod write;
pub mod stream;
