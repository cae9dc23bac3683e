//! Who is calling: alternatives in their order, each with all that it lists.

pub mod bonds;
mod certificate;
pub mod introspected;
pub mod login;
mod token;

use std::borrow::Cow;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::Arc;

use http::header::{HeaderMap, HeaderValue};
use http::{Method, Version};

use crate::client_certificate::shown::{CallersCertificate, ShownCertificate};
use crate::client_certificate::trust::ClientTrust;
use crate::client_certificate::{Demanded, Vouched};
use crate::clock::UnixMs;
use crate::digest::{Digest, sha256};
use crate::explain::{Explanation, Outcome};
use crate::introspection::Introspections;
use crate::issuer::IssuerKeys;
use crate::jwt::{Claims, Decryptions, PublicHalf};
use crate::limit::store::Store;
use crate::map::Map;
use crate::nonces::Nonces;
use crate::passwords::Passwords;
use crate::passwords::file::PasswordFile;
use crate::path::Query;
use crate::pipeline::hygiene::Peer;
use crate::pipeline::tokens::{Patience, Tokens};
use crate::rejection::{Origin, Reason, Rejection};
use crate::replays::Replays;
use crate::route::{Asked, Rule};
use crate::runtime::Runtime;
use crate::runtime::keys::{Door, Keys, Subscription};
use crate::runtime::policy::ip_filter::IpFilter;
use crate::runtime::policy::token_place::TokenPlace;
use crate::runtime::policy::{Alternative, Authentication, Demand, Denial, Jwt, KEY_CHALLENGE, KeyPlaces, Policy};
use crate::server::worker::Shared;
use bonds::ShownProof;
use introspected::HeldIntrospection;
use login::HeldLogin;

/// All that a policy may know of a request.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub method: &'a Method,
    pub host: &'a str,
    pub path: &'a str,
    pub headers: &'a HeaderMap,
    pub query: Query<'a>,
    /// `None`: it could not be read, which no `ipFilter` admits.
    pub address: Option<IpAddr>,
    pub door: Door<'a>,
    pub hop: Hop<'a>,
    /// How long its body is, where that is said.
    pub body_bytes: Option<u64>,
    /// Data planes that share what limits allow.
    pub replicas: NonZeroU32,
    /// Name of the route's rule.
    pub rule: &'a str,
    pub keys: &'a Keys,
    pub tokens: &'a Tokens,
    pub key_sets: &'a Map<Arc<str>, Arc<IssuerKeys>>,
    /// Why a key set that was sent is not in force.
    pub unusable_key_sets: &'a Map<Arc<str>, String>,
    pub trusts: &'a Map<Arc<str>, Arc<Result<ClientTrust, String>>>,
    pub password_files: &'a Map<Arc<str>, Arc<Result<PasswordFile, String>>>,
    pub passwords: &'a Passwords,
    pub introspections: &'a Introspections,
    pub patience: Patience,
    /// The policy in force, while one is judged that is only reported: where that one reads credentials, this one's expressions see nothing.
    pub beside: Option<&'a Policy>,
    pub replays: &'a Replays,
    /// By which the Gateway's numbers for proofs are known; `None`: those of this process are.
    pub nonces: Option<&'a Nonces>,
    pub course: &'a Course,
    pub now: UnixMs,
    /// Somebody wants to know what decides.
    pub explained: Option<&'a Explanation>,
    /// Who does asks no issuer about tokens, and no authoriser.
    pub asks_nobody: bool,
    /// Where limits are counted for all data planes; `None`: here.
    pub limit_store: Option<&'a Store>,
    /// Whether the Gateway states such a place, be it that nobody asks there.
    pub counts_in_store: bool,
}

/// What is found out of one request while it is judged, whoever judges.
#[derive(Default)]
pub struct Course {
    /// How often one may be opened still.
    pub decryptions: Decryptions,
    pub proof: ShownProof,
}

/// What of the connection has to do with what the service is told.
#[derive(Clone, Copy)]
pub struct Hop<'a> {
    /// What the connection is to become: taken out of the headers, and sent to the service in them.
    pub upgrade: Option<&'a HeaderValue>,
    /// Host and port, as they were asked for.
    pub authority: Option<&'a HeaderValue>,
    pub peer: Peer,
    /// What the caller has shown in the handshake, here or to a trusted proxy that tells of it.
    pub certificate: &'a CallersCertificate,
    pub is_cleartext: bool,
    pub version: Version,
}

/// Of a stranger who wants nothing but an answer.
impl Default for Hop<'_> {
    fn default() -> Self {
        Self {
            upgrade: None,
            authority: None,
            peer: Peer::Stranger,
            certificate: &CallersCertificate::NotAskedFor,
            is_cleartext: true,
            version: Version::HTTP_11,
        }
    }
}

