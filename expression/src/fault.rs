//! Why an expression gives nothing.

use std::borrow::Cow;
use std::fmt;

/// What went wrong while an expression was evaluated. CEL calls it an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It took more steps than were left. Unlike all others nothing makes up for it.
    Exhausted,
    /// A key, an item or a field that is not there.
    Missing(Cow<'static, str>),
    /// A function that is not there for such values.
    NoOverload(&'static str),
    /// A number beyond its bounds, or a division by nothing.
    Range(&'static str),
    /// A place in a text that it does not have.
    NoPlace(&'static str),
    /// A text that is no such thing.
    Malformed(&'static str),
    /// A map whose keys are not told apart.
    TwiceInMap,
    /// What a caller has sent under this name is no UTF-8.
    NoText(Cow<'static, str>),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exhausted => f.write_str("the expressions of the request take too many steps"),
            Self::Missing(what) => write!(f, "{what} is not there"),
            Self::NoOverload(function) => write!(f, "{function} cannot be applied to such values"),
            Self::Range(function) => write!(f, "{function} goes beyond what a number can hold"),
            Self::NoPlace(function) => write!(f, "{function} goes beyond the text"),
            Self::Malformed(function) => write!(f, "{function} cannot read the text"),
            Self::TwiceInMap => f.write_str("a map has the same key twice"),
            Self::NoText(what) => write!(f, "{what} is no UTF-8"),
        }
    }
}

impl std::error::Error for Fault {}
