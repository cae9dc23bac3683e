//! The proof that a request may be forwarded. Only [`authorise`] makes one; forwarding consumes it.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use sallyport_expression::Steps;
use smallvec::SmallVec;

use crate::clock::UnixMs;
use crate::credential::CallersToken;
use crate::digest::Digest;
use crate::external_authorization::{Change, Question, Yes};
use crate::introspection::Renewal;
use crate::jwt::{Claims, PublicHalf};
use crate::limit::allowance::Allowance;
use crate::limit::at_once::Place;
use crate::passwords::namespace_of;
use crate::pipeline::authenticate::login::HeldLogin;
use crate::pipeline::authenticate::{self, Caller, Held, HeldCertificate};
use crate::pipeline::authorize::{Expressions, Findings};
use crate::pipeline::hygiene;
use crate::pipeline::limits::{self, Step, Taken};
use crate::pipeline::token_places::Onward;
use crate::pipeline::tokens::Patience;
use crate::rejection::Rejection;
use crate::runtime::keys::Subscription;
use crate::runtime::listener::Gateway;
use crate::runtime::policy::external_authorization::{Asked, ExternalAuthorization};
use crate::runtime::policy::header_changes::Computed;
use crate::runtime::policy::token_place::TokenPlace;
use crate::runtime::policy::{Alternative, Denial, Policy};

/// A request that every level of its policy admits.
pub struct Permit {
    grounds: Grounds,
    held: Held,
    /// Where the tokens stand that held: the nearest level's, then the floors'.
    verified: SmallVec<[Arc<TokenPlace>; 1]>,
    computed: ComputedHeaders,
    answered: Answered,
    /// What the caller may know of limits.
    allowance: Allowance,
}

/// What the policy's expressions have given for headers.
#[derive(Default)]
pub struct ComputedHeaders {
    pub request: Computed,
    pub response: Computed,
}

/// What authorisers have said besides yes, in the order in which it is applied: whoever comes later has the last word.
#[derive(Default)]
pub struct Answered {
    /// From the furthest to the nearest.
    near: Vec<Said>,
    /// From the nearest to the furthest, whose word nobody takes away.
    floors: Vec<Said>,
}

struct Said {
    by: Arc<ExternalAuthorization>,
    yes: Yes,
}

impl Answered {
    /// What those of floors have said comes after all else that policies and filters set.
    pub fn of_near(&self, headers: &mut HeaderMap) {
        self.near.iter().for_each(|said| said.to_backend(headers));
    }

    /// The same of floors.
    pub fn of_floors(&self, headers: &mut HeaderMap) {
        self.floors.iter().for_each(|said| said.to_backend(headers));
    }

    /// On the answer of the service.
    pub fn to_caller(&self, headers: &mut HeaderMap) {
        let all = self.near.iter().chain(&self.floors);
        all.flat_map(|said| &said.yes.to_caller).for_each(|change: &Change| change.make(headers));
    }
}