impl<'a> Caller<'a> {
    /// A caller who asks for what `rule` serves behind `gateway`.
    pub fn new(
        asked: &Asked<'a>,
        address: Option<IpAddr>,
        (rule, gateway): (&'a Rule, &'a str),
        (runtime, shared): (&'a Runtime, &'a Shared),
        course: &'a Course,
    ) -> Self {
        let door = Door { api: &rule.api, gateway, products: &runtime.products };
        let Asked { host, path, method, headers, query } = *asked;
        Self {
            method,
            host,
            path,
            headers,
            query,
            address,
            door,
            hop: Hop::default(),
            body_bytes: None,
            replicas: NonZeroU32::MIN,
            limit_store: None,
            counts_in_store: false,
            rule: &rule.name,
            keys: &runtime.keys,
            tokens: &shared.tokens,
            key_sets: &runtime.key_sets,
            unusable_key_sets: &runtime.unusable_key_sets,
            trusts: &runtime.trusts,
            password_files: &runtime.password_files,
            passwords: &shared.passwords,
            introspections: &shared.introspections,
            patience: Patience::Waits,
            beside: None,
            replays: &shared.replays,
            nonces: None,
            course,
            now: shared.clock.now(),
            explained: None,
            asks_nobody: shared.explains.is_some(),
        }
    }
}

/// An alternative that held, with what it found.
#[derive(Clone, Default)]
pub struct Held {
    pub alternative: Arc<str>,
    pub claims: Option<Arc<Claims>>,
    /// Where the token with the claims stands.
    pub place: Option<Arc<TokenPlace>>,
    /// The key that vouches for the claims, and the set that it is of.
    pub key: Option<(Arc<str>, PublicHalf)>,
    pub subscription: Option<(Arc<Subscription>, Digest)>,
    pub certificate: Option<HeldCertificate>,
    pub login: Option<HeldLogin>,
    pub introspection: Option<HeldIntrospection>,
}

/// A certificate that holds, with what asked for it.
#[derive(Clone)]
pub struct HeldCertificate {
    pub shown: Arc<ShownCertificate>,
    pub vouched: Arc<Vouched>,
    pub demanded: Arc<Demanded>,
}

impl Held {
    /// The end of the credential that ends first. A token that only the clock skew has admitted lasts as long as the skew does.
    pub fn expires(&self, admitted: UnixMs) -> Option<UnixMs> {
        let end =
            |claims: &Claims| if claims.expires() <= admitted { claims.admitted_until() } else { claims.expires() };
        let token = self.claims.as_deref().map(end);
        let subscription = self.subscription.as_ref().and_then(|(subscription, _)| subscription.expires());
        let said = self.introspection.as_ref().and_then(|held| held.introspected.ends(admitted));
        let certificate = self.certificate.as_ref().map(|held| held.vouched.not_after);
        [token, subscription, said, certificate].into_iter().flatten().min()
    }
}

/// The first alternative that holds; if none does, the failure of the one that came furthest.
pub async fn hold(authentication: &Authentication, caller: &Caller<'_>) -> Result<Held, Rejection> {
    let mut furthest: Option<Failure> = None;
    for alternative in &authentication.alternatives {
        let tried = try_one(alternative, caller).await;
        if let Some(explanation) = caller.explained {
            note(explanation, alternative, &tried);
        }
        match tried {
            Ok(held) => return Ok(held),
            Err(failure) if furthest.as_ref().is_none_or(|other| other.progress < failure.progress) => {
                furthest = Some(failure);
            }
            Err(_) => {}
        }
    }
    Err(match furthest {
        Some(failure) => failure.rejection(authentication),
        None => nobody_admitted(authentication),
    })
}

fn note(explanation: &Explanation, alternative: &Alternative, tried: &Result<Held, Failure>) {
    match tried {
        Ok(_) => explanation.note(&alternative.origin, Outcome::Holds, ""),
        Err(failure) => {
            let outcome = if failure.progress == Progress::Unknown { Outcome::Unknown } else { Outcome::Refuses };
            explanation.note(&alternative.origin, outcome, failure.rejection.to_string());
        }
    }
}

/// Whether a filter lets the client address pass; one that cannot be read passes nowhere.
pub fn admits(filter: &IpFilter, address: Option<IpAddr>) -> Result<(), Rejection> {
    if let Some(denial) = &filter.unavailable {
        return Err(denial.rejection());
    }
    let refuse =
        |message: String| Err(Rejection::decided_by(filter.origin.with_message(message), Reason::AddressDenied));
    match address {
        None => refuse("the client address cannot be read".to_owned()),
        Some(address) if filter.admits(address) => Ok(()),
        Some(address) if filter.deny.contains(address) => refuse(format!("{address} is in deny")),
        Some(address) => refuse(format!("{address} is not in allow")),
    }
}

