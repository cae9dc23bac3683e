//! An error in the operator's words: each layer says itself only, so the whole is all of them.

use std::error::Error;

/// `error` and its sources, from the outermost.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let layers = std::iter::successors(Some(error), |&error| error.source());
    layers.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("the outer")]
    struct Outer(#[source] std::io::Error);

    #[test]
    fn every_layer_is_said_once() {
        assert_eq!(chain(&Outer(std::io::Error::other("the inner"))), "the outer: the inner");
    }
}
