//! Where in a request a caller's token stands.

use std::sync::Arc;

use http::header::{self, HeaderName};
use sallyport_snapshot::v1::{self, token_place::Place};

/// The scheme of bearer tokens (RFC 6750, 2.1).
const BEARER: &str = "Bearer";
/// The scheme of tokens with a proof (RFC 9449, 7.1).
const PROVEN: &str = "DPoP";

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenPlace {
    /// After a scheme, or as the whole value.
    Header {
        name: HeaderName,
        scheme: Option<Box<str>>,
    },
    QueryParameter(Box<str>),
    Cookie {
        name: Box<str>,
        /// Whether requests are taken that another site has made a browser send.
        from_other_sites: bool,
    },
}

impl TokenPlace {
    /// Where a token stands if nobody says.
    pub fn authorization() -> Self {
        Self::Header { name: header::AUTHORIZATION, scheme: Some(BEARER.into()) }
    }

    /// Where a token stands that a proof comes with.
    pub fn proven() -> Self {
        Self::Header { name: header::AUTHORIZATION, scheme: Some(PROVEN.into()) }
    }

    /// Whether a token that stands here has a proof beside it.
    pub fn is_proven(&self) -> bool {
        match self {
            Self::Header { name, scheme: Some(scheme) } => {
                *name == header::AUTHORIZATION && scheme.eq_ignore_ascii_case(PROVEN)
            }
            _ => false,
        }
    }

    /// Where user names and passwords stand (RFC 7617, 2).
    pub fn login() -> Self {
        Self::Header { name: header::AUTHORIZATION, scheme: Some("Basic".into()) }
    }

    /// All places that an alternative names, or the usual one.
    pub(super) fn all(alternative: &v1::Alternative) -> Result<Vec<Arc<Self>>, String> {
        let named = alternative.token_places.iter();
        let mut places: Vec<_> = named.map(|place| Self::build(place).map(Arc::new)).collect::<Result<_, _>>()?;
        let reads_one = alternative.jwt.is_some() || alternative.introspection.is_some();
        if places.is_empty() && reads_one {
            places.push(Arc::new(Self::authorization()));
        }
        // Where tokens stand elsewhere, what stands there may be meant for the service.
        let reads_authorization = places.iter().any(|place| place.is_authorization());
        let constraint = alternative.jwt.as_ref().and_then(|jwt| jwt.sender_constraint.as_ref());
        let takes_proofs = constraint.is_some_and(|stated| stated.proofs.is_some());
        if takes_proofs && reads_authorization && !places.iter().any(|place| place.is_proven()) {
            places.push(Arc::new(Self::proven()));
        }
        Ok(places)
    }

    fn build(place: &v1::TokenPlace) -> Result<Self, String> {
        match &place.place {
            None => Err("jwt.from: a place of a kind that is not known here".to_owned()),
            Some(Place::QueryParameter(name)) => Ok(Self::QueryParameter(name.as_str().into())),
            Some(Place::Cookie(name)) => {
                Ok(Self::Cookie { name: name.as_str().into(), from_other_sites: place.from_other_sites })
            }
            Some(Place::Header(header)) => {
                let name =
                    HeaderName::try_from(&header.name).map_err(|_| format!("jwt.from: header {:?}", header.name))?;
                let scheme = (!header.scheme.is_empty()).then(|| header.scheme.as_str().into());
                Ok(Self::Header { name, scheme })
            }
        }
    }

    /// The header that it is in, or after whose scheme.
    pub fn header(&self) -> Option<&HeaderName> {
        match self {
            Self::Header { name, .. } => Some(name),
            _ => None,
        }
    }

    /// The parameter of the query that it is in.
    pub fn query_parameter(&self) -> Option<&str> {
        match self {
            Self::QueryParameter(name) => Some(name),
            _ => None,
        }
    }

    /// Whether it is in `Authorization`, with which the gateway's own credential has to do.
    pub fn is_authorization(&self) -> bool {
        self.header() == Some(&header::AUTHORIZATION)
    }

    /// Whether what stands in one stands in the other, after whatever scheme.
    pub fn is_within(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Header { name: one, .. }, Self::Header { name: other, .. }) => one == other,
            (Self::Cookie { name: one, .. }, Self::Cookie { name: other, .. }) => one == other,
            _ => self == other,
        }
    }

    /// Whether a browser sends what stands there along with what another site asks of it, and nobody has said that this is all right.
    pub fn is_forgeable(&self) -> bool {
        matches!(self, Self::Cookie { from_other_sites: false, .. })
    }
}
