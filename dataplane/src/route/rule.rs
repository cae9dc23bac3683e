//! A rule of a route: what is done with a request that it matches.

use std::sync::Arc;
use std::time::Duration;

use sallyport_snapshot::v1::{self, weighted_backend::Target};

use super::filter::Filter;
use crate::cors::Cors;
use crate::runtime::keys::Api;
use crate::runtime::policy::{Denial, in_force};

/// Prepared once, shared by all listeners.
pub struct Rule {
    pub api: Api,
    /// Name of the rule, or its index.
    pub name: Arc<str>,
    pub filters: Vec<Filter>,
    /// Whole request.
    pub request_timeout: Option<Duration>,
    /// One exchange with a backend.
    pub backend_request_timeout: Option<Duration>,
    /// Whether it says anything of how long a request may take, if only that there is no end: then the backend has no say in it.
    pub states_timeout: bool,
    pub deny: Option<Denial>,
    /// Of its CORS filter.
    pub cors: Option<Cors>,
    backends: Vec<WeightedBackend>,
    total_weight: u64,
}

struct WeightedBackend {
    weight: u64,
    choice: Pick,
}

/// What a request falls on.
#[derive(Clone)]
pub enum Pick {
    Backend {
        /// Name of the Backend.
        backend: Arc<str>,
        /// Name of the Credential, where one is stated.
        credential: Option<Arc<str>>,
        filters: Arc<[Filter]>,
    },
    Denied(Denial),
}

impl Rule {
    /// `problems` of its matches make it deny as well as its own.
    pub(super) fn prepare(object: &v1::ObjectRef, rule: &v1::Rule, mut problems: Vec<String>) -> (Self, Vec<String>) {
        let mut filters = |filters: &[v1::Filter]| -> Vec<Filter> {
            let (prepared, failed): (Vec<_>, Vec<_>) = filters.iter().map(Filter::prepare).partition(Result::is_ok);
            problems.extend(failed.into_iter().filter_map(Result::err));
            prepared.into_iter().filter_map(Result::ok).collect()
        };
        let own = filters(&rule.filters);
        let backends: Vec<_> =
            rule.backends.iter().map(|backend| weighted(backend, filters(&backend.filters))).collect();
        if backends.iter().any(WeightedBackend::redirects) {
            problems.push("a redirect among the filters of a backend".to_owned());
        }
        let place = format!("{} {}/{} rule {}", object.kind, object.namespace, object.name, rule.name);
        let broken = (!problems.is_empty()).then(|| Denial::configuration(&place, problems.join("; ")));
        let total_weight = backends.iter().map(|backend| backend.weight).sum();
        let prepared = Self {
            api: Api::new(object),
            name: rule.name.as_str().into(),
            filters: own,
            request_timeout: timeout(rule.request_timeout_ms),
            backend_request_timeout: timeout(rule.backend_request_timeout_ms),
            states_timeout: rule.request_timeout_ms.or(rule.backend_request_timeout_ms).is_some(),
            deny: in_force(rule.deny.as_ref()).map(Denial::new).or(broken),
            cors: rule.cors.as_ref().map(Cors::build),
            backends,
            total_weight,
        };
        (prepared, problems.into_iter().map(|problem| format!("rule {}: {problem}", rule.name)).collect())
    }

    /// The same rule, which serves nothing any more.
    pub(super) fn closed(&self, why: &str) -> Self {
        let place = format!("{} {}/{}", self.api.kind, self.api.namespace, self.api.name);
        Self {
            api: self.api.clone(),
            name: Arc::clone(&self.name),
            filters: Vec::new(),
            request_timeout: None,
            backend_request_timeout: None,
            states_timeout: false,
            deny: Some(Denial::configuration(&place, why)),
            cors: None,
            backends: Vec::new(),
            total_weight: 0,
        }
    }

    /// The backend that a request with this random number falls on. Without any, or with all at weight 0, the rule serves nothing.
    pub fn pick(&self, random: u64) -> Pick {
        let Some(mut at) = random.checked_rem(self.total_weight) else {
            let object = format!("{} {}/{}", self.api.kind, self.api.namespace, self.api.name);
            return Pick::Denied(Denial::configuration(
                &object,
                format!("rule {} has no backend with a weight", self.name),
            ));
        };
        for backend in &self.backends {
            match at.checked_sub(backend.weight) {
                Some(rest) => at = rest,
                None => return backend.choice.clone(),
            }
        }
        Pick::Denied(Denial::configuration("", "no backend was chosen"))
    }

    /// What requests may fall on, each with its weight.
    pub fn shares(&self) -> impl Iterator<Item = (u64, &Pick)> {
        self.backends.iter().map(|one| (one.weight, &one.choice))
    }

    /// Names of the Backends that requests may fall on.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<str>> {
        self.backends.iter().filter(|one| one.weight > 0).filter_map(|one| match &one.choice {
            Pick::Backend { backend, .. } => Some(backend),
            Pick::Denied(_) => None,
        })
    }

    /// Whether it is a GRPCRoute's.
    pub fn is_grpc(&self) -> bool {
        &*self.api.kind == "GRPCRoute"
    }

    /// The redirect that the rule answers with, if it does.
    pub fn redirect(&self) -> Option<&super::filter::Redirect> {
        self.filters.iter().find_map(|filter| match filter {
            Filter::Redirect(redirect) => Some(redirect),
            _ => None,
        })
    }
}

impl WeightedBackend {
    /// Whether it has a filter that only a rule as a whole can have: nothing is forwarded that could take another answer.
    fn redirects(&self) -> bool {
        let Pick::Backend { filters, .. } = &self.choice else { return false };
        filters.iter().any(|filter| matches!(filter, Filter::Redirect(_)))
    }
}

fn weighted(backend: &v1::WeightedBackend, filters: Vec<Filter>) -> WeightedBackend {
    let choice = match &backend.target {
        Some(Target::Backend(name)) => Pick::Backend {
            backend: name.as_str().into(),
            credential: (!backend.credential.is_empty()).then(|| backend.credential.as_str().into()),
            filters: filters.into(),
        },
        Some(Target::Invalid(deny)) => Pick::Denied(Denial::new(deny)),
        None => Pick::Denied(Denial::configuration("", "a backend names no target")),
    };
    WeightedBackend { weight: backend.weight.into(), choice }
}

/// Zero is no end.
fn timeout(length_ms: Option<u64>) -> Option<Duration> {
    length_ms.filter(|length| *length != 0).map(Duration::from_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_of_zero_says_that_there_is_none() {
        for (request, exchange, is_stated) in [
            (None, None, false),
            (None, Some(0), true),
            (Some(0), None, true),
            (Some(0), Some(20), true),
            (Some(10), Some(0), true),
            (Some(10), Some(20), true),
        ] {
            let said =
                v1::Rule { request_timeout_ms: request, backend_request_timeout_ms: exchange, ..v1::Rule::default() };
            let (rule, _) = Rule::prepare(&v1::ObjectRef::default(), &said, Vec::new());
            assert_eq!(rule.request_timeout, timeout(request), "{said:?}");
            assert_eq!(rule.backend_request_timeout, timeout(exchange), "{said:?}");
            assert_eq!(rule.states_timeout, is_stated, "{said:?}");
        }
        assert_eq!((timeout(Some(0)), timeout(Some(5))), (None, Some(Duration::from_millis(5))));
    }
}
