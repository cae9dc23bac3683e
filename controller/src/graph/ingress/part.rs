//! What an Ingress says, by host: the rules of each, and over what they are served.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{HTTPIngressPath, IngressBackend, IngressSpec};
use sallyport_api::condition::Reason;

use super::attach::Attach;
use crate::graph::form::{BackendForm, MatchForm, RuleForm, ValueForm};
use crate::problem::Problem;

/// Rules of one host, on some of the listeners.
pub(super) struct Part {
    /// What tells it from the others; it stays while the host stays.
    pub(super) label: String,
    /// Lower case; "*.example.com" for exactly one label; empty for every host.
    pub(super) host: String,
    /// Where the host is stated.
    pub(super) field: String,
    pub(super) over: Over,
    pub(super) answer: Answer,
    pub(super) rules: Vec<RuleForm>,
    /// It takes what nothing else does.
    pub(super) is_default: bool,
}

/// On which listeners a part is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Over {
    Any,
    Tls,
    Cleartext,
}

/// What is done with a request of a part.
pub(super) enum Answer {
    Backends,
    /// To the same place over TLS; 0 for its well-known port.
    Redirect {
        port: u32,
    },
    Denied(Problem),
}

/// All parts, in the order of the hosts; `attach` is where they are going to be.
pub(super) fn all(spec: &IngressSpec, attach: Option<&Attach<'_>>) -> Vec<Part> {
    let mut parts = Vec::new();
    for (host, lines) in by_host(spec) {
        let (field, rules): (Vec<_>, Vec<_>) = lines.into_iter().unzip();
        let field = field.into_iter().next().unwrap_or_default();
        let label = if host.is_empty() { "any".to_owned() } else { format!("host={host}") };
        push(&mut parts, spec, attach, Part { label, host, field, rules, ..Part::bare(false) });
    }
    if let Some(backend) = &spec.default_backend {
        let rule = rule("spec.defaultBackend", "defaultBackend", None, (backend, "spec.defaultBackend"));
        let (label, field) = ("default".to_owned(), "spec.defaultBackend".to_owned());
        push(&mut parts, spec, attach, Part { label, field, rules: vec![rule], ..Part::bare(true) });
    }
    parts
}

/// A host that asks for TLS is served over nothing else: who comes in cleartext is sent there.
fn push(parts: &mut Vec<Part>, spec: &IngressSpec, attach: Option<&Attach<'_>>, part: Part) {
    if !asks_for_tls(spec, &part.host) {
        parts.push(part);
        return;
    }
    let over_tls = Part { over: Over::Tls, ..part };
    let answer = match attach.map(|attach| attach.port_of(&over_tls)) {
        Some(None) => {
            let host = if over_tls.host.is_empty() { "every host" } else { &over_tls.host };
            let message = format!(
                "no HTTPS listener of its Gateway takes {host}; add one, or take the host out of spec.tls. It answers 500"
            );
            Answer::Denied(Problem::new("spec.tls", Reason::NoMatchingListenerHostname, message))
        }
        Some(Some(port)) => Answer::Redirect { port },
        None => Answer::Redirect { port: 0 },
    };
    parts.push(Part {
        label: format!("cleartext,{}", over_tls.label),
        host: over_tls.host.clone(),
        field: over_tls.field.clone(),
        over: Over::Cleartext,
        answer,
        rules: over_tls.rules.clone(),
        is_default: over_tls.is_default,
    });
    parts.push(over_tls);
}

impl Part {
    fn bare(is_default: bool) -> Self {
        let (label, host, field) = (String::new(), String::new(), String::new());
        Self { label, host, field, over: Over::Any, answer: Answer::Backends, rules: vec![], is_default }
    }
}

