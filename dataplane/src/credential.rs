//! What a service is shown: prepared from the resource off the request path, put into a request that has been stripped.

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use sallyport_snapshot::v1::{self, credential::Kind};
use zeroize::Zeroizing;

use crate::jwt::proof;
use crate::runtime::policy::Denial;

/// The executable form of a `Credential` resource. Holds secrets: it has no `Debug`.
pub enum Credential {
    /// The caller's `Authorization`, as it came.
    PassThrough,
    /// Nothing, the caller's neither.
    None,
    /// A header in place of the caller's `Authorization`. The value is marked sensitive.
    Header(HeaderName, HeaderValue),
    /// A query parameter in place of the caller's `Authorization`; both parts are percent-encoded.
    QueryParameter(Arc<QueryParameter>),
    /// It cannot be had: nothing is sent.
    Unavailable(Denial),
}

/// The shortest secret that is looked for by itself; a shorter one would be found in what has nothing to do with it.
const MIN_TELLING_BYTES: usize = 8;

/// How often a value may have been percent-encoded; an address in an address in an address has been three times.
const MAX_ENCODINGS: usize = 6;

/// A query parameter ready to be written.
pub struct QueryParameter {
    /// As it is compared with the caller's parameters.
    pub name: Arc<str>,
    /// `name=value`, percent-encoded.
    pub pair: Zeroizing<String>,
    /// What gives it away, decoded: the value, or with its name where it is short.
    telling: Zeroizing<Vec<u8>>,
}

impl QueryParameter {
    /// Prepares the parameter `name` with the secret `value`.
    pub fn new(name: &str, value: &[u8]) -> Self {
        let encode =
            |bytes: &[u8]| percent_encoding::percent_encode(bytes, percent_encoding::NON_ALPHANUMERIC).to_string();
        let pair = Zeroizing::new(format!("{}={}", encode(name.as_bytes()), *Zeroizing::new(encode(value))));
        let telling = match value.len() {
            MIN_TELLING_BYTES.. => value.to_vec(),
            _ => [name.as_bytes(), b"=", value].concat(),
        };
        Self { name: name.into(), pair, telling: Zeroizing::new(telling) }
    }

    /// Whether `bytes` give the secret away, as it is or percent-encoded, also several times over: a service that carries the address
    /// that it was asked for in a parameter of its own encodes what is encoded already. What is still encoded after
    /// [`MAX_ENCODINGS`] hides something.
    pub fn is_in(&self, bytes: &[u8]) -> bool {
        let mut text = Cow::Borrowed(bytes);
        for _ in 0..=MAX_ENCODINGS {
            if self.is_plainly_in(&text) {
                return true;
            }
            // Borrowed: nothing was encoded.
            let Cow::Owned(decoded) = Cow::from(percent_encoding::percent_decode(&text)) else { return false };
            text = Cow::Owned(decoded);
        }
        true
    }

    fn is_plainly_in(&self, text: &[u8]) -> bool {
        let found = |text: &[u8]| memchr::memmem::find(text, &self.telling).is_some();
        // Forms write a space as a plus sign.
        let spaced = || text.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect::<Vec<_>>();
        found(text) || (text.contains(&b'+') && found(&spaced()))
    }
}

impl Credential {
    /// Prepares the resource called `name`.
    pub fn build(name: &str, credential: &v1::Credential) -> Result<Self, String> {
        let kind = credential.kind.as_ref().ok_or_else(|| format!("{name}: no kind of credential is set"))?;
        Ok(match kind {
            Kind::PassThrough(_) => Self::PassThrough,
            Kind::None(_) => Self::None,
            Kind::Basic(basic) => Self::Header(header::AUTHORIZATION, basic_value(name, basic)?),
            Kind::Header(shown) => {
                let header = HeaderName::try_from(&shown.name).map_err(|_| format!("{name} header.name"))?;
                let secret = shown.value.as_ref().ok_or_else(|| format!("{name} header.value"))?;
                let bytes = Zeroizing::new([shown.prefix.as_bytes(), &secret.value].concat());
                Self::Header(header, sensitive(&bytes).ok_or_else(|| format!("{name} header: not a header value"))?)
            }
            Kind::QueryParameter(shown) => Self::QueryParameter(Arc::new(query_parameter(name, shown)?)),
            Kind::Unavailable(deny) => Self::Unavailable(Denial::new(deny)),
        })
    }

