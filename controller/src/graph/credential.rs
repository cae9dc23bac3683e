//! Credentials of Backends and policies: resolved, or unavailable with a reason.

use bytes::Bytes;
use k8s_openapi::api::core::v1::Secret;
use sallyport_api::condition::Reason;
use sallyport_api::credential::Credential;
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
    // Taken apart by name: whoever adds a kind is led here.
    let Credential { pass_through, none, basic, header, query_parameter } = credential;
    if pass_through.is_some() {
        return Ok(Kind::PassThrough(v1::PassThrough {}));
    }
    if none.is_some() {
        return Ok(Kind::None(v1::NoCredential {}));
    }
    if let Some(basic) = basic {
        let field = format!("{field}.basic.secretRef");
        let (name, secret) = find(&basic.secret_ref.name, &field)?;
        let username = value(secret, &name, "username", &field)?;
        if username.value.contains(&b':') {
            return Err(Problem::new(
                field,
                Reason::SecretInvalid,
                format!("Secret {name}: username holds a colon, which basic authentication cannot carry"),
            ));
        }
        return Ok(Kind::Basic(v1::Basic {
            username: Some(username),
            password: Some(value(secret, &name, "password", &field)?),
        }));
    }
    if let Some(header) = header {
        let field = format!("{field}.header.secretRef");
        let (name, secret) = find(&header.secret_ref.name, &field)?;
        let value = value(secret, &name, &header.secret_ref.key, &field)?;
        return Ok(Kind::Header(v1::HeaderCredential {
            name: header.name.to_ascii_lowercase(),
            prefix: header.prefix.clone(),
            value: Some(value),
        }));
    }
    if let Some(parameter) = query_parameter {
        let field = format!("{field}.queryParameter.secretRef");
        let (name, secret) = find(&parameter.secret_ref.name, &field)?;
        let value = value(secret, &name, &parameter.secret_ref.key, &field)?;
        return Ok(Kind::QueryParameter(v1::QueryCredential { name: parameter.name.clone(), value: Some(value) }));
    }
    Err(Problem::new(field, Reason::Invalid, "no kind of credential is stated; state one"))
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
