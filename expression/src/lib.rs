//! Expressions of policies in CEL, the Common Expression Language: what they may name, what they give, and what that costs at most.
//!
//! A text becomes a [`Tree`](tree::Tree), which is checked against what is declared and becomes a [`Program`]; a program is evaluated for
//! one request. The controller parses and checks, and tells data planes trees; these check again, so that nothing is evaluated that was
//! not judged where it is evaluated. Knows neither Kubernetes nor HTTP.

#![warn(missing_docs)]

pub mod check;
pub mod declared;
mod duration;
pub mod evaluate;
mod fault;
mod functions;
mod operators;
#[cfg(feature = "parse")]
pub mod parse;
pub mod pattern;
mod program;
mod texts;
mod times;
pub mod tree;
pub mod typing;
pub mod value;
pub mod wire;

pub use check::{Complaint, check};
pub use evaluate::{Environment, MAX_STEPS, Steps};
pub use fault::Fault;
pub use functions::signatures;
pub use pattern::Budget;
pub use program::Program;

#[cfg(test)]
#[cfg(feature = "parse")]
mod tests;
