//! Which pages of other sites may read answers (CORS, as the Fetch standard has it). It refuses nobody: browsers do, by what they are told.

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, ORIGIN, SET_COOKIE, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use sallyport_snapshot::v1;
use smallvec::SmallVec;

use crate::route::Rule;
use crate::runtime::policy::Policy;

const ANY: &str = "*";
const TRUE: HeaderValue = HeaderValue::from_static("true");
/// What an answer depends on, and a preflight's besides.
const VARIES: HeaderValue = HeaderValue::from_static("Origin");
const PREFLIGHT_VARIES: HeaderValue =
    HeaderValue::from_static("Origin, Access-Control-Request-Method, Access-Control-Request-Headers");
/// What a service may have said of it: where it is said here, nobody else says it.
const SAID: [HeaderName; 6] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
];
/// No origin of a browser is longer: a host has 253 bytes.
const MAX_ORIGIN_BYTES: usize = 300;
/// What any page can be, a sandboxed one among them.
const NOBODY: &str = "null";
/// Asked headers that are looked at.
const MAX_ASKED: usize = 64;

/// One word on it.
#[derive(Debug)]
pub struct Cors {
    origins: Vec<Origin>,
    methods: Names,
    /// In lower case.
    headers: Names,
    exposed: Names,
    /// The same as an answer says it.
    told: Option<HeaderValue>,
    credentials: bool,
    max_age_s: u32,
}

#[derive(Debug)]
enum Origin {
    Any,
    Exactly(Box<str>),
    /// Scheme with `://`, and what has to stand behind at least one label, from the dot on.
    Below(Box<str>, Box<str>),
}

#[derive(Debug)]
struct Names {
    is_any: bool,
    listed: Vec<Box<str>>,
}

/// All that is in force for a rule: the nearest word, and those of all Floors.
pub struct InForce<'a>(SmallVec<[&'a Cors; 1]>);

/// A browser that asks whether it may ask.
pub struct Preflight<'a> {
    origin: &'a HeaderValue,
    pub method: Method,
    headers: Vec<&'a str>,
}

/// What an answer says.
pub struct Said {
    origin: Option<HeaderValue>,
    credentials: bool,
    exposed: Option<HeaderValue>,
    /// With credentials browsers take an asterisk for a name: what the answer has is listed.
    exposes_all: bool,
}

impl Cors {
    pub fn build(cors: &v1::Cors) -> Self {
        let exposed = Names::new(&cors.expose_headers);
        Self {
            origins: cors.allow_origins.iter().map(|one| Origin::new(one)).collect(),
            methods: Names::new(&cors.allow_methods),
            headers: Names::new(&cors.allow_headers),
            told: joined(&exposed.told()),
            exposed,
            credentials: cors.allow_credentials,
            max_age_s: cors.max_age_s,
        }
    }

    fn allows(&self, origin: &str) -> bool {
        self.origins.iter().any(|one| one.is(origin))
    }

    fn is_open(&self) -> bool {
        self.origins.iter().any(|one| matches!(one, Origin::Any))
    }
}

impl Origin {
    fn new(stated: &str) -> Self {
        let below =
            stated.split_once("://*").map(|(scheme, suffix)| Self::Below(format!("{scheme}://").into(), suffix.into()));
        match below {
            _ if stated == ANY => Self::Any,
            Some(below) => below,
            None => Self::Exactly(stated.into()),
        }
    }

    /// Whether it is `origin`, in lower case.
    fn is(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(own) => origin == &**own,
            Self::Below(scheme, suffix) => {
                let labels = origin.strip_prefix(&**scheme).and_then(|rest| rest.strip_suffix(&**suffix));
                labels.is_some_and(|labels| !labels.is_empty() && labels.bytes().all(is_of_host))
            }
        }
    }
}

fn is_of_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._-".contains(&byte)
}

impl Names {
    fn new(stated: &[String]) -> Self {
        let listed = stated.iter().filter(|name| *name != ANY).map(|name| name.as_str().into()).collect();
        Self { is_any: stated.iter().any(|name| name == ANY), listed }
    }