    /// The header that only the gateway fills, besides `Authorization`, which [`present`] deals with.
    pub fn own_header(&self) -> Option<&HeaderName> {
        match self {
            Self::Header(name, _) => (*name != header::AUTHORIZATION).then_some(name),
            Self::PassThrough | Self::None | Self::QueryParameter(_) | Self::Unavailable(_) => None,
        }
    }

    /// Stands in for a credential that is absent or was rejected.
    pub fn unavailable(name: &str, why: &str) -> Self {
        Self::Unavailable(Denial::configuration(name, why))
    }
}

/// Whether the caller's `Authorization` may travel, and what comes in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallersToken {
    /// Some alternative in force reads it, and the one that held has validated it.
    Validated,
    /// The same of a password: it opens more than this API, and is handed on only where that is said.
    Password,
    /// No alternative in force reads it.
    Unread,
    /// Some alternative in force reads it, and it was not validated.
    Unvalidated,
}

/// How the gateway is known to the service besides a credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channel {
    /// By nothing.
    Anonymous,
    /// By a client certificate.
    ClientCertificate,
}

/// Whether the service is to see the caller's own token, if it may be seen: without a stated credential unless a client certificate speaks for
/// the gateway.
pub fn lets_tokens_pass(credential: Option<&Credential>, channel: Channel) -> bool {
    match credential {
        Some(Credential::PassThrough) => true,
        None => channel == Channel::Anonymous,
        Some(
            Credential::None | Credential::Header(..) | Credential::QueryParameter(_) | Credential::Unavailable(_),
        ) => false,
    }
}

/// Takes the caller's `Authorization` out, and the proof beside it, unless they may travel. What policies set there comes after it.
pub fn take_token(credential: Option<&Credential>, token: CallersToken, channel: Channel, headers: &mut HeaderMap) {
    let travels = match token {
        CallersToken::Unvalidated => false,
        CallersToken::Password => matches!(credential, Some(Credential::PassThrough)),
        CallersToken::Validated | CallersToken::Unread => lets_tokens_pass(credential, channel),
    };
    if !travels {
        headers.remove(header::AUTHORIZATION);
        headers.remove(proof::HEADER);
    }
}

/// Puts `credential` into the headers: in place of any `Authorization`, where it is one of the gateway's own. What belongs into the query is
/// returned.
pub fn present<'a>(
    credential: Option<&'a Credential>,
    headers: &mut HeaderMap,
) -> Result<Option<&'a Arc<QueryParameter>>, &'a Denial> {
    if credential.is_some_and(|credential| !matches!(credential, Credential::PassThrough)) {
        headers.remove(header::AUTHORIZATION);
    }
    match credential {
        Some(Credential::Unavailable(denial)) => Err(denial),
        Some(Credential::Header(name, value)) => {
            headers.insert(name.clone(), value.clone());
            Ok(None)
        }
        Some(Credential::QueryParameter(parameter)) => Ok(Some(parameter)),
        Some(Credential::PassThrough | Credential::None) | None => Ok(None),
    }
}

fn basic_value(name: &str, basic: &v1::Basic) -> Result<HeaderValue, String> {
    let username = basic.username.as_ref().ok_or_else(|| format!("{name} basic.username"))?;
    let password = basic.password.as_ref().ok_or_else(|| format!("{name} basic.password"))?;
    if username.value.contains(&b':') {
        return Err(format!(
            "{name} basic.username: holds a colon, which separates it from the password (RFC 7617, 2)"
        ));
    }
    let pair = Zeroizing::new([username.value.as_ref(), b":", password.value.as_ref()].concat());
    let value = Zeroizing::new(format!("Basic {}", BASE64_STANDARD.encode(&*pair)));
    sensitive(value.as_bytes()).ok_or_else(|| format!("{name} basic"))
}

