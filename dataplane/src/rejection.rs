//! Why a request is refused, and the one table that says what that means: status, stable code, and what the caller may read.
//!
//! The code is the `reason` of the problem body, of the access log and of the metric. What the operator must read stands in
//! [`Origin`] and never leaves through a response.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use http::header::{HeaderMap, HeaderValue};

use crate::limit::allowance::Allowance;

/// A refusal on its way to the caller.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// What it is, for the table.
    pub reason: Reason,
    /// Who decided, for the log.
    pub origin: Origin,
    /// `WWW-Authenticate`, one value for each scheme that could help.
    pub challenges: Box<[HeaderValue]>,
    /// `Retry-After` in seconds; who has to wait for longer may ask once more after that.
    pub retry_after_s: Option<u16>,
    /// What the caller is told instead of the table's words.
    pub told: Option<Arc<Told>>,
    /// What is left of the limits that the caller may know of.
    pub allowance: Option<Box<Allowance>>,
}

/// The words of whoever refuses.
#[derive(Clone, Debug)]
pub enum Told {
    /// In place of the detail.
    Detail(String),
    /// In place of all: an authoriser's.
    Answer(Passed),
}

/// An answer in somebody else's words.
#[derive(Clone)]
pub struct Passed {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The object, section and rule that refused, in the operator's words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// E.g. "ApiPolicy shop/orders"; empty where no object decided.
    pub object: Arc<str>,
    /// The field of the object's spec.
    pub section: &'static str,
    /// Which entry of the section, e.g. the name of an alternative.
    pub rule: Arc<str>,
    /// What was found, and the cure.
    pub message: String,
}

/// Nobody logs what it says.
impl fmt::Debug for Passed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passed").field("status", &self.status).finish_non_exhaustive()
    }
}

impl Rejection {
    /// A refusal that no object of the configuration decided.
    pub fn plain(reason: Reason) -> Self {
        Self {
            reason,
            origin: Origin::default(),
            challenges: Box::default(),
            retry_after_s: None,
            told: None,
            allowance: None,
        }
    }

    /// A refusal with a word for the operator.
    pub fn because(reason: Reason, message: impl Into<String>) -> Self {
        Self { origin: Origin { message: message.into(), ..Origin::default() }, ..Self::plain(reason) }
    }

    /// `Authorization` stands in a request more than once (RFC 6750, 3.1).
    pub fn of_two_authorizations(message: impl Into<String>) -> Self {
        let invalid = HeaderValue::from_static(r#"Bearer error="invalid_request""#);
        Self { challenges: [invalid].into(), ..Self::because(Reason::CredentialAmbiguous, message) }
    }

    /// A refusal that `origin` decided.
    pub fn decided_by(origin: Origin, reason: Reason) -> Self {
        Self { origin, ..Self::plain(reason) }
    }
}

/// The namespace of an object that is called "Kind namespace/name".
pub(crate) fn namespace_of(object: &str) -> &str {
    object.rsplit(' ').next().and_then(|name| name.split('/').next()).unwrap_or_default()
}

impl Origin {
    /// This origin with what was found.
    pub fn with_message(&self, message: impl Into<String>) -> Self {
        Self { message: message.into(), ..self.clone() }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.reason.code())?;
        if !self.origin.message.is_empty() {
            write!(f, ": {}", self.origin.message)?;
        }
        Ok(())
    }
}

/// What each reason means to the caller.
pub struct Meaning {
    /// Status of the response.
    pub status: StatusCode,
    /// Stable code: `reason` in the body, the log and the metric.
    pub code: &'static str,
    /// `title` of the problem, the same for every occurrence (RFC 9457, 3.1.3).
    pub title: &'static str,
    /// `detail` of the problem: helps an honest caller, tells an attacker nothing.
    pub detail: &'static str,
    /// When it is the answer, for the reference page.
    pub when: &'static str,
    /// What whoever runs the gateway can do about it, for the reference page.
    pub cure: &'static str,
}

