//! What a token is bound to, so that nobody else than its caller can use it (RFC 7800): a certificate (RFC 8705), the key of a proof (RFC 9449).

use sallyport_snapshot::v1::{self, sender_constraint::Require};
use serde_json::{Map, Value};

use super::{TokenFault, decode};

/// SHA-256 of a certificate, or of a key as RFC 7638 writes it.
pub type Thumbprint = [u8; 32];

/// The member of `cnf` that names a certificate (RFC 8705, 3.1).
const CERTIFICATE: &str = "x5t#S256";
/// The same of a key (RFC 9449, 6.1).
const KEY: &str = "jkt";
/// What Keycloak writes beside it, and whose only word says nothing more.
const KEY_KIND: (&str, &str) = ("kc-jkt-type", "DPoP");

/// What a policy asks of the binding of tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Binding {
    /// Nobody looks who brings a token: one that is bound is for somebody who does.
    Unchecked,
    Checked(Taken),
    /// What this data plane does not know holds for no token.
    Unknown,
}

/// What a token may be bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Taken {
    certificate: bool,
    key: bool,
    /// Nothing will do.
    nothing: bool,
}

/// What whoever brings a token has to hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bonds {
    pub certificate: Option<Thumbprint>,
    /// By which a proof has to be signed.
    pub key: Option<Thumbprint>,
}

impl Binding {
    pub(super) fn build(stated: Option<&v1::SenderConstraint>) -> Self {
        let Some(stated) = stated else { return Self::Unchecked };
        let proofs = stated.proofs.is_some();
        let (certificate, key, nothing) = match stated.require() {
            Require::Unspecified => return Self::Unknown,
            Require::Certificate => (true, false, false),
            Require::IfBound => (true, proofs, true),
            Require::Proof => (false, proofs, false),
            Require::Either => (true, proofs, false),
        };
        Self::Checked(Taken { certificate, key, nothing })
    }

    /// What whoever brings the token has to hold; `None`: nothing.
    pub(super) fn judge(self, claims: &Map<String, Value>) -> Result<Option<Bonds>, TokenFault> {
        match (self, claims.get("cnf")) {
            (Self::Unknown, _) => Err(TokenFault::Binding),
            (Self::Unchecked, Some(_)) => Err(TokenFault::Bound),
            (Self::Unchecked, None) => Ok(None),
            (Self::Checked(taken), None) => {
                if taken.nothing {
                    Ok(None)
                } else {
                    Err(TokenFault::Unbound)
                }
            }
            (Self::Checked(taken), Some(confirmation)) => {
                taken.bonds(confirmation).map(Some).ok_or(TokenFault::Binding)
            }
        }
    }
}

