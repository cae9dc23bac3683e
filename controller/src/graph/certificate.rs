//! Certificates with their keys from Secrets, and authorities from ConfigMaps and Secrets.

use bytes::Bytes;
use k8s_openapi::api::core::v1::Secret;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sallyport_api::HOSTS_ANNOTATION;
use sallyport_api::condition::Reason;
use sallyport_api::reference::{CaCertificateKind, CaCertificateReference};
use sallyport_snapshot::v1;

use super::grant::{End, permits};
use super::reach;
use crate::cluster::{ClusterState, ObjectKind, ObjectName, Stored, Withheld};
use crate::problem::Problem;

/// The entry of an object that holds authorities.
const CA_ENTRY: &str = "ca.crt";
/// Secrets whose content is not for us to show: tokens of workloads, and Helm's releases.
const FOREIGN_TYPES: [&str; 2] = ["kubernetes.io/service-account-token", "helm.sh/release.v1"];

/// The Secret called `name`, if it is there and of a kind that may be used.
pub fn secret<'a>(cluster: &'a ClusterState, name: &ObjectName, field: &str) -> Result<&'a Secret, Problem> {
    cluster.asked.note(ObjectKind::Secret, name);
    match cluster.secrets.get(name) {
        Some(Stored::Decoded(secret)) if secret.type_.as_deref().is_some_and(|kind| FOREIGN_TYPES.contains(&kind)) => {
            Err(Problem::new(
                field,
                Reason::SecretInvalid,
                format!("Secret {name} belongs to Kubernetes or Helm; name a Secret of your own"),
            ))
        }
        Some(Stored::Decoded(secret)) => Ok(secret),
        Some(Stored::Undecodable(_)) => {
            Err(Problem::new(field, Reason::SecretInvalid, format!("Secret {name} cannot be decoded; correct it")))
        }
        None => {
            withheld(cluster, ObjectKind::Secret, name, field)?;
            Err(Problem::new(field, Reason::SecretNotFound, format!("Secret {name} does not exist; create it")))
        }
    }
}

/// Refuses an object that is not known because the API server does not tell of it.
pub fn withheld(cluster: &ClusterState, kind: ObjectKind, name: &ObjectName, field: &str) -> Result<(), Problem> {
    let kind_and_name = format!("{} {name}", kind.as_str());
    let message = match cluster.withheld.get(&(kind, name.clone())) {
        None => return Ok(()),
        Some(Withheld::Forbidden) => format!(
            "the controller may not list and watch {kind_and_name}; bind it a Role there that allows it, as the chart does"
        ),
        Some(Withheld::Silent) => {
            format!("the API server has told nothing of {kind_and_name} yet; it is asked again until it does")
        }
    };
    Err(Problem::new(field, Reason::SecretWithheld, message))
}

/// One entry of a Secret.
pub fn entry<'a>(secret: &'a Secret, name: &ObjectName, key: &str, field: &str) -> Result<&'a [u8], Problem> {
    let found = secret.data.as_ref().and_then(|data| data.get(key)).map(|bytes| bytes.0.as_slice());
    found
        .ok_or_else(|| Problem::new(field, Reason::SecretNotFound, format!("Secret {name} has no entry {key}; add it")))
}

/// The certificate and key of a Secret of type `kubernetes.io/tls`.
pub fn certificate(cluster: &ClusterState, name: &ObjectName, field: &str) -> Result<v1::Certificate, Problem> {
    let secret = secret(cluster, name, field)?;
    let invalid = |why: &str| Problem::new(field, Reason::SecretInvalid, format!("Secret {name}: {why}"));
    let chain = pem_certificates(cluster, entry(secret, name, "tls.crt", field)?)
        .ok_or_else(|| invalid("tls.crt holds no certificate in PEM"))?;
    let key = PrivateKeyDer::from_pem_slice(entry(secret, name, "tls.key", field)?)
        .map_err(|_| invalid("tls.key holds no private key in PEM"))?;
    let encoding = match &key {
        PrivateKeyDer::Pkcs1(_) => v1::certificate::KeyEncoding::Pkcs1,
        PrivateKeyDer::Sec1(_) => v1::certificate::KeyEncoding::Sec1,
        _ => v1::certificate::KeyEncoding::Pkcs8,
    };
    let leaf = chain
        .first()
        .and_then(|der| x509_parser::parse_x509_certificate(der).ok())
        .ok_or_else(|| invalid("tls.crt does not parse"))?;
    let not_after_s = leaf.1.validity().not_after.timestamp();
    judge_pair(&chain, &key).map_err(|why| invalid(&why))?;
    let private_key = Some(v1::Secret { value: Bytes::copy_from_slice(key.secret_der()) });
    Ok(v1::Certificate { chain, private_key, encoding: encoding.into(), not_after_s, unusable: String::new() })
}

