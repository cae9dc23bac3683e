//! What a request meets on its way, and what each decides: for whoever asks why it is answered as it is. Such a request goes the way of all
//! others, and ends where they are forwarded: no service is asked, nor anybody else who would see it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue, Response, header};
use rustls_pki_types::CertificateDer;
use serde::Serialize;
use tokio::sync::mpsc;

use crate::credential::{self, Credential};
use crate::pipeline::forward::{Chosen, chosen};
use crate::pipeline::permit::ComputedHeaders;
use crate::rejection::{Origin, Rejection, Told};
use crate::route::{Found, Pick, Rule};
use crate::runtime::Runtime;
use crate::runtime::listener::{Gateway, Listener};
use crate::runtime::policy::Policy;

/// Whose requests are explained: a process that has this listens nowhere, asks nobody, and forwards nothing.
#[derive(Clone, Debug)]
pub struct AsIf {
    /// Where the connection comes from, as the caller or the proxy in front makes it.
    pub address: IpAddr,
    /// The proxy that tells by a PROXY header that it speaks for `address`.
    pub proxy: Option<IpAddr>,
    /// What the caller would show in the handshake if it is asked, the leaf first.
    pub certificates: Vec<CertificateDer<'static>>,
    /// Where it is told what was found out.
    pub told: mpsc::UnboundedSender<FoundOut>,
}

/// What was found out of a connection.
#[derive(Debug)]
pub enum FoundOut {
    /// Its request was judged.
    Judged(Box<Account>),
    /// It came to no request.
    Closed(String),
}

/// What is known of one request so far.
#[derive(Default)]
pub struct Explanation(RefCell<Account>);

/// As it is told.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
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
    /// Headers of an answer of the gateway's own that say where to go, and what browsers may.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub answer: BTreeMap<String, String>,
    /// What policies that only report would have refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub would_refuse: Vec<Refusal>,
    pub decision: Decision,
}

/// Something that has decided.
#[derive(Clone, Debug, Default, Serialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    Holds,
    #[default]
    Refuses,
    /// It says nothing of this request.
    NotAsked,
    /// It is counted; how much was used up before is not known here.
    Counted,
    /// Somebody else would be asked: here nobody is.
    WouldBeAsked,
    /// It cannot be told here: of an issuer, no keys can be had from here, or it would be asked.
    Unknown,
}

/// A service that may be asked.
#[derive(Clone, Debug, Default, Serialize)]
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
#[derive(Clone, Debug, Default, Serialize)]
pub struct Refusal {
    pub policy: String,
    pub reason: String,
    pub message: String,
}

/// What comes of it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// Whether a service would have been asked.
    pub forwarded: bool,
    /// Somebody whom nobody asks here, or who cannot be reached from here, may decide otherwise.
    pub conditional: bool,
    /// Of requests like this one some are answered by the gateway, since a share of the services cannot be asked: `reason` and what follows say why.
    pub partial: bool,
    /// The connection is closed before it is read: nobody is answered.
    pub closed: bool,
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

    /// Locks of the listener's Gateway, and the authorities that it has vouch for callers, have let it pass.
    pub(crate) fn passed(&self, listener: &Listener) {
        for lock in listener.gateway.origin_locks.iter().filter(|lock| !lock.is_report) {
            self.note(&origin(&lock.object, "originLock"), Outcome::Holds, "");
        }
        if listener.validates() {
            let gateway: Arc<str> = format!("Gateway {}", listener.gateway.name).into();
            self.note(&origin(&gateway, "tls.frontend"), Outcome::Holds, "");
        }
    }

    /// So have the address filters of Floors.
    pub(crate) fn passed_floors(&self, gateway: &Gateway) {
        gateway.floor_filters.iter().for_each(|filter| self.note(&filter.origin, Outcome::Holds, ""));
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

    /// It would be forwarded, if any service can be asked.
    pub(crate) fn admitted(
        &self,
        found: &Found,
        policy: &Policy,
        runtime: &Runtime,
        computed: ComputedHeaders,
    ) -> Result<(), Rejection> {
        let fates: Vec<_> = found.rule.shares().map(|(weight, choice)| Fate::of(weight, choice, runtime)).collect();
        let mut account = self.0.borrow_mut();
        let set = policy.request_headers.set.iter().chain(&computed.request);
        account.headers = set.map(|(name, value)| pair(name, value)).collect();
        account.services = fates.iter().map(|fate| fate.service.clone()).collect();
        let asked: Vec<_> = fates.iter().filter(|fate| fate.service.weight > 0).collect();
        if asked.iter().all(|fate| fate.refusal.is_some()) {
            let refusal = asked.iter().find_map(|fate| fate.refusal.clone());
            return refusal.map_or_else(|| chosen(found.rule.pick(0), runtime).map(drop), Err);
        }
        let refusal = asked.iter().find_map(|fate| fate.refusal.as_ref());
        account.decision = refusal.map(refused).unwrap_or_default();
        account.decision.partial = refusal.is_some();
        account.decision.forwarded = true;
        Ok(())
    }

    /// The whole, once there is an answer or a refusal, which is answered with `status`.
    pub(crate) fn account<B>(
        &self,
        outcome: Result<&Response<B>, (&Rejection, u16)>,
        would_refuse: &[(Arc<str>, Rejection)],
        closed: bool,
    ) -> Account {
        let mut account = self.0.borrow().clone();
        let refusal = |(policy, rejection): &(Arc<str>, Rejection)| Refusal {
            policy: policy.to_string(),
            reason: rejection.reason.code().to_owned(),
            message: rejection.origin.message.clone(),
        };
        account.would_refuse = would_refuse.iter().map(refusal).collect();
        account.decision = match outcome {
            Ok(_) if account.decision.forwarded => account.decision,
            Ok(response) => {
                account.answer = of_answer(response.headers());
                Decision { status: response.status().as_u16(), ..Decision::default() }
            }
            Err((rejection, status)) => Decision { status, ..refused(rejection) },
        };
        let is_open = |step: &Step| matches!(step.outcome, Outcome::WouldBeAsked | Outcome::Unknown);
        account.decision.conditional = account.steps.iter().any(is_open);
        account.decision.closed = closed;
        account
    }
}

