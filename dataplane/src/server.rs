//! The server: sockets, workers, connections.

pub mod socket;