impl Said {
    /// What it may set nobody else has set, be it that it says nothing of it.
    fn to_backend(&self, headers: &mut HeaderMap) {
        hygiene::take_out(headers, &self.by.headers_to_backend);
        hygiene::take_out(headers, &self.yes.removed);
        let mut own = HeaderMap::new();
        self.yes.to_backend.iter().for_each(|change| change.make(&mut own));
        for (name, value) in &own {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// Whoever asks authorisers.
pub trait Asks {
    /// What comes of it: a yes, or the refusal.
    fn ask(
        &mut self,
        one: &ExternalAuthorization,
        asked: &Asked,
        caller: &Caller<'_>,
        question: Question,
    ) -> impl Future<Output = Result<Yes, Rejection>>;
}

/// What has to go on holding while a permitted request lasts. It permits nothing by itself.
#[derive(Clone)]
pub struct Grounds {
    pub policy: Arc<Policy>,
    /// The client address that its filters let pass.
    pub address: Option<IpAddr>,
    /// Subscriptions that held, each with the key that it held by: the nearest level's, then the floors'.
    pub subscriptions: SmallVec<[(Arc<Subscription>, Digest); 1]>,
    /// Keys that vouch for the tokens that held, each with the set that it is of.
    pub keys: SmallVec<[(Arc<str>, PublicHalf); 1]>,
    /// Certificates that held.
    pub certificates: SmallVec<[HeldCertificate; 1]>,
    /// Tokens that were asked about, and by which their issuers are asked again.
    pub introspections: SmallVec<[Arc<Renewal>; 1]>,
    /// Logins that held.
    pub logins: SmallVec<[HeldLogin; 1]>,
    /// Places among the requests that there may be at once: given back when nobody stands on it any more.
    pub places: SmallVec<[Arc<Place>; 1]>,
    /// The moment at which the first of the credentials ends.
    pub expires: Option<UnixMs>,
}

/// Judges a caller by the policy: addresses first, and what they have used, then who it is, at every level, what it may do, how much it says
/// that it sends, and how much it has used.
pub async fn authorise(
    policy: &Arc<Policy>,
    caller: &Caller<'_>,
    authorizers: &mut impl Asks,
) -> Result<Permit, Rejection> {
    admit_address(policy, caller)?;
    let mut steps = Steps::default();
    let taken = take_unknown(policy, caller, &mut steps).await?;
    let held = authenticate::hold(&policy.authentication, caller).await?;
    let mut floors = SmallVec::<[(Arc<str>, Held); 1]>::new();
    for floor in &policy.floors {
        floors.push((Arc::clone(&floor.object), authenticate::hold(floor, caller).await?));
    }
    let findings = Findings { near: &held, floors: &floors };
    let expressions = Expressions::new(policy, caller, &findings);
    expressions.judge(&mut steps)?;
    admit_length(policy, caller)?;
    let answered = ask_all(&expressions, (policy, caller), authorizers, &mut steps).await?;
    let taken = limits::take((policy, Step::Known), caller, &expressions, &mut steps, taken).await?;
    let Taken { places, allowance } = taken;
    let request = expressions.headers(&policy.request_headers.computed, &mut steps);
    let response = expressions.headers(&policy.response_headers.computed, &mut steps);
    let mut expires = held.expires(caller.now);
    let mut verified: SmallVec<_> = held.place.clone().into_iter().collect();
    let mut subscriptions: SmallVec<_> = held.subscription.clone().into_iter().collect();
    let mut keys: SmallVec<_> = held.key.clone().into_iter().collect();
    let mut certificates: SmallVec<_> = held.certificate.clone().into_iter().collect();
    let mut logins: SmallVec<_> = held.login.clone().into_iter().collect();
    let mut introspections: SmallVec<_> = held.introspection.iter().map(|held| Arc::clone(&held.renewal)).collect();
    for (_, below) in floors {
        expires = earliest(expires, below.expires(caller.now));
        verified.extend(below.place);
        subscriptions.extend(below.subscription);
        keys.extend(below.key);
        certificates.extend(below.certificate);
        logins.extend(below.login);
        introspections.extend(below.introspection.map(|held| held.renewal));
    }
    let policy = Arc::clone(policy);
    let places = places.into_iter().map(Arc::new).collect();
    let grounds = Grounds {
        policy,
        address: caller.address,
        subscriptions,
        keys,
        certificates,
        introspections,
        logins,
        places,
        expires,
    };
    Ok(Permit { grounds, held, verified, computed: ComputedHeaders { request, response }, answered, allowance })
}

/// Each authoriser has to say yes, those of floors first.
async fn ask_all(
    expressions: &Expressions<'_>,
    (policy, caller): (&Policy, &Caller<'_>),
    authorizers: &mut impl Asks,
    steps: &mut Steps,
) -> Result<Answered, Rejection> {
    let (mut near, mut floors) = (Vec::new(), Vec::new());
    for one in &policy.external_authorizations {
        let asked = one.asks.as_ref().map_err(Denial::rejection)?;
        let question = expressions.told(one, asked, steps)?;
        let yes = Box::pin(authorizers.ask(one, asked, caller, question)).await?;
        let said = Said { by: Arc::clone(one), yes };
        if one.is_floor { floors.push(said) } else { near.push(said) }
    }
    floors.reverse();
    Ok(Answered { near, floors })
}

/// What remains to be found out of a request for a policy that is only reported.
#[derive(Default)]
pub struct Rehearsed {
    /// Counted for as long as the request lasts.
    pub places: SmallVec<[Place; 1]>,
    /// To be asked when nobody waits for it any more.
    pub questions: Vec<(Arc<ExternalAuthorization>, Question)>,
}

/// What a policy that is only reported would have said. Gives no permit, and waits for no keys: the live request is not its to delay.
///
/// Where it does not say who may call, its rules know of the caller what is known in earnest. All that is only reported of a request has
/// `steps` together.
pub async fn rehearse(
    policy: &Policy,
    caller: &Caller<'_>,
    (in_force, live): (&Policy, &Held),
    steps: &mut Steps,
) -> Result<Rehearsed, Rejection> {
    // Whoever explains has time, and nobody whom it delays.
    let patience = if caller.asks_nobody { Patience::Waits } else { Patience::AsksOnly };
    let caller = &Caller { patience, beside: Some(in_force), explained: None, ..*caller };
    admit_address(policy, caller)?;
    let taken = take_unknown(policy, caller, steps).await?;
    let mut own = SmallVec::<[(Arc<str>, Held); 1]>::new();
    for authentication in policy.authentications().filter(|one| one.is_stated()) {
        own.push((Arc::clone(&authentication.object), authenticate::hold(authentication, caller).await?));
    }
    let near = own.first().map_or(live, |(_, held)| held);
    let findings = Findings { near, floors: &own };
    let expressions = Expressions::new(policy, caller, &findings);
    expressions.judge(steps)?;
    admit_length(policy, caller)?;
    let mut questions = Vec::new();
    for one in &policy.external_authorizations {
        let asked = one.asks.as_ref().map_err(Denial::rejection)?;
        questions.push((Arc::clone(one), expressions.told(one, asked, steps)?));
    }
    let places = limits::take((policy, Step::Known), caller, &expressions, steps, taken).await?.places;
    Ok(Rehearsed { places, questions })
}

/// What is counted before it is known who calls.
async fn take_unknown(policy: &Policy, caller: &Caller<'_>, steps: &mut Steps) -> Result<Taken, Rejection> {
    if policy.limits.is_empty() {
        return Ok(Taken::default());
    }
    let nobody = Held::default();
    let findings = Findings { near: &nobody, floors: &[] };
    let expressions = Expressions::new(policy, caller, &findings);
    limits::take((policy, Step::Anonymous), caller, &expressions, steps, Taken::default()).await
}

fn admit_length(policy: &Policy, caller: &Caller<'_>) -> Result<(), Rejection> {
    let Some(bound) = &policy.body_bound else { return Ok(()) };
    let admitted = bound.admit(caller.body_bytes);
    if let Some(explanation) = caller.explained {
        explanation.judged(bound.origin(), &admitted);
    }
    admitted
}

/// Who may ask anything of a Gateway: whoever the address filters of its Floors let pass. Judged before the route is matched, so that
/// nobody else learns what there is.
pub fn admit_to_gateway(gateway: &Gateway, address: Option<IpAddr>) -> Result<(), Rejection> {
    gateway.floor_filters.iter().try_for_each(|filter| authenticate::admits(filter, address))
}

/// Who may be redirected: whoever the address filters let pass, as often as limits allow that ask for nobody's name. A route that nobody has
/// spoken about may redirect, since nothing is forwarded; one that is not configured correctly may not.
pub async fn admit_to_redirect(policy: &Policy, caller: &Caller<'_>) -> Result<(), Rejection> {
    match &policy.deny {
        Some(denial) if denial.is_unprotected() => {
            policy.ip_filters.iter().try_for_each(|filter| authenticate::admits(filter, caller.address))?;
        }
        _ => admit_address(policy, caller)?,
    }
    take_unknown(policy, caller, &mut Steps::default()).await.map(drop)
}

fn admit_address(policy: &Policy, caller: &Caller<'_>) -> Result<(), Rejection> {
    if let Some(denial) = &policy.deny {
        return Err(denial.rejection());
    }
    policy.ip_filters.iter().try_for_each(|filter| {
        let admitted = authenticate::admits(filter, caller.address);
        if let Some(explanation) = caller.explained {
            explanation.judged(&filter.origin, &admitted);
        }
        admitted
    })
}

impl Permit {
    /// The policy that admitted.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.grounds.policy
    }

    /// Name of the alternative that held at the nearest level.
    pub fn alternative(&self) -> &Arc<str> {
        &self.held.alternative
    }

    /// Headers in which the policy reads keys: they never travel.
    pub fn key_headers(&self) -> impl Iterator<Item = &http::HeaderName> + Clone {
        self.grounds.policy.key_headers()
    }

    /// What may become of the caller's `Authorization` on its way to a service of `namespace`.
    pub fn callers_token(&self, namespace: &str) -> CallersToken {
        let reads = |alternative: &Alternative| {
            alternative.may_read_a_login() || alternative.token_places.iter().any(|place| place.is_authorization())
        };
        match self.policy().alternatives().any(reads) {
            _ if self.verified.iter().any(|place| place.is_authorization()) => CallersToken::Validated,
            // Whose route it is may not be whose Secret it is.
            _ if self.has_login_of(namespace) => CallersToken::Password,
            true => CallersToken::Unvalidated,
            false => CallersToken::Unread,
        }
    }

    /// Whether passwords of this namespace have held, and of no other.
    fn has_login_of(&self, namespace: &str) -> bool {
        let logins = &self.grounds.logins;
        !logins.is_empty() && logins.iter().all(|login| namespace_of(&login.file) == namespace)
    }

    /// Other places in which tokens are read, and what becomes of what stands there if `verified` tokens travel.
    pub fn token_places(&self, verified: Onward) -> impl Iterator<Item = (&TokenPlace, Onward)> {
        self.policy().token_places.iter().map(move |place| {
            let is_verified = self.verified.iter().any(|one| one.is_within(place));
            (&**place, if is_verified { verified } else { Onward::TakenOut })
        })
    }

    /// The claims of the token that held, if one did.
    pub fn claims(&self) -> Option<&Arc<Claims>> {
        self.held.claims.as_ref()
    }

    /// What was found at the nearest level.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// The subscription that held: the nearest level's, or that of the first floor that has one.
    pub fn subscription(&self) -> Option<&Arc<Subscription>> {
        self.grounds.subscriptions.first().map(|(subscription, _)| subscription)
    }

    /// Takes places along that are counted beside it.
    pub fn keep(&mut self, places: Vec<Place>) {
        self.grounds.places.extend(places.into_iter().map(Arc::new));
    }

    /// What the caller may know of limits; it is there once.
    pub fn take_allowance(&mut self) -> Allowance {
        std::mem::take(&mut self.allowance)
    }

    /// What was computed for headers; it is there once.
    pub fn take_computed(&mut self) -> ComputedHeaders {
        std::mem::take(&mut self.computed)
    }

    /// What authorisers have set; it is there once.
    pub fn take_answered(&mut self) -> Answered {
        std::mem::take(&mut self.answered)
    }

    /// Uses the permit up; what it stands on goes on being looked at.
    pub fn into_grounds(self) -> Grounds {
        self.grounds
    }
}

impl Grounds {
    /// Whether a policy in the place of the one that admitted would admit as well: it asks for the same, and lets the address pass.
    pub fn hold_under(&self, current: &Policy) -> bool {
        current.hash == self.policy.hash
            || current.asked == self.policy.asked
                && current.deny.is_none()
                && current.ip_filters.iter().all(|filter| authenticate::admits(filter, self.address).is_ok())
    }
}

/// The earlier of two ends, where `None` is no end.
pub fn earliest(one: Option<UnixMs>, other: Option<UnixMs>) -> Option<UnixMs> {
    one.into_iter().chain(other).min()
}
