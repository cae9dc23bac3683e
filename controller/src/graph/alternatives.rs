//! Alternatives of one policy, and the resources that they bring along.

use std::collections::BTreeMap;
use std::sync::Arc;

use sallyport_api::policy::{Alternative, BasicAuthentication, ClientCertificate, Csrf, Introspection};
use sallyport_snapshot::v1;

use super::basic::{File, Files};
use super::guarded::KEY_HEADER;
use super::token::Token;
use super::{Environment, client_certificate, decryption_key, entra_id, introspection, key_source, token};
use crate::cluster::{ClusterState, ObjectName};
use crate::problem::{Problem, denial, denial_by_older, is_for_older};

/// The edition of the contract that brought certificates of callers.
const CERTIFICATES_SINCE: u32 = 3;
/// And passwords of callers.
const PASSWORDS_SINCE: u32 = 6;
/// And questions to issuers.
const INTROSPECTION_SINCE: u32 = 10;

/// What alternatives of a policy are judged by, by the names of the resources.
#[derive(Default)]
pub struct Brought {
    /// Keys of issuers.
    pub key_sets: BTreeMap<String, v1::KeySet>,
    /// Who is trusted to vouch for certificates.
    pub trusts: BTreeMap<String, v1::ClientTrust>,
    /// Users and hashes of their passwords.
    pub password_files: BTreeMap<String, Arc<v1::PasswordFile>>,
    /// Issuers, or their endpoints, that are asked about tokens, by the names of the questions.
    pub introspections: BTreeMap<String, String>,
}

/// Parses the alternatives of one policy.
pub(super) struct Alternatives<'a> {
    pub cluster: &'a ClusterState,
    pub files: &'a Files<'a>,
    pub environment: Environment,
    pub name: &'a ObjectName,
    pub label: &'a str,
    pub problems: &'a mut Vec<Problem>,
    pub brought: &'a mut Brought,
}

