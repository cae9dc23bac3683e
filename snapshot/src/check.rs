//! A lint over a whole snapshot: every name that a resource refers to is there.
//!
//! A data plane survives a snapshot that fails this (what is absent denies); a controller that makes one has a defect.

use crate::resource::Name;
use crate::snapshot::Snapshot;
use crate::v1::{
    Kind, ListenerTls, Policy, Route, endpoint_source::Source, resource::Body, subscription::Scope,
    weighted_backend::Target,
};

/// A reference to a name that the snapshot lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dangling {
    /// Who refers.
    pub from: Name,
    /// What is not there.
    pub to: Name,
}

/// All references that lead nowhere, in the order of the snapshot.
pub fn dangling(snapshot: &Snapshot) -> Vec<Dangling> {
    let mut found = Vec::new();
    for (from, resource) in snapshot.iter() {
        let missing = references(resource.body()).into_iter().filter(|to| snapshot.find(to).is_none());
        found.extend(missing.map(|to| Dangling { from: from.clone(), to }));
    }
    found
}

/// The names that `body` refers to.
pub(crate) fn references(body: &Body) -> Vec<Name> {
    match body {
        Body::Listener(listener) => {
            let of_names = |tls: &'_ ListenerTls| -> Vec<String> {
                let named = tls.server_names.iter().map(|name| &name.certificate).filter(|name| !name.is_empty());
                tls.certificates.iter().chain(named).cloned().collect()
            };
            let certificates: Vec<_> = listener.tls.iter().flat_map(of_names).collect();
            let certificates = certificates.iter();
            let gateway = Name::new(Kind::Gateway, listener.gateway.as_str());
            certificates.map(|name| Name::new(Kind::Certificate, name.as_str())).chain([gateway]).collect()
        }
        Body::Route(route) => of_route(route),
        Body::Policy(policy) => of_policy(policy),
        Body::Backend(backend) => {
            let endpoints = backend.endpoints.iter().filter_map(|endpoint| match &endpoint.source {
                Some(Source::Endpoints(name)) => Some(Name::new(Kind::Endpoints, name.as_str())),
                _ => None,
            });
            let certificate = backend.tls.iter().map(|tls| &tls.client_certificate).filter(|name| !name.is_empty());
            endpoints.chain(certificate.map(|name| Name::new(Kind::Certificate, name.as_str()))).collect()
        }
        Body::Subscription(subscription) => match &subscription.scope {
            Some(Scope::Product(name)) => vec![Name::new(Kind::Product, name.as_str())],
            Some(Scope::AllApisOf(name)) => vec![Name::new(Kind::Gateway, name.as_str())],
            _ => vec![],
        },
        _ => vec![],
    }
}

fn of_route(route: &Route) -> Vec<Name> {
    let mut names = Vec::new();
    for attachment in &route.attachments {
        names.push(Name::new(Kind::Listener, attachment.listener.as_str()));
        names.extend(attachment.policies.iter().map(|name| Name::new(Kind::Policy, name.as_str())));
    }
    for backend in route.rules.iter().flat_map(|rule| &rule.backends) {
        if let Some(Target::Backend(name)) = &backend.target {
            names.push(Name::new(Kind::Backend, name.as_str()));
        }
        if !backend.credential.is_empty() {
            names.push(Name::new(Kind::Credential, backend.credential.as_str()));
        }
    }
    names
}

fn of_policy(policy: &Policy) -> Vec<Name> {
    let authentications = policy.authentication.iter().chain(&policy.floors);
    let alternatives = authentications.flat_map(|one| &one.alternatives);
    let own = alternatives.flat_map(|alternative| {
        let keys = alternative.jwt.iter().map(|jwt| Name::new(Kind::KeySet, jwt.key_set.as_str()));
        let trusts = alternative.client_certificate.iter().filter(|one| !one.trust.is_empty());
        let trusts = trusts.map(|one| Name::new(Kind::ClientTrust, one.trust.as_str()));
        let files = alternative.basic.iter().map(|one| Name::new(Kind::PasswordFile, one.password_file.as_str()));
        keys.chain(trusts).chain(files)
    });
    let asked = policy.external_authorizations.iter().filter(|one| one.unavailable.is_none()).flat_map(|one| {
        let shown = (!one.credential.is_empty()).then(|| Name::new(Kind::Credential, one.credential.as_str()));
        shown.into_iter().chain([Name::new(Kind::Backend, one.backend.as_str())])
    });
    let rehearsed = policy.rehearsals.iter().filter_map(|rehearsal| rehearsal.policy.as_ref()).flat_map(of_policy);
    own.chain(asked).chain(rehearsed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::v1::Subscription;

    #[test]
    fn a_subscription_to_a_product_that_is_not_there_dangles() {
        let mut snapshot = Snapshot::default();
        let scope = Some(Scope::Product("shop/gold".into()));
        snapshot.insert("acme/one", Body::Subscription(Subscription { scope, ..Subscription::default() }));
        let found = dangling(&snapshot);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to, Name::new(Kind::Product, "shop/gold"));
    }
}