impl Taken {
    /// Of a confirmation that names what is taken, and nothing else: who holds only a part of what is named is not meant.
    fn bonds(self, confirmation: &Value) -> Option<Bonds> {
        let members = confirmation.as_object().filter(|members| !members.is_empty())?;
        let mut bonds = Bonds::default();
        let says_nothing =
            |name: &str, value: &Value| name == KEY_KIND.0 && value == KEY_KIND.1 && members.contains_key(KEY);
        for (name, value) in members.iter().filter(|(name, value)| !says_nothing(name, value)) {
            let bond = match name.as_str() {
                CERTIFICATE if self.certificate => &mut bonds.certificate,
                KEY if self.key => &mut bonds.key,
                _ => return None,
            };
            *bond = Some(decode(value.as_str()?).ok()?.try_into().ok()?);
        }
        Some(bonds)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of nothing (FIPS 180-4).
    const PRINT: &str = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

    fn stated(require: Require, proofs: bool) -> Binding {
        let proofs = proofs.then(v1::Proofs::default);
        Binding::build(Some(&v1::SenderConstraint { require: require.into(), proofs }))
    }

    fn judged(binding: Binding, confirmation: Value) -> Result<Option<Bonds>, TokenFault> {
        let mut claims = Map::new();
        if !confirmation.is_null() {
            claims.insert("cnf".into(), confirmation);
        }
        binding.judge(&claims)
    }

    #[test]
    fn a_token_is_bound_to_what_the_policy_takes() {
        let print = <Thumbprint>::try_from(decode(PRINT).unwrap()).unwrap();
        let bonds = |certificate: bool, key: bool| {
            Ok(Some(Bonds { certificate: certificate.then_some(print), key: key.then_some(print) }))
        };
        let (other, bound, unbound) = (Err(TokenFault::Binding), Err(TokenFault::Bound), Err(TokenFault::Unbound));
        for (binding, by_certificate, by_key, by_both, by_nothing) in [
            (Binding::Unchecked, bound.clone(), bound.clone(), bound, Ok(None)),
            (Binding::Unknown, other.clone(), other.clone(), other.clone(), other.clone()),
            (stated(Require::Unspecified, true), other.clone(), other.clone(), other.clone(), other.clone()),
            (stated(Require::Certificate, false), bonds(true, false), other.clone(), other.clone(), unbound.clone()),
            (stated(Require::Certificate, true), bonds(true, false), other.clone(), other.clone(), unbound.clone()),
            (stated(Require::IfBound, false), bonds(true, false), other.clone(), other.clone(), Ok(None)),
            (stated(Require::IfBound, true), bonds(true, false), bonds(false, true), bonds(true, true), Ok(None)),
            (stated(Require::Either, true), bonds(true, false), bonds(false, true), bonds(true, true), unbound.clone()),
            (stated(Require::Proof, true), other.clone(), bonds(false, true), other.clone(), unbound.clone()),
            (stated(Require::Proof, false), other.clone(), other.clone(), other, unbound),
        ] {
            assert_eq!(judged(binding, json!({ "x5t#S256": PRINT })), by_certificate, "{binding:?}");
            assert_eq!(judged(binding, json!({ "jkt": PRINT })), by_key, "{binding:?}");
            assert_eq!(judged(binding, json!({ "jkt": PRINT, "x5t#S256": PRINT })), by_both, "{binding:?}");
            assert_eq!(judged(binding, Value::Null), by_nothing, "{binding:?}");
        }
    }

    #[test]
    fn what_keycloak_writes_beside_a_key_says_nothing_more() {
        let confirmation = json!({ "jkt": PRINT, "kc-jkt-type": "DPoP" });
        let alone = judged(stated(Require::Proof, true), json!({ "jkt": PRINT }));
        assert!(alone.is_ok());
        assert_eq!(judged(stated(Require::Proof, true), confirmation.clone()), alone);
        assert_eq!(judged(stated(Require::Certificate, true), confirmation), Err(TokenFault::Binding));
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
            json!({ "x5t#S256": null }),
            json!({ "x5t#S256": "" }),
            json!({ "x5t#S256": format!("{PRINT}=") }),
            json!({ "x5t#S256": &PRINT[1..] }),
            json!({ "x5t#S256": PRINT.replace("-_", "+/") }),
            // Another spelling of the last bits.
            json!({ "x5t#S256": PRINT.replace("uFU", "uFV") }),
            json!({ "x5t#S256": "ab".repeat(32) }),
            json!({ "x5t#s256": PRINT }),
            json!({ "x5t": PRINT }),
            json!({ "jkt": [PRINT] }),
            json!({ "jkt": "" }),
            json!({ "JKT": PRINT }),
            json!({ "jwk": { "kty": "EC" } }),
            json!({ "x5t#S256": PRINT, "jkt": null }),
            json!({ "kc-jkt-type": "DPoP" }),
            json!({ "x5t#S256": PRINT, "kc-jkt-type": "DPoP" }),
            json!({ "jkt": PRINT, "kc-jkt-type": "other" }),
            json!({ "x5t#S256": PRINT, "other": 1 }),
            json!({ "jkt": PRINT, "kid": "1" }),
        ] {
            for require in [Require::Certificate, Require::IfBound, Require::Either, Require::Proof] {
                let judged = judged(stated(require, true), confirmation.clone());
                assert_eq!(judged, Err(TokenFault::Binding), "{confirmation}");
            }
        }
    }
}
