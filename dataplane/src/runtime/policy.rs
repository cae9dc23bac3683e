//! The executable form of a `Policy` resource: everything that can fail to parse has been parsed.

pub mod authorization;
pub mod basic;
pub mod body_bound;
pub mod computed;
mod denial;
pub mod external_authorization;
pub mod header_changes;
pub mod ip_filter;
pub mod limit;
pub mod token;
pub mod token_place;

use std::collections::HashSet;
use std::sync::Arc;

use http::header::{self, HeaderName, HeaderValue};
use prost::Message as _;
use sallyport_snapshot::Hash;
use sallyport_snapshot::v1::{self, proofs::Memory};

use crate::client_certificate::Demanded;
use crate::cors::Cors;
use crate::introspection::Introspection;
use crate::jwt::{MAX_DECRYPTION_KEYS, proof};
use crate::limit::registry::Registry;
use crate::rejection::{Origin, Reason, Rejection};
use crate::server::pace::upload::Progress;
use authorization::Authorization;
use basic::Basic;
use body_bound::BodyBound;
pub use denial::Denial;
pub(crate) use denial::in_force;
use external_authorization::ExternalAuthorization;
use header_changes::HeaderChanges;
use ip_filter::IpFilter;
use limit::Limit;
pub use token::Jwt;
use token_place::TokenPlace;

/// What asks for a subscription key.
pub const KEY_CHALLENGE: &str = r#"Sallyport-Key realm="sallyport""#;

static PROOF: HeaderName = proof::HEADER;

/// What holds for a rule of a route on a listener.
pub struct Policy {
    /// Name of the resource.
    pub name: Arc<str>,
    /// Content of the resource.
    pub hash: Hash,
    /// Content of what it asks a caller to show: a stream ends when the policy that admitted it asks for something else.
    pub asked: Hash,
    /// The objects that take part, joined, for the log.
    pub objects: Arc<str>,
    /// Present: nothing passes.
    pub deny: Option<Denial>,
    /// Each has to let the client address pass.
    pub ip_filters: Vec<IpFilter>,
    /// The nearest level's; empty admits nobody.
    pub authentication: Authentication,
    /// Each has to hold as well.
    pub floors: Vec<Authentication>,
    /// Each rule of each has to hold, once it is known who calls.
    pub authorizations: Vec<Authorization>,
    /// Each has to say yes, asked in this order.
    pub external_authorizations: Vec<Arc<ExternalAuthorization>>,
    /// Where any alternative in force reads a token, `Authorization` left out: each place once.
    pub token_places: Vec<Arc<TokenPlace>>,
    /// Set on, or removed from, the request to the service.
    pub request_headers: HeaderChanges,
    /// The same of the service's answer.
    pub response_headers: HeaderChanges,
    /// Which pages of other sites may read answers, and whether a policy of the rule itself says so.
    pub cors: Option<Cors>,
    pub is_cors_of_rule: bool,
    /// Each has to allow it as well.
    pub floor_cors: Vec<Cors>,
    /// How large the body of a request may be.
    pub body_bound: Option<BodyBound>,
    /// Each has to have room.
    pub limits: Vec<Limit>,
    /// Whether proofs have to hold numbers of the Gateway: a service's own are of no use then.
    pub hands_out_nonces: bool,
    /// Whether a stream ends with the credential that admitted it.
    pub end_on_expiry: bool,
    /// Policies that are evaluated beside this one and only reported.
    pub rehearsals: Vec<Policy>,
}

/// Alternatives in the order in which they are tried.
#[derive(Default)]
pub struct Authentication {
    pub object: Arc<str>,
    pub alternatives: Vec<Alternative>,
    /// What a caller without any credential is told.
    pub challenges: Vec<HeaderValue>,
}

/// One way in.
pub struct Alternative {
    pub origin: Origin,
    pub name: Arc<str>,
    /// Where its token is read, also if it never holds.
    pub token_places: Vec<Arc<TokenPlace>>,
    pub demand: Demand,
}

/// What an alternative asks for.
pub enum Demand {
    Unavailable(Denial),
    Public,
    /// All that is present has to hold; at least one is.
    Credentials {
        jwt: Option<Box<Jwt>>,
        introspection: Option<Arc<Introspection>>,
        key: Option<KeyPlaces>,
        certificate: Option<Arc<Demanded>>,
        basic: Option<Box<Basic>>,
    },
}