/// Statuses that no RFC knows. None of them is ever sent.
trait Unsent {
    /// As nginx logs it.
    const CALLER_GONE: StatusCode;
}

impl Unsent for StatusCode {
    const CALLER_GONE: StatusCode = match StatusCode::from_u16(499) {
        Ok(status) => status,
        Err(_) => StatusCode::BAD_REQUEST,
    };
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $variant:ident => $status:ident, $code:literal, $title:literal, $detail:literal, $cure:literal;)*) => {
        /// Every way in which a request can be refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $variant,)*
        }

        impl Reason {
            /// All of them, in the order of the reference page.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The row of the table.
            pub fn meaning(self) -> Meaning {
                match self {
                    $(Self::$variant => Meaning {
                        status: StatusCode::$status, code: $code, title: $title, detail: $detail, cure: $cure,
                        when: concat!($($doc),+),
                    },)*
                }
            }
        }
    };
}

reasons! {
    /// The bytes or fields of the request are not what HTTP allows, or can be read in two ways.
    Malformed => BAD_REQUEST, "malformed-request", "Malformed request",
        "The request is not valid HTTP, or can be read in more than one way.",
        "The log names what was found. A client that sends it has to be mended: the gateway takes no such bytes from anybody.";
    /// A request body broke off or broke its framing.
    BodyBroken => BAD_REQUEST, "request-body-broken", "Request body broken",
        "The request body ended early or its framing is wrong.",
        "The client or a proxy in front broke off. If it is frequent, look at their time-outs.";
    /// The head did not arrive in time.
    HeadTooSlow => REQUEST_TIMEOUT, "request-head-timeout", "Request head timed out",
        "The request head did not arrive in time.",
        "Raise `bounds.headerTimeout` if honest clients are that slow.";
    /// Of the request body came nothing, or too little, for too long.
    BodyTooSlow => REQUEST_TIMEOUT, "request-body-timeout", "Request body timed out",
        "The request body did not arrive in time.",
        "Raise `bounds.bodyTimeout` if honest clients pause for longer, or send less than 1 KiB in it.";
    /// The body is larger than `request.maxBodyBytes` of a policy in force.
    BodyTooLarge => PAYLOAD_TOO_LARGE, "body-too-large", "Request body too large",
        "The request body is larger than this API takes.",
        "The log names the policy and the length. Raise its `request.maxBodyBytes`, or have the client send less at once.";
    /// Over the bound on the request target.
    TargetTooLong => URI_TOO_LONG, "target-too-long", "Request target too long",
        "The request target is longer than this gateway takes.",
        "8 KiB is the bound, and none can be set: what the query holds belongs into a body.";
    /// Over the bounds on header bytes or header count.
    HeadTooLarge => REQUEST_HEADER_FIELDS_TOO_LARGE, "head-too-large", "Request head too large",
        "The request head is larger, or has more fields, than this gateway takes.",
        "Look for cookies that have piled up; or raise `bounds.maxHeaderBytes` or `bounds.maxHeaders`.";
    /// An expectation other than `100-continue`.
    ExpectationUnknown => EXPECTATION_FAILED, "expectation-unknown", "Unknown expectation",
        "Only the expectation 100-continue is known.",
        "The client has to leave `Expect` out.";
    /// A method that this gateway does not serve, such as CONNECT.
    MethodUnsupported => NOT_IMPLEMENTED, "method-unsupported", "Method not supported",
        "This gateway does not serve the method.",
        "CONNECT is not served here; let such clients use a proxy.";
    /// TRACE and its like, which would show the caller what the gateway tells the service.
    MethodNotAllowed => METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed",
        "The method is not allowed here.",
        "The client has to leave the method alone: `Allow` in the answer names those that are handed on.";
    /// The host belongs to a listener whose TLS settings are not those of the connection (RFC 9110, 15.5.20).
    Misdirected => MISDIRECTED_REQUEST, "misdirected-request", "Misdirected request",
        "The connection was made for another host. Open a new one.",
        "Nothing: clients open another connection. If it is frequent, one certificate covers hosts of several listeners.";
    /// The request has passed this gateway before (RFC 5842, 7.2; RFC 8586).
    LoopDetected => LOOP_DETECTED, "loop-detected", "Loop detected",
        "The request came back to where it came from. Nothing was forwarded.",
        "The service of the route leads back to this gateway: correct the Backend or the Service that the log names as route.";
    /// No rule of any route matches.
    NoRoute => NOT_FOUND, "no-route", "Not found",
        "Nothing is served here.",
        "See whether the route is attached (`Accepted`) and its hostname, path, method, headers and query match.";
    /// An `ipFilter` does not let the client address pass, or the address cannot be read.
    AddressDenied => FORBIDDEN, "address-denied", "Address not allowed",
        "Requests from this address are not allowed.",
        "The log names the policy and the filter. Behind a proxy, list it in `trustedProxies`.";
    /// No alternative can hold without a certificate of the caller, and none was shown.
    CertificateMissing => FORBIDDEN, "certificate-missing", "Client certificate missing",
        "A client certificate is required.",
        "The client has to show a certificate in the TLS handshake, here or to the proxy that tells of it; the log says whether the listener speaks TLS.";
    /// The caller's certificate is untrusted, expired, revoked, unreadable or nobody's who is meant: answered alike.
    CertificateRefused => FORBIDDEN, "certificate-refused", "Client certificate not accepted",
        "The client certificate is not accepted here.",
        "The log says which check failed: the way to an authority of `trust`, dates, usage, revocation, or `identities`.";
    /// The same kind of credential stands in two places (RFC 6750 `invalid_request`).
    CredentialAmbiguous => BAD_REQUEST, "credential-ambiguous", "Ambiguous credential",
        "The same kind of credential was sent in more than one place. Send it once.",
        "The client has to send the credential once.";
    /// No credential was sent.
    CredentialMissing => UNAUTHORIZED, "credential-missing", "Credential missing",
        "A credential is required.",
        "The client has to send one of those that `WWW-Authenticate` lists.";
    /// The token is not valid here (RFC 6750 `invalid_token`).
    TokenInvalid => UNAUTHORIZED, "token-invalid", "Token not valid",
        "The access token is malformed, expired, or not meant for this API.",
        "The log says which check failed: issuer, audience, time, signature or form.";
    /// The token is bound to a key, and its proof is missing, wrong or seen before (RFC 9449 `invalid_dpop_proof`).
    ProofInvalid => UNAUTHORIZED, "proof-invalid", "Proof not valid",
        "The proof of possession is not valid.",
        "The log says which check failed. The client has to make a new proof for each request: with the key of the token, for the method, the address as it calls it, and the token. Clocks have to agree within `maxAge`.";
    /// The token's proof holds no number of this gateway's, or an old one (RFC 9449 `use_dpop_nonce`).
    ProofNonce => UNAUTHORIZED, "proof-nonce", "Nonce needed",
        "Use the nonce in DPoP-Nonce.",
        "Nothing: clients ask once more with the number in `DPoP-Nonce`. One that does not cannot be used with `nonce: Required`.";
    /// User or password are wrong, unreadable or too long: answered alike.
    LoginInvalid => UNAUTHORIZED, "login-invalid", "Login not valid",
        "The user name or password is not valid.",
        "The log says whether the user or the password is not known, or what of the form is wrong. A line of the Secret that cannot be used is told in the status of the policy.";
    /// The token lacks a scope (RFC 6750 `insufficient_scope`).
    ScopeInsufficient => FORBIDDEN, "scope-insufficient", "Scope not sufficient",
        "The access token lacks a scope that this API requires.",
        "Let the issuer give the scope, or take it out of the policy; `WWW-Authenticate` names it.";
    /// The token lacks a claim that the policy requires.
    ClaimInsufficient => FORBIDDEN, "claim-insufficient", "Claims not sufficient",
        "The access token is valid, but does not allow this.",
        "The log names the claim. Let the issuer give it, or change `claims` of the policy.";
    /// A rule of `authorization` does not hold, or cannot be told.
    AuthorizationDenied => FORBIDDEN, "authorization-denied", "Not allowed",
        "This request is not allowed.",
        "The log names the policy, the rule, and what could not be told if anything. Change the rule, or give the caller what it asks for.";
    /// An authoriser of `externalAuthorization` says no, or what it would have to be told cannot be told.
    ExternalAuthorizationDenied => FORBIDDEN, "external-authorization-denied", "Not allowed",
        "This request is not allowed.",
        "The log names the policy, and what the authoriser has answered. Ask whoever runs that; or correct the entry of `context` that the log names.";
    /// It has not come through the firewall in front.
    OriginLocked => FORBIDDEN, "origin-locked", "Not through the firewall",
        "This host cannot be called directly.",
        "The log says which part of the origin lock did not hold: header, cidrs or clientCertificate. Connections of others are closed where no Gateway of the port takes them, and have no line. Call by the firewall, or compare what that sends with the Secret, addresses and authorities of `originLock` in the GatewayParameters.";
    /// Another site has made a browser send the request, with a token in a cookie, or the login that it keeps.
    CrossSite => FORBIDDEN, "cross-site", "Request of another site",
        "Requests that another site makes are not allowed.",
        "The log names the policy. If the site is to be let in, have it send the token in a header; or set `csrf: 'Off'` (in quotes), of a cookie where that is `SameSite=Strict`, of `basic` where no browser keeps logins.";
    /// A limit of requests in a time is used up.
    RateExceeded => TOO_MANY_REQUESTS, "rate-exceeded", "Too many requests",
        "Too many requests.",
        "The log names the policy and the limit, and whether the caller shares it with all who have no key of their own. Raise `requests`, or have the client wait as `Retry-After` says.";
    /// A quota of a day or month is used up.
    QuotaExceeded => TOO_MANY_REQUESTS, "quota-exceeded", "Quota used up",
        "The quota of this period is used up.",
        "Raise `requests` of the limit that the log names, or wait until the day or month of UTC ends.";
    /// The store that counts the limits is away, and nobody can tell whether the request is within them: `whenAway: Deny` says so, or the store has told
    /// nothing of this period.
    StoreUnavailable => SERVICE_UNAVAILABLE, "store-unavailable", "Cannot be judged",
        "This request cannot be judged at the moment. Try again.",
        "See that the store of the Gateway's GatewayParameters is there; `LimitStoreReady` of the Gateway says what is wrong.";
    /// As many requests as a limit allows at once are under way.
    ConcurrencyExceeded => TOO_MANY_REQUESTS, "concurrency-exceeded", "Too many requests at once",
        "Too many requests at the same time.",
        "The log names the policy and the limit. Raise `concurrent`, or have the client ask for less at once; streams count for as long as they last.";
    /// The key is nobody's.
    KeyUnknown => UNAUTHORIZED, "key-unknown", "Subscription key not known",
        "The subscription key is not known.",
        "Compare the key with the Secret of the Subscription, and see that the Subscription is `Ready`.";
    /// The key is somebody's, for another API.
    KeyOutOfScope => FORBIDDEN, "key-out-of-scope", "Subscription key not for this API",
        "The subscription does not include this API.",
        "Add the API to the Product or the Subscription whose name the log holds.";
    /// Not approved, suspended, rejected, cancelled, expired or not begun: answered alike.
    SubscriptionInactive => FORBIDDEN, "subscription-inactive", "Subscription not active",
        "The subscription is not active.",
        "The log names the Subscription; see its condition `Approved`, and its `state`, `notBefore` and `expires`.";
    /// What admitted the request ended before it was answered: its credential, its subscription, its policy or its route.
    PermitEnded => FORBIDDEN, "permit-ended", "Permission ended",
        "What this request was admitted by ended before it was answered.",
        "Nothing, where it was intended; else see `streams.endOnExpiry` and how long tokens live.";
    /// No key is held of the issuer that the token names: most often it has never been reached. Or the token names a new key, and the
    /// issuer takes its time to tell its keys.
    IssuerUnreached => SERVICE_UNAVAILABLE, "issuer-unreached", "Token cannot be checked",
        "The access token cannot be checked at the moment. Try again.",
        "See the condition `IssuerHealthy` and the metric `sallyport_issuer_state`; both say why.";
    /// The issuer of the token cannot be asked about it, or its answer cannot be used.
    IntrospectionUnavailable => SERVICE_UNAVAILABLE, "introspection-unavailable", "Token cannot be checked",
        "The access token cannot be checked at the moment. Try again.",
        "The log says what came of the question, and the condition IssuerHealthy of the policy what came of the last one: check `endpoint`, the way to it, `caCertificateRefs` and the login in `clientAuthentication`; or too many tokens of the namespace are being asked about at once.";
    /// An authoriser of `externalAuthorization` cannot be asked in time, or its answer cannot be used.
    ExternalAuthorizationUnavailable => SERVICE_UNAVAILABLE, "external-authorization-unavailable", "Request cannot be judged",
        "This request cannot be judged at the moment. Try again.",
        "The log names the policy, and says what came of the question: see whether the authoriser of `backendRef` is there, speaks what `protocol` says, and answers within `timeout`.";
    /// Only in `would_refuse` of the log: what a policy in Report mode would have decided cannot be told, since nothing is done for it that the request would notice.
    RehearsalIncomplete => SERVICE_UNAVAILABLE, "rehearsal-incomplete", "Rehearsal incomplete",
        "What would have been decided cannot be told.",
        "The log says why. Enforce the policy on a route of its own to see what it decides.";
    /// Something that the route needs cannot be resolved.
    Configuration => INTERNAL_SERVER_ERROR, "configuration", "Configuration error",
        "This route is not configured correctly. Nothing was forwarded.",
        "The log and the condition of the object say what cannot be resolved, and the cure.";
    /// No policy speaks about the route.
    Unprotected => INTERNAL_SERVER_ERROR, "unprotected", "Route not protected",
        "No policy says who may call this route. Nothing was forwarded.",
        "Attach an ApiPolicy with `authentication` to the route or to its Gateway; `public: {}` if anybody may call.";
    /// A defect of the gateway itself.
    Internal => INTERNAL_SERVER_ERROR, "internal", "Internal error",
        "The gateway failed. The instance identifies the occurrence.",
        "A defect: report it with the line of the access log that `instance` names.";
    /// The caller went away before it was answered: it stands in log and metric alone.
    CallerGone => CALLER_GONE, "caller-gone", "Caller gone",
        "The connection ended before the request was answered.",
        "Nothing. If it is frequent, see how long the service takes, and how long the client waits.";
    /// The gateway was told to stop, and the request was not answered in the time that it had: in log and metric alone.
    Stopped => SERVICE_UNAVAILABLE, "gateway-stopped", "Gateway stopped",
        "The gateway stopped before the request was answered.",
        "Raise `bounds.drainTimeout`, and what ends the process after it, above the time that requests take.";
    /// More work than the gateway takes at once.
    Overloaded => SERVICE_UNAVAILABLE, "overloaded", "Overloaded",
        "The gateway has too much to do. Try again.",
        "Add replicas, or cores for each (from files `--workers`), or raise `bounds.maxRequestsInFlight` or `bounds.maxConnections`. Where the log says that passwords are being hashed: limit who guesses by `ClientAddress`, or take a cheaper hash.";
    /// No endpoint of the service is ready.
    NoEndpoint => SERVICE_UNAVAILABLE, "no-endpoint", "Service not available",
        "The service has no endpoint that is ready.",
        "See whether the Service has ready endpoints, or the Backend any endpoint at all.";
    /// No endpoint could be connected to.
    UpstreamConnect => BAD_GATEWAY, "upstream-connect", "Service not reached",
        "The service could not be reached.",
        "See that the service listens and may be reached from here; the log names its address.";
    /// The TLS handshake with the service failed.
    UpstreamTls => BAD_GATEWAY, "upstream-tls", "Service not trusted",
        "A secure connection to the service could not be made.",
        "See `tls.validation` of the Backend: hostname, authorities, and the end of the certificate of the service.";
    /// The service broke off or did not answer in HTTP.
    UpstreamProtocol => BAD_GATEWAY, "upstream-protocol", "Invalid answer of the service",
        "The service broke off, or its answer is not valid.",
        "The service broke off or sent no valid HTTP; see its own log, and `protocol` of the Backend.";
    /// The service's answer repeats the secret that it was shown in the query.
    CredentialReflected => BAD_GATEWAY, "credential-reflected", "Answer withheld",
        "The service's answer cannot be passed on.",
        "The log names the field. Let the service not repeat its query there, or show the credential in a header.";
    /// The service did not answer in time.
    UpstreamTimeout => GATEWAY_TIMEOUT, "upstream-timeout", "Service timed out",
        "The service did not answer in time.",
        "See why the service is slow, or raise `timeouts` of the rule or the Backend.";
}

