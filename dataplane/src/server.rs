//! The server: sockets, workers, and the connections they serve.

pub mod admin;
pub mod connection;
pub mod descriptors;
pub(crate) mod destination;
pub(crate) mod drain;
mod http2;
pub mod pace;
pub mod proxy_header;
pub mod socket;
pub mod tls;
pub mod worker;