/// Where a subscription key is looked for.
pub struct KeyPlaces {
    pub headers: Vec<HeaderName>,
    pub query_parameters: Vec<Arc<str>>,
}

impl Policy {
    /// Parses the resource. What does not parse is named, with the object and field, and denies in its own place: the whole
    /// policy, or a rehearsal alone. What limits count is kept in `registry`.
    pub fn build(name: &Arc<str>, hash: Hash, policy: &v1::Policy, registry: &mut Registry) -> (Self, Option<String>) {
        let mut problems = Vec::new();
        let mut rehearsals = Vec::with_capacity(policy.rehearsals.len());
        for one in &policy.rehearsals {
            rehearsals.push(rehearsal(one, hash, registry, &mut problems));
        }
        let built = Self::parse(name, hash, policy, registry).unwrap_or_else(|why| {
            let denied = Self::denied(name, &why);
            problems.push(why);
            denied
        });
        (Self { rehearsals, ..built }, joined(&problems))
    }

    /// What is in force of the resource.
    fn parse(name: &Arc<str>, hash: Hash, policy: &v1::Policy, registry: &mut Registry) -> Result<Self, String> {
        let request = (policy.request_headers.as_ref(), policy.computed_request_headers.as_slice());
        let response = (policy.response_headers.as_ref(), policy.computed_response_headers.as_slice());
        let deny = match (in_force(policy.deny.as_ref()), &policy.authentication) {
            (Some(deny), _) => Some(Denial::new(deny)),
            (None, Some(_)) => None,
            (None, None) => return Err(format!("policy {name} neither denies nor authenticates")),
        };
        let mut authentication =
            policy.authentication.as_ref().map(Authentication::build).transpose()?.unwrap_or_default();
        let mut floors = policy.floors.iter().map(Authentication::build).collect::<Result<Vec<_>, _>>()?;
        remember_together(std::iter::once(&mut authentication).chain(&mut floors).collect());
        if decryption_keys(policy) > MAX_DECRYPTION_KEYS {
            return Err(format!(
                "policy {name} has more than {MAX_DECRYPTION_KEYS} decryption keys together; name fewer"
            ));
        }
        Ok(Self {
            name: Arc::clone(name),
            hash,
            asked: asked(policy),
            objects: policy.objects.join(", ").into(),
            deny,
            ip_filters: policy.ip_filters.iter().map(IpFilter::build).collect::<Result<_, _>>()?,
            token_places: token_places(std::iter::once(&authentication).chain(&floors)),
            hands_out_nonces: std::iter::once(&authentication).chain(&floors).any(Authentication::hands_out_nonces),
            authentication,
            floors,
            authorizations: policy.authorizations.iter().map(Authorization::build).collect::<Result<_, _>>()?,
            external_authorizations: ExternalAuthorization::all(&policy.external_authorizations)?,
            request_headers: HeaderChanges::build(request, "requestHeaders")?,
            response_headers: HeaderChanges::build(response, "responseHeaders")?,
            cors: policy.cors.as_deref().map(Cors::build),
            is_cors_of_rule: policy.is_cors_of_rule,
            floor_cors: policy.floor_cors.iter().map(Cors::build).collect(),
            body_bound: policy.request.as_deref().and_then(BodyBound::build),
            limits: Limit::all(&policy.limits, registry)?,
            end_on_expiry: policy.streams.as_ref().is_none_or(|streams| streams.end_on_expiry),
            rehearsals: Vec::new(),
        })
    }

    /// Stands in for a policy that is absent or was rejected.
    pub fn denied(name: &Arc<str>, why: &str) -> Self {
        Self {
            name: Arc::clone(name),
            hash: Hash::of_bytes(why.as_bytes()),
            asked: Hash::of_bytes(why.as_bytes()),
            objects: Arc::clone(name),
            deny: Some(Denial::configuration(name, why)),
            ip_filters: Vec::new(),
            authentication: Authentication::default(),
            floors: Vec::new(),
            authorizations: Vec::new(),
            external_authorizations: Vec::new(),
            token_places: Vec::new(),
            request_headers: HeaderChanges::default(),
            response_headers: HeaderChanges::default(),
            cors: None,
            is_cors_of_rule: false,
            floor_cors: Vec::new(),
            body_bound: None,
            limits: Vec::new(),
            hands_out_nonces: false,
            end_on_expiry: true,
            rehearsals: Vec::new(),
        }
    }

