//! Whose tokens a policy takes, and which of those a token is.

use serde_json::{Map, Value};

use super::TokenFault;
use super::entra_id::{EntraId, Provenance};
use super::rules::InvalidRules;
use sallyport_snapshot::v1;

/// Whose tokens are taken.
#[derive(Clone, Debug)]
pub(super) enum Issuer {
    /// Of the one called so.
    One(String),
    /// Of tenants of a cloud.
    EntraId(EntraId),
}

/// Where a token is from, by its own word, which agrees with the rules.
pub(super) enum Origin<'a> {
    One(&'a str),
    EntraId(&'a EntraId, Provenance<'a>),
}

impl Issuer {
    pub(super) fn build(jwt: &v1::Jwt) -> Result<Self, InvalidRules> {
        let invalid = |field, message: &str| InvalidRules { field, message: message.to_owned() };
        match (&jwt.entra_id, jwt.issuer.is_empty()) {
            (None, false) => Ok(Self::One(jwt.issuer.clone())),
            (None, true) => Err(invalid("issuer", "is empty")),
            (Some(_), false) => Err(invalid("issuer", "is stated beside entraId")),
            (Some(entra), true) => {
                let entra = EntraId::build(entra).map_err(|why| invalid("entraId", why))?;
                if !jwt.audiences.iter().all(|audience| entra.tells_apart(audience)) {
                    return Err(invalid("audiences", "a URI means another application in each tenant; list ids"));
                }
                Ok(Self::EntraId(entra))
            }
        }
    }

    /// Where the token with these claims is from, if it is from there.
    pub(super) fn origin<'a>(&'a self, claims: &'a Map<String, Value>) -> Result<Origin<'a>, TokenFault> {
        match self {
            Self::One(name) if claims.get("iss").and_then(Value::as_str) == Some(name) => Ok(Origin::One(name)),
            Self::One(_) => Err(TokenFault::Issuer),
            Self::EntraId(entra) => Ok(Origin::EntraId(entra, entra.provenance(claims)?)),
        }
    }
}

impl Origin<'_> {
    /// Whether a key may sign for it that says it is of the issuer called `stated`. Most sets say nothing of the kind, or nothing that is agreed on.
    pub(super) fn is_signed_by(&self, stated: &str) -> bool {
        match self {
            Self::One(_) => true,
            Self::EntraId(entra, provenance) => entra.is_signed_by(stated, provenance),
        }
    }

    /// Judges what is asked of its tokens alone. The identity is written so that no two pairs give the same text; unique across issuers.
    pub(super) fn identity(&self, claims: &Map<String, Value>) -> Result<Box<str>, TokenFault> {
        match self {
            Self::EntraId(entra, provenance) => entra.judge(claims, provenance),
            Self::One(issuer) => {
                let subject = claims.get("sub").and_then(Value::as_str).unwrap_or_default();
                Ok(format!("jwt:{}:{issuer}:{subject}", issuer.len()).into())
            }
        }
    }

    /// Whether nobody can tell what `claim` would have held.
    pub(super) fn leaves_out(&self, claim: &str, claims: &Map<String, Value>) -> bool {
        matches!(self, Self::EntraId(..)) && super::entra_id::is_left_out(claim, claims)
    }
}
