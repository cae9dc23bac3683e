//! A Backend with all that a request to it needs.

use std::sync::Arc;

use http::HeaderName;
use sallyport_snapshot::Hash;
use sallyport_snapshot::v1;

use crate::credential::Channel;
use crate::runtime::policy::Denial;
use crate::upstream::target::{Parts, Target};

/// The executable form of a `Backend` resource.
pub struct Backend {
    pub name: Arc<str>,
    /// Absent where something of it cannot be had: `deny` says what.
    pub target: Result<Target, Denial>,
    pub channel: Channel,
    /// Removed from every request to it: identity headers of all its routes, and keys.
    pub guarded: Vec<HeaderName>,
    /// Query parameters in which any of its routes reads a key.
    pub key_parameters: Vec<Arc<str>>,
}

impl Backend {
    /// Prepares the resource called `name`; the text says why it denies.
    pub fn build(name: &Arc<str>, backend: &v1::Backend, identity: Hash, parts: &impl Parts) -> (Self, Option<String>) {
        let built = match &backend.deny {
            Some(deny) => Err((Denial::new(deny), None)),
            None => {
                Target::build(backend, identity, parts).map_err(|why| (Denial::configuration(name, &why), Some(why)))
            }
        };
        let (target, why) = match built {
            Ok(target) => (Ok(target), None),
            Err((denial, why)) => (Err(denial), why),
        };
        let shows_certificate = backend.tls.as_ref().is_some_and(|tls| !tls.client_certificate.is_empty());
        let guarded = backend.identity_headers.iter().chain(&backend.key_headers);
        let prepared = Self {
            name: Arc::clone(name),
            target,
            channel: if shows_certificate { Channel::ClientCertificate } else { Channel::Anonymous },
            guarded: guarded.filter_map(|name| name.parse().ok()).collect(),
            key_parameters: backend.key_query_parameters.iter().map(|name| name.as_str().into()).collect(),
        };
        (prepared, why)
    }

    /// Stands in for a resource that must not be read.
    pub fn denied(name: &Arc<str>, why: &str) -> Self {
        Self {
            name: Arc::clone(name),
            target: Err(Denial::configuration(name, why)),
            channel: Channel::Anonymous,
            guarded: Vec::new(),
            key_parameters: Vec::new(),
        }
    }
}
