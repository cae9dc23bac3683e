//! Rules of routes: matches, filters, backends.

use std::time::Duration;

use sallyport_api::condition::Reason;
use sallyport_api::duration;
use sallyport_api::gateway_api;
use sallyport_snapshot::expression::{self, Budget};
use sallyport_snapshot::v1::{self, r#match::Path, path_edit::Edit, value_match::Value};
use serde_json::Value as Json;

use super::expression::judge;
use super::form::{BackendForm, FilterForm, HeadersForm, MatchForm, PathForm, RuleForm, ValueForm};
use super::grant::{End, may_permit, permits};
use super::route::RouteId;
use super::{cors, reach, service};
use crate::cluster::{ClusterState, ObjectKind, ObjectName};
use crate::problem::{Problem, denial, denial_by_older, is_for_older};

/// A rule, but for what policies add to it.
pub struct RuleNode {
    /// As `sectionName` names it; absent where the rule has none.
    pub section: Option<String>,
    pub message: v1::Rule,
    /// What each entry of `message.backends` leads to.
    pub backends: Vec<BackendTarget>,
    /// What its references name, whether that is there and can be served or not; nothing that another namespace is known
    /// not to allow.
    pub named: Vec<BackendTarget>,
}

/// The filter that stands beside all others: it changes neither request nor answer but for what it says.
const CORS: &str = "CORS";
/// Header fields that no filter may change, besides those that begin with `proxy-`. The data plane refuses the same.
const RESERVED_HEADERS: [&str; 9] = [
    "connection",
    "content-length",
    "host",
    "http2-settings",
    "keep-alive",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a share of the requests goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BackendTarget {
    Service { name: ObjectName, port: u32 },
    Backend(ObjectName),
    Nowhere,
}

impl BackendTarget {
    /// Name of the Backend resource.
    pub fn resource(&self) -> Option<String> {
        match self {
            Self::Service { name, port } => Some(format!("Service/{name}/{port}")),
            Self::Backend(name) => Some(format!("Backend/{name}")),
            Self::Nowhere => None,
        }
    }

    /// Namespace of the service.
    pub fn namespace(&self) -> Option<&str> {
        match self {
            Self::Service { name, .. } | Self::Backend(name) => Some(&name.namespace),
            Self::Nowhere => None,
        }
    }
}

impl RuleNode {
    /// Whether some requests are answered as the rule says.
    pub fn serves(&self) -> bool {
        let redirects = |one: &v1::Filter| matches!(one.filter, Some(v1::filter::Filter::Redirect(_)));
        let leads = |one: &v1::WeightedBackend| matches!(one.target, Some(v1::weighted_backend::Target::Backend(_)));
        let answers = self.message.filters.iter().any(redirects) || self.message.backends.iter().any(leads);
        !self.denies() && answers
    }

    /// Whether it lets nobody in, whoever asks. A word to data planes that are older than what the rule states is none to others.
    pub fn denies(&self) -> bool {
        self.message.deny.as_ref().is_some_and(|deny| !is_for_older(deny))
    }

    /// A rule that takes what it always took, and denies: no broader rule takes over what it guarded.
    ///
    /// Its services are those of other routes as well, whose callers must not say what its policies do.
    pub fn denied(cluster: &ClusterState, id: &RouteId, at: usize, form: &RuleForm, deny: v1::Deny) -> Self {
        let name = form.name.clone().unwrap_or_else(|| at.to_string());
        let message = v1::Rule { name, matches: matches(id, &form.matches), deny: Some(deny), ..v1::Rule::default() };
        let backends = form.backend_refs.iter().filter_map(|backend| target(cluster, id, backend, "").ok());
        Self { section: form.name.clone(), message, backends: backends.collect(), named: named(cluster, id, form) }
    }
}

/// The node of `rules[at]`, whose expressions are paid for from `budget`; what it cannot do makes it deny.
pub fn node(
    cluster: &ClusterState,
    (id, at): (&RouteId, usize),
    form: &RuleForm,
    budget: &mut Budget,
    problems: &mut Vec<Problem>,
) -> RuleNode {
    let field = form.field.clone().unwrap_or_else(|| format!("spec.rules[{at}]"));
    let before = problems.len();
    let matches = matches(id, &form.matches);
    let path_field = if id.kind == "GRPCRoute" { "method" } else { "path" };
    for (at, one) in matches.iter().enumerate() {
        judge_expressions(one, path_field, &format!("{field}.matches[{at}]"), budget, problems);
    }
    let (crossing, others): (Vec<_>, Vec<_>) = form.filters.iter().enumerate().partition(|(_, one)| one.r#type == CORS);
    let filters = filters(&others, &format!("{field}.filters"), problems);
    let broken = problems.get(before).map(|problem| denial(&id.to_string(), problem));
    // An origin that is not known here is not allowed: the rest of the rule stands.
    let cors = crossing.iter().find_map(|(at, one)| {
        Some(cors::of_filter(one.cors.as_ref()?, &format!("{field}.filters[{at}].cors"), problems))
    });
    let (mut messages, mut targets) = (Vec::new(), Vec::new());
    for (at, backend) in form.backend_refs.iter().enumerate() {
        let field = backend.field.clone().unwrap_or_else(|| format!("{field}.backendRefs[{at}]"));
        let (message, target) = weighted(cluster, id, backend, &field, problems);
        messages.push(message);
        targets.push(target);
    }
    let time = |text: &Option<String>| {
        text.as_ref().and_then(|text| duration::Duration(text.clone()).parse().ok()).map(milliseconds)
    };
    let message = v1::Rule {
        name: form.name.clone().unwrap_or_else(|| at.to_string()),
        matches,
        filters,
        backends: messages,
        request_timeout_ms: time(&form.timeouts.request),
        backend_request_timeout_ms: time(&form.timeouts.backend_request),
        deny: broken.or_else(|| cors.as_ref().map(|_| denial_by_older(&id.to_string(), &field, 4))),
        cors,
    };
    RuleNode { section: form.name.clone(), message, backends: targets, named: named(cluster, id, form) }
}

fn milliseconds(length: Duration) -> u64 {
    u64::try_from(length.as_millis()).unwrap_or(u64::MAX)
}

fn matches(id: &RouteId, forms: &[MatchForm]) -> Vec<v1::Match> {
    let one = |form: &MatchForm| v1::Match {
        path: Some(if id.kind == "GRPCRoute" { grpc_path(&form.method) } else { http_path(form.path.as_ref()) }),
        method: form.method.as_str().unwrap_or_default().to_owned(),
        headers: form.headers.iter().map(|header| value(header, header.name.to_ascii_lowercase())).collect(),
        query: form.query_params.iter().map(|parameter| value(parameter, parameter.name.clone())).collect(),
    };
    if forms.is_empty() { vec![one(&MatchForm::default())] } else { forms.iter().map(one).collect() }
}

/// Without a value it is "/", in whichever way that is compared.
fn http_path(form: Option<&ValueForm>) -> Path {
    let value = form.map(|form| form.value.as_str()).filter(|value| !value.is_empty()).unwrap_or("/").to_owned();
    match form.map(|form| form.r#type.as_str()) {
        Some("Exact") => Path::Exact(value),
        Some("RegularExpression") => Path::Regex(value),
        _ => Path::Prefix(value),
    }
}

/// An expression that cannot be used makes its rule deny, wherever it could have matched.
fn judge_expressions(
    one: &v1::Match,
    path_field: &'static str,
    field: &str,
    budget: &mut Budget,
    problems: &mut Vec<Problem>,
) {
    let of_path = one.path.iter().filter_map(|path| match path {
        Path::Regex(text) => Some((path_field, text)),
        Path::Exact(_) | Path::Prefix(_) => None,
    });
    let of_value = |test: &'_ v1::ValueMatch| match &test.value {
        Some(Value::Regex(text)) => Some(text.clone()),
        Some(Value::Exact(_)) | None => None,
    };
    let of_headers = one.headers.iter().filter_map(of_value).map(|text| ("headers", text));
    let of_query = one.query.iter().filter_map(of_value).map(|text| ("queryParams", text));
    for (name, text) in of_path.map(|(name, text)| (name, text.clone())).chain(of_headers).chain(of_query) {
        if let Err(why) = judge(&text, budget) {
            let message =
                format!("{text:?} is no regular expression that can be used ({why}); correct it. The rule answers 500");
            problems.push(Problem::new(format!("{field}.{name}"), Reason::UnsupportedValue, message));
        }
    }
}

/// A call is a POST to `/service/method` (gRPC over HTTP/2).
fn grpc_path(method: &Json) -> Path {
    let text = |field: &str| method[field].as_str().filter(|text| !text.is_empty());
    let is_expression = method["type"] == "RegularExpression";
    match (text("service"), text("method")) {
        (None, None) => Path::Prefix("/".to_owned()),
        (service, method) if is_expression => grpc_expression(service, method),
        (Some(service), Some(method)) => Path::Exact(format!("/{service}/{method}")),
        (Some(service), None) => Path::Prefix(format!("/{service}")),
        (None, Some(method)) => Path::Regex(format!("/[^/]+/{}", regex::escape(method))),
    }
}

/// Each part is an expression of its own. One that is none stands for the whole, which then is none either.
fn grpc_expression(service: Option<&str>, method: Option<&str>) -> Path {
    let broken = [service, method].into_iter().flatten().find(|part| expression::judge(part).is_err());
    let part = |text: Option<&str>| text.unwrap_or("[^/]+").to_owned();
    let whole = || format!("/(?:{})/(?:{})", part(service), part(method));
    Path::Regex(broken.map_or_else(whole, str::to_owned))
}

fn value(form: &ValueForm, name: String) -> v1::ValueMatch {
    let value = if form.r#type == "RegularExpression" {
        Value::Regex(form.value.clone())
    } else {
        Value::Exact(form.value.clone())
    };
    v1::ValueMatch { name, value: Some(value) }
}

fn filters(forms: &[(usize, &FilterForm)], field: &str, problems: &mut Vec<Problem>) -> Vec<v1::Filter> {
    let mut found = Vec::new();
    for (at, form) in forms {
        match filter(form) {
            Some(filter) => {
                judge_headers(&filter, &format!("{field}[{at}]"), problems);
                found.push(v1::Filter { filter: Some(filter) });
            }
            None => {
                let message = format!("filter {} is not supported here; remove it. The rule answers 500", form.r#type);
                problems.push(Problem::new(format!("{field}[{at}].type"), Reason::UnsupportedValue, message));
            }
        }
    }
    found
}

fn filter(form: &FilterForm) -> Option<v1::filter::Filter> {
    use v1::filter::Filter as F;
    let path = |path: &Option<PathForm>| path.as_ref().and_then(path_edit);
    Some(match form.r#type.as_str() {
        "RequestHeaderModifier" => F::RequestHeaders(headers(form.request_header_modifier.as_ref()?)),
        "ResponseHeaderModifier" => F::ResponseHeaders(headers(form.response_header_modifier.as_ref()?)),
        "RequestRedirect" => {
            let redirect = form.request_redirect.as_ref()?;
            let (scheme, hostname) = (redirect.scheme.clone(), redirect.hostname.clone());
            F::Redirect(v1::Redirect {
                scheme,
                hostname,
                port: redirect.port,
                path: path(&redirect.path),
                status: redirect.status_code.unwrap_or(302),
            })
        }
        "URLRewrite" => {
            let rewrite = form.url_rewrite.as_ref()?;
            F::Rewrite(v1::Rewrite { hostname: rewrite.hostname.clone(), path: path(&rewrite.path) })
        }
        _ => return None,
    })
}

fn headers(form: &HeadersForm) -> v1::HeaderEdit {
    let all = |forms: &[ValueForm]| {
        forms.iter().map(|form| v1::Header { name: form.name.clone(), value: form.value.clone() }).collect()
    };
    v1::HeaderEdit { set: all(&form.set), add: all(&form.add), remove: form.remove.clone() }
}

/// A value holds no control characters but tabs (RFC 9110, 5.5): a data plane takes no other.
fn judge_values(edit: &v1::HeaderEdit, field: &str, problems: &mut Vec<Problem>) {
    for (list, headers) in [("set", &edit.set), ("add", &edit.add)] {
        let broken =
            headers.iter().enumerate().filter(|(_, header)| header.value.parse::<http::HeaderValue>().is_err());
        problems.extend(broken.map(|(at, header)| {
            let message =
                format!("the value of {} holds a control character; correct it. The rule answers 500", header.name);
            Problem::new(format!("{field}.{list}[{at}].value"), Reason::UnsupportedValue, message)
        }));
    }
}

/// Fields that frame a message, belong to one connection or say where a request goes: no filter speaks for them.
fn judge_headers(filter: &v1::filter::Filter, field: &str, problems: &mut Vec<Problem>) {
    use v1::filter::Filter as F;
    let (member, edit) = match filter {
        F::RequestHeaders(edit) => ("requestHeaderModifier", edit),
        F::ResponseHeaders(edit) => ("responseHeaderModifier", edit),
        F::Redirect(_) | F::Rewrite(_) => return,
    };
    judge_values(edit, &format!("{field}.{member}"), problems);
    let names = |headers: &[v1::Header]| headers.iter().map(|header| header.name.clone()).collect();
    let lists: [(_, Vec<String>); 3] =
        [("set", names(&edit.set)), ("add", names(&edit.add)), ("remove", edit.remove.clone())];
    for (list, at, name) in
        lists.iter().flat_map(|(list, names)| names.iter().enumerate().map(move |(at, name)| (list, at, name)))
    {
        let lower = name.to_ascii_lowercase();
        if !RESERVED_HEADERS.contains(&&*lower) && !lower.starts_with("proxy-") {
            continue;
        }
        let cure = if lower == "host" { "use URLRewrite with a hostname" } else { "remove it" };
        let message = format!("{name} belongs to the connection or to routing; {cure}. The rule answers 500");
        problems.push(Problem::new(format!("{field}.{member}.{list}[{at}]"), Reason::UnsupportedValue, message));
    }
}

fn path_edit(form: &PathForm) -> Option<v1::PathEdit> {
    let edit = match (&form.replace_full_path, &form.replace_prefix_match) {
        (Some(full), _) => Edit::ReplaceFull(full.clone()),
        (None, Some(prefix)) => Edit::ReplacePrefix(prefix.clone()),
        (None, None) => return None,
    };
    Some(v1::PathEdit { edit: Some(edit) })
}

/// What is answered with a redirect is not forwarded: it cannot depend on the backend.
fn judge_redirects(filters: &[v1::Filter], field: &str, problems: &mut Vec<Problem>) {
    if filters.iter().any(|one| matches!(one.filter, Some(v1::filter::Filter::Redirect(_)))) {
        let message =
            "a backend cannot redirect; state RequestRedirect among the filters of a rule. This share answers 500";
        problems.push(Problem::new(field, Reason::UnsupportedValue, message));
    }
}

fn weighted(
    cluster: &ClusterState,
    id: &RouteId,
    form: &BackendForm,
    field: &str,
    problems: &mut Vec<Problem>,
) -> (v1::WeightedBackend, BackendTarget) {
    let before = problems.len();
    let forms: Vec<_> = form.filters.iter().enumerate().collect();
    let filters = filters(&forms, &format!("{field}.filters"), problems);
    judge_redirects(&filters, &format!("{field}.filters"), problems);
    let target = target(cluster, id, form, field);
    let target = target.unwrap_or_else(|problem| {
        problems.push(problem);
        BackendTarget::Nowhere
    });
    let outcome = match (target.resource(), problems.get(before)) {
        (Some(resource), None) => v1::weighted_backend::Target::Backend(resource),
        (_, Some(problem)) => v1::weighted_backend::Target::Invalid(denial(&id.to_string(), problem)),
        (None, None) => v1::weighted_backend::Target::Invalid(v1::Deny::default()),
    };
    let message = v1::WeightedBackend {
        weight: form.weight.unwrap_or(1),
        target: Some(outcome),
        filters,
        credential: String::new(),
    };
    (message, target)
}

/// A kind that is not known may be either of those that are.
fn named(cluster: &ClusterState, id: &RouteId, form: &RuleForm) -> Vec<BackendTarget> {
    let from = End { group: gateway_api::GROUP, kind: id.kind, namespace: &id.name.namespace };
    let of = |form: &BackendForm| {
        let namespace = form.namespace.as_deref().unwrap_or(&id.name.namespace);
        let name = ObjectName::new(namespace, &form.name);
        let may = |group: &str, kind: &str| may_permit(cluster, from, End { group, kind, namespace }, &form.name);
        let is = |group: &str, kinds: &[&str]| form.group == group && kinds.contains(&form.kind.as_str());
        let (is_service, is_backend) = (is("", &["", "Service"]), is(sallyport_api::GROUP, &["Backend"]));
        let service = (!is_backend && may("", "Service"))
            .then(|| BackendTarget::Service { name: name.clone(), port: form.port.unwrap_or_default() });
        let backend =
            (!is_service && may(sallyport_api::GROUP, "Backend")).then(|| BackendTarget::Backend(name.clone()));
        service.into_iter().chain(backend)
    };
    form.backend_refs.iter().flat_map(of).collect()
}

fn target(cluster: &ClusterState, id: &RouteId, form: &BackendForm, field: &str) -> Result<BackendTarget, Problem> {
    let kind = if form.kind.is_empty() { "Service" } else { &form.kind };
    let namespace = form.namespace.as_deref().unwrap_or(&id.name.namespace);
    let name = ObjectName::new(namespace, &form.name);
    let from = End { group: gateway_api::GROUP, kind: id.kind, namespace: &id.name.namespace };
    reach::judge(cluster, ObjectKind::Service, namespace, field)?;
    if !permits(cluster, from, End { group: &form.group, kind, namespace }, &form.name) {
        let message =
            format!("{kind} {name} is of another namespace, where no ReferenceGrant allows this; add one there");
        return Err(Problem::new(field, Reason::RefNotPermitted, message));
    }
    match (form.group.as_str(), kind) {
        ("", "Service") => {
            let port = match &form.port_name {
                Some(called) => service::port_called(cluster, &name, called, field)?,
                None => form.port.ok_or_else(|| {
                    Problem::new(format!("{field}.port"), Reason::UnsupportedValue, "a Service needs a port; state it")
                })?,
            };
            service::judge(cluster, &name, port, field)?;
            Ok(BackendTarget::Service { name, port })
        }
        ("sallyport.dev", "Backend") if cluster.backends.contains_key(&name) => Ok(BackendTarget::Backend(name)),
        ("sallyport.dev", "Backend") => {
            Err(Problem::new(field, Reason::BackendNotFound, format!("Backend {name} does not exist; create it")))
        }
        (group, kind) => Err(Problem::new(
            format!("{field}.kind"),
            Reason::InvalidKind,
            format!(
                "a backend of kind {kind} in group {group:?} is not known; name a Service or a Backend of sallyport.dev"
            ),
        )),
    }
}