    /// Every way in that is in force: the nearest level's, then the floors'.
    pub fn authentications(&self) -> impl Iterator<Item = &Authentication> + Clone {
        std::iter::once(&self.authentication).chain(&self.floors)
    }

    /// What the caller is told where the exchange has failed because of the request's body.
    pub(crate) fn refusal_of(&self, upload: &Progress) -> Option<Rejection> {
        let refusal = upload.refusal()?;
        Some(match &self.body_bound {
            Some(bound) if refusal.reason == Reason::BodyTooLarge => {
                bound.rejection(&format!("{} bytes came, the last of which were not handed on", upload.bytes()))
            }
            _ => refusal,
        })
    }

    /// Query parameters in which keys and tokens are read.
    pub fn key_parameters(&self) -> impl Iterator<Item = &str> {
        let keys = self.alternatives().flat_map(|alternative| match &alternative.demand {
            Demand::Credentials { key: Some(places), .. } => places.query_parameters.as_slice(),
            _ => &[],
        });
        let tokens = self.token_places.iter().filter_map(|place| place.query_parameter());
        keys.map(|name| &**name).chain(tokens)
    }

    /// Headers in which keys, tokens and passwords are read.
    pub fn credential_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let others = self.alternatives().flat_map(|alternative| {
            let tokens = alternative.token_places.iter().filter_map(|place| place.header());
            let proofs = alternative.demand.jwt().filter(|jwt| jwt.proofs.is_some()).map(|_| &PROOF);
            tokens.chain(alternative.may_read_a_login().then_some(&header::AUTHORIZATION)).chain(proofs)
        });
        self.key_headers().chain(others)
    }

    /// The same, and those in which a key is read only to report what would come of it.
    pub fn shown_key_parameters(&self) -> impl Iterator<Item = &str> {
        self.key_parameters().chain(self.rehearsals.iter().flat_map(Self::key_parameters))
    }

    /// Headers in which keys are read.
    pub fn key_headers(&self) -> impl Iterator<Item = &HeaderName> + Clone {
        self.alternatives().flat_map(|alternative| match &alternative.demand {
            Demand::Credentials { key: Some(places), .. } => places.headers.as_slice(),
            _ => &[],
        })
    }

    /// What only the gateway may say to the service: headers that are set, and those that authorisers answer.
    pub fn identity_headers(&self) -> impl Iterator<Item = &HeaderName> + Clone {
        let answered = self.external_authorizations.iter().flat_map(|one| &one.headers_to_backend);
        self.request_headers.names().chain(answered)
    }

    /// The largest body that each of those takes who are shown it, and the first whose that is; absent where nobody is.
    pub fn shown_body(&self) -> Option<(u64, &Arc<ExternalAuthorization>)> {
        let shown = self.external_authorizations.iter();
        let shown = shown.filter_map(|one| Some((one.asks.as_ref().ok()?.max_body_bytes?, one)));
        shown.min_by_key(|(most, _)| *most)
    }

    /// Every alternative in force.
    pub fn alternatives(&self) -> impl Iterator<Item = &Alternative> + Clone {
        self.authentications().flat_map(|one| &one.alternatives)
    }
}

/// What is only said of it, and where it stands in a text, asks for nothing.
fn asked(policy: &v1::Policy) -> Hash {
    let v1::Policy { mut authentication, mut floors, mut authorizations, mut external_authorizations, .. } =
        policy.clone();
    let alternatives = authentication.iter_mut().chain(&mut floors).flat_map(|one| &mut one.alternatives);
    // By which key a token is opened, nobody is asked.
    alternatives.filter_map(|one| one.jwt.as_mut()).for_each(|jwt| jwt.decryption_keys.clear());
    for rule in authorizations.iter_mut().flat_map(|one| &mut one.rules) {
        rule.message.clear();
        let nodes = [&mut rule.when, &mut rule.require].into_iter().flatten().flat_map(|one| &mut one.nodes);
        nodes.for_each(|node| node.at = 0);
    }
    let told = external_authorizations.iter_mut().flat_map(|one| &mut one.context);
    let computed = told.filter_map(|entry| match &mut entry.value {
        Some(v1::authorizer_context::Value::Expression(expression)) => Some(expression),
        _ => None,
    });
    computed.flat_map(|one| &mut one.nodes).for_each(|node| node.at = 0);
    let asked = v1::Policy { authentication, floors, authorizations, external_authorizations, ..v1::Policy::default() };
    Hash::of_bytes(&asked.encode_to_vec())
}

