//! Certificates that Ingresses bring, by server name.
//!
//! A name that an Ingress has a Secret for is shown that one or nothing. Of several Ingresses the oldest has the name. Where a listener
//! has that very hostname, the certificates of its Gateway stay.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::IngressSpec;
use sallyport_api::condition::Reason;

use super::Claimed;
use super::attach::intersection;
use crate::cluster::{ClusterState, ObjectName};
use crate::graph::certificate;
use crate::graph::gateway::{GatewayNode, ListenerNode, ServerNameNode};
use crate::problem::Problem;

/// A name, and the Secret that is for it.
struct Wanted {
    field: String,
    hosts: Vec<String>,
    secret: ObjectName,
}

/// Gives the names to the listeners; what is wrong with them, by Ingress.
pub fn settle(
    cluster: &ClusterState,
    gateways: &mut BTreeMap<ObjectName, GatewayNode>,
    claimed: &[Claimed<'_>],
) -> BTreeMap<ObjectName, Vec<Problem>> {
    let mut order: Vec<_> = claimed.iter().collect();
    order.sort_by_key(|ingress| ingress.age());
    let mut problems = BTreeMap::<_, Vec<_>>::new();
    for ingress in order {
        let (Some(name), Some(spec)) = (ingress.gateway(), &ingress.spec) else { continue };
        let Some(gateway) = gateways.get_mut(name) else { continue };
        let of_it = problems.entry(ingress.name.clone()).or_default();
        for wanted in wanted(ingress.name, spec, of_it) {
            wanted.give(cluster, ingress.name, (name, gateway), of_it);
        }
    }
    problems.retain(|_, problems| !problems.is_empty());
    problems
}

/// What `spec.tls` asks for. An entry without hosts is for those of the rules.
fn wanted(ingress: &ObjectName, spec: &IngressSpec, problems: &mut Vec<Problem>) -> Vec<Wanted> {
    let mut found = Vec::new();
    for (at, tls) in spec.tls.iter().flatten().enumerate() {
        let Some(secret) = tls.secret_name.as_ref().filter(|name| !name.is_empty()) else { continue };
        let stated = tls.hosts.iter().flatten();
        let of_rules = spec.rules.iter().flatten().filter_map(|rule| rule.host.as_ref());
        let is_stated = tls.hosts.as_ref().is_some_and(|hosts| !hosts.is_empty());
        let hosts: Vec<_> = if is_stated { stated.collect() } else { of_rules.collect() };
        let mut hosts: Vec<_> =
            hosts.into_iter().filter(|host| !host.is_empty()).map(|host| host.to_ascii_lowercase()).collect();
        hosts.sort();
        hosts.dedup();
        if hosts.is_empty() {
            let message = "a certificate is chosen by the server's name; state hosts, here or in the rules. The Secret is not used";
            problems.push(Problem::new(format!("spec.tls[{at}].hosts"), Reason::UnsupportedValue, message));
        }
        let field = format!("spec.tls[{at}].secretName");
        found.push(Wanted { field, hosts, secret: ObjectName::new(&ingress.namespace, secret) });
    }
    found
}

impl Wanted {
    fn give(
        &self,
        cluster: &ClusterState,
        ingress: &ObjectName,
        (name, gateway): (&ObjectName, &mut GatewayNode),
        problems: &mut Vec<Problem>,
    ) {
        if self.hosts.is_empty() {
            return;
        }
        let certificate = match certificate::certificate(cluster, &self.secret, &self.field) {
            Ok(certificate) => Some(certificate),
            Err(problem) => {
                let message = format!("{}. Until then handshakes for its hosts are refused", problem.message);
                let kept = certificate::unusable(&problem, cluster, &self.secret);
                problems.push(Problem { reason: Reason::InvalidCertificateRef, message, ..problem });
                kept
            }
        };
        for listener in gateway.listeners.iter_mut().filter(|listener| listener.takes_server_names) {
            let is_taken =
                listener.serves() && listener.takes_ingresses && listener.takes(cluster, name, &ingress.namespace);
            let hosts: Vec<_> = self.hosts.iter().filter(|host| is_taken && is_below(listener, host)).collect();
            for host in hosts {
                let own = ServerNameNode {
                    ingress: ingress.clone(),
                    secret: self.secret.clone(),
                    certificate: certificate.clone(),
                };
                let held = listener.server_names.entry(host.clone()).or_insert(own);
                if held.secret != self.secret {
                    problems.push(lost(&self.field, host, held));
                }
            }
        }
        problems.dedup();
    }
}

/// Whether a listener carries the name beside others.
fn is_below(listener: &ListenerNode, host: &str) -> bool {
    let is_own = listener.hostname == host || !(listener.hostname.is_empty() || listener.hostname.starts_with('*'));
    !is_own && intersection(&listener.hostname, host).is_some()
}

fn lost(field: &str, host: &str, held: &ServerNameNode) -> Problem {
    let message = format!(
        "Ingress {} is older, or comes first by name, and has Secret {} for {host}; name that host in one of the two",
        held.ingress, held.secret
    );
    Problem::new(field, Reason::HostnameConflict, message)
}