fn origin(object: &Arc<str>, section: &'static str) -> Origin {
    Origin { object: Arc::clone(object), section, ..Origin::default() }
}

fn of_answer(headers: &HeaderMap) -> BTreeMap<String, String> {
    let is_told = |name: &HeaderName| *name == header::LOCATION || name.as_str().starts_with("access-control-");
    headers.iter().filter(|(name, _)| is_told(name)).map(|(name, value)| pair(name, value)).collect()
}

fn pair(name: &HeaderName, value: &HeaderValue) -> (String, String) {
    (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
}

fn refused(rejection: &Rejection) -> Decision {
    let (meaning, origin) = (rejection.reason.meaning(), &rejection.origin);
    let told = match rejection.told.as_deref() {
        Some(Told::Detail(own)) => own.clone(),
        Some(Told::Answer(_)) | None => meaning.detail.to_owned(),
    };
    Decision {
        status: meaning.status.as_u16(),
        reason: meaning.code.to_owned(),
        object: origin.object.to_string(),
        section: origin.section.to_owned(),
        rule: origin.rule.to_string(),
        message: origin.message.clone(),
        told,
        cure: meaning.cure.to_owned(),
        ..Decision::default()
    }
}

/// What becomes of a request that falls on a share.
struct Fate {
    service: Service,
    refusal: Option<Rejection>,
}

impl Fate {
    /// As it is when a request is forwarded.
    fn of(weight: u64, choice: &Pick, runtime: &Runtime) -> Self {
        let judged = chosen(choice.clone(), runtime).and_then(|chosen| {
            let Chosen { backend, credential, .. } = &chosen;
            backend.target.as_ref().map_err(|denial| denial.rejection())?.judge_places()?;
            credential::present(credential.as_deref(), &mut HeaderMap::new()).map_err(|denial| denial.rejection())?;
            Ok(chosen)
        });
        let backend = match choice {
            Pick::Backend { backend, .. } => backend.to_string(),
            Pick::Denied(_) => String::new(),
        };
        let credential =
            judged.as_ref().map(|chosen| kind(chosen.credential.as_deref()).to_owned()).unwrap_or_default();
        let denied = judged.as_ref().err().map(|refusal| refusal.origin.message.clone()).unwrap_or_default();
        Self { service: Service { backend, weight, credential, denied }, refusal: judged.err() }
    }
}

/// What kind of credential it is, and where it stands.
fn kind(shown: Option<&Credential>) -> String {
    match shown {
        None => "none is stated".to_owned(),
        Some(Credential::PassThrough) => "passThrough: the caller's Authorization".to_owned(),
        Some(Credential::None) => "none: nothing, the caller's neither".to_owned(),
        Some(Credential::Header(name, _)) => format!("a secret in the header {name}"),
        Some(Credential::QueryParameter(parameter)) => format!("a secret in the query parameter {}", parameter.name),
        Some(Credential::Unavailable(denial)) => denial.rejection().origin.message,
    }
}