/// How far a credential came before it failed: the order in which failures speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Progress {
    /// No certificate was shown: who could come in otherwise is told of that.
    Unshown,
    /// Nothing was sent.
    Absent,
    /// Something was sent, and is not what this alternative takes.
    Foreign,
    /// It is for this alternative, and not valid.
    Invalid,
    /// It may be valid; that cannot be told now.
    Unknown,
    /// A part of it is valid, and the rest is missing or not valid.
    Partial,
    /// It is valid, and not enough.
    NotEnough,
    /// It could not be judged, or must not be: speaks louder than all that was.
    Unjudged,
    /// It cannot come on this connection: on another one all may be otherwise.
    Misdirected,
}

/// Why an alternative does not hold.
struct Failure {
    progress: Progress,
    rejection: Rejection,
}

impl Failure {
    fn new(alternative: &Alternative, progress: Progress, reason: Reason, message: impl Into<String>) -> Self {
        let origin = alternative.origin.with_message(message);
        Self { progress, rejection: Rejection::decided_by(origin, reason) }
    }

    fn denied(denial: &Denial) -> Self {
        Self { progress: Progress::Unjudged, rejection: denial.rejection() }
    }

    /// The failure of what stands last, beside which all else holds: it came further than whoever has nothing.
    fn beside_the_rest(mut self) -> Self {
        self.progress = self.progress.max(Progress::Partial);
        self
    }

    /// The failure that asks for a login alone, if one would help.
    fn asking_for(mut self, challenge: &HeaderValue) -> Self {
        if matches!(self.rejection.reason, Reason::CredentialMissing | Reason::LoginInvalid) {
            self.rejection.challenges = [challenge.clone()].into();
        }
        self
    }

    /// The failure of a token that stands in `place`: its caller is told in the scheme that it speaks.
    fn of_token(mut self, jwt: &Jwt, place: &TokenPlace) -> Self {
        let is_proven = place.is_proven() || !jwt.takes_bare_ones;
        self.rejection.challenges = match (self.rejection.reason, jwt.proofs.as_deref()) {
            (Reason::ScopeInsufficient, Some(proofs)) if is_proven => [proofs.insufficient_scope.clone()].into(),
            (Reason::ScopeInsufficient, _) => [jwt.insufficient_scope.clone()].into(),
            (Reason::TokenInvalid, Some(proofs)) if is_proven => [proofs.invalid_token.clone()].into(),
            // By the other scheme it might come in.
            (Reason::TokenInvalid, Some(proofs)) => {
                [HeaderValue::from_static(INVALID_TOKEN), proofs.asked_for.clone()].into()
            }
            _ => return self,
        };
        self
    }

    /// The failure of a key whose token holds: only a key is asked for any more.
    fn beside_a_token(self) -> Self {
        let mut failure = self.beside_the_rest();
        if matches!(failure.rejection.reason, Reason::CredentialMissing | Reason::KeyUnknown) {
            failure.rejection.challenges = [HeaderValue::from_static(KEY_CHALLENGE)].into();
        }
        failure
    }

    /// The answer, with the challenges that belong to it.
    fn rejection(mut self, authentication: &Authentication) -> Rejection {
        match self.rejection.reason {
            Reason::CredentialMissing | Reason::KeyUnknown if self.rejection.challenges.is_empty() => {
                self.rejection.challenges = authentication.challenges.as_slice().into();
            }
            Reason::TokenInvalid if self.rejection.challenges.is_empty() => {
                self.rejection.challenges = [HeaderValue::from_static(INVALID_TOKEN)].into();
            }
            Reason::IssuerUnreached => self.rejection.retry_after_s = Some(RETRY_AFTER_S),
            Reason::IntrospectionUnavailable => self.rejection.retry_after_s = Some(ASK_AGAIN_AFTER_S),
            _ => {}
        }
        self.rejection
    }
}

/// What is said of a bearer token that is none (RFC 6750, 3.1).
const INVALID_TOKEN: &str = r#"Bearer realm="sallyport", error="invalid_token""#;

/// When a caller may ask again while an issuer is away: about two of the attempts that are made to reach it.
const RETRY_AFTER_S: u16 = 10;

/// The same while an issuer cannot be asked about a token.
const ASK_AGAIN_AFTER_S: u16 = 5;

