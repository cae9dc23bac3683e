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
    /// Another site can have a browser send all that the alternative asks for.
    pub is_forgeable: bool,
}

impl Basic {
    /// Parses the message. Beside it the alternative may ask for what no browser sends `by_itself`.
    pub(super) fn build(basic: &v1::BasicAuthentication, by_itself: bool) -> Result<Self, String> {
        let realm = &basic.realm;
        if realm.is_empty() || realm.contains(['"', '\\']) {
            return Err(format!("basic.realm: {realm:?}"));
        }
        let challenge = HeaderValue::try_from(format!(r#"Basic realm="{realm}", charset="UTF-8""#));
        Ok(Self {
            file: basic.password_file.as_str().into(),
            challenge: challenge.map_err(|_| format!("basic.realm: {realm:?}"))?,
            place: TokenPlace::login(),
            is_forgeable: by_itself && !basic.from_other_sites,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_realm_stays_in_its_quotes() {
        let built = |realm: &str| {
            let message = v1::BasicAuthentication { realm: realm.into(), ..v1::BasicAuthentication::default() };
            Basic::build(&message, true)
        };
        assert_eq!(built("orders").unwrap().challenge, r#"Basic realm="orders", charset="UTF-8""#);
        for realm in ["", "a\"b", "a\\", "a\nb"] {
            assert!(built(realm).is_err(), "{realm:?}");
        }
    }

    #[test]
    fn another_site_has_a_browser_send_what_that_sends_by_itself() {
        for (by_itself, from_other_sites, is_forgeable) in
            [(true, false, true), (true, true, false), (false, false, false), (false, true, false)]
        {
            let message = v1::BasicAuthentication { realm: "orders".into(), from_other_sites, ..<_>::default() };
            assert_eq!(Basic::build(&message, by_itself).unwrap().is_forgeable, is_forgeable);
        }
    }
}
