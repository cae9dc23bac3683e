//! The forms of routes, one for each meaning. The generated types have one for each place, and one more for each kind of route.

use serde::Deserialize;
use serde_json::Value;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteForm {
    pub parent_refs: Vec<ParentForm>,
    pub hostnames: Vec<String>,
    pub rules: Vec<RuleForm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ParentForm {
    pub group: Option<String>,
    pub kind: Option<String>,
    pub namespace: Option<String>,
    pub name: String,
    pub section_name: Option<String>,
    pub port: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RuleForm {
    pub name: Option<String>,
    pub matches: Vec<MatchForm>,
    pub filters: Vec<FilterForm>,
    pub backend_refs: Vec<BackendForm>,
    pub timeouts: TimeoutsForm,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MatchForm {
    pub path: Option<ValueForm>,
    /// A text in HTTPRoutes, an object in GRPCRoutes.
    pub method: Value,
    pub headers: Vec<ValueForm>,
    pub query_params: Vec<ValueForm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ValueForm {
    pub r#type: String,
    pub name: String,
    pub value: String,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterForm {
    pub r#type: String,
    pub request_header_modifier: Option<HeadersForm>,
    pub response_header_modifier: Option<HeadersForm>,
    pub request_redirect: Option<RedirectForm>,
    pub url_rewrite: Option<RewriteForm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HeadersForm {
    pub set: Vec<ValueForm>,
    pub add: Vec<ValueForm>,
    pub remove: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RedirectForm {
    pub scheme: String,
    pub hostname: String,
    pub port: u32,
    pub path: Option<PathForm>,
    pub status_code: Option<u32>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RewriteForm {
    pub hostname: String,
    pub path: Option<PathForm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PathForm {
    pub r#type: String,
    pub replace_full_path: Option<String>,
    pub replace_prefix_match: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendForm {
    pub group: String,
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub port: Option<u32>,
    pub weight: Option<u32>,
    pub filters: Vec<FilterForm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TimeoutsForm {
    pub request: Option<String>,
    pub backend_request: Option<String>,
}

/// What of an undecodable route can still be told: whom it is attached to, for which hosts, and what it matches. `None` if any of
/// that cannot be read.
pub fn lenient(raw: &Value) -> Option<RouteForm> {
    let spec = &raw["spec"];
    let parent_refs: Vec<_> = each(&spec["parentRefs"])?;
    let whole = RouteForm { parent_refs, hostnames: each(&spec["hostnames"])?, rules: each(&spec["rules"])? };
    (!whole.parent_refs.is_empty()).then_some(whole)
}

/// All entries of a list, which may be absent.
fn each<T: serde::de::DeserializeOwned>(list: &Value) -> Option<Vec<T>> {
    match list {
        Value::Null => Some(vec![]),
        Value::Array(entries) => entries.iter().map(|entry| serde_json::from_value(entry.clone()).ok()).collect(),
        _ => None,
    }
}