/// What stands in for a certificate whose Secret is there and cannot be used; `None` if the Secret is gone.
pub fn unusable(problem: &Problem, cluster: &ClusterState, name: &ObjectName) -> Option<v1::Certificate> {
    let there = cluster.secrets.contains_key(name);
    there.then(|| v1::Certificate { unusable: problem.message.clone(), ..v1::Certificate::default() })
}

/// The certificates of an object's entry `ca.crt`, as DER.
pub fn authorities(
    cluster: &ClusterState,
    referrer: End<'_>,
    reference: &CaCertificateReference,
    field: &str,
) -> Result<Vec<Bytes>, Problem> {
    let namespace = reference.namespace.as_deref().unwrap_or(referrer.namespace);
    let name = ObjectName::new(namespace, &reference.name);
    let kind = match reference.kind {
        CaCertificateKind::ConfigMap => "ConfigMap",
        CaCertificateKind::Secret => "Secret",
    };
    reach::judge(cluster, ObjectKind::Secret, namespace, field)?;
    if !permits(cluster, referrer, End { group: "", kind, namespace }, &reference.name) {
        let message =
            format!("{kind} {name} is of another namespace, where no ReferenceGrant allows this; add one there");
        return Err(Problem::new(field, Reason::RefNotPermitted, message));
    }
    let text = match reference.kind {
        CaCertificateKind::Secret => entry(secret(cluster, &name, field)?, &name, CA_ENTRY, field)?.to_vec(),
        CaCertificateKind::ConfigMap => config_entry(cluster, &name, CA_ENTRY, field)?.into_bytes(),
    };
    let message = || format!("{kind} {name}: {CA_ENTRY} holds no certificate in PEM");
    pem_certificates(cluster, &text).ok_or_else(|| Problem::new(field, Reason::SecretInvalid, message()))
}

/// The same of all `references`, which stand in the list `field`.
pub fn all_authorities(
    cluster: &ClusterState,
    referrer: End<'_>,
    references: &[CaCertificateReference],
    field: &str,
) -> Result<Vec<Bytes>, Problem> {
    let mut found = Vec::new();
    for (at, reference) in references.iter().enumerate() {
        found.extend(authorities(cluster, referrer, reference, &format!("{field}[{at}]"))?);
    }
    Ok(found)
}

/// Whoever writes a policy, or parameters, chooses who is asked: whoever keeps the Secret says by an annotation where it may be sent.
pub fn judge_host((secret, name): (&Secret, &ObjectName), host: &str, field: &str) -> Result<(), Problem> {
    let hosts = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(HOSTS_ANNOTATION));
    if hosts.is_some_and(|hosts| hosts.split(',').any(|one| one.trim().eq_ignore_ascii_case(host))) {
        return Ok(());
    }
    let message = format!(
        "Secret {name} is not for {host}, where it would be sent; whoever may write the Secret adds the annotation {HOSTS_ANNOTATION}: {host}"
    );
    Err(Problem::new(field, Reason::SecretInvalid, message))
}

/// One entry of a ConfigMap.
pub fn config_entry(cluster: &ClusterState, name: &ObjectName, key: &str, field: &str) -> Result<String, Problem> {
    let missing = |why: String| Problem::new(field, Reason::SecretNotFound, why);
    cluster.asked.note(ObjectKind::ConfigMap, name);
    match cluster.config_maps.get(name) {
        Some(Stored::Decoded(map)) => {
            let found = map.data.as_ref().and_then(|data| data.get(key)).cloned();
            found.ok_or_else(|| missing(format!("ConfigMap {name} has no entry {key}; add it")))
        }
        Some(Stored::Undecodable(_)) => {
            Err(Problem::new(field, Reason::SecretInvalid, format!("ConfigMap {name} cannot be decoded; correct it")))
        }
        None => {
            withheld(cluster, ObjectKind::ConfigMap, name, field)?;
            Err(missing(format!("ConfigMap {name} does not exist; create it")))
        }
    }
}

/// The first certificate of a text, as DER.
pub fn first_certificate(text: &[u8]) -> Option<Vec<u8>> {
    let der = CertificateDer::from_pem_slice(text).ok()?;
    x509_parser::parse_x509_certificate(&der).is_ok().then(|| der.to_vec())
}

fn pem_certificates(cluster: &ClusterState, text: &[u8]) -> Option<Vec<Bytes>> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let ders: Vec<_> = read.ok()?.into_iter().map(|der| cluster.shared.of(&der)).collect();
    (!ders.is_empty()).then_some(ders)
}

/// Whether the key is the certificate's.
fn judge_pair(chain: &[Bytes], key: &PrivateKeyDer<'static>) -> Result<(), String> {
    let chain = chain.iter().map(|der| CertificateDer::from(der.to_vec())).collect();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let pair = rustls::sign::CertifiedKey::from_der(chain, key.clone_key(), &provider);
    pair.map(drop).map_err(|_| "tls.key is not the key of tls.crt; store the two that belong together".to_owned())
}
