//! The server: sockets, workers, and the connections they serve.

pub mod admin;
pub mod connection;
pub(crate) mod destination;
pub mod socket;
mod tls;
pub mod worker;
