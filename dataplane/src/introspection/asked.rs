//! What a policy asks an issuer, and what it asks of the answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::HeaderValue;
use prost::Message as _;
use rustls::ClientConfig;
use sallyport_snapshot::{Hash, v1};

use super::{Case, IntrospectionFault};
use crate::digest::sha256_of;
use crate::egress::{Call, Egress};
use crate::jwt::{ClaimRules, Content, MAX_TOKEN_BYTES};
use crate::rejection::namespace_of;
use crate::runtime::policy::token::insufficient_scope;

/// The largest answer.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// A token is asked for that its issuer is asked about.
pub struct Introspection {
    /// Stands for the settings, in reports.
    pub name: Arc<str>,
    /// Of the policy.
    pub(super) namespace: Arc<str>,
    /// The namespace, and whom it asks.
    pub(super) place: Arc<str>,
    pub(super) endpoint: Box<str>,
    pub(super) authorities: Vec<Bytes>,
    /// What `iss` has to be; absent: it is not asked for.
    pub(super) issuer: Option<Box<str>>,
    pub(super) rules: ClaimRules,
    pub(super) cache: Duration,
    pub(super) negative_cache: Duration,
    /// `scope` of the challenge when one is missing (RFC 6750, 3).
    pub insufficient_scope: HeaderValue,
    client: Client,
    prefix: Box<str>,
    foreign_issuers: Vec<String>,
    timeout: Duration,
    fingerprint: Hash,
    /// Made with the first question.
    tls: OnceLock<Arc<ClientConfig>>,
}

/// Who asks (RFC 6749, 2.3.1).
enum Client {
    InHeader(HeaderValue),
    InForm { id: Box<str>, secret: Box<str> },
}

impl Introspection {
    /// Parses the resource's word, of the policy called `object`.
    pub fn build(object: &str, asked: &v1::Introspection) -> Result<Self, String> {
        let invalid = |error: &dyn std::fmt::Display| format!("introspection.{error}");
        let secret = asked.client_secret.as_ref().map(|secret| &secret.value).filter(|secret| !secret.is_empty());
        let secret = secret.and_then(|secret| std::str::from_utf8(secret).ok());
        let secret = secret.ok_or("introspection.clientAuthentication: it has no secret")?;
        let namespace = namespace_of(object);
        Ok(Self {
            name: asked.name.as_str().into(),
            namespace: namespace.into(),
            place: format!("{namespace}/{}", authority(&asked.endpoint)).into(),
            endpoint: asked.endpoint.as_str().into(),
            authorities: asked.ca_certificates.clone(),
            issuer: (!asked.issuer.is_empty()).then(|| asked.issuer.as_str().into()),
            rules: ClaimRules::of_introspection(asked).map_err(|error| invalid(&error))?,
            cache: Duration::from_millis(asked.cache_ms.into()),
            negative_cache: Duration::from_millis(asked.negative_cache_ms.into()),
            insufficient_scope: insufficient_scope(&asked.scopes).map_err(|error| invalid(&error))?,
            client: Client::new(&asked.client_id, secret, asked.secret_in_form)
                .ok_or_else(|| invalid(&"clientAuthentication"))?,
            prefix: asked.prefix.as_str().into(),
            foreign_issuers: asked.foreign_issuers.clone(),
            timeout: Duration::from_millis(asked.timeout_ms.into()),
            fingerprint: Hash::of_bytes(&asked.encode_to_vec()),
            tls: OnceLock::new(),
        })
    }

    /// Whether a token may be shown to the issuer: nobody's goes to another's by our doing.
    pub fn judge_form(&self, token: &str) -> Result<(), IntrospectionFault> {
        let body = token.trim_end_matches('=');
        let is_taken = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
        if body.is_empty() || token.len() > MAX_TOKEN_BYTES || !body.bytes().all(is_taken) {
            return Err(IntrospectionFault::Malformed);
        }
        if !token.starts_with(&*self.prefix) {
            return Err(IntrospectionFault::Foreign("it begins otherwise than `prefix`"));
        }
        let content = Content::read(token);
        let stated = content.as_ref().and_then(|content| content.claims.get("iss")?.as_str());
        let Some(stated) = stated else { return Ok(()) };
        if self.issuer.as_deref().is_some_and(|issuer| issuer != stated) {
            return Err(IntrospectionFault::Foreign("it says that it is of another issuer"));
        }
        if self.foreign_issuers.iter().any(|issuer| is_of(issuer, stated)) {
            return Err(IntrospectionFault::Foreign("another alternative judges those of its issuer"));
        }
        Ok(())
    }

    /// Stands for the token and for all that it is judged by.
    pub(super) fn case(&self, token: &str) -> Case {
        sha256_of(|context| {
            context.update(self.fingerprint.as_bytes());
            context.update(token.as_bytes());
        })
    }

    /// The question (RFC 7662, 2.1).
    pub(super) fn call(&self, token: &str) -> Call {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("token", token).append_pair("token_type_hint", "access_token");
        let authorization = match &self.client {
            Client::InHeader(login) => Some(login.clone()),
            Client::InForm { id, secret } => {
                form.append_pair("client_id", id).append_pair("client_secret", secret);
                None
            }
        };
        Call { form: Some(form.finish()), authorization, within: self.timeout, most: MAX_ANSWER_BYTES }
    }

    /// Whom the endpoint is known by. Sessions are resumed.
    pub(super) fn trust(&self, egress: &Egress) -> Arc<ClientConfig> {
        Arc::clone(self.tls.get_or_init(|| egress.trusting(&self.authorities)))
    }
}

/// What ends in an asterisk stands for all that begin so.
fn is_of(issuer: &str, stated: &str) -> bool {
    issuer.strip_suffix('*').map_or(issuer == stated, |beginning| stated.starts_with(beginning))
}

/// Of an address, host and port as it states them.
fn authority(address: &str) -> String {
    address.parse::<http::Uri>().ok().and_then(|uri| uri.authority().map(ToString::to_string)).unwrap_or_default()
}

impl Client {
    /// Id and secret are encoded as in a form before they are joined.
    fn new(id: &str, secret: &str, in_form: bool) -> Option<Self> {
        if id.is_empty() {
            return None;
        }
        if in_form {
            return Some(Self::InForm { id: id.into(), secret: secret.into() });
        }
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
        let login = STANDARD.encode(format!("{}:{}", encoded(id), encoded(secret)));
        let mut login = HeaderValue::try_from(format!("Basic {login}")).ok()?;
        login.set_sensitive(true);
        Some(Self::InHeader(login))
    }
}
