//! Where limits of a Gateway are counted. A store that cannot be had as it is stated is away.

use std::net::IpAddr;

use bytes::Bytes;
use sallyport_api::condition::Reason;
use sallyport_api::limit_store::{LimitSettings, RedisStore, WhenAway};
use sallyport_snapshot::v1;

use crate::cluster::{ClusterState, ObjectName};
use crate::graph::certificate::{all_authorities, entry, judge_host, secret};
use crate::graph::grant::End;
use crate::problem::{Problem, denial};

const DEFAULT_TIMEOUT_MS: u32 = 50;
const DEFAULT_PREFIX: &str = "sallyport";
const FIELD: &str = "spec.limits.redis";

/// The store that the parameters called `name` state, if it is one; and what is wrong with it.
pub fn read(
    cluster: &ClusterState,
    name: &ObjectName,
    stated: &LimitSettings,
) -> (Option<v1::LimitStore>, Option<Problem>) {
    let Some(redis) = &stated.redis else { return (None, None) };
    let store = v1::LimitStore {
        object: format!("GatewayParameters {name}"),
        addresses: redis.addresses.iter().map(|address| address.to_ascii_lowercase()).collect(),
        timeout_ms: DEFAULT_TIMEOUT_MS,
        denies_when_away: redis.when_away == WhenAway::Deny,
        prefix: redis.prefix.clone().unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
        ..v1::LimitStore::default()
    };
    match reached(cluster, name, redis, store.clone()) {
        Ok(store) => (Some(store), None),
        Err(problem) => (Some(unavailable(store, &problem)), Some(problem)),
    }
}

/// The same, which cannot be reached: it counts as away.
pub fn unavailable(store: v1::LimitStore, problem: &Problem) -> v1::LimitStore {
    let unavailable = Some(denial(&store.object, problem));
    v1::LimitStore { unavailable, addresses: vec![], username: None, password: None, ..store }
}

/// What a Gateway's own parameters may not name: Services of other namespaces, which nobody there has lent. Over TLS it is any place's own
/// business whom it lets in.
pub fn beyond(name: &ObjectName, stated: &LimitSettings) -> Option<Problem> {
    let redis = stated.redis.as_ref().filter(|redis| redis.tls.is_none())?;
    let (at, address) = redis
        .addresses
        .iter()
        .enumerate()
        .find(|(_, address)| service_of(address).is_some_and(|namespace| namespace != name.namespace))?;
    let message = format!(
        "{address} is a Service of another namespace, which a Gateway's own parameters do not speak to in the clear; set tls, or state it in the GatewayParameters of the class"
    );
    Some(Problem::new(format!("{FIELD}.addresses[{at}]"), Reason::RefNotPermitted, message))
}

/// In lower case, and without brackets.
fn host_of(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.trim_matches(['[', ']']).to_ascii_lowercase()
}

/// The namespace of the Service that an address names, if it names one in the form that data planes complete by the domain of their cluster.
fn service_of(address: &str) -> Option<String> {
    let host = host_of(address);
    let labels: Vec<_> = host.split('.').collect();
    match labels[..] {
        [name, namespace, "svc"] if !name.is_empty() && !namespace.is_empty() => Some(namespace.to_owned()),
        _ => None,
    }
}

