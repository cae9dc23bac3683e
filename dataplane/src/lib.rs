//! The data plane of Sallyport: it takes resources from a controller and enforces them on every request.
//!
//! A request goes connection -> gate -> canonical path -> route -> policy -> `Permit` -> credential -> upstream -> response.
//! Any step may end in a `Rejection`, which exactly one table turns into a response.

// Indexing is an unwrap, and a panic here is a request that fails.
#![warn(clippy::indexing_slicing)]

mod authorities;
mod byte_set;
pub mod client_certificate;
pub mod clock;
pub mod cors;
pub mod credential;
pub mod digest;
pub mod egress;
pub mod explain;
pub mod external_authorization;
pub mod follow;
pub mod gate;
mod gathered;
pub mod introspection;
pub mod ip_set;
pub mod issuer;
pub mod jwt;
pub mod limit;
pub mod map;
pub mod names;
pub mod nonces;
pub mod observe;
pub mod passwords;
pub mod path;
pub mod pipeline;
pub mod process;
pub mod program;
pub mod rejection;
pub mod replays;
pub mod route;
pub mod runtime;
pub mod server;
pub mod settings;
mod sources;
mod together;
pub mod upstream;
