//! Label selectors over namespaces.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::cluster::{ClusterState, ObjectName, Stored};

/// The label that every namespace has, whatever it says itself.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// Whether a label selector takes a namespace. No selector takes none.
///
/// Of a namespace that is not there, or cannot be decoded, only the name is known: what its labels would have said cannot be told,
/// so that no expression over them takes it, `NotIn` and `DoesNotExist` included.
pub fn selects(cluster: &ClusterState, selector: &Value, namespace: &str) -> bool {
    let known = labels(cluster, namespace);
    let is_known = known.is_some();
    let mut labels = known.cloned().unwrap_or_default();
    labels.insert(NAME_LABEL.to_owned(), namespace.to_owned());
    let exact = selector["matchLabels"].as_object().into_iter().flatten();
    let expressions = selector["matchExpressions"].as_array().into_iter().flatten();
    selector.is_object()
        && exact.into_iter().all(|(name, value)| labels.get(name).map(String::as_str) == value.as_str())
        && expressions
            .into_iter()
            .all(|expression| (is_known || expression["key"] == NAME_LABEL) && holds(expression, &labels))
}

/// What is wrong with a selector: an expression with it takes nothing.
pub fn complaint(selector: &Value) -> Option<String> {
    let mut expressions = selector["matchExpressions"].as_array().into_iter().flatten().enumerate();
    expressions.find_map(|(at, expression)| {
        let why = misuse(expression)?;
        Some(format!("matchExpressions[{at}] {why}. Until then nothing is selected"))
    })
}

/// As an API server refuses it for other selectors (Kubernetes API, LabelSelectorRequirement).
fn misuse(expression: &Value) -> Option<&'static str> {
    let has_values = expression["values"].as_array().is_some_and(|values| !values.is_empty());
    match expression["operator"].as_str() {
        Some("In" | "NotIn") if !has_values => Some("states no values; add some"),
        Some("Exists" | "DoesNotExist") if has_values => {
            Some("states values, which its operator does not have; remove them")
        }
        Some("In" | "NotIn" | "Exists" | "DoesNotExist") => None,
        _ => Some("has an operator that is not known; use In, NotIn, Exists or DoesNotExist"),
    }
}

/// Whether the labels of a namespace can be told.
pub fn is_known(cluster: &ClusterState, namespace: &str) -> bool {
    labels(cluster, namespace).is_some()
}

fn labels<'a>(cluster: &'a ClusterState, namespace: &str) -> Option<&'a BTreeMap<String, String>> {
    static NONE: BTreeMap<String, String> = BTreeMap::new();
    match cluster.namespaces.get(&ObjectName::new("", namespace))? {
        Stored::Decoded(namespace) => Some(namespace.metadata.labels.as_ref().unwrap_or(&NONE)),
        Stored::Undecodable(_) => None,
    }
}

fn holds(expression: &Value, labels: &BTreeMap<String, String>) -> bool {
    let label = expression["key"].as_str().and_then(|key| labels.get(key));
    let listed = || {
        expression["values"].as_array().into_iter().flatten().any(|value| value.as_str() == label.map(String::as_str))
    };
    match expression["operator"].as_str() {
        _ if misuse(expression).is_some() => false,
        Some("In") => label.is_some() && listed(),
        Some("NotIn") => label.is_none() || !listed(),
        Some("Exists") => label.is_some(),
        Some("DoesNotExist") => label.is_none(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::{Object, ObjectKind};

    fn cluster() -> ClusterState {
        let mut cluster = ClusterState::default();
        let labels = json!({"team": "shop", NAME_LABEL: "somebody-else"});
        for (name, spec) in [("known", json!({})), ("broken", json!(7))] {
            let value = json!({"metadata": {"name": name, "labels": labels}, "spec": spec});
            let object = Object::decode(ObjectKind::Namespace, value, vec![]);
            cluster.apply(ObjectName::new("", name), object);
        }
        cluster
    }

    fn expression(key: &str, operator: &str, values: &[&str]) -> Value {
        json!({"matchExpressions": [{"key": key, "operator": operator, "values": values}]})
    }

    #[test]
    fn a_namespace_is_taken_by_its_labels() {
        let cluster = cluster();
        for (selector, taken) in [
            (json!({}), true),
            (Value::Null, false),
            (json!({"matchLabels": {"team": "shop"}}), true),
            (json!({"matchLabels": {"team": "other"}}), false),
            (expression("team", "In", &["shop"]), true),
            (expression("team", "NotIn", &["shop"]), false),
            (expression("tier", "NotIn", &["shop"]), true),
            (expression("tier", "DoesNotExist", &[]), true),
            (expression("team", "Exists", &[]), true),
            (expression("team", "Gt", &["1"]), false),
            (expression("team", "In", &[]), false),
            (expression("tier", "NotIn", &[]), false),
            (json!({"matchExpressions": [{"key": "tier", "operator": "NotIn"}]}), false),
            (expression("team", "Exists", &["shop"]), false),
            (expression("tier", "DoesNotExist", &["shop"]), false),
            (json!({"matchLabels": {NAME_LABEL: "known"}}), true),
            // What it says of its own name counts for nothing.
            (json!({"matchLabels": {NAME_LABEL: "somebody-else"}}), false),
        ] {
            assert_eq!(selects(&cluster, &selector, "known"), taken, "{selector}");
        }
    }

    #[test]
    fn of_a_namespace_that_is_not_known_only_the_name_counts() {
        let cluster = cluster();
        for namespace in ["broken", "missing"] {
            for (selector, taken) in [
                (json!({"matchLabels": {NAME_LABEL: namespace}}), true),
                (expression(NAME_LABEL, "In", &[namespace]), true),
                (expression(NAME_LABEL, "NotIn", &["another"]), true),
                (expression(NAME_LABEL, "NotIn", &[namespace]), false),
                (json!({"matchLabels": {"team": "shop"}}), false),
                (expression("team", "NotIn", &["other"]), false),
                (expression("team", "DoesNotExist", &[]), false),
            ] {
                assert_eq!(selects(&cluster, &selector, namespace), taken, "{namespace} {selector}");
            }
        }
    }

    #[test]
    fn what_selects_nothing_is_said() {
        for (selector, said) in [
            (expression("a", "In", &[]), true),
            (expression("a", "NotIn", &[]), true),
            (expression("a", "Exists", &["x"]), true),
            (expression("a", "DoesNotExist", &["x"]), true),
            (expression("a", "Gt", &["1"]), true),
            (json!({"matchExpressions": [{"key": "a"}]}), true),
            (expression("a", "In", &["x"]), false),
            (expression("a", "DoesNotExist", &[]), false),
            (json!({}), false),
            (Value::Null, false),
        ] {
            assert_eq!(complaint(&selector).is_some(), said, "{selector}");
        }
    }
}
