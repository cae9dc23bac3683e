//! Who is asked about requests besides: resolved, or nobody passes.

use std::time::Duration;

use sallyport_api::condition::Reason;
use sallyport_api::credential::Stated;
use sallyport_api::policy::{
    AuthorizerContext, AuthorizerDenial, AuthorizerKind, AuthorizerProtocol, ExternalAuthorization,
};
use sallyport_expression::Budget;
use sallyport_expression::typing::Type;
use sallyport_snapshot::v1::external_authorization::Protocol;
use sallyport_snapshot::v1::{self, authorizer_context::Value};

use super::authorization::{Author, expression};
use super::grant::{End, permits};
use super::rule::BackendTarget;
use super::{reach, service};
use crate::cluster::{ClusterState, ObjectKind, ObjectName, Stored};
use crate::problem::{Problem, denial};

const FIELD: &str = "spec.externalAuthorization";
/// Where nobody says otherwise.
const TIMEOUT: Duration = Duration::from_millis(500);

/// The section as data planes are told it, and whom it leads to.
#[derive(Clone)]
pub struct Authorizer {
    pub message: v1::ExternalAuthorization,
    /// Absent where it cannot be resolved.
    pub target: Option<BackendTarget>,
}

/// Whom a policy of `namespace` has asked.
pub fn authorizer(
    cluster: &ClusterState,
    author: Author<'_>,
    namespace: &str,
    stated: &ExternalAuthorization,
    problems: &mut Vec<Problem>,
) -> Authorizer {
    let message = v1::ExternalAuthorization {
        object: author.label.to_owned(),
        is_floor: author.is_floor,
        protocol: match stated.protocol {
            AuthorizerProtocol::GRPC => Protocol::Grpc,
            AuthorizerProtocol::HTTP => Protocol::Http,
        }
        .into(),
        path_prefix: stated.path_prefix.clone().unwrap_or_default(),
        headers_to_authorizer: lower(&stated.headers_to_authorizer),
        headers_to_backend: lower(&stated.headers_to_backend),
        headers_to_caller: lower(&stated.headers_to_caller),
        max_body_bytes: stated.forward_body.map(|body| u32::try_from(body.max_bytes.0).unwrap_or(u32::MAX)),
        passes_denials: stated.denial == Some(AuthorizerDenial::Pass),
        ..v1::ExternalAuthorization::default()
    };
    let resolved = resolved(cluster, author, namespace, stated, message.clone());
    resolved.unwrap_or_else(|problem| {
        // What it sets stays guarded, and nobody passes.
        let message = v1::ExternalAuthorization { unavailable: Some(denial(author.label, &problem)), ..message };
        problems.push(problem);
        Authorizer { message, target: None }
    })
}

fn resolved(
    cluster: &ClusterState,
    author: Author<'_>,
    namespace: &str,
    stated: &ExternalAuthorization,
    message: v1::ExternalAuthorization,
) -> Result<Authorizer, Problem> {
    let timeout = stated.timeout.as_ref().map(|written| written.parse()).transpose();
    let timeout = timeout
        .map_err(|why| Problem::new(format!("{FIELD}.timeout"), Reason::Invalid, why.to_string()))?
        .unwrap_or(TIMEOUT);
    let context = context(author, stated)?;
    let target = target(cluster, namespace, stated)?;
    let authority = authority(cluster, &target);
    let credential = credential(cluster, &target)?;
    let backend = resource(&target, message.protocol());
    let timeout_ms = u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX);
    let message = v1::ExternalAuthorization { timeout_ms, context, authority, credential, backend, ..message };
    Ok(Authorizer { message, target: Some(target) })
}

/// What it is called as a resource: how it is spoken to differs from how routes speak to it.
fn resource(target: &BackendTarget, protocol: Protocol) -> String {
    let way = if protocol == Protocol::Grpc { "authorizer/grpc" } else { "authorizer" };
    format!("{}/{way}", target.resource().unwrap_or_default())
}

/// Each once, whatever the case of its letters.
fn lower(names: &[String]) -> Vec<String> {
    let mut known = Vec::with_capacity(names.len());
    for name in names.iter().map(|name| name.to_ascii_lowercase()) {
        if !known.contains(&name) {
            known.push(name);
        }
    }
    known
}