/// Private keys that meet in a policy, each once.
fn decryption_keys(policy: &v1::Policy) -> usize {
    let alternatives = policy.authentication.iter().chain(&policy.floors).flat_map(|one| &one.alternatives);
    let keys = alternatives.filter_map(|one| one.jwt.as_ref()).flat_map(|jwt| &jwt.decryption_keys);
    keys.filter_map(|key| key.pkcs8.as_ref()).map(|secret| &secret.value).collect::<HashSet<_>>().len()
}

impl Authentication {
    /// Whether an object has stated it, be it as an empty list.
    pub fn is_stated(&self) -> bool {
        !self.object.is_empty()
    }

    fn hands_out_nonces(&self) -> bool {
        let mut proofs = self.alternatives.iter().filter_map(|one| one.demand.jwt()?.proofs.as_deref());
        proofs.any(|proofs| proofs.rules.nonce_required)
    }

    fn build(authentication: &v1::Authentication) -> Result<Self, String> {
        let object: Arc<str> = authentication.object.as_str().into();
        let alternatives: Vec<_> = authentication
            .alternatives
            .iter()
            .map(|alternative| Alternative::build(&object, alternative))
            .collect::<Result<_, _>>()?;
        let challenges = challenges(&alternatives);
        Ok(Self { object, alternatives, challenges })
    }
}

impl Alternative {
    /// Whether it reads user names and passwords, or may have: what never holds does not say what it would ask for.
    pub fn may_read_a_login(&self) -> bool {
        matches!(self.demand, Demand::Unavailable(_)) || self.demand.basic().is_some()
    }

    fn build(object: &Arc<str>, alternative: &v1::Alternative) -> Result<Self, String> {
        let name: Arc<str> = alternative.name.as_str().into();
        let origin = Origin {
            object: Arc::clone(object),
            section: "authentication",
            rule: Arc::clone(&name),
            message: String::new(),
        };
        let told = |error| format!("{object} authentication[{name}]: {error}");
        let demand = Demand::build(object, alternative).map_err(told)?;
        let token_places = TokenPlace::all(alternative).map_err(told)?;
        Ok(Self { origin, name: Arc::clone(&name), token_places, demand })
    }
}

impl Demand {
    /// The login that is asked for.
    pub fn basic(&self) -> Option<&Basic> {
        match self {
            Self::Credentials { basic, .. } => basic.as_deref(),
            Self::Unavailable(_) | Self::Public => None,
        }
    }

    /// The token that is asked for.
    pub fn jwt(&self) -> Option<&Jwt> {
        match self {
            Self::Credentials { jwt, .. } => jwt.as_deref(),
            Self::Unavailable(_) | Self::Public => None,
        }
    }

    /// Who is asked about a token.
    pub fn introspection(&self) -> Option<&Introspection> {
        match self {
            Self::Credentials { introspection, .. } => introspection.as_deref(),
            Self::Unavailable(_) | Self::Public => None,
        }
    }

    fn build(object: &str, alternative: &v1::Alternative) -> Result<Self, String> {
        let v1::Alternative { jwt, introspection, subscription_key, client_certificate, basic, .. } = alternative;
        if let Some(deny) = in_force(alternative.unavailable.as_ref()) {
            return Ok(Self::Unavailable(Denial::new(deny)));
        }
        let is_bare = jwt.is_none()
            && introspection.is_none()
            && subscription_key.is_none()
            && client_certificate.is_none()
            && basic.is_none();
        match (alternative.public, is_bare) {
            (true, true) => return Ok(Self::Public),
            (false, true) => return Err("asks for nothing and is not public".to_owned()),
            (true, false) => return Err("is public and asks for a credential".to_owned()),
            (false, false) => {}
        }
        if jwt.is_some() && introspection.is_some() {
            return Err("asks for two tokens".to_owned());
        }
        let by_itself = jwt.is_none() && introspection.is_none() && subscription_key.is_none();
        let introspection = introspection.as_ref().map(|asked| Introspection::build(object, asked)).transpose()?;
        Ok(Self::Credentials {
            jwt: jwt.as_ref().map(|jwt| Jwt::build(object, jwt)).transpose()?.map(Box::new),
            introspection: introspection.map(Arc::new),
            key: subscription_key.as_ref().map(KeyPlaces::build).transpose()?,
            certificate: client_certificate.as_ref().map(Demanded::build).transpose()?.map(Arc::new),
            basic: basic.as_ref().map(|basic| Basic::build(basic, by_itself)).transpose()?.map(Box::new),
        })
    }
}

