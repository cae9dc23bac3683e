//! Tokens of callers: read where an alternative says, and taken out where they must not travel.

use std::borrow::Cow;

use http::HeaderMap;
use http::header::{self, HeaderName, HeaderValue};
use smallvec::SmallVec;

use super::hygiene::same_variable;
use crate::path::Query;
use crate::runtime::policy::token_place::TokenPlace;

/// Every token that stands in `place`. What is no text is none.
pub(super) fn read<'a>(place: &'a TokenPlace, headers: &'a HeaderMap, query: Query<'a>) -> SmallVec<[Cow<'a, str>; 1]> {
    match place {
        TokenPlace::Header { name, scheme } => {
            let lines = headers.get_all(name).into_iter().map(HeaderValue::as_bytes);
            lines.filter_map(|line| after(line, scheme.as_deref())).map(Cow::Borrowed).collect()
        }
        TokenPlace::QueryParameter(wanted) => {
            let found = query.decoded().filter(|(name, _)| **name == *wanted.as_bytes());
            found.filter_map(|(_, value)| text(value)).filter(|token| !token.is_empty()).collect()
        }
        TokenPlace::Cookie { name: wanted, .. } => {
            let found = cookies(headers).filter(|(name, _)| *name == wanted.as_bytes());
            let tokens = found.filter_map(|(_, value)| std::str::from_utf8(value).ok());
            tokens.filter(|token| !token.is_empty()).map(Cow::Borrowed).collect()
        }
    }
}

/// The token after a scheme, in any case (RFC 9110, 11.1), and one or more spaces; or all of the line.
fn after<'a>(line: &'a [u8], scheme: Option<&str>) -> Option<&'a str> {
    let token = match scheme {
        None => std::str::from_utf8(line).ok()?.trim_matches(' '),
        Some(scheme) => {
            let (own, rest) = line.split_at_checked(scheme.len())?;
            if !own.eq_ignore_ascii_case(scheme.as_bytes()) || rest.first() != Some(&b' ') {
                return None;
            }
            std::str::from_utf8(rest).ok()?.trim_start_matches(' ')
        }
    };
    (!token.is_empty()).then_some(token)
}

fn text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}

/// Names and values of cookies (RFC 6265, 4.2.1), of all lines.
fn cookies(headers: &HeaderMap) -> impl Iterator<Item = (&[u8], &[u8])> {
    let lines = headers.get_all(header::COOKIE).into_iter().map(HeaderValue::as_bytes);
    lines.flat_map(|line| line.split(|byte| *byte == b';')).filter_map(|pair| split(pair, b'='))
}

fn split(pair: &[u8], at: u8) -> Option<(&[u8], &[u8])> {
    let middle = memchr::memchr(at, pair)?;
    let (name, value) = (pair.get(..middle)?, pair.get(middle + 1..)?);
    Some((name.trim_ascii(), value.trim_ascii()))
}

/// What becomes of what stands in a place that some alternative reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onward {
    /// It is what has been verified, and the service is to see it.
    Kept,
    TakenOut,
}

/// Takes out of `headers` what must not travel of what stands in `place`; of what may, other spellings that a service may read for it.
pub(super) fn clean(headers: &mut HeaderMap, place: &TokenPlace, onward: Onward) {
    match place {
        TokenPlace::Header { name: own, .. } => {
            let is_unwanted = |name: &HeaderName| {
                same_variable(name.as_str(), own.as_str()) && (onward == Onward::TakenOut || name != own)
            };
            let found: SmallVec<[HeaderName; 2]> = headers.keys().filter(|name| is_unwanted(name)).cloned().collect();
            for name in found {
                headers.remove(name);
            }
        }
        TokenPlace::Cookie { name: own, .. } => clean_cookies(headers, own.as_bytes(), onward),
        // It is left out when the target is written.
        TokenPlace::QueryParameter(_) => {}
    }
}

fn clean_cookies(headers: &mut HeaderMap, own: &[u8], onward: Onward) {
    let wanted = variable(own);
    // Some read a comma as the end of a cookie, as servers once had to (RFC 2965, 3.3.4).
    let is_same = |part: &[u8]| variable(split(part, b'=').map_or(part.trim_ascii(), |(name, _)| name)) == wanted;
    let is_unwanted = |pair: &[u8]| {
        let mut parts = pair.split(|byte| *byte == b',');
        let own = parts
            .next()
            .filter(|first| is_same(first))
            .map(|first| split(first, b'=').is_some_and(|(name, _)| name == own));
        parts.any(is_same) || own.is_some_and(|is_exact| onward == Onward::TakenOut || !is_exact)
    };
    let pairs = |line: &HeaderValue| line.as_bytes().split(|byte| *byte == b';').any(is_unwanted);
    if !headers.get_all(header::COOKIE).into_iter().any(pairs) {
        return;
    }
    let kept: SmallVec<[HeaderValue; 2]> = headers
        .get_all(header::COOKIE)
        .into_iter()
        .filter_map(|line| {
            let pairs = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
            let kept: Vec<_> = pairs.filter(|pair| !pair.is_empty() && !is_unwanted(pair)).collect();
            let mut line = HeaderValue::from_bytes(&kept.join(&b"; "[..])).ok().filter(|line| !line.is_empty())?;
            line.set_sensitive(true);
            Some(line)
        })
        .collect();
    headers.remove(header::COOKIE);
    for line in kept {
        headers.append(header::COOKIE, line);
    }
}