fn context(author: Author<'_>, stated: &ExternalAuthorization) -> Result<Vec<v1::AuthorizerContext>, Problem> {
    let mut budget = Budget::default();
    let told = lower(&stated.headers_to_authorizer);
    let entry = |(at, entry): (usize, &AuthorizerContext)| {
        let field = format!("{FIELD}.context[{at}]");
        let variable = |name: &str| name.to_ascii_lowercase().replace('_', "-");
        if told.iter().any(|name| variable(name) == variable(&entry.name)) {
            let message = format!(
                "{} is a header of callers that headersToAuthorizer lists as well, so that nobody could tell whose word it is; choose another name",
                entry.name
            );
            return Err(Problem::new(format!("{field}.name"), Reason::Invalid, message));
        }
        let value = match &entry.expression {
            None => Value::Fixed(entry.value.clone().unwrap_or_default()),
            Some(text) => {
                let wanted = [Type::Text, Type::optional(Type::Text)];
                Value::Expression(expression(author, text, &wanted, &format!("{field}.expression"), &mut budget)?)
            }
        };
        Ok(v1::AuthorizerContext { name: entry.name.clone(), value: Some(value) })
    };
    stated.context.iter().enumerate().map(entry).collect()
}

fn target(cluster: &ClusterState, namespace: &str, stated: &ExternalAuthorization) -> Result<BackendTarget, Problem> {
    let field = format!("{FIELD}.backendRef");
    let reference = &stated.backend_ref;
    let (group, kind) = match reference.kind {
        AuthorizerKind::Service => ("", "Service"),
        AuthorizerKind::Backend => (sallyport_api::GROUP, "Backend"),
    };
    let theirs = reference.namespace.as_deref().unwrap_or(namespace);
    let name = ObjectName::new(theirs, &reference.name);
    reach::judge(cluster, ObjectKind::Service, theirs, &field)?;
    let from = End { group: sallyport_api::GROUP, kind: "ApiPolicy", namespace };
    if !permits(cluster, from, End { group, kind, namespace: theirs }, &reference.name) {
        let message = format!(
            "{kind} {name} is of another namespace, where no ReferenceGrant allows this; add one there, from ApiPolicy"
        );
        return Err(Problem::new(field, Reason::RefNotPermitted, message));
    }
    match reference.kind {
        AuthorizerKind::Service => {
            let port = reference.port.unwrap_or_default();
            service::judge(cluster, &name, port, &field)?;
            Ok(BackendTarget::Service { name, port })
        }
        AuthorizerKind::Backend if cluster.backends.contains_key(&name) => Ok(BackendTarget::Backend(name)),
        AuthorizerKind::Backend => {
            Err(Problem::new(field, Reason::BackendNotFound, format!("Backend {name} does not exist; create it")))
        }
    }
}

/// The host that its certificate is for, or by which the cluster knows it.
fn authority(cluster: &ClusterState, target: &BackendTarget) -> String {
    match target {
        BackendTarget::Service { name, port } => format!("{}.{}.svc:{port}", name.name, name.namespace),
        BackendTarget::Backend(name) => {
            let stated = match cluster.backends.get(name) {
                Some(Stored::Decoded(backend)) => backend.spec.tls.as_ref().map(|tls| tls.validation.hostname.clone()),
                _ => None,
            };
            stated.unwrap_or_else(|| format!("{}.{}", name.name, name.namespace))
        }
        BackendTarget::Nowhere => String::new(),
    }
}

/// The resource of the Backend's credential. It stands for the gateway: what would be the caller's, or stands in a query, is none.
fn credential(cluster: &ClusterState, target: &BackendTarget) -> Result<String, Problem> {
    let BackendTarget::Backend(name) = target else { return Ok(String::new()) };
    let Some(Stored::Decoded(backend)) = cluster.backends.get(name) else { return Ok(String::new()) };
    let Some(credential) = &backend.spec.credential else { return Ok(String::new()) };
    let kind = match credential.stated() {
        Some(Stated::PassThrough) => "passThrough",
        Some(Stated::QueryParameter(_)) => "queryParameter",
        // One that states several is none that can be had, and says so.
        Some(Stated::None | Stated::Basic(_) | Stated::Header(_)) | None => return Ok(format!("Backend/{name}")),
    };
    let message = format!(
        "Backend {name} shows its service a credential of kind {kind}, which an authoriser is not shown; name a Backend with basic, header, none or a client certificate"
    );
    Err(Problem::new(format!("{FIELD}.backendRef"), Reason::UnsupportedValue, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_it_is_spoken_to_is_part_of_its_name() {
        let name = ObjectName::new("shop", "opa");
        let service = BackendTarget::Service { name: name.clone(), port: 9191 };
        assert_eq!(resource(&service, Protocol::Grpc), "Service/shop/opa/9191/authorizer/grpc");
        assert_eq!(resource(&BackendTarget::Backend(name), Protocol::Http), "Backend/shop/opa/authorizer");
    }
}
