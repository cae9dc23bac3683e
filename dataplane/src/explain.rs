//! What a request meets on its way, and what each decides: for whoever asks why it is answered as it is. Such a request goes the way of all
//! others, and ends where they are forwarded: no service is asked, nor anybody else who would see it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;

use rustls_pki_types::CertificateDer;
use serde::{Deserialize, Serialize};

use crate::credential::Credential;
use crate::pipeline::permit::ComputedHeaders;
use crate::rejection::{Origin, Rejection};
use crate::route::{Pick, Rule};
use crate::runtime::Runtime;
use crate::runtime::policy::Policy;

/// Whose requests are explained: a process that has this forwards nothing.
#[derive(Clone, Debug, Default)]
pub struct AsIf {
    /// Where the connection comes from; absent: from where it does.
    pub address: Option<IpAddr>,
    /// What the caller has shown in the handshake, the leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// What is known of one request so far.
#[derive(Default)]
pub struct Explanation(RefCell<Account>);

/// As it is told.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Account {
    /// "namespace/name".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// "namespace/gateway/listener".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listener: String,
    /// The client, as trusted proxies tell of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client: Option<IpAddr>,
    /// "HTTPRoute namespace/name".
    #[serde(skip_serializing_if = "String::is_empty")]
    pub route: String,
    /// Name of the rule, or its index.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// Policies in effect there, the nearest first.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub policies: String,
    pub steps: Vec<Step>,
    /// Which services may be asked, of a request that is forwarded.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// Headers that policies set for the service.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// What policies that only report would have refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_refuse: Vec<Refusal>,
    pub decision: Decision,
}

/// Something that has decided.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Step {
    /// E.g. "ApiPolicy shop/orders".
    pub object: String,
    /// The field of its spec.
    pub section: String,
    /// Which entry of it; empty where there is only one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    pub outcome: Outcome,
    /// In the operator's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

/// What has been decided.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Holds,
    #[default]
    Refuses,
    /// It says nothing of this request.
    NotAsked,
    /// Somebody else would be asked: here nobody is.
    WouldBeAsked,
}

/// A service that may be asked.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Service {
    /// Name of the Backend as a resource.
    pub backend: String,
    /// Its share.
    pub weight: u64,
    /// What it is shown, never the secret.
    pub credential: String,
    /// Why nothing is sent to it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub denied: String,
}

/// What a policy that only reports would have refused.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct Refusal {
    pub policy: String,
    pub reason: String,
    pub message: String,
}

/// What comes of it.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Decision {
    /// Whether a service would have been asked.
    pub forwarded: bool,
    /// Of the answer of the gateway itself; 0 where it is the service's to say.
    pub status: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub section: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rule: String,
    /// In the operator's words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// What callers read.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub told: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cure: String,
}

impl Explanation {
    pub(crate) fn came(&self, gateway: &str, listener: &str, client: Option<IpAddr>) {
        let mut account = self.0.borrow_mut();
        (account.gateway, account.listener, account.client) = (gateway.to_owned(), listener.to_owned(), client);
    }

    pub(crate) fn found(&self, rule: &Rule, policy: &Policy) {
        let mut account = self.0.borrow_mut();
        account.route = format!("{} {}/{}", rule.api.kind, rule.api.namespace, rule.api.name);
        account.rule = rule.name.to_string();
        account.policies = policy.objects.to_string();
    }

    pub(crate) fn note(&self, origin: &Origin, outcome: Outcome, message: impl Into<String>) {
        self.0.borrow_mut().steps.push(Step {
            object: origin.object.to_string(),
            section: origin.section.to_owned(),
            rule: origin.rule.to_string(),
            outcome,
            message: message.into(),
        });
    }

    /// Notes what a step came to.
    pub(crate) fn judged(&self, origin: &Origin, outcome: &Result<(), Rejection>) {
        match outcome {
            Ok(()) => self.note(origin, Outcome::Holds, ""),
            Err(rejection) => self.note(origin, Outcome::Refuses, rejection.to_string()),
        }
    }

    /// It would be forwarded.
    pub(crate) fn admitted(&self, rule: &Rule, policy: &Policy, runtime: &Runtime, computed: ComputedHeaders) {
        let mut account = self.0.borrow_mut();
        account.decision.forwarded = true;
        account.services = rule.shares().map(|(weight, choice)| service(weight, choice, runtime)).collect();
        let fixed = policy.request_headers.set.iter();
        let set = fixed.chain(&computed.request);
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        account.headers = set.map(|(name, value)| (name.to_string(), text(value))).collect();
    }

    /// The whole, once there is an answer of this status, or a refusal.
    pub(crate) fn account(
        &self,
        outcome: Result<u16, &Rejection>,
        would_refuse: &[(std::sync::Arc<str>, Rejection)],
    ) -> Account {
        let mut account = self.0.borrow().clone();
        let refusal = |(policy, rejection): &(std::sync::Arc<str>, Rejection)| Refusal {
            policy: policy.to_string(),
            reason: rejection.reason.code().to_owned(),
            message: rejection.origin.message.clone(),
        };
        account.would_refuse = would_refuse.iter().map(refusal).collect();
        account.decision = match outcome {
            Ok(_) if account.decision.forwarded => account.decision,
            Ok(status) => Decision { status, ..Decision::default() },
            Err(rejection) => refused(rejection),
        };
        account
    }
}

fn refused(rejection: &Rejection) -> Decision {
    let (meaning, origin) = (rejection.reason.meaning(), &rejection.origin);
    Decision {
        forwarded: false,
        status: meaning.status.as_u16(),
        reason: meaning.code.to_owned(),
        object: origin.object.to_string(),
        section: origin.section.to_owned(),
        rule: origin.rule.to_string(),
        message: origin.message.clone(),
        told: meaning.detail.to_owned(),
        cure: meaning.cure.to_owned(),
    }
}

fn service(weight: u64, choice: &Pick, runtime: &Runtime) -> Service {
    match choice {
        Pick::Denied(denial) => Service {
            backend: String::new(),
            weight,
            credential: String::new(),
            denied: denial.rejection().origin.message,
        },
        Pick::Backend { backend, credential, .. } => {
            let found = runtime.backends.get(backend);
            let denied = match found.map(|found| &found.target) {
                None => "it is not there".to_owned(),
                Some(Ok(_)) => String::new(),
                Some(Err(denial)) => denial.rejection().origin.message,
            };
            let shown = credential.as_ref().map(|name| runtime.credentials.get(name).map(AsRef::as_ref));
            Service { backend: backend.to_string(), weight, credential: kind(shown), denied }
        }
    }
}

/// What kind of credential it is, and where it stands.
fn kind(shown: Option<Option<&Credential>>) -> String {
    match shown {
        None => "none is stated".to_owned(),
        Some(None) => "it is not there: nothing is sent".to_owned(),
        Some(Some(Credential::PassThrough)) => "passThrough: the caller's Authorization".to_owned(),
        Some(Some(Credential::None)) => "none: nothing, the caller's neither".to_owned(),
        Some(Some(Credential::Header(name, _))) => format!("a secret in the header {name}"),
        Some(Some(Credential::QueryParameter(parameter))) => {
            format!("a secret in the query parameter {}", parameter.name)
        }
        Some(Some(Credential::Unavailable(denial))) => {
            format!("it cannot be had, and nothing is sent: {}", denial.rejection().origin.message)
        }
    }
}
