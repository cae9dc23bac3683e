//! Credentials of Backends and policies: resolved, or unavailable with a reason.

use bytes::Bytes;
use k8s_openapi::api::core::v1::Secret;
use sallyport_api::condition::Reason;
use sallyport_api::credential::{Credential, Stated};
use sallyport_snapshot::v1::{self, credential::Kind};

use super::certificate::{entry, secret};
use crate::cluster::{ClusterState, ObjectName};
use crate::problem::{Problem, denial};

/// The resource for `credential` of `object` in `namespace`.
pub fn message(
    cluster: &ClusterState,
    object: &str,
    namespace: &str,
    credential: &Credential,
    problems: &mut Vec<Problem>,
) -> v1::Credential {
    let kind = kind(cluster, namespace, credential).unwrap_or_else(|problem| {
        let deny = denial(object, &problem);
        problems.push(problem);
        Kind::Unavailable(deny)
    });
    v1::Credential { object: object.to_owned(), kind: Some(kind) }
}

fn kind(cluster: &ClusterState, namespace: &str, credential: &Credential) -> Result<Kind, Problem> {
    let field = "spec.credential";
    let find = |name: &str, field: &str| {
        let name = ObjectName::new(namespace, name);
        secret(cluster, &name, field).map(|secret| (name, secret))
    };
    let Some(stated) = credential.stated() else {
        return Err(Problem::new(field, Reason::Invalid, "not exactly one kind of credential is stated; state one"));
    };
    match stated {
        Stated::PassThrough => Ok(Kind::PassThrough(v1::PassThrough {})),
        Stated::None => Ok(Kind::None(v1::NoCredential {})),
        Stated::Basic(basic) => {
            let field = format!("{field}.basic.secretRef");
            let (name, secret) = find(&basic.secret_ref.name, &field)?;
            login(secret, &name, &field).map(Kind::Basic)
        }
        Stated::Header(header) => {
            let field = format!("{field}.header.secretRef");
            let (name, secret) = find(&header.secret_ref.name, &field)?;
            let value = value(secret, &name, &header.secret_ref.key, &field)?;
            let (name, prefix) = (header.name.to_ascii_lowercase(), header.prefix.clone());
            Ok(Kind::Header(v1::HeaderCredential { name, prefix, value: Some(value) }))
        }
        Stated::QueryParameter(parameter) => {
            let field = format!("{field}.queryParameter.secretRef");
            let (name, secret) = find(&parameter.secret_ref.name, &field)?;
            let value = value(secret, &name, &parameter.secret_ref.key, &field)?;
            Ok(Kind::QueryParameter(v1::QueryCredential { name: parameter.name.clone(), value: Some(value) }))
        }
    }
}

fn login(secret: &Secret, name: &ObjectName, field: &str) -> Result<v1::Basic, Problem> {
    let username = value(secret, name, "username", field)?;
    if username.value.contains(&b':') {
        let message = format!(
            "Secret {name}: username holds a colon, which basic authentication cannot carry; store one without"
        );
        return Err(Problem::new(field, Reason::SecretInvalid, message));
    }
    Ok(v1::Basic { username: Some(username), password: Some(value(secret, name, "password", field)?) })
}

/// An entry that can stand in a header: not empty, and without control characters.
fn value(secret: &Secret, name: &ObjectName, key: &str, field: &str) -> Result<v1::Secret, Problem> {
    let bytes = entry(secret, name, key, field)?;
    if bytes.is_empty() || bytes.iter().any(u8::is_ascii_control) {
        let message = format!(
            "Secret {name}: {key} is empty or holds a control character, often a line end; store the bare value"
        );
        return Err(Problem::new(field, Reason::SecretInvalid, message));
    }
    Ok(v1::Secret { value: Bytes::copy_from_slice(bytes) })
}
