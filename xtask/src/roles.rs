//! What the chart lets people do: every kind of ours is in the roles that Kubernetes' own take in, each in the one that it belongs to.

use std::collections::BTreeSet;
use std::fs;

use sallyport_api::schema::custom_resource_definitions;
use serde_json::Value;

use crate::root;

/// What only the owner of a namespace says: what is offered, and to whom.
const OF_OWNERS: [&str; 2] = ["products", "subscriptionapprovals"];

/// The rules that the chart defines under that name.
fn rules(name: &str) -> Vec<Value> {
    let text = fs::read_to_string(root().join("charts/sallyport/templates/_rules.tpl")).unwrap();
    let (_, rest) = text.split_once(&format!("{{{{- define \"sallyport.{name}\" -}}}}\n")).unwrap();
    serde_saphyr::from_str(rest.split("{{- end -}}").next().unwrap()).unwrap()
}

fn words(rule: &Value, field: &str) -> BTreeSet<String> {
    rule[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

fn resources(name: &str) -> BTreeSet<String> {
    rules(name).iter().flat_map(|rule| words(rule, "resources")).collect()
}

fn ours() -> BTreeSet<String> {
    custom_resource_definitions().into_iter().map(|crd| crd.spec.names.plural).collect()
}

#[test]
fn every_kind_can_be_seen_and_is_written_by_whom_it_belongs_to() {
    let owners: BTreeSet<_> = OF_OWNERS.map(str::to_owned).into();
    assert_eq!(resources("viewRules"), ours());
    assert_eq!(resources("adminRules"), owners);
    assert_eq!(resources("editRules"), ours().difference(&owners).cloned().collect());
}

/// A Secret, a status or a kind of somebody else would come to everybody who may view or edit anything.
#[test]
fn people_are_given_nothing_but_our_kinds() {
    for name in ["viewRules", "editRules", "adminRules"] {
        for rule in rules(name) {
            assert_eq!(words(&rule, "apiGroups"), ["sallyport.dev".to_owned()].into(), "{name}");
            let writes = words(&rule, "verbs").iter().any(|verb| !["get", "list", "watch"].contains(&verb.as_str()));
            assert_eq!(writes, name != "viewRules", "{name}: {rule}");
            assert!(words(&rule, "verbs").iter().all(|verb| verb != "*"), "{name}: {rule}");
        }
    }
}
