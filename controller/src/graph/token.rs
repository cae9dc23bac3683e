//! What a policy asks of a token, as data planes judge it.

use std::time::Duration;

use sallyport_api::condition::Reason;
use sallyport_api::duration::Duration as Written;
use sallyport_api::policy::{Algorithm, Alternative, ClaimRule, Csrf, EntraId, Jwt, TokenPlace, TokenRules};
use sallyport_snapshot::v1::{self, token_place::Place};

use super::{entra_id, sender_constraint};
use crate::problem::{self, Problem};

/// By how much clocks may differ if nobody says.
pub(super) const CLOCK_SKEW: Duration = Duration::from_secs(60);
/// What tells a type's long name from its short one (RFC 7515, 4.1.9).
const LONG: &str = "application/";
/// Where tokens stand if nobody says (RFC 6750, 2.1).
const HEADER: &str = "authorization";
const SCHEME: &str = "Bearer";
/// A token that an alternative asks for.
#[derive(Clone, Copy)]
pub enum Token<'a> {
    Jwt(&'a Jwt),
    EntraId(&'a EntraId),
}

impl<'a> Token<'a> {
    /// What `alternative` asks for, if that is a token, with the name of its member.
    pub fn of(alternative: &'a Alternative) -> Option<(Self, &'static str)> {
        let jwt = alternative.jwt.as_ref().map(|jwt| (Self::Jwt(jwt), "jwt"));
        jwt.or_else(|| alternative.entra_id.as_ref().map(|entra| (Self::EntraId(entra), "entraId")))
    }

    /// What holds whoever the issuer is.
    pub fn rules(self) -> &'a TokenRules {
        match self {
            Self::Jwt(jwt) => &jwt.rules,
            Self::EntraId(entra) => &entra.rules,
        }
    }
}

/// What data planes judge `token` by, whose keys are in the set called `key_set`.
pub fn message(token: Token<'_>, key_set: String, field: &str) -> Result<v1::Jwt, Problem> {
    let rules = token.rules();
    let clock_skew = length(rules.clock_skew.as_ref(), field, "clockSkew")?.unwrap_or(CLOCK_SKEW);
    let max_lifetime = length(rules.max_lifetime.as_ref(), field, "maxLifetime")?;
    let constraint = rules.sender_constraint.as_ref();
    let sender_constraint = constraint.map(|stated| sender_constraint::message(stated, field)).transpose()?;
    judge_places(&rules.from, field)?;
    let (issuer, entra_id) = match token {
        Token::Jwt(jwt) => (jwt.issuer.clone(), None),
        Token::EntraId(entra) => (String::new(), Some(entra_id::message(entra))),
    };
    Ok(v1::Jwt {
        issuer,
        audiences: rules.audiences.clone(),
        audience_unchecked: rules.audience_check.is_some(),
        scopes: rules.scopes.clone(),
        claims: rules.claims.iter().map(claim).collect(),
        algorithms: algorithms(&rules.algorithms),
        clock_skew_s: u32::try_from(clock_skew.as_secs()).unwrap_or(u32::MAX),
        key_set,
        types: rules.types.iter().map(|kind| short(kind)).collect(),
        max_lifetime_ms: max_lifetime.map(|most| u64::try_from(most.as_millis()).unwrap_or(u64::MAX)),
        entra_id,
        decryption_keys: Vec::new(),
        sender_constraint,
    })
}

/// Names of those that are taken: of all, where none is named.
pub(super) fn algorithms(stated: &[Algorithm]) -> Vec<String> {
    let taken = if stated.is_empty() { &Algorithm::ALL[..] } else { stated };
    taken.iter().map(|algorithm| algorithm.as_str().to_owned()).collect()
}

/// Where the token is looked for. Empty: where older data planes look as well.
pub fn places(from: &[TokenPlace]) -> Vec<v1::TokenPlace> {
    let told = |stated: &TokenPlace| {
        let from_other_sites = stated.cookie.as_ref().is_some_and(|cookie| cookie.csrf == Csrf::Off);
        place(stated).map(|place| v1::TokenPlace { place: Some(place), from_other_sites })
    };
    let places: Vec<_> = from.iter().filter_map(told).collect();
    let usual = Place::Header(v1::TokenHeader { name: HEADER.into(), scheme: SCHEME.into() });
    let is_usual = places.iter().all(|one| one.place.as_ref() == Some(&usual));
    if is_usual { Vec::new() } else { places }
}

