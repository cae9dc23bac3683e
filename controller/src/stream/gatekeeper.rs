//! Who may have a stream.

use std::time::Duration;

use futures_util::future::BoxFuture;

use crate::fleet::Pod;

/// Turns what a caller shows into who it is. Asked once for each stream, before anything of it is read.
pub trait Gatekeeper: Send + Sync + 'static {
    fn admit<'a>(&'a self, token: Bearer<'a>) -> BoxFuture<'a, Result<Admission, Refusal>>;
}

/// The token of a stream. Has no `Debug`: it opens what it is for.
#[derive(Clone, Copy)]
pub struct Bearer<'a>(&'a str);

impl<'a> Bearer<'a> {
    /// Takes it out of `authorization: Bearer …`; `None` if the header is another.
    pub fn of_header(value: &'a str) -> Option<Self> {
        let (scheme, token) = value.split_once(' ')?;
        let is_one = scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() && !token.contains(' ');
        is_one.then_some(Self(token))
    }

    pub fn as_str(self) -> &'a str {
        self.0
    }
}

/// Who it is, and for how long that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admission {
    pub caller: Caller,
    /// Until the token ends; `None` if it is not known, and the stream ends by its own bound.
    pub valid_for: Option<Duration>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// A pod of a Gateway, which may follow that Gateway's updates.
    DataPlane(Pod),
    /// A replica of this controller, which may watch standings.
    Controller { pod: String },
}

/// Why not. What it says is logged, so it never holds the token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The token is none, has ended, is for another audience, or of nobody that may have a stream.
    #[error("the token is refused: {0}")]
    Refused(String),
    /// Nobody can say now; the caller may come again.
    #[error("the token cannot be verified: {0}")]
    Unavailable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_bearer_token_is_one() {
        assert_eq!(Bearer::of_header("Bearer abc").unwrap().as_str(), "abc");
        assert_eq!(Bearer::of_header("bearer abc").unwrap().as_str(), "abc");
        for header in
            ["", "abc", "Bearer", "Bearer ", "Basic abc", "Bearer a b", "Bearer  a", "Bearer\tabc", " Bearer abc"]
        {
            assert!(Bearer::of_header(header).is_none(), "{header:?}");
        }
    }
}