impl Alternatives<'_> {
    /// The section as data planes are told it.
    pub fn all(&mut self, stated: &[Alternative]) -> v1::Authentication {
        let mut alternatives: Vec<_> = stated.iter().enumerate().map(|(at, one)| self.one(at, one)).collect();
        // As they are stated: also of an alternative that never holds nothing is shown to others.
        let issuers: Vec<_> = stated.iter().map(issuers).collect();
        for (at, asked) in alternatives.iter_mut().enumerate() {
            if let Some(asked) = &mut asked.introspection {
                let others = issuers.iter().enumerate().filter(|(other, _)| *other != at);
                let others = others
                    .flat_map(|(_, issuers)| issuers)
                    .filter(|(issuer, by_keys)| *by_keys || *issuer != asked.issuer);
                asked.foreign_issuers = others.map(|(issuer, _)| issuer.clone()).collect();
            }
        }
        v1::Authentication { object: self.label.to_owned(), alternatives }
    }

    fn one(&mut self, at: usize, alternative: &Alternative) -> v1::Alternative {
        let mut message = v1::Alternative {
            name: alternative.name.clone(),
            public: alternative.public.is_some(),
            ..v1::Alternative::default()
        };
        if let Some((token, member)) = Token::of(alternative) {
            let field = format!("spec.authentication[{at}].{member}");
            // Also where the rest is broken: what may stand there is not forwarded.
            message.token_places = token::places(&token.rules().from);
            let read = self.token(token, &field);
            message.jwt = self.or_unavailable(read, &mut message.unavailable);
            let unknown = token::denial_by_older(self.label, &message, &field);
            deny_to_older(&mut message.unavailable, unknown);
        }
        if let Some(stated) = &alternative.introspection {
            let field = format!("spec.authentication[{at}].introspection");
            message.token_places = token::places(&stated.from);
            let read = self.introspection(stated, &field);
            message.introspection = self.or_unavailable(read, &mut message.unavailable);
            deny_to_older(&mut message.unavailable, Some(denial_by_older(self.label, &field, INTROSPECTION_SINCE)));
        }
        if let Some(stated) = &alternative.client_certificate {
            let field = format!("spec.authentication[{at}].clientCertificate");
            let read = self.certificate(stated, &alternative.name, &field);
            message.client_certificate = self.or_unavailable(read, &mut message.unavailable);
            deny_to_older(&mut message.unavailable, Some(denial_by_older(self.label, &field, CERTIFICATES_SINCE)));
        }
        if let Some(stated) = &alternative.basic {
            let field = format!("spec.authentication[{at}].basic");
            let read = self.basic(stated, &field);
            message.basic = self.or_unavailable(read, &mut message.unavailable);
            deny_to_older(&mut message.unavailable, Some(denial_by_older(self.label, &field, PASSWORDS_SINCE)));
        }
        message.subscription_key = alternative.subscription_key.as_ref().map(|key| {
            let headers: Vec<_> = key.headers.iter().map(|name| name.to_ascii_lowercase()).collect();
            let unnamed = headers.is_empty() && key.query_parameters.is_empty();
            let headers = if unnamed { vec![KEY_HEADER.to_owned()] } else { headers };
            v1::SubscriptionKey { headers, query_parameters: key.query_parameters.clone() }
        });
        message
    }

    /// What was read; or why the alternative never holds.
    fn or_unavailable<T>(&mut self, read: Result<T, Problem>, unavailable: &mut Option<v1::Deny>) -> Option<T> {
        read.map_err(|problem| {
            *unavailable = Some(denial(self.label, &problem));
            self.problems.push(problem);
        })
        .ok()
    }

    fn certificate(
        &mut self,
        stated: &ClientCertificate,
        alternative: &str,
        field: &str,
    ) -> Result<v1::ClientCertificate, Problem> {
        let trust = format!("{}/{alternative}", self.name);
        let reader = client_certificate::Reader {
            cluster: self.cluster,
            kind: "ApiPolicy",
            namespace: &self.name.namespace,
            field,
        };
        let (message, trusted) = reader.read(stated, trust.clone())?;
        self.brought.trusts.extend(trusted.map(|trusted| (trust, trusted)));
        Ok(message)
    }

    fn introspection(&mut self, stated: &Introspection, field: &str) -> Result<v1::Introspection, Problem> {
        let (cluster, environment) = (self.cluster, self.environment);
        let message = introspection::Reader { cluster, environment, policy: self.name, field }.message(stated)?;
        let endpoint = stated.endpoint.split('?').next().unwrap_or_default();
        let told = stated.issuer.as_deref().unwrap_or(endpoint);
        self.brought.introspections.insert(message.name.clone(), told.to_owned());
        Ok(message)
    }

    fn basic(&mut self, stated: &BasicAuthentication, field: &str) -> Result<v1::BasicAuthentication, Problem> {
        let File { name, message, problem } = self.files.find(&self.name.namespace, stated, field)?;
        self.problems.extend(problem);
        self.brought.password_files.insert(name.clone(), message);
        let from_other_sites = stated.csrf == Csrf::Off;
        Ok(v1::BasicAuthentication { password_file: name, realm: stated.realm.clone(), from_other_sites })
    }

    fn token(&mut self, token: Token<'_>, field: &str) -> Result<v1::Jwt, Problem> {
        let (key_set, set) = key_source::key_set(self.cluster, self.environment, self.name, token, field)?;
        let (references, at) = (&token.rules().decryption_key_refs, format!("{field}.decryptionKeyRefs"));
        let decryption_keys = decryption_key::keys(self.cluster, &self.name.namespace, references, &at)?;
        let message = token::message(token, key_set.clone(), field)?;
        self.brought.key_sets.insert(key_set, set);
        Ok(v1::Jwt { decryption_keys, ..message })
    }
}

/// What keeps data planes from passing over what they do not know of an alternative: the newest of all that it states decides who knows it whole.
fn deny_to_older(unavailable: &mut Option<v1::Deny>, unknown: Option<v1::Deny>) {
    let Some(unknown) = unknown else { return };
    let holds = unavailable.as_ref().is_some_and(|deny| !is_for_older(deny) || deny.since >= unknown.since);
    if !holds {
        *unavailable = Some(unknown);
    }
}

/// Whose tokens an alternative judges, and whether by keys. What ends in an asterisk stands for all that begin so: of Entra ID each tenant is one.
fn issuers(alternative: &Alternative) -> Vec<(String, bool)> {
    let of_jwt = alternative.jwt.iter().map(|jwt| (jwt.issuer.clone(), true));
    let of_tenants = alternative.entra_id.iter().flat_map(entra_id::issuers).map(|issuer| (issuer, true));
    let asked = alternative.introspection.iter().filter_map(|asked| Some((asked.issuer.clone()?, false)));
    of_jwt.chain(of_tenants).chain(asked).collect()
}