/// A token that two entries find is always ambiguous.
pub(super) fn judge_places(from: &[TokenPlace], field: &str) -> Result<(), Problem> {
    let places: Vec<_> = from.iter().map(place).collect();
    for (at, one) in places.iter().enumerate() {
        let message = match one {
            None => "this names no place, or several; state exactly one of header, queryParameter, cookie",
            Some(one) if places.iter().take(at).flatten().any(|other| finds_same(one, other)) => {
                "an entry before this one finds the same token; state the place once, or a scheme in both"
            }
            Some(_) => continue,
        };
        return Err(Problem::new(format!("{field}.from[{at}]"), Reason::Invalid, message));
    }
    Ok(())
}

fn place(stated: &TokenPlace) -> Option<Place> {
    match stated {
        TokenPlace { header: Some(header), query_parameter: None, cookie: None } => {
            let name = header.name.to_ascii_lowercase();
            let usual = if name == HEADER { SCHEME } else { "" };
            Some(Place::Header(v1::TokenHeader { name, scheme: header.scheme.clone().unwrap_or_else(|| usual.into()) }))
        }
        TokenPlace { header: None, query_parameter: Some(one), cookie: None } => {
            Some(Place::QueryParameter(one.name.clone()))
        }
        TokenPlace { header: None, query_parameter: None, cookie: Some(one) } => Some(Place::Cookie(one.name.clone())),
        _ => None,
    }
}

fn finds_same(one: &Place, other: &Place) -> bool {
    match (one, other) {
        (Place::Header(one), Place::Header(other)) => {
            let whole = one.scheme.is_empty() || other.scheme.is_empty();
            one.name == other.name && (whole || one.scheme.eq_ignore_ascii_case(&other.scheme))
        }
        _ => one == other,
    }
}

/// What keeps data planes from passing over what they do not know of `alternative`.
pub fn denial_by_older(object: &str, alternative: &v1::Alternative, field: &str) -> Option<v1::Deny> {
    let jwt = alternative.jwt.as_ref()?;
    if let Some(since) = jwt.sender_constraint.as_ref().and_then(sender_constraint::edition) {
        return Some(problem::denial_by_older(object, &format!("{field}.senderConstraint"), since));
    }
    if jwt.entra_id.is_some() {
        return Some(problem::denial_by_older(object, field, 3));
    }
    // Each with the edition of the contract that brought it, the latest first.
    let unknown = [
        ("decryptionKeyRefs", 3, !jwt.decryption_keys.is_empty()),
        ("types", 2, !jwt.types.is_empty()),
        ("maxLifetime", 2, jwt.max_lifetime_ms.is_some()),
        ("from", 2, !alternative.token_places.is_empty()),
    ];
    let (first, since, _) = unknown.into_iter().find(|(.., stated)| *stated)?;
    Some(problem::denial_by_older(object, &format!("{field}.{first}"), since))
}

pub(super) fn length(stated: Option<&Written>, field: &str, name: &str) -> Result<Option<Duration>, Problem> {
    let parsed = stated.map(|length| length.parse()).transpose();
    parsed.map_err(|error| Problem::new(format!("{field}.{name}"), Reason::Invalid, error.to_string()))
}

pub(super) fn claim(rule: &ClaimRule) -> v1::ClaimRule {
    v1::ClaimRule {
        name: rule.name.clone(),
        any_of: rule.any_of.clone(),
        all_of: rule.all_of.clone(),
        none_of: rule.none_of.clone(),
    }
}

