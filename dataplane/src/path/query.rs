//! The query of a request target: forwarded byte for byte, but for parameters that must not reach the service.

use std::borrow::Cow;

/// What follows the question mark, undecoded; `None` if there is no question mark.
#[derive(Clone, Copy, Debug, Default)]
pub struct Query<'a>(pub Option<&'a str>);

impl<'a> Query<'a> {
    /// Names and values in their order, decoded as forms are: `+` is a space.
    pub fn decoded(self) -> impl Iterator<Item = (Cow<'a, [u8]>, Cow<'a, [u8]>)> {
        self.pairs().map(|pair| {
            let (name, value) = split(pair);
            (decode(name), decode(value))
        })
    }

    /// The query without the parameters that `unwanted` names, in whatever spelling; all else is left as it is. `None` if nothing is left.
    pub fn without(self, unwanted: impl Fn(&[u8]) -> bool) -> Option<Cow<'a, str>> {
        let raw = self.0?;
        if !self.pairs().any(|pair| unwanted(&decode(split(pair).0))) {
            return Some(Cow::Borrowed(raw));
        }
        let kept: Vec<_> = self.pairs().filter(|pair| !unwanted(&decode(split(pair).0))).collect();
        (!kept.is_empty()).then(|| Cow::Owned(kept.join("&")))
    }

    fn pairs(self) -> impl Iterator<Item = &'a str> {
        self.0.into_iter().flat_map(|raw| raw.split('&')).filter(|pair| !pair.is_empty())
    }
}

fn split(pair: &str) -> (&str, &str) {
    pair.split_once('=').unwrap_or((pair, ""))
}

fn decode(text: &str) -> Cow<'_, [u8]> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        Cow::Owned(percent_encoding::percent_decode_str(&spaced).collect())
    } else {
        percent_encoding::percent_decode_str(text).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_found_in_every_spelling() {
        for raw in ["key=v", "%6bey=v", "k%65y=v", "a=1&key=v", "a&&key=v"] {
            let found = Query(Some(raw)).decoded().any(|(name, value)| *name == *b"key" && *value == *b"v");
            assert!(found, "{raw}");
        }
        assert!(Query(Some("xkey=v&keys=v&=key")).decoded().all(|(name, _)| *name != *b"key"));
        assert_eq!(Query(None).decoded().count(), 0);
    }

    #[test]
    fn removal_keeps_the_rest_byte_for_byte() {
        let without_key = |raw| Query(Some(raw)).without(|name| name == b"key").map(Cow::into_owned);
        assert_eq!(without_key("a=%41&key=1&b=+"), Some("a=%41&b=+".to_owned()));
        assert_eq!(without_key("%6Bey=1&key=2"), None);
        assert_eq!(without_key("a=1&&b"), Some("a=1&&b".to_owned()));
        assert_eq!(Query(None).without(|_| true), None);
    }
}