fn reached(
    cluster: &ClusterState,
    name: &ObjectName,
    redis: &RedisStore,
    mut store: v1::LimitStore,
) -> Result<v1::LimitStore, Problem> {
    if let Some(timeout) = &redis.timeout {
        let parsed = timeout.parse();
        let parsed =
            parsed.map_err(|why| Problem::new(format!("{FIELD}.timeout"), Reason::Invalid, why.to_string()))?;
        store.timeout_ms = u32::try_from(parsed.as_millis()).unwrap_or(u32::MAX);
    }
    for (at, address) in redis.addresses.iter().enumerate() {
        judge_address(address, redis.tls.is_some(), &format!("{FIELD}.addresses[{at}]"))?;
    }
    if let Some(tls) = &redis.tls {
        let referrer = End { group: sallyport_api::GROUP, kind: "GatewayParameters", namespace: &name.namespace };
        let field = format!("{FIELD}.tls.validation.caCertificateRefs");
        let ca_certificates = all_authorities(cluster, referrer, &tls.validation.ca_certificate_refs, &field)?;
        let hostname = tls.validation.hostname.clone();
        store.tls = Some(v1::BackendTls { hostname, ca_certificates, ..v1::BackendTls::default() });
    }
    if let Some(reference) = &redis.secret_ref {
        let field = format!("{FIELD}.secretRef");
        let place = ObjectName::new(&name.namespace, &reference.name);
        let found = secret(cluster, &place, &field)?;
        for address in &redis.addresses {
            judge_host((found, &place), &host_of(address), &field)?;
        }
        let text = |key: &str| {
            let bytes = entry(found, &place, key, &field)?;
            match std::str::from_utf8(bytes).is_ok_and(|text| !text.is_empty() && !text.ends_with('\n')) {
                true => Ok(v1::Secret { value: Bytes::copy_from_slice(bytes) }),
                false => {
                    let message =
                        format!("Secret {place}: {key} is empty, no text, or ends with a line; store the bare value");
                    Err(Problem::new(&field, Reason::SecretInvalid, message))
                }
            }
        };
        store.password = Some(text("password")?);
        let has_username = found.data.as_ref().is_some_and(|data| data.contains_key("username"));
        store.username = has_username.then(|| text("username")).transpose()?;
    }
    Ok(store)
}

/// In the clear only to Services, whose names nobody else answers for, and to loopback, which data planes in a cluster do not call.
fn judge_address(address: &str, is_tls: bool, field: &str) -> Result<(), Problem> {
    let invalid = |message: String| Err(Problem::new(field, Reason::Invalid, message));
    let Some((_, port)) = address.rsplit_once(':') else {
        return invalid(format!("{address:?} has no port; write host:port"));
    };
    if !matches!(port.parse::<u16>(), Ok(1..)) {
        return invalid(format!("{port} is no port; write 1 to 65535"));
    }
    let host = host_of(address);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    if is_tls || is_loopback || service_of(address).is_some() {
        return Ok(());
    }
    let message = format!(
        "{host} would be spoken to in the clear, password included; set tls, or name a Service as NAME.NAMESPACE.svc"
    );
    Err(Problem::new(field, Reason::EgressNotAllowed, message))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_gateways_own_parameters_speak_in_the_clear_to_services_of_their_namespace() {
        let judged = |address: &str, more: serde_json::Value| {
            let mut redis = json!({ "addresses": [address] });
            redis.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let stated = serde_json::from_value(json!({ "store": "Redis", "redis": redis })).unwrap();
            beyond(&ObjectName::new("shop", "own"), &stated).map(|problem| problem.reason)
        };
        let tls = json!({ "tls": { "validation": { "hostname": "v", "wellKnownCACertificates": "System" } } });
        for (address, more, expected) in [
            ("valkey.shop.svc:6379", json!({}), None),
            ("127.0.0.1:6379", json!({}), None),
            ("valkey.infra.svc:6379", json!({}), Some(Reason::RefNotPermitted)),
            ("valkey.INFRA.SVC:6379", json!({}), Some(Reason::RefNotPermitted)),
            ("valkey.infra.svc:6379", tls, None),
        ] {
            assert_eq!(judged(address, more), expected, "{address}");
        }
    }

    #[test]
    fn in_the_clear_only_services_and_loopback_are_spoken_to() {
        for address in ["valkey.infra.svc:6379", "VALKEY.infra.SVC:1", "127.0.0.1:6379", "[::1]:6379", "localhost:6379"]
        {
            assert_eq!(judge_address(address, false, "f"), Ok(()), "{address}");
        }
        for address in [
            "redis.example.com:6379",
            "10.0.0.1:6379",
            "valkey:6379",
            "svc:1",
            "..svc:1",
            "valkey.svc:6379",
            "a.b.svc.example.com:1",
            "a.b.svc.cluster.local:1",
        ] {
            let problem = judge_address(address, false, "f").unwrap_err();
            assert_eq!(problem.reason, Reason::EgressNotAllowed, "{address}");
            assert_eq!(judge_address(address, true, "f"), Ok(()), "{address} over TLS");
        }
        for address in ["valkey.infra.svc", "valkey.infra.svc:0", "valkey.infra.svc:65536", "valkey.infra.svc:"] {
            assert_eq!(judge_address(address, true, "f").unwrap_err().reason, Reason::Invalid, "{address}");
        }
    }
}