    /// As a list of them is written.
    fn told(&self) -> Vec<&str> {
        if self.is_any { vec![ANY] } else { self.listed.iter().map(|name| &**name).collect() }
    }

    /// Whether it takes `name`, by its name or by an asterisk: which does not stand for `Authorization` (Fetch, "CORS non-wildcard request-header name").
    fn takes(&self, name: &str) -> bool {
        self.listed.iter().any(|one| one.eq_ignore_ascii_case(name)) || self.is_any && name != AUTHORIZATION.as_str()
    }
}

impl<'a> InForce<'a> {
    /// What a policy says of the rule itself, else the rule's own filter, else the policy's word; and all Floors', which let nothing pass by themselves. `None` where nobody says anything.
    pub fn of(policy: &'a Policy, rule: &'a Rule) -> Option<Self> {
        let own = policy.cors.as_ref().filter(|_| policy.is_cors_of_rule);
        let near = own.or(rule.cors.as_ref()).or(policy.cors.as_ref());
        match near {
            Some(near) => Some(Self(std::iter::once(near).chain(&policy.floor_cors).collect())),
            None => (!policy.floor_cors.is_empty()).then(Self::nobody),
        }
    }

    /// Lets nothing pass.
    pub fn nobody() -> Self {
        Self(SmallVec::new())
    }

    /// What answers to a request with these headers say.
    pub fn of_answer(&self, headers: &HeaderMap) -> Said {
        let origin = sole(headers, &ORIGIN).and_then(|origin| self.allowed(origin));
        let credentials = self.credentials();
        let exposes_all = credentials && self.exposes_all();
        let told = || match self.0.as_slice() {
            [one] => one.told.clone(),
            _ => joined(&self.exposed()),
        };
        let exposed = origin.as_ref().filter(|_| !exposes_all).and_then(|_| told());
        Said { origin, credentials, exposed, exposes_all }
    }

    /// The head of what a preflight is answered. Where the origin is not allowed it says nothing.
    pub fn of_preflight(&self, asked: &Preflight<'_>) -> HeaderMap {
        let mut answer = HeaderMap::new();
        answer.insert(VARY, PREFLIGHT_VARIES);
        let Some(origin) = self.allowed(asked.origin) else { return answer };
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials() {
            answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        let methods = self.common(|cors| &cors.methods, &[asked.method.as_str()]);
        let headers = self.common(|cors| &cors.headers, &asked.headers);
        let exposed = if self.credentials() { self.common(|cors| &cors.exposed, &[]) } else { self.exposed() };
        for (name, list) in [
            (ACCESS_CONTROL_ALLOW_METHODS, methods),
            (ACCESS_CONTROL_ALLOW_HEADERS, headers),
            (ACCESS_CONTROL_EXPOSE_HEADERS, exposed),
        ] {
            answer.extend(joined(&list).map(|value| (name, value)));
        }
        let max_age = self.0.iter().map(|cors| cors.max_age_s).min().unwrap_or_default();
        answer.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from(max_age));
        answer
    }

    /// What an origin is told: itself, or where everybody may read an asterisk.
    fn allowed(&self, origin: &HeaderValue) -> Option<HeaderValue> {
        let text = origin.to_str().ok().filter(|text| text.len() <= MAX_ORIGIN_BYTES)?.to_ascii_lowercase();
        let is_allowed = !self.0.is_empty() && self.0.iter().all(|cors| cors.allows(&text));
        if !is_allowed || text == NOBODY && self.credentials() {
            return None;
        }
        let is_open = self.0.iter().all(|cors| cors.is_open()) && !self.credentials();
        Some(if is_open { HeaderValue::from_static(ANY) } else { origin.clone() })
    }

