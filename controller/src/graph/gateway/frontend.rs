//! Certificates that a Gateway asks its callers for in the handshake, of everybody or on one port (GEP-91).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use prost::Message as _;
use sallyport_api::condition::Reason;
use sallyport_api::gateway_api;
use sallyport_api::gateway_api::gateways::{
    GatewaySpec, GatewayTlsFrontendDefaultValidation, GatewayTlsFrontendDefaultValidationMode,
    GatewayTlsFrontendPerPortTlsValidation, GatewayTlsFrontendPerPortTlsValidationMode,
};
use sallyport_api::reference::{CaCertificateKind, CaCertificateReference};
use sallyport_snapshot::v1;

use super::ListenerNode;
use crate::cluster::{ClusterState, ObjectName};
use crate::graph::client_certificate::{MAX_AUTHORITIES, vouching};
use crate::graph::grant::End;
use crate::problem::{Problem, denial_by_older};

/// The edition of the contract that brought it.
const SINCE: u32 = 12;
/// Of the authorities of one port together.
const MAX_BYTES: usize = 256 * 1024;

/// What a Gateway states.
pub(super) struct Frontend {
    default: Option<Validation>,
    /// What a port says holds there in place of the default, also where it says nothing.
    by_port: BTreeMap<i32, Option<Validation>>,
    /// Ports, and where they are stated.
    ports: Vec<(i32, String)>,
}

/// What callers of a port have to show.
#[derive(Clone)]
pub(super) struct Validation {
    pub(super) demand: Demand,
    pub(super) problems: Vec<Problem>,
    /// The field that has callers in whom nobody vouches for.
    insecure: Option<String>,
}

/// What callers are asked for in the handshake, by the Gateway.
#[derive(Clone)]
pub enum Demand {
    /// A certificate that these vouch for.
    Vouched(v1::ClientTrust),
    /// Any, or none.
    Any,
    /// What nobody can show: those who would vouch for it cannot be told.
    Nobodys,
}

/// A validation as it is written.
struct Stated<'a> {
    references: Vec<Reference<'a>>,
    is_insecure: bool,
}

struct Reference<'a> {
    group: &'a str,
    kind: &'a str,
    name: &'a str,
    namespace: Option<&'a str>,
}

impl Frontend {
    pub(super) fn read(cluster: &ClusterState, gateway: &ObjectName, spec: &GatewaySpec) -> Self {
        let Some(frontend) = spec.tls.as_ref().and_then(|tls| tls.frontend.as_ref()) else {
            return Self { default: None, by_port: BTreeMap::new(), ports: vec![] };
        };
        let read = |stated: &Stated<'_>, field: String| Validation::read(cluster, gateway, stated, &field);
        let of_default = frontend.default.validation.as_ref().map(Stated::from);
        let default = of_default.map(|stated| read(&stated, "spec.tls.frontend.default.validation".to_owned()));
        let (mut by_port, mut ports) = (BTreeMap::new(), vec![]);
        for (at, one) in frontend.per_port.iter().flatten().enumerate() {
            let field = format!("spec.tls.frontend.perPort[{at}]");
            ports.push((one.port, format!("{field}.port")));
            let stated = one.tls.validation.as_ref().map(Stated::from);
            by_port.insert(one.port, stated.map(|stated| read(&stated, format!("{field}.tls.validation"))));
        }
        Self { default, by_port, ports }
    }

    /// What is asked for on `port`.
    pub(super) fn on(&self, port: i32) -> Option<&Validation> {
        self.by_port.get(&port).unwrap_or(&self.default).as_ref()
    }

    /// Fields that let callers in whom nobody vouches for.
    pub(super) fn insecure(&self) -> Vec<String> {
        self.default.iter().chain(self.by_port.values().flatten()).filter_map(|one| one.insecure.clone()).collect()
    }

    /// What is said of ports where nobody listens by TLS: it may be meant for another.
    pub(super) fn idle<'a>(&'a self, listeners: &[ListenerNode]) -> impl Iterator<Item = Problem> + use<'a> {
        let with_tls: BTreeSet<_> = listeners.iter().filter(|one| one.tls.is_some()).map(|one| one.port).collect();
        let idle =
            self.ports.iter().filter(move |(port, _)| !u32::try_from(*port).is_ok_and(|port| with_tls.contains(&port)));
        idle.map(|(port, field)| {
            let message = format!("no HTTPS listener has port {port}, so that this asks nobody for anything; correct the port, or remove it");
            Problem::new(field, Reason::TargetNotFound, message)
        })
    }
}