/// Rules by their hosts, each with the field of its host.
fn by_host(spec: &IngressSpec) -> BTreeMap<String, Vec<(String, RuleForm)>> {
    let mut hosts = BTreeMap::<_, Vec<_>>::new();
    for (at, stated) in spec.rules.iter().flatten().enumerate() {
        let field = format!("spec.rules[{at}]");
        let of_host = hosts.entry(stated.host.clone().unwrap_or_default().to_ascii_lowercase()).or_default();
        let host_field = format!("{field}.host");
        match (&stated.http, &spec.default_backend) {
            (Some(http), _) => of_host.extend(http.paths.iter().enumerate().map(|(path_at, path)| {
                let field = format!("{field}.http.paths[{path_at}]");
                let rule =
                    rule(&field, &format!("{at}.{path_at}"), Some(path), (&path.backend, &format!("{field}.backend")));
                (host_field.clone(), rule)
            })),
            // All that comes for the host is for the default backend.
            (None, Some(backend)) => {
                let rule = rule(&field, &at.to_string(), None, (backend, "spec.defaultBackend"));
                of_host.push((host_field, rule));
            }
            (None, None) => {}
        }
    }
    hosts.retain(|_, rules| !rules.is_empty());
    hosts
}

/// A rule that is called `name` and stands at `field`; without a path it takes every one.
fn rule(field: &str, name: &str, path: Option<&HTTPIngressPath>, backend: (&IngressBackend, &str)) -> RuleForm {
    let text = path.and_then(|path| path.path.clone()).filter(|text| !text.is_empty());
    let kind = path.map_or("", |path| path.path_type.as_str());
    // ImplementationSpecific is as Prefix here.
    let kind = if kind == "Exact" { "Exact" } else { "PathPrefix" };
    let path =
        ValueForm { r#type: kind.to_owned(), name: String::new(), value: text.unwrap_or_else(|| "/".to_owned()) };
    RuleForm {
        field: Some(field.to_owned()),
        name: Some(name.to_owned()),
        matches: vec![MatchForm { path: Some(path), ..MatchForm::default() }],
        backend_refs: vec![backend_form(backend)],
        ..RuleForm::default()
    }
}

fn backend_form((backend, field): (&IngressBackend, &str)) -> BackendForm {
    if let Some(resource) = &backend.resource {
        // The core group has no name of its own, and no kind there is a backend by itself.
        let group = resource.api_group.clone().filter(|group| !group.is_empty()).unwrap_or_else(|| "v1".to_owned());
        let field = Some(format!("{field}.resource"));
        return BackendForm {
            field,
            group,
            kind: resource.kind.clone(),
            name: resource.name.clone(),
            ..BackendForm::default()
        };
    }
    let service = backend.service.as_ref();
    let port = service.and_then(|service| service.port.as_ref());
    BackendForm {
        field: Some(format!("{field}.service")),
        kind: "Service".to_owned(),
        name: service.map(|service| service.name.clone()).unwrap_or_default(),
        port: port.and_then(|port| port.number).and_then(|number| u32::try_from(number).ok()),
        port_name: port.and_then(|port| port.name.clone()),
        ..BackendForm::default()
    }
}

/// Whether TLS is stated for a host; an entry without hosts is for all of the Ingress.
pub(super) fn asks_for_tls(spec: &IngressSpec, host: &str) -> bool {
    spec.tls.iter().flatten().any(|tls| {
        let hosts = tls.hosts.as_deref().unwrap_or_default();
        hosts.is_empty() || hosts.iter().any(|one| is_for(&one.to_ascii_lowercase(), host))
    })
}

/// Whether a certificate's host is for `host`: the same, or a wildcard and one label in its place.
fn is_for(stated: &str, host: &str) -> bool {
    let single =
        stated.strip_prefix("*.").is_some_and(|rest| host.split_once('.').is_some_and(|(_, after)| after == rest));
    stated == host || single
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_is_for_one_label() {
        for (stated, host, expected) in [
            ("a.com", "a.com", true),
            ("*.a.com", "*.a.com", true),
            ("*.a.com", "x.a.com", true),
            ("*.a.com", "y.x.a.com", false),
            ("*.a.com", "a.com", false),
            ("a.com", "*.a.com", false),
            ("a.com", "", false),
            ("*.a.com", "", false),
        ] {
            assert_eq!(is_for(stated, host), expected, "{stated} {host}");
        }
    }
}
