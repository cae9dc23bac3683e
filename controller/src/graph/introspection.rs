//! Tokens whose issuer is asked about them.

use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use sallyport_api::condition::Reason;
use sallyport_api::duration::Duration as Written;
use sallyport_api::policy::{ClientAuthenticationMethod, Introspection};
use sallyport_snapshot::{Hash, QUESTIONS, v1};

use super::Environment;
use super::certificate::{all_authorities, entry, judge_host, secret};
use super::grant::End;
use super::{key_source, token};
use crate::cluster::{ClusterState, ObjectName};
use crate::problem::Problem;

/// Where nobody says otherwise.
const TIMEOUT: Duration = Duration::from_secs(2);
const CACHE: Duration = Duration::from_secs(60);
const NEGATIVE_CACHE: Duration = Duration::from_secs(10);

/// Of one policy.
pub struct Reader<'a> {
    pub cluster: &'a ClusterState,
    pub environment: Environment,
    pub policy: &'a ObjectName,
    /// Where the policy states it.
    pub field: &'a str,
}

impl Reader<'_> {
    /// What data planes ask, and judge the answer by.
    pub fn message(&self, stated: &Introspection) -> Result<v1::Introspection, Problem> {
        key_source::judge_address(self.environment, &stated.endpoint, &format!("{}.endpoint", self.field))?;
        token::judge_places(&stated.from, self.field)?;
        let length = |written: Option<&Written>, name: &str| token::length(written, self.field, name);
        let clock_skew = length(stated.clock_skew.as_ref(), "clockSkew")?.unwrap_or(token::CLOCK_SKEW);
        let max_lifetime = length(stated.max_lifetime.as_ref(), "maxLifetime")?;
        let timeout = length(stated.timeout.as_ref(), "timeout")?.unwrap_or(TIMEOUT);
        let cache = length(stated.cache.as_ref(), "cache")?.unwrap_or(CACHE);
        let negative_cache = length(stated.negative_cache.as_ref(), "negativeCache")?.unwrap_or(NEGATIVE_CACHE);
        let message = v1::Introspection {
            name: String::new(),
            endpoint: stated.endpoint.clone(),
            ca_certificates: self.authorities(stated)?,
            issuer: stated.issuer.clone().unwrap_or_default(),
            client_id: stated.client_authentication.id.clone(),
            client_secret: None,
            secret_in_form: stated.client_authentication.method == ClientAuthenticationMethod::ClientSecretPost,
            audiences: stated.audiences.clone(),
            audience_unchecked: stated.audience_check.is_some(),
            scopes: stated.scopes.clone(),
            claims: stated.claims.iter().map(token::claim).collect(),
            clock_skew_s: u32::try_from(clock_skew.as_secs()).unwrap_or(u32::MAX),
            max_lifetime_ms: max_lifetime.map(|most| u64::try_from(most.as_millis()).unwrap_or(u64::MAX)),
            prefix: stated.prefix.clone().unwrap_or_default(),
            foreign_issuers: Vec::new(),
            timeout_ms: milliseconds(timeout),
            cache_ms: milliseconds(cache),
            negative_cache_ms: milliseconds(negative_cache),
        };
        // It is told in reports and logs: nothing of the secret is in it.
        let settings = [self.policy.to_string().as_bytes(), self.field.as_bytes(), &message.encode_to_vec()].concat();
        let endpoint = stated.endpoint.split('?').next().unwrap_or_default();
        let name = format!("{QUESTIONS}{endpoint}#{}", Hash::of_bytes(&settings));
        Ok(v1::Introspection { name, client_secret: Some(self.client_secret(stated)?), ..message })
    }

    fn authorities(&self, stated: &Introspection) -> Result<Vec<Bytes>, Problem> {
        let referrer = End { group: sallyport_api::GROUP, kind: "ApiPolicy", namespace: &self.policy.namespace };
        let field = format!("{}.caCertificateRefs", self.field);
        all_authorities(self.cluster, referrer, &stated.ca_certificate_refs, &field)
    }

    fn client_secret(&self, stated: &Introspection) -> Result<v1::Secret, Problem> {
        let field = format!("{}.clientAuthentication.secretRef", self.field);
        let reference = &stated.client_authentication.secret_ref;
        let name = ObjectName::new(&self.policy.namespace, &reference.name);
        let found = secret(self.cluster, &name, &field)?;
        let host = stated.endpoint.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
        judge_host((found, &name), &host.unwrap_or_default(), &field)?;
        let value = entry(found, &name, &reference.key, &field)?;
        if value.is_empty() || !value.iter().all(|byte| matches!(byte, 0x20..=0x7e)) {
            let message = format!(
                "Secret {name}: {} is empty or holds what no client secret may (RFC 6749, A.2), often a line end; store the bare value",
                reference.key
            );
            return Err(Problem::new(field, Reason::SecretInvalid, message));
        }
        Ok(v1::Secret { value: Bytes::copy_from_slice(value) })
    }
}

fn milliseconds(span: Duration) -> u32 {
    u32::try_from(span.as_millis()).unwrap_or(u32::MAX)
}