impl Validation {
    fn read(cluster: &ClusterState, gateway: &ObjectName, stated: &Stated<'_>, field: &str) -> Self {
        let insecure = stated.is_insecure.then(|| format!("{field}.mode"));
        let field = format!("{field}.caCertificateRefs");
        let (mut trust, mut problems) = (v1::ClientTrust::default(), Vec::new());
        for (at, reference) in stated.references.iter().enumerate() {
            match reference.authorities(cluster, gateway, &format!("{field}[{at}]")) {
                Ok(found) => trust.ca_certificates.extend(found),
                Err(problem) => problems.push(problem),
            }
        }
        if trust.ca_certificates.len() > MAX_AUTHORITIES || trust.encoded_len() > MAX_BYTES {
            trust = v1::ClientTrust::default();
            let message = format!(
                "these are more than {MAX_AUTHORITIES} authorities, or more than {MAX_BYTES} bytes, together; name fewer"
            );
            problems.push(Problem::new(&field, Reason::InvalidCaCertificateRef, message));
        }
        if trust.ca_certificates.is_empty() {
            let message = "nobody is left to vouch for callers: correct the references, or name a ConfigMap or Secret with authorities in its entry ca.crt. Until then handshakes are refused";
            problems.push(Problem::new(&field, Reason::NoValidCaCertificate, message));
            return Self { demand: Demand::Nobodys, problems, insecure };
        }
        let demand = if stated.is_insecure { Demand::Any } else { Demand::Vouched(trust) };
        Self { demand, problems, insecure }
    }
}

impl Demand {
    /// As data planes read it.
    pub fn message(&self) -> Option<v1::ClientTrust> {
        match self {
            Self::Vouched(trust) => Some(trust.clone()),
            Self::Nobodys => Some(v1::ClientTrust::default()),
            Self::Any => None,
        }
    }
}

/// Of the default and of a port the same is said, in types that are generated for each.
macro_rules! stated {
    ($($validation:ident $mode:ident;)+) => {
        $(impl<'a> From<&'a $validation> for Stated<'a> {
            fn from(validation: &'a $validation) -> Self {
                let references = validation.ca_certificate_refs.iter().map(|one| Reference {
                    group: &one.group,
                    kind: &one.kind,
                    name: &one.name,
                    namespace: one.namespace.as_deref(),
                });
                let is_insecure = validation.mode == Some($mode::AllowInsecureFallback);
                Self { references: references.collect(), is_insecure }
            }
        })+
    };
}

stated! {
    GatewayTlsFrontendDefaultValidation GatewayTlsFrontendDefaultValidationMode;
    GatewayTlsFrontendPerPortTlsValidation GatewayTlsFrontendPerPortTlsValidationMode;
}

impl Reference<'_> {
    fn authorities(&self, cluster: &ClusterState, gateway: &ObjectName, field: &str) -> Result<Vec<Bytes>, Problem> {
        let kind = match (self.group, self.kind) {
            ("", "ConfigMap") => CaCertificateKind::ConfigMap,
            ("", "Secret") => CaCertificateKind::Secret,
            (group, kind) => {
                let of_group = if group.is_empty() { String::new() } else { format!(" of group {group}") };
                let message = format!("kind {kind}{of_group} holds no authorities; name a ConfigMap or a Secret");
                return Err(Problem::new(field, Reason::InvalidCaCertificateKind, message));
            }
        };
        let reference =
            CaCertificateReference { kind, name: self.name.to_owned(), namespace: self.namespace.map(str::to_owned) };
        let referrer = End { group: gateway_api::GROUP, kind: "Gateway", namespace: &gateway.namespace };
        vouching(cluster, referrer, &reference, field).map_err(|problem| match problem.reason {
            // These have conditions of their own.
            Reason::RefNotPermitted | Reason::NamespaceNotWatched => problem,
            _ => Problem { reason: Reason::InvalidCaCertificateRef, ..problem },
        })
    }
}

/// What keeps data planes that do not know of it from letting everybody in.
pub fn for_older(object: &str, listeners: &[ListenerNode]) -> Option<v1::IpFilter> {
    listeners.iter().find(|one| one.serves() && matches!(one.demand, Some(Demand::Vouched(_))))?;
    let unavailable = Some(denial_by_older(object, "spec.tls.frontend", SINCE));
    Some(v1::IpFilter { object: object.to_owned(), unavailable, ..v1::IpFilter::default() })
}
