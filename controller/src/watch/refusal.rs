//! What the API server does not let the controller know.

use std::fmt;

use kube::runtime::watcher;

use super::{Source, resource};

/// A right that is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    verb: &'static str,
    /// E.g. `httproutes.gateway.networking.k8s.io`.
    resource: String,
    namespace: Option<String>,
}

impl Refusal {
    /// The right that `source` lacks, if that is what is wrong (403).
    pub(super) fn of(source: &Source, error: &watcher::Error) -> Option<Self> {
        use watcher::Error as E;
        let (verb, error) = match error {
            E::InitialListFailed(error) => ("list", error),
            E::WatchStartFailed(error) | E::WatchFailed(error) => ("watch", error),
            E::WatchError(status) => return (status.code == 403).then(|| Self::new("watch", source)),
            E::NoResourceVersion => return None,
        };
        matches!(error, kube::Error::Api(status) if status.code == 403).then(|| Self::new(verb, source))
    }

    pub(super) fn new(verb: &'static str, source: &Source) -> Self {
        let resource = resource(source.kind());
        let name = [&*resource.plural, &*resource.group].join(".");
        let resource = name.trim_end_matches('.').to_owned();
        Self { verb, resource, namespace: source.namespace().map(str::to_owned) }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { verb, resource, namespace } = self;
        match namespace {
            Some(namespace) => write!(
                f,
                "the controller may not {verb} {resource} in namespace {namespace}; bind it a Role there that allows \
                 it, as the chart does for watchNamespaces, or watch other namespaces"
            ),
            None => write!(
                f,
                "the controller may not {verb} {resource}; bind it a ClusterRole that allows it, as the chart does, or \
                 name the namespaces to watch"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use kube::core::Status;

    use super::super::Place;
    use super::*;
    use crate::cluster::{ObjectKind, ObjectName};

    fn answer(code: u16) -> Box<Status> {
        Box::new(Status { code, ..Status::default() })
    }

    fn listed(code: u16) -> watcher::Error {
        watcher::Error::InitialListFailed(kube::Error::Api(answer(code)))
    }

    #[test]
    fn a_missing_right_is_said_with_object_verb_and_cure() {
        let routes = Source::Kind(ObjectKind::HTTPRoute, Place::Namespace("shop".into()));
        let said = Refusal::of(&routes, &listed(403)).unwrap().to_string();
        assert!(
            said.starts_with(
                "the controller may not list httproutes.gateway.networking.k8s.io in namespace shop; bind it a Role"
            ),
            "{said}"
        );
        let secrets = Source::Labelled(ObjectKind::Secret, Place::Everywhere);
        let error = watcher::Error::WatchStartFailed(kube::Error::Api(answer(403)));
        let said = Refusal::of(&secrets, &error).unwrap().to_string();
        assert!(said.starts_with("the controller may not watch secrets; bind it a ClusterRole"), "{said}");
        let named = Source::Named(ObjectKind::Secret, ObjectName::new("acme", "keys"));
        assert!(Refusal::of(&named, &listed(403)).unwrap().to_string().contains("secrets in namespace acme"));
    }

    #[test]
    fn whatever_else_goes_wrong_is_no_missing_right() {
        let source = Source::Kind(ObjectKind::Gateway, Place::Everywhere);
        for code in [400, 401, 404, 410, 429, 500, 503] {
            assert_eq!(Refusal::of(&source, &listed(code)), None, "{code}");
        }
        assert_eq!(Refusal::of(&source, &watcher::Error::NoResourceVersion), None);
    }
}