/// An empty list admits nobody: it is stated, and offers no way in.
fn nobody_admitted(authentication: &Authentication) -> Rejection {
    let origin = Origin {
        object: Arc::clone(&authentication.object),
        section: "authentication",
        rule: "".into(),
        message: "no alternative is listed, so that nobody is admitted; list one".to_owned(),
    };
    Rejection::decided_by(origin, Reason::Configuration)
}

async fn try_one(alternative: &Alternative, caller: &Caller<'_>) -> Result<Held, Failure> {
    let mut held = Held { alternative: Arc::clone(&alternative.name), ..Held::default() };
    match &alternative.demand {
        Demand::Public => {}
        Demand::Unavailable(denial) => return Err(Failure::denied(denial)),
        Demand::Credentials { jwt, introspection, key, certificate, basic } => {
            let mut unseen = None;
            if let Some(jwt) = jwt {
                let (claims, place, proof) = token::hold(alternative, jwt, caller).await?;
                unseen = jwt.proofs.as_deref().zip(proof);
                held.place = Some(place);
                held.key = Some((Arc::clone(&jwt.key_set), claims.key()));
                held.claims = Some(claims);
            }
            if let Some(places) = key {
                let found = hold_key(alternative, places, caller);
                held.subscription = Some(match jwt {
                    Some(_) => found.map_err(Failure::beside_a_token)?,
                    None => found?,
                });
            }
            if let Some(demanded) = certificate {
                let found = certificate::hold(alternative, demanded, caller);
                held.certificate = Some(match (jwt, key) {
                    (None, None) => found?,
                    _ => found.map_err(Failure::beside_the_rest)?,
                });
            }
            // Last, since it is dear: whoever has nothing else has nothing hashed.
            if let Some(basic) = basic {
                let found = login::hold(alternative, basic, caller).await;
                held.login = Some(match (jwt, key, certificate) {
                    (None, None, None) => found?,
                    _ => found.map_err(|failure| failure.beside_the_rest().asking_for(&basic.challenge))?,
                });
            }
            // Dearer still.
            if let Some(asked) = introspection {
                let found = introspected::hold(alternative, asked, caller).await;
                let (found, place) = match (key, certificate, basic) {
                    (None, None, None) => found?,
                    _ => found.map_err(Failure::beside_the_rest)?,
                };
                (held.introspection, held.place) = (Some(found), Some(place));
            }
            // It is used up by this: whoever lacks something else may send it again.
            if let Some((proofs, proof)) = unseen {
                let identity = held.claims.as_ref().map_or("", |claims| claims.identity());
                bonds::is_new(alternative, proofs, (&proof, identity), caller).await?;
            }
        }
    }
    Ok(held)
}

fn hold_key(
    alternative: &Alternative,
    places: &KeyPlaces,
    caller: &Caller<'_>,
) -> Result<(Arc<Subscription>, Digest), Failure> {
    let fail = |progress, reason, message: &str| Failure::new(alternative, progress, reason, message);
    let mut sent = keys_sent(places, caller);
    let Some(key) = sent.next() else {
        return Err(fail(Progress::Absent, Reason::CredentialMissing, "no subscription key was sent"));
    };
    if sent.next().is_some() {
        let mut failure =
            fail(Progress::Unjudged, Reason::CredentialAmbiguous, "the key stands in more than one place");
        failure.rejection.challenges = [HeaderValue::from_static(r#"Sallyport-Key error="invalid_request""#)].into();
        return Err(failure);
    }
    let hash = sha256(&key);
    let Some(subscription) = caller.keys.find(&hash) else {
        return Err(fail(Progress::Invalid, Reason::KeyUnknown, "no subscription has this key"));
    };
    match subscription.opens(&caller.door, caller.now) {
        Ok(()) => Ok((Arc::clone(subscription), hash)),
        Err(reason) => Err(fail(Progress::NotEnough, reason, &format!("subscription {}", subscription.id))),
    }
}

/// Every key in every place that the alternative names.
fn keys_sent<'a>(places: &'a KeyPlaces, caller: &'a Caller<'_>) -> impl Iterator<Item = Cow<'a, [u8]>> {
    let headers = places.headers.iter().flat_map(|name| caller.headers.get_all(name));
    let headers = headers.map(|value| Cow::Borrowed(value.as_bytes()));
    let wanted = |name: &[u8]| places.query_parameters.iter().any(|wanted| wanted.as_bytes() == name);
    // Most policies name no parameter: their queries are not even looked at.
    let query = (!places.query_parameters.is_empty()).then(|| caller.query.decoded());
    headers.chain(query.into_iter().flatten().filter(move |(name, _)| wanted(name)).map(|(_, value)| value))
}

#[cfg(test)]
mod tests;
