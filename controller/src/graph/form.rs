//! The forms of routes, one for each meaning. The generated types have one for each place, and one more for each kind of route.

use serde::Deserialize;
use serde_json::Value;

use crate::cluster::Undecodable;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RouteForm {
    pub parent_refs: Vec<ParentForm>,
    pub hostnames: Vec<String>,
    pub rules: Vec<RuleForm>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
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
    /// Where it stands, if not in the list of a route's rules.
    #[serde(skip)]
    pub field: Option<String>,
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
    pub cors: Option<CorsForm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorsForm {
    pub allow_origins: Vec<String>,
    pub allow_methods: Vec<String>,
    pub allow_headers: Vec<String>,
    pub expose_headers: Vec<String>,
    pub allow_credentials: bool,
    pub max_age: Option<u32>,
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
    /// Where it stands, if not in the list of a rule's backends.
    #[serde(skip)]
    pub field: Option<String>,
    /// What the Service calls its port, where it is not named by its number.
    #[serde(skip)]
    pub port_name: Option<String>,
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
/// that cannot be read, or may be what is wrong: a misspelt field looks like one that is absent, and stands for its default.
pub fn lenient(route: &Undecodable) -> Option<RouteForm> {
    let spec = &route.raw["spec"];
    let parent_refs: Vec<_> = each(&spec["parentRefs"])?;
    let whole = RouteForm { parent_refs, hostnames: each(&spec["hostnames"])?, rules: each(&spec["rules"])? };
    let is_doubtful = route.problems.iter().any(|problem| tells_where(&problem.field, &whole));
    (!whole.parent_refs.is_empty() && !whole.rules.is_empty() && !is_doubtful).then_some(whole)
}

/// Whether something wrong with `field` leaves open where the route is and what it matches.
fn tells_where(field: &str, route: &RouteForm) -> bool {
    let within =
        |whole: &str| field.strip_prefix(whole).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']));
    let of_rule = field.strip_prefix("spec.rules[").and_then(|rest| rest.split_once(']'));
    let Some((at, rest)) = of_rule else {
        // Beside hostnames that can be read, another field is not a misspelt list of them; of parents and rules there are some.
        let is_any_host = route.hostnames.is_empty() && field.starts_with("spec.");
        let is_told = ["spec", "spec.rules"].contains(&field) || within("spec.parentRefs") || within("spec.hostnames");
        return is_told || is_any_host;
    };
    let rest = rest.trim_start_matches('.');
    let name = rest.split(['.', '[']).next().unwrap_or_default();
    let rule = at.parse::<usize>().ok().and_then(|at| route.rules.get(at));
    // Beside matches that can be read, another field is not a misspelt list of them.
    let matches_are_told = rule.is_some_and(|rule| !rule.matches.is_empty());
    name == "matches" || !(matches_are_told || BESIDE_MATCHES.contains(&name))
}

/// Fields of a rule, those of Gateway API's experimental channel included, that say nothing about what it matches.
const BESIDE_MATCHES: [&str; 6] = ["name", "filters", "backendRefs", "timeouts", "retry", "sessionPersistence"];

/// All entries of a list, which may be absent.
fn each<T: serde::de::DeserializeOwned>(list: &Value) -> Option<Vec<T>> {
    match list {
        Value::Null => Some(vec![]),
        Value::Array(entries) => entries.iter().map(|entry| serde_json::from_value(entry.clone()).ok()).collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::FieldProblem;

    fn told(field: &str, matches: &Value) -> bool {
        told_for(field, &json!(["api.example.com"]), matches)
    }

    fn told_for(field: &str, hostnames: &Value, matches: &Value) -> bool {
        let raw = json!({"spec": {
            "parentRefs": [{"name": "public"}], "hostnames": hostnames, "rules": [{"matches": matches}],
        }});
        let problems = vec![FieldProblem { field: field.to_owned(), message: String::new() }];
        lenient(&Undecodable { created_ms: None, generation: None, labels: [].into(), raw, problems }).is_some()
    }

    #[test]
    fn what_may_hide_a_parent_a_host_or_a_match_leaves_nothing_told() {
        let matches = json!([{"path": {"value": "/admin"}}]);
        for field in [
            "spec",
            "spec.rules",
            "spec.parentRefs",
            "spec.parentRefs[0].nmae",
            "spec.hostnames[1]",
            "spec.rules[0].matches",
            "spec.rules[0].matches[0].pth",
        ] {
            assert!(!told(field, &matches), "{field}");
        }
        for field in ["spec.rules[0].match", "spec.rules[0]", "spec.rules[9].match"] {
            assert!(!told(field, &json!([])), "{field}");
        }
        for field in ["spec.hostname", "spec.ruls", "spec.rule[0]", "spec.nonsense"] {
            assert!(!told_for(field, &Value::Null, &matches), "{field}");
        }
    }

    #[test]
    fn anything_else_leaves_it_told() {
        let matches = json!([{"path": {"value": "/admin"}}]);
        for field in
            ["", "spec.nonsense", "spec.parentRefsX", "spec.rules[0].nonsense", "spec.rules[0].filters[0].type"]
        {
            assert!(told(field, &matches), "{field}");
        }
        for field in ["spec.rules[0].backendRefs[0].port", "spec.rules[0].retry"] {
            assert!(told(field, &json!([])), "{field}");
        }
    }
}
