//! What a token is bound to, so that nobody else than its caller can use it (RFC 7800, RFC 8705).

use sallyport_snapshot::v1::{self, sender_constraint::Require};
use serde_json::{Map, Value};

use super::{TokenFault, decode};

/// SHA-256 of a certificate.
pub type Thumbprint = [u8; 32];

/// The member of `cnf` that names a certificate (RFC 8705, 3.1).
const CERTIFICATE: &str = "x5t#S256";

/// What a policy asks of the binding of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// Nobody looks who brings a token: one that is bound is for somebody who does.
    Unchecked,
    Certificate,
    IfBound,
    /// What this data plane does not know holds for no token.
    Unknown,
}

impl Binding {
    pub(super) fn build(stated: Option<&v1::SenderConstraint>) -> Self {
        match stated.map(v1::SenderConstraint::require) {
            None => Self::Unchecked,
            Some(Require::Certificate) => Self::Certificate,
            Some(Require::IfBound) => Self::IfBound,
            Some(Require::Unspecified) => Self::Unknown,
        }
    }

    /// The certificate that whoever brings the token has to hold.
    pub(super) fn judge(self, claims: &Map<String, Value>) -> Result<Option<Thumbprint>, TokenFault> {
        match (self, claims.get("cnf")) {
            (Self::Unknown, _) => Err(TokenFault::Binding),
            (Self::Unchecked, Some(_)) => Err(TokenFault::Bound),
            (Self::Certificate, None) => Err(TokenFault::Unbound),
            (Self::Unchecked | Self::IfBound, None) => Ok(None),
            (Self::Certificate | Self::IfBound, Some(confirmation)) => {
                thumbprint(confirmation).map(Some).ok_or(TokenFault::Binding)
            }
        }
    }
}

/// Of a confirmation that names a certificate and nothing else: who holds only a part of what is named is not meant.
fn thumbprint(confirmation: &Value) -> Option<Thumbprint> {
    let members = confirmation.as_object().filter(|members| members.len() == 1)?;
    let text = members.get(CERTIFICATE)?.as_str()?;
    decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of nothing (FIPS 180-4).
    const PRINT: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

    fn judged(binding: Binding, confirmation: Value) -> Result<Option<Thumbprint>, TokenFault> {
        let mut claims = Map::new();
        if !confirmation.is_null() {
            claims.insert("cnf".into(), confirmation);
        }
        binding.judge(&claims)
    }

    #[test]
    fn a_token_is_bound_to_one_certificate_or_as_the_policy_takes_it_to_none() {
        let print = Some(<Thumbprint>::try_from(decode(PRINT).unwrap()).unwrap());
        for (binding, bound, unbound) in [
            (Binding::Unchecked, Err(TokenFault::Bound), Ok(None)),
            (Binding::Certificate, Ok(print), Err(TokenFault::Unbound)),
            (Binding::IfBound, Ok(print), Ok(None)),
            (Binding::Unknown, Err(TokenFault::Binding), Err(TokenFault::Binding)),
        ] {
            assert_eq!(judged(binding, json!({ "x5t#S256": PRINT })), bound, "{binding:?}");
            assert_eq!(judged(binding, Value::Null), unbound, "{binding:?}");
        }
    }

    #[test]
    fn what_is_not_understood_as_a_whole_holds_for_nobody() {
        for confirmation in [
            json!({}),
            json!([]),
            json!(PRINT),
            json!(true),
            json!([{ "x5t#S256": PRINT }]),
            json!({ "x5t#S256": [PRINT] }),
            json!({ "x5t#S256": { "x": PRINT } }),
            json!({ "x5t#S256": "" }),
            json!({ "x5t#S256": format!("{PRINT}=") }),
            json!({ "x5t#S256": &PRINT[1..] }),
            json!({ "x5t#S256": PRINT.replace("-_", "+/") }),
            // Another spelling of the last bits.
            json!({ "x5t#S256": PRINT.replace("uFU", "uFV") }),
            json!({ "x5t#S256": "ab".repeat(32) }),
            json!({ "x5t#s256": PRINT }),
            json!({ "x5t": PRINT }),
            json!({ "jkt": PRINT }),
            json!({ "x5t#S256": PRINT, "jkt": PRINT }),
            json!({ "x5t#S256": PRINT, "other": 1 }),
        ] {
            for binding in [Binding::Certificate, Binding::IfBound] {
                assert_eq!(judged(binding, confirmation.clone()), Err(TokenFault::Binding), "{confirmation}");
            }
        }
    }
}
