//! Where limits of a Gateway are counted. A store that cannot be had as it is stated is away.

use std::net::IpAddr;

use bytes::Bytes;
use sallyport_api::condition::Reason;
use sallyport_api::limit_store::{LimitSettings, RedisStore, WhenAway};
use sallyport_snapshot::v1;

use crate::cluster::{ClusterState, ObjectName};
use crate::graph::certificate::{authorities, entry, secret};
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
        addresses: redis.addresses.clone(),
        timeout_ms: DEFAULT_TIMEOUT_MS,
        denies_when_away: redis.when_away == WhenAway::Deny,
        prefix: redis.prefix.clone().unwrap_or_else(|| DEFAULT_PREFIX.to_owned()),
        ..v1::LimitStore::default()
    };
    match reached(cluster, name, redis, store.clone()) {
        Ok(store) => (Some(store), None),
        Err(problem) => {
            let unavailable = Some(denial(&store.object, &problem));
            (Some(v1::LimitStore { unavailable, ..store }), Some(problem))
        }
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
        let mut ca_certificates = Vec::new();
        for (at, reference) in tls.validation.ca_certificate_refs.iter().enumerate() {
            let referrer = End { group: sallyport_api::GROUP, kind: "GatewayParameters", namespace: &name.namespace };
            let field = format!("{FIELD}.tls.validation.caCertificateRefs[{at}]");
            ca_certificates.extend(authorities(cluster, referrer, reference, &field)?);
        }
        let hostname = tls.validation.hostname.clone();
        store.tls = Some(v1::BackendTls { hostname, ca_certificates, ..v1::BackendTls::default() });
    }
    if let Some(reference) = &redis.secret_ref {
        let field = format!("{FIELD}.secretRef");
        let place = ObjectName::new(&name.namespace, &reference.name);
        let found = secret(cluster, &place, &field)?;
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
    let Some((host, port)) = address.rsplit_once(':') else {
        return invalid(format!("{address:?} has no port; write host:port"));
    };
    if port.parse::<u16>().is_ok_and(|port| port == 0) || port.parse::<u16>().is_err() {
        return invalid(format!("{port} is no port; write 1 to 65535"));
    }
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
    let labels: Vec<_> = host.trim_end_matches(".cluster.local").split('.').collect();
    let is_service = matches!(labels[..], [name, namespace, "svc"] if !name.is_empty() && !namespace.is_empty());
    if is_tls || is_loopback || is_service {
        return Ok(());
    }
    let message = format!(
        "{host} would be spoken to in the clear, password included; set tls, or name a Service as NAME.NAMESPACE.svc"
    );
    Err(Problem::new(field, Reason::EgressNotAllowed, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_clear_only_services_and_loopback_are_spoken_to() {
        for address in [
            "valkey.infra.svc:6379",
            "VALKEY.infra.svc.cluster.local:1",
            "127.0.0.1:6379",
            "[::1]:6379",
            "localhost:6379",
        ] {
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
