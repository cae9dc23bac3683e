//! A Backend with all that a request to it needs.

use std::sync::Arc;

use http::HeaderName;
use sallyport_snapshot::Hash;
use sallyport_snapshot::v1::{self, backend::Protocol};

use crate::credential::Channel;
use crate::runtime::policy::Denial;
use crate::upstream::target::{Parts, Target};

/// The executable form of a `Backend` resource.
pub struct Backend {
    pub name: Arc<str>,
    pub namespace: Arc<str>,
    /// Absent where something of it cannot be had: `deny` says what.
    pub target: Result<Target, Denial>,
    pub channel: Channel,
    /// By the word of its author: then bodies are sequences of messages.
    pub speaks_grpc: bool,
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
            namespace: backend.object.as_ref().map_or("", |object| &object.namespace).into(),
            target,
            channel: if shows_certificate { Channel::ClientCertificate } else { Channel::Anonymous },
            speaks_grpc: speaks_grpc(backend),
            guarded: guarded.filter_map(|name| name.parse().ok()).collect(),
            key_parameters: backend.key_query_parameters.iter().map(|name| name.as_str().into()).collect(),
        };
        (prepared, why)
    }

    /// Stands in for a resource that must not be read.
    pub fn denied(name: &Arc<str>, why: &str) -> Self {
        Self {
            name: Arc::clone(name),
            namespace: "".into(),
            target: Err(Denial::configuration(name, why)),
            channel: Channel::Anonymous,
            speaks_grpc: false,
            guarded: Vec::new(),
            key_parameters: Vec::new(),
        }
    }
}

/// Whether its author says so. Of a Service cleartext HTTP/2 is as much as Kubernetes has a word for (KEP-3726), and there it is said
/// for gRPC as a rule; a Backend has both words, and who says only H2C of it means that.
fn speaks_grpc(backend: &v1::Backend) -> bool {
    match backend.protocol() {
        Protocol::Grpc => true,
        Protocol::H2c => backend.object.as_ref().is_some_and(|object| object.kind == "Service"),
        Protocol::Http | Protocol::Http11 | Protocol::Http2 => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_author_says_grpc_in_the_words_that_there_are() {
        for (kind, protocol, speaks) in [
            ("Backend", Protocol::Grpc, true),
            ("Backend", Protocol::H2c, false),
            ("Backend", Protocol::Http2, false),
            ("Backend", Protocol::Http, false),
            ("Service", Protocol::H2c, true),
            ("Service", Protocol::Http, false),
        ] {
            let object = Some(v1::ObjectRef { kind: kind.into(), ..v1::ObjectRef::default() });
            let backend = v1::Backend { object, protocol: protocol.into(), ..v1::Backend::default() };
            assert_eq!(speaks_grpc(&backend), speaks, "{kind} {protocol:?}");
        }
    }
}