impl KeyPlaces {
    fn build(key: &v1::SubscriptionKey) -> Result<Self, String> {
        let header =
            |name: &String| HeaderName::try_from(name).map_err(|_| format!("subscriptionKey.headers: {name:?}"));
        Ok(Self {
            headers: key.headers.iter().map(header).collect::<Result<_, _>>()?,
            query_parameters: key.query_parameters.iter().map(|name| name.as_str().into()).collect(),
        })
    }
}

/// Where one of them has proofs remembered in the store, all do: what one took in a replica another would take in the next.
fn remember_together(authentications: Vec<&mut Authentication>) {
    let alternatives = authentications.into_iter().flat_map(|one| &mut one.alternatives);
    let proofs = alternatives.filter_map(|one| match &mut one.demand {
        Demand::Credentials { jwt: Some(jwt), .. } => jwt.proofs.as_deref_mut(),
        _ => None,
    });
    let mut proofs: Vec<_> = proofs.collect();
    if proofs.iter().any(|one| one.rules.memory != Memory::Own) {
        let own = proofs.iter_mut().filter(|one| one.rules.memory == Memory::Own);
        own.for_each(|one| one.rules.memory = Memory::SharedIfAny);
    }
}

/// Where tokens are read besides `Authorization`.
fn token_places<'a>(authentications: impl Iterator<Item = &'a Authentication>) -> Vec<Arc<TokenPlace>> {
    let mut places = Vec::<Arc<TokenPlace>>::new();
    for place in authentications.flat_map(|one| &one.alternatives).flat_map(|one| &one.token_places) {
        if !place.is_authorization() && !places.iter().any(|known| known.is_within(place)) {
            places.push(Arc::clone(place));
        }
    }
    places
}

/// A policy that is only reported. What does not parse of it denies nothing but the rehearsal, which then tells so.
fn rehearsal(rehearsal: &v1::Rehearsal, hash: Hash, registry: &mut Registry, problems: &mut Vec<String>) -> Policy {
    let object: Arc<str> = rehearsal.object.as_str().into();
    let (built, problem) = match &rehearsal.policy {
        Some(policy) => Policy::build(&object, hash, policy, registry),
        None => (Policy::denied(&object, "it has no content"), Some("it has no content".to_owned())),
    };
    problems.extend(problem.map(|why| format!("rehearsal of {object}: {why}")));
    built
}

/// All problems of a resource as one text; `None` where there is none.
pub(super) fn joined(problems: &[String]) -> Option<String> {
    (!problems.is_empty()).then(|| problems.join("; "))
}