impl Reason {
    /// Stable code of the reason.
    pub fn code(self) -> &'static str {
        self.meaning().code
    }

    /// Whether bytes of the request may still be on the connection in a state that nobody can vouch for.
    pub fn ends_connection(self) -> bool {
        use Reason as R;
        matches!(
            self,
            R::Malformed
                | R::BodyBroken
                | R::HeadTooSlow
                | R::BodyTooSlow
                | R::BodyTooLarge
                | R::TargetTooLong
                | R::HeadTooLarge
                | R::ExpectationUnknown
                | R::MethodUnsupported
                | R::Overloaded
                // It was made for something else, and will not serve better the next time.
                | R::Misdirected
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_in_kebab_case() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        assert!(codes.iter().all(|code| code.chars().all(|letter| letter.is_ascii_lowercase() || letter == '-')));
    }

    #[test]
    fn every_reason_is_given_somewhere() {
        let mut code = String::new();
        let mut folders = vec![std::path::PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/src"))];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
                match entry.is_dir() {
                    true => folders.push(entry),
                    false if entry.ends_with("rejection.rs") || entry.ends_with("tests.rs") => {}
                    false if entry.extension().is_none_or(|extension| extension != "rs") => {}
                    false => code += &std::fs::read_to_string(entry).unwrap(),
                }
            }
        }
        let is_named = |reason: &&Reason| {
            let name = format!("Reason::{reason:?}");
            code.match_indices(&name).any(|(at, _)| !code[at + name.len()..].starts_with(char::is_alphanumeric))
        };
        let dead: Vec<_> = Reason::ALL.iter().filter(|reason| !is_named(reason)).collect();
        assert!(dead.is_empty(), "nothing gives {dead:?}");
    }

    /// Whoever is called at night reads these two.
    #[test]
    fn every_reason_says_when_and_what_to_do_in_sentences() {
        for reason in Reason::ALL {
            let meaning = reason.meaning();
            for text in [meaning.when.trim(), meaning.cure, meaning.detail] {
                assert!(text.len() > 10 && text.ends_with('.'), "{}: {text:?}", meaning.code);
            }
        }
    }

    #[test]
    fn every_reason_refuses() {
        assert!(Reason::ALL.iter().all(|reason| reason.meaning().status.as_u16() >= 400));
    }
}