/// One spelling for each type.
fn short(kind: &str) -> String {
    let kind = kind.to_ascii_lowercase();
    kind.strip_prefix(LONG).unwrap_or(&kind).to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const FIELD: &str = "spec.authentication[0].jwt";

    fn jwt(more: Value) -> Jwt {
        let mut stated = json!({ "issuer": "https://login.example.com", "audiences": ["orders"] });
        stated.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        serde_json::from_value(stated).unwrap()
    }

    fn judged(more: Value) -> Result<v1::Jwt, Problem> {
        message(Token::Jwt(&jwt(more)), "set".into(), FIELD)
    }

    #[test]
    fn types_have_one_spelling() {
        let found = judged(json!({ "types": ["AT+JWT", "application/at+jwt", "Application/Example"] }));
        assert_eq!(found.unwrap().types, ["at+jwt", "at+jwt", "example"]);
    }

    #[test]
    fn only_what_older_data_planes_would_pass_over_is_denied_there() {
        for (more, denied) in [
            (json!({}), None),
            (json!({ "clockSkew": "10s" }), None),
            (json!({ "from": [{ "header": { "name": "Authorization" } }] }), None),
            (json!({ "types": ["at+jwt"] }), Some("spec.authentication[0].jwt.types")),
            (json!({ "maxLifetime": "1h" }), Some("spec.authentication[0].jwt.maxLifetime")),
            (json!({ "from": [{ "cookie": { "name": "a" } }] }), Some("spec.authentication[0].jwt.from")),
            (
                json!({ "types": ["at+jwt"], "senderConstraint": { "require": "IfBound" } }),
                Some("spec.authentication[0].jwt.senderConstraint"),
            ),
        ] {
            let (jwt, token_places) = (Some(judged(more.clone()).unwrap()), places(&jwt(more.clone()).rules.from));
            let alternative = v1::Alternative { jwt, token_places, ..v1::Alternative::default() };
            let deny = denial_by_older("ApiPolicy shop/orders", &alternative, FIELD);
            assert_eq!(deny.as_ref().map(|deny| &*deny.section), denied, "{more}");
            let since = if more.get("senderConstraint").is_some() { 8 } else { 2 };
            assert!(deny.is_none_or(|deny| deny.since == since && deny.reason() == v1::deny::Reason::Older));
        }
    }

    #[test]
    fn a_header_has_its_own_scheme_unless_one_is_stated() {
        let header = |stated| match place(&serde_json::from_value(json!({ "header": stated })).unwrap()) {
            Some(Place::Header(header)) => format!("{} {}", header.name, header.scheme),
            _ => String::new(),
        };
        assert_eq!(header(json!({ "name": "Authorization" })), "authorization Bearer");
        assert_eq!(header(json!({ "name": "X-Token" })), "x-token ");
        assert_eq!(header(json!({ "name": "X-Token", "scheme": "Token" })), "x-token Token");
    }

    #[test]
    fn a_cookie_is_taken_from_other_sites_only_where_that_is_said() {
        let told = |cookie| places(&jwt(json!({ "from": [{ "cookie": cookie }] })).rules.from)[0].from_other_sites;
        assert!(!told(json!({ "name": "a" })) && !told(json!({ "name": "a", "csrf": "Check" })));
        assert!(told(json!({ "name": "a", "csrf": "Off" })));
    }

    #[test]
    fn no_two_entries_find_the_same_token() {
        let header = |name: &str, scheme: Option<&str>| json!({ "header": { "name": name, "scheme": scheme } });
        let (cookie, parameter) = (json!({ "cookie": { "name": "t" } }), json!({ "queryParameter": { "name": "t" } }));
        for (one, other, is_taken) in [
            (header("X-Token", None), header("X-Other", None), true),
            (header("Authorization", None), header("authorization", Some("Token")), true),
            (cookie.clone(), parameter.clone(), true),
            (header("X-Token", None), header("x-token", None), false),
            (header("X-Token", Some("Token")), header("X-Token", None), false),
            (header("Authorization", None), header("Authorization", Some("BEARER")), false),
            (cookie.clone(), cookie, false),
            (parameter.clone(), parameter, false),
        ] {
            let problem = judged(json!({ "from": [one, other] })).err();
            let field = problem.map(|problem| problem.field);
            assert_eq!(field, (!is_taken).then(|| "spec.authentication[0].jwt.from[1]".to_owned()), "{one} {other}");
        }
        assert!(judged(json!({ "from": [{}] })).is_err());
    }

    #[test]
    fn a_length_that_cannot_be_read_is_told_with_its_field() {
        for name in ["clockSkew", "maxLifetime"] {
            let problem = judged(json!({ name: "an hour" })).unwrap_err();
            assert_eq!(problem.field, format!("spec.authentication[0].jwt.{name}"));
        }
    }
}
