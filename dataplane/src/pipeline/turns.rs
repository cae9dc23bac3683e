//! Requests that come back: a route whose service is this gateway would be asked again and again (RFC 8586).
//!
//! `Via` could tell as well (RFC 9110, 7.6.3), but services in wide use compress nothing for whoever sends it.

use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::gate;
use crate::rejection::{Reason, Rejection};

const FIELD: HeaderName = HeaderName::from_static("cdn-loop");

/// The name under which this process is known to itself.
pub struct Mark(HeaderValue);

impl Mark {
    /// `number`: of this process alone.
    pub fn new(number: u64) -> Self {
        let name = HeaderValue::try_from(format!("sallyport-{number:016x}"));
        Self(name.unwrap_or(HeaderValue::from_static("sallyport")))
    }

    /// Refuses what has been here before.
    pub(super) fn refuse_own(&self, headers: &HeaderMap) -> Result<(), Rejection> {
        let is_own = |line: &HeaderValue| gate::members(line.as_bytes()).any(|one| self.is_named(one));
        if headers.get_all(FIELD).into_iter().any(is_own) {
            return Err(Rejection::because(
                Reason::LoopDetected,
                "the request has passed this gateway before: the service of a route leads back to it",
            ));
        }
        Ok(())
    }

    /// Says that the request has been here, beside what others have said.
    pub(super) fn put(&self, headers: &mut HeaderMap) {
        headers.append(FIELD, self.0.clone());
    }

    /// `member`: with or without parameters.
    fn is_named(&self, member: &[u8]) -> bool {
        let name = member.split(|byte| *byte == b';').next().unwrap_or_default();
        name.trim_ascii() == self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_own_mark_is_refused() {
        let (own, other) = (Mark::new(1), Mark::new(2));
        let mut headers = HeaderMap::from_iter([(FIELD, HeaderValue::from_static("cdn.example; a=b, sallyport"))]);
        assert!(own.refuse_own(&headers).is_ok());
        other.put(&mut headers);
        assert!(own.refuse_own(&headers).is_ok());
        own.put(&mut headers);
        assert_eq!(own.refuse_own(&headers).unwrap_err().reason, Reason::LoopDetected);
        assert_eq!(headers.get_all(FIELD).iter().count(), 3);
    }

    #[test]
    fn the_own_mark_is_found_beside_others() {
        let line = "a.example, sallyport-0000000000000007; x=1 ,b";
        let headers = HeaderMap::from_iter([(FIELD, HeaderValue::from_static(line))]);
        assert!(Mark::new(7).refuse_own(&headers).is_err());
        assert!(Mark::new(0x70).refuse_own(&headers).is_ok());
    }
}
