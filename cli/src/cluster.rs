//! Verbs that speak with a cluster: what is in force where, whose keys open what, and the word of a Product's owner.

mod approval;
mod check;
mod connect;
mod demo;
mod keys;
mod object;
mod report;
mod status;
mod table;

pub(crate) use approval::{Arguments as ApprovalArguments, decide};
pub(crate) use check::{Arguments as CheckArguments, check};
pub(crate) use connect::Place;
pub(crate) use demo::demo;
pub(crate) use keys::{Arguments as KeysArguments, keys};
pub(crate) use status::{Arguments as StatusArguments, status};