/// Names that are one to some service: PHP and Ruby decode them, and PHP has no dot, space or bracket in a name.
fn variable(name: &[u8]) -> Vec<u8> {
    let decoded = percent_encoding::percent_decode(name);
    decoded.map(|byte| if matches!(byte, b'.' | b' ' | b'+' | b'[') { b'_' } else { byte }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&str, &str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
            .collect()
    }

    fn header(name: &'static str, scheme: Option<&str>) -> TokenPlace {
        TokenPlace::Header { name: HeaderName::from_static(name), scheme: scheme.map(Into::into) }
    }

    fn cookie(name: &str) -> TokenPlace {
        TokenPlace::Cookie { name: name.into(), from_other_sites: false }
    }

    fn found(place: &TokenPlace, lines: &[(&str, &str)], query: &str) -> Vec<String> {
        read(place, &headers(lines), Query(Some(query))).into_iter().map(Cow::into_owned).collect()
    }

    #[test]
    fn a_scheme_is_taken_in_any_case_and_nothing_else_for_it() {
        for (line, token) in [
            ("Bearer a.b.c", Some("a.b.c")),
            ("bEARER   a.b.c", Some("a.b.c")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Bearera.b.c", None),
            ("Bearer\ta.b.c", None),
            ("Basic a.b.c", None),
            ("Bearer, Bearer a.b.c", None),
            ("a.b.c", None),
            ("", None),
        ] {
            let tokens = found(&TokenPlace::authorization(), &[("authorization", line)], "");
            assert_eq!(tokens.first().map(String::as_str), token, "{line}");
        }
    }

    #[test]
    fn without_a_scheme_the_whole_value_is_the_token() {
        let place = header("x-token", None);
        assert_eq!(found(&place, &[("x-token", "a.b.c")], ""), ["a.b.c"]);
        assert_eq!(found(&place, &[("x-token", "Bearer a.b.c")], ""), ["Bearer a.b.c"]);
        assert_eq!(found(&place, &[("x-token", "a"), ("x-token", "b")], ""), ["a", "b"]);
        assert!(
            found(&place, &[("x_token", "a"), ("x-token", ""), ("authorization", "Bearer a")], "x-token=a").is_empty()
        );
    }

    #[test]
    fn a_parameter_is_read_decoded_and_each_time_that_it_stands_there() {
        let place = TokenPlace::QueryParameter("access_token".into());
        assert_eq!(found(&place, &[], "a=1&access%5Ftoken=a.b%2Ec"), ["a.b.c"]);
        assert_eq!(found(&place, &[], "access_token=a&access_token=b"), ["a", "b"]);
        for query in ["", "access_token=", "access_token", "Access_Token=a", "access_token[]=a", "access_token=%ff"] {
            assert!(found(&place, &[("access_token", "a"), ("cookie", "access_token=a")], query).is_empty(), "{query}");
        }
    }

    #[test]
    fn a_cookie_is_read_by_its_exact_name() {
        let place = cookie("session");
        for (line, tokens) in [
            ("session=a.b.c", &["a.b.c"][..]),
            ("a=1;session=a.b.c;b=2", &["a.b.c"]),
            ("a=1; session = a.b.c ", &["a.b.c"]),
            ("session=a; session=b", &["a", "b"]),
            ("session=a=b", &["a=b"]),
            ("Session=a", &[]),
            ("%73ession=a", &[]),
            ("session", &[]),
            ("session=", &[]),
            ("a=1,session=a", &[]),
            ("__Host-session=a", &[]),
        ] {
            assert_eq!(found(&place, &[("cookie", line)], "session=a"), tokens, "{line}");
        }
        assert_eq!(found(&place, &[("cookie", "session=a"), ("cookie", "session=b")], ""), ["a", "b"]);
    }

    #[test]
    fn what_is_taken_out_goes_in_every_spelling_and_what_is_kept_in_every_other() {
        let sent = || headers(&[("x-token", "1"), ("x_token", "2"), ("x-tokens", "3")]);
        let mut found = sent();
        clean(&mut found, &header("x-token", None), Onward::TakenOut);
        assert_eq!(found, headers(&[("x-tokens", "3")]));
        let mut found = sent();
        clean(&mut found, &header("x-token", None), Onward::Kept);
        assert_eq!(found, headers(&[("x-token", "1"), ("x-tokens", "3")]));
    }

    #[test]
    fn cookies_lose_what_some_service_would_read_as_the_token() {
        for (line, taken_out, kept) in [
            ("session=a", "", "session=a"),
            ("a=1; session=b; c=2", "a=1; c=2", "a=1; session=b; c=2"),
            ("a=1; %73ession=b; c=2", "a=1; c=2", "a=1; c=2"),
            ("my.id=1; session=b; a=x,session=c", "my.id=1", "my.id=1; session=b"),
            ("session; a=1", "a=1", "a=1"),
            ("Session=b", "Session=b", "Session=b"),
            ("a=1;b=2", "a=1;b=2", "a=1;b=2"),
        ] {
            for (onward, left) in [(Onward::TakenOut, taken_out), (Onward::Kept, kept)] {
                let mut found = headers(&[("cookie", line)]);
                clean(&mut found, &cookie("session"), onward);
                let value = found.get("cookie").map_or("", |value| value.to_str().unwrap());
                assert_eq!(value, left, "{line} {onward:?}");
            }
        }
        for spelling in ["my.id", "my_id", "my id", "my+id", "my[id", "my%2eid"] {
            let mut found = headers(&[("cookie", &format!("{spelling}=x"))]);
            clean(&mut found, &cookie("my.id"), Onward::TakenOut);
            assert!(found.is_empty(), "{spelling}");
        }
    }
}
