//! The verbs that speak with a cluster. Each reads, judges by a pure function, and prints.

pub(crate) mod approve;
pub(crate) mod check;
pub(crate) mod connect;
pub(crate) mod demo;
pub(crate) mod keys;
pub(crate) mod status;

mod object;
mod table;
mod wait;