    fn exposed(&self) -> Vec<&'a str> {
        if self.exposes_all() { vec![ANY] } else { self.common(|cors| &cors.exposed, &[]) }
    }

    fn exposes_all(&self) -> bool {
        self.0.iter().all(|cors| cors.exposed.is_any)
    }

    fn credentials(&self) -> bool {
        self.0.iter().all(|cors| cors.credentials)
    }

    /// Names that all list, or take by an asterisk: of the `asked` ones, where all have an asterisk.
    fn common<'n>(&self, of: impl Fn(&'a Cors) -> &'a Names, asked: &[&'n str]) -> Vec<&'n str>
    where
        'a: 'n,
    {
        let all: SmallVec<[&Names; 1]> = self.0.iter().map(|cors| of(cors)).collect();
        let takes_all = |name: &str| all.iter().all(|names| names.takes(name));
        let listed = all.iter().flat_map(|names| &names.listed).map(|name| &**name).filter(|name| takes_all(name));
        let asked = asked.iter().copied().filter(|name| all.iter().any(|names| names.is_any) && takes_all(name));
        let mut found: Vec<&'n str> = Vec::new();
        for name in listed.chain(asked) {
            if !found.iter().any(|known| known.eq_ignore_ascii_case(name)) {
                found.push(name);
            }
        }
        found
    }
}

impl<'a> Preflight<'a> {
    /// What a browser asks (Fetch, "CORS-preflight request"): `OPTIONS` with one origin and one method. Anything else is a request as all others.
    pub fn read(method: &Method, headers: &'a HeaderMap) -> Option<Self> {
        if method != Method::OPTIONS {
            return None;
        }
        let asked = sole(headers, &ACCESS_CONTROL_REQUEST_METHOD)?;
        let names = headers.get_all(ACCESS_CONTROL_REQUEST_HEADERS).into_iter().filter_map(|line| line.to_str().ok());
        let names = names.flat_map(|line| line.split(',')).map(str::trim).filter(|name| is_name(name)).take(MAX_ASKED);
        Some(Self {
            origin: sole(headers, &ORIGIN)?,
            method: Method::from_bytes(asked.as_bytes()).ok()?,
            headers: names.collect(),
        })
    }
}

/// Browsers ask in lower case; what is no name is not repeated.
fn is_name(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok_and(|read| read.as_str() == name)
}

impl Said {
    /// Has pages read these besides, where they may read anything.
    pub fn expose(&self, headers: &mut HeaderMap, names: &[HeaderName]) {
        if self.origin.is_none() || self.exposes_all {
            return;
        }
        let told = headers.get(ACCESS_CONTROL_EXPOSE_HEADERS).and_then(|told| told.to_str().ok());
        if told == Some(ANY) {
            return;
        }
        let all: Vec<_> = told.into_iter().chain(names.iter().map(HeaderName::as_str)).collect();
        if let Some(all) = joined(&all) {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, all);
        }
    }

    /// Says it in an answer, in the place of whatever the service has said.
    pub fn write(&self, headers: &mut HeaderMap) {
        for name in &SAID {
            headers.remove(name);
        }
        if !varies_by_origin(headers) {
            headers.append(VARY, VARIES);
        }
        let Some(origin) = &self.origin else { return };
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if self.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        let exposed = if self.exposes_all { joined(&shown(headers)) } else { self.exposed.clone() };
        if let Some(exposed) = exposed {
            headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
        }
    }
}

/// Names of what an answer holds, but for what no page may read and what is said of that.
fn shown(headers: &HeaderMap) -> Vec<&str> {
    headers.keys().filter(|name| **name != SET_COOKIE && !SAID.contains(name)).map(HeaderName::as_str).collect()
}

fn varies_by_origin(headers: &HeaderMap) -> bool {
    let lines = headers.get_all(VARY).into_iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| line.split(',')).any(|name| name.trim() == ANY || name.trim().eq_ignore_ascii_case("origin"))
}

fn sole<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).into_iter();
    lines.next().filter(|_| lines.next().is_none())
}

fn joined(names: &[&str]) -> Option<HeaderValue> {
    (!names.is_empty()).then(|| HeaderValue::try_from(names.join(", ")).ok()).flatten()
}

#[cfg(test)]
mod tests;