fn query_parameter(name: &str, shown: &v1::QueryCredential) -> Result<QueryParameter, String> {
    let secret = shown.value.as_ref().ok_or_else(|| format!("{name} queryParameter.value"))?;
    Ok(QueryParameter::new(&shown.name, &secret.value))
}

fn sensitive(bytes: &[u8]) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_bytes(bytes).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &'static str) -> Option<v1::Secret> {
        Some(v1::Secret { value: text.as_bytes().into() })
    }

    fn built(kind: Kind) -> Result<Credential, String> {
        Credential::build("Backend/shop/legacy", &v1::Credential { object: String::new(), kind: Some(kind) })
    }

    fn shown(credential: Option<&Credential>, token: CallersToken, channel: Channel) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer caller"));
        take_token(credential, token, channel, &mut headers);
        present(credential, &mut headers).ok()?;
        headers.get(header::AUTHORIZATION).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn basic_replaces_the_callers_token() {
        let basic = built(Kind::Basic(v1::Basic { username: secret("user"), password: secret("pass") })).unwrap();
        let found = shown(Some(&basic), CallersToken::Validated, Channel::Anonymous);
        assert_eq!(found.as_deref(), Some("Basic dXNlcjpwYXNz"));
    }

    #[test]
    fn a_user_name_with_a_colon_is_refused() {
        let refused = built(Kind::Basic(v1::Basic { username: secret("a:b"), password: secret("c") }));
        assert!(refused.is_err_and(|why| why.contains("colon")));
    }

    #[test]
    fn a_value_with_a_line_break_is_refused() {
        let header = v1::HeaderCredential { name: "x-key".into(), prefix: String::new(), value: secret("a\r\nb: c") };
        assert!(built(Kind::Header(header)).is_err());
    }

    #[test]
    fn without_a_credential_only_a_token_that_is_not_refuted_goes_on() {
        let caller = Some("Bearer caller".to_owned());
        assert_eq!(shown(None, CallersToken::Validated, Channel::Anonymous), caller);
        assert_eq!(shown(None, CallersToken::Unread, Channel::Anonymous), caller);
        assert_eq!(shown(None, CallersToken::Unvalidated, Channel::Anonymous), None);
        assert_eq!(shown(None, CallersToken::Validated, Channel::ClientCertificate), None);
    }

    #[test]
    fn pass_through_beside_a_certificate_sends_both() {
        let pass = built(Kind::PassThrough(v1::PassThrough {})).unwrap();
        assert!(shown(Some(&pass), CallersToken::Validated, Channel::ClientCertificate).is_some());
        assert!(shown(Some(&pass), CallersToken::Unvalidated, Channel::Anonymous).is_none());
    }

    #[test]
    fn none_and_header_send_nothing_of_the_callers() {
        let none = built(Kind::None(v1::NoCredential {})).unwrap();
        let header = v1::HeaderCredential { name: "x-key".into(), prefix: "k ".into(), value: secret("v") };
        let header = built(Kind::Header(header)).unwrap();
        for credential in [&none, &header] {
            assert_eq!(shown(Some(credential), CallersToken::Validated, Channel::Anonymous), None);
        }
    }

    #[test]
    fn what_is_unavailable_sends_nothing() {
        let lost = Credential::unavailable("Backend/shop/legacy", "Secret shop/login does not exist");
        let mut headers = HeaderMap::new();
        assert!(present(Some(&lost), &mut headers).is_err());
    }

    #[test]
    fn a_short_secret_is_told_by_its_name() {
        let short = QueryParameter::new("key", b"a1");
        assert!(short.is_in(b"/?key=a1") && short.is_in(b"/?key=%611"));
        assert!(!short.is_in(b"/a1"));
        let long = QueryParameter::new("key", b"0123456789");
        assert!(long.is_in(b"/0123456789/") && long.is_in(b"/%30123456789/"));
        assert!(!long.is_in(b"/?key=012345678"));
    }

    #[test]
    fn a_query_parameter_is_encoded() {
        let shown = v1::QueryCredential { name: "api key".into(), value: secret("a&b=c") };
        let Credential::QueryParameter(parameter) = built(Kind::QueryParameter(shown)).unwrap() else { panic!() };
        assert_eq!(*parameter.pair, "api%20key=a%26b%3Dc");
    }
}
