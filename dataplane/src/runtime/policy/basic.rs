//! A user name and a password are asked for.

use std::sync::Arc;

use http::header::HeaderValue;
use sallyport_snapshot::v1;

use super::token_place::TokenPlace;

/// What an alternative asks for.
pub struct Basic {
    /// Name of the PasswordFile.
    pub file: Arc<str>,
    /// What asks for it (RFC 7617, 2).
    pub challenge: HeaderValue,
    /// Where it stands.
    pub place: TokenPlace,
}

impl Basic {
    /// Parses the message.
    pub(super) fn build(basic: &v1::BasicAuthentication) -> Result<Self, String> {
        let realm = &basic.realm;
        if realm.is_empty() || realm.contains(['"', '\\']) {
            return Err(format!("basic.realm: {realm:?}"));
        }
        let challenge = HeaderValue::try_from(format!(r#"Basic realm="{realm}", charset="UTF-8""#));
        Ok(Self {
            file: basic.password_file.as_str().into(),
            challenge: challenge.map_err(|_| format!("basic.realm: {realm:?}"))?,
            place: TokenPlace::login(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_stays_in_its_quotes() {
        let built = |realm: &str| {
            Basic::build(&v1::BasicAuthentication { password_file: "shop/a/htpasswd".into(), realm: realm.into() })
        };
        assert_eq!(built("orders").unwrap().challenge, r#"Basic realm="orders", charset="UTF-8""#);
        for realm in ["", "a\"b", "a\\", "a\nb"] {
            assert!(built(realm).is_err(), "{realm:?}");
        }
    }
}
