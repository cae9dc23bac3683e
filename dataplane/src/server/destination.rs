//! Which host a connection's requests are for: as a rule the same for all.

use std::cell::RefCell;
use std::rc::Rc;

use http::HeaderValue;

use crate::path::{Authority, AuthorityFault};

/// A host as it is matched, and as the service is told.
pub(crate) struct Destination {
    /// As it was sent.
    raw: Box<str>,
    /// Lower case, without port.
    pub(crate) host: Box<str>,
    /// With the port, if one was given.
    pub(crate) authority: HeaderValue,
}

/// The destination that was asked for last, so that most requests need not read theirs.
#[derive(Default)]
pub(crate) struct LastDestination(RefCell<Option<Rc<Destination>>>);

impl LastDestination {
    /// The destination that `raw` names.
    pub(crate) fn of(&self, raw: &str) -> Result<Rc<Destination>, AuthorityFault> {
        if let Some(last) = &*self.0.borrow()
            && *last.raw == *raw
        {
            return Ok(Rc::clone(last));
        }
        let destination = Rc::new(Destination::parse(raw)?);
        self.0.replace(Some(Rc::clone(&destination)));
        Ok(destination)
    }
}

impl Destination {
    fn parse(raw: &str) -> Result<Self, AuthorityFault> {
        let parsed = Authority::parse(raw)?;
        let port = parsed.port.map(|port| format!(":{port}")).unwrap_or_default();
        let authority = HeaderValue::try_from(format!("{}{port}", parsed.host)).map_err(|_| AuthorityFault)?;
        Ok(Self { raw: raw.into(), host: parsed.host.as_ref().into(), authority })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_spelling_is_read_whatever_came_before() {
        let last = LastDestination::default();
        for (raw, host, authority) in [
            ("A.example.com", "a.example.com", "a.example.com"),
            ("a.example.com.:0443", "a.example.com", "a.example.com:443"),
            ("A.example.com", "a.example.com", "a.example.com"),
            ("b.example.com", "b.example.com", "b.example.com"),
            ("[::1]:80", "[::1]", "[::1]:80"),
        ] {
            let destination = last.of(raw).unwrap();
            assert_eq!((&*destination.host, destination.authority.to_str().unwrap()), (host, authority), "{raw}");
            assert!(Rc::ptr_eq(&destination, &last.of(raw).unwrap()));
        }
        assert!(last.of("a b").is_err());
        assert_eq!(&*last.of("[::1]:80").unwrap().host, "[::1]");
    }
}