/// What `WWW-Authenticate` offers a caller who sent nothing: each scheme once.
fn challenges(alternatives: &[Alternative]) -> Vec<HeaderValue> {
    let asks = |wanted: fn(&Demand) -> bool| alternatives.iter().any(|alternative| wanted(&alternative.demand));
    let bearer = asks(|demand| demand.jwt().is_some_and(|jwt| jwt.takes_bare_ones) || demand.introspection().is_some());
    let key = asks(|demand| matches!(demand, Demand::Credentials { key: Some(_), .. }));
    let bearer = bearer.then(|| HeaderValue::from_static(r#"Bearer realm="sallyport""#));
    let proofs = alternatives.iter().find_map(|alternative| alternative.demand.jwt()?.proofs.as_deref());
    let login = alternatives.iter().find_map(|alternative| alternative.demand.basic());
    let key = key.then(|| HeaderValue::from_static(KEY_CHALLENGE));
    let proof = proofs.map(|proofs| proofs.asked_for.clone());
    bearer.into_iter().chain(proof).chain(login.map(|basic| basic.challenge.clone())).chain(key).collect()
}

#[cfg(test)]
mod tests {
    use sallyport_snapshot::EDITION;
    use sallyport_snapshot::v1::deny;

    use super::*;

    fn open() -> v1::Policy {
        let anybody = v1::Alternative { name: "open".into(), public: true, ..v1::Alternative::default() };
        let authentication = v1::Authentication { object: "ApiPolicy shop/open".into(), alternatives: vec![anybody] };
        v1::Policy { authentication: Some(authentication), ..v1::Policy::default() }
    }

    fn built(policy: &v1::Policy) -> (Policy, Option<String>) {
        Policy::build(&"orders".into(), Hash::of_bytes(b""), policy, &mut Registry::default())
    }

    fn filter() -> v1::IpFilter {
        v1::IpFilter { object: "ApiPolicy shop/next".into(), allow: vec!["nowhere".into()], ..v1::IpFilter::default() }
    }

    #[test]
    fn what_is_denied_to_older_data_planes_is_not_denied_here_and_what_a_newer_one_knows_is() {
        for (reason, since, denied) in [
            (deny::Reason::Older, 0, false),
            (deny::Reason::Older, EDITION, false),
            (deny::Reason::Older, EDITION + 1, true),
            (deny::Reason::Configuration, 0, true),
            (deny::Reason::Unspecified, EDITION, true),
        ] {
            let deny = Some(v1::Deny { reason: reason.into(), since, ..v1::Deny::default() });
            let (policy, problem) = built(&v1::Policy { deny, ..open() });
            assert_eq!((policy.deny.is_some(), problem), (denied, None), "{reason:?} {since}");
        }
        let unknown = Some(v1::Deny { reason: 4711, ..v1::Deny::default() });
        assert!(built(&v1::Policy { deny: unknown, ..open() }).0.deny.is_some());
    }

    #[test]
    fn an_alternative_that_a_newer_data_plane_knows_holds_nobody_here() {
        let denied = |since| {
            let deny = Some(v1::Deny { reason: deny::Reason::Older.into(), since, ..v1::Deny::default() });
            let asked = v1::Alternative { unavailable: deny, public: true, ..v1::Alternative::default() };
            matches!(Demand::build("ApiPolicy shop/a", &asked), Ok(Demand::Unavailable(_)))
        };
        assert_eq!([0, EDITION, EDITION + 1, u32::MAX].map(denied), [false, false, true, true]);
    }

    #[test]
    fn what_is_only_said_of_a_rule_ends_no_stream() {
        let asked = |message: &str, at: u32, holds: bool| {
            let node = v1::ExpressionNode { at, node: Some(v1::expression_node::Node::Bool(holds)) };
            let require = Some(v1::Expression { nodes: vec![node] });
            let rule = v1::AuthorizationRule { message: message.into(), require, ..v1::AuthorizationRule::default() };
            let authorization = v1::Authorization { rules: vec![rule], ..v1::Authorization::default() };
            built(&v1::Policy { authorizations: vec![authorization], ..open() }).0.asked
        };
        assert_eq!(asked("", 0, true), asked("ask us", 4, true));
        assert_ne!(asked("", 0, true), asked("", 0, false));
    }

    #[test]
    fn a_policy_that_does_not_parse_denies_and_says_why() {
        let (policy, problem) = built(&v1::Policy { ip_filters: vec![filter()], ..open() });
        assert!(policy.deny.is_some());
        assert!(problem.is_some_and(|why| why.contains("nowhere")));
        assert!(built(&v1::Policy::default()).0.deny.is_some(), "it says nothing at all");
        assert!(built(&open()).1.is_none());
    }

    #[test]
    fn a_rehearsal_that_does_not_parse_denies_in_its_own_place() {
        let broken = v1::Policy { ip_filters: vec![filter()], ..open() };
        let rehearsals = [Some(broken), Some(open()), None, Some(v1::Policy::default())];
        let rehearsals = rehearsals.into_iter().enumerate();
        let rehearsals =
            rehearsals.map(|(at, policy)| v1::Rehearsal { object: format!("ApiPolicy shop/{at}"), policy }).collect();
        let (policy, problem) = built(&v1::Policy { rehearsals, ..open() });
        assert!(policy.deny.is_none(), "the live policy goes on");
        assert_eq!(
            policy.rehearsals.iter().map(|one| one.deny.is_some()).collect::<Vec<_>>(),
            [true, false, true, true]
        );
        let why = problem.unwrap();
        for (at, named) in [(0, true), (1, false), (2, true), (3, true)] {
            assert_eq!(why.contains(&format!("ApiPolicy shop/{at}")), named, "{why}");
        }
    }
}
