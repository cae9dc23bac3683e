//! Which crate may depend on which: the arrows of ARCHITECTURE.md, checked over `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

/// A crate, and what must not be among all that it depends on, directly or not.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    ("sallyport-snapshot", &["kube", "k8s-openapi", "tokio", "hyper", "rustls", "sallyport-api"]),
    ("sallyport-dataplane", &["sallyport-api", "sallyport-controller", "kube", "kube-client", "k8s-openapi"]),
    ("sallyport-controller", &["sallyport-dataplane"]),
    ("sallyport-api", &["sallyport-snapshot", "sallyport-controller", "sallyport-dataplane", "tokio", "hyper"]),
];

pub(crate) fn check() -> anyhow::Result<()> {
    let found = violations(&metadata()?)?;
    ensure!(found.is_empty(), "dependencies that must not be:\n{}", found.join("\n"));
    Ok(())
}

fn metadata() -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO")).args(["metadata", "--format-version=1", "--locked"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

fn violations(metadata: &Value) -> anyhow::Result<Vec<String>> {
    let names = names(metadata)?;
    let edges = edges(metadata)?;
    let mut found = Vec::new();
    for (from, forbidden) in FORBIDDEN {
        let id = names.iter().find(|(_, name)| **name == from).map(|(id, _)| *id);
        let reached = reach(id.with_context(|| format!("crate {from} is gone"))?, &edges);
        let reached: BTreeSet<_> = reached.into_iter().filter_map(|id| names.get(id).copied()).collect();
        found.extend(forbidden.iter().filter(|to| reached.contains(**to)).map(|to| format!("{from} -> {to}")));
    }
    Ok(found)
}

fn names(metadata: &Value) -> anyhow::Result<BTreeMap<&str, &str>> {
    let packages = metadata["packages"].as_array().context("packages")?;
    Ok(packages.iter().filter_map(|package| Some((package["id"].as_str()?, package["name"].as_str()?))).collect())
}

/// Normal dependencies only: what tests and build scripts use does not end up in the program.
fn edges(metadata: &Value) -> anyhow::Result<BTreeMap<&str, Vec<&str>>> {
    let nodes = metadata["resolve"]["nodes"].as_array().context("resolve.nodes")?;
    let is_normal = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    let targets = |node: &'_ Value| -> Vec<_> {
        let dependencies = node["deps"].as_array().map(Vec::as_slice).unwrap_or_default();
        dependencies
            .iter()
            .filter(is_normal)
            .filter_map(|dependency| dependency["pkg"].as_str().map(str::to_owned))
            .collect()
    };
    let by_id: BTreeMap<&str, Vec<String>> =
        nodes.iter().filter_map(|node| Some((node["id"].as_str()?, targets(node)))).collect();
    let known: BTreeMap<&str, &str> = by_id.keys().map(|id| (*id, *id)).collect();
    let borrow = |ids: &Vec<String>| ids.iter().filter_map(|id| known.get(id.as_str()).copied()).collect();
    Ok(by_id.iter().map(|(id, targets)| (*id, borrow(targets))).collect())
}

fn reach<'a>(from: &'a str, edges: &BTreeMap<&'a str, Vec<&'a str>>) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(id) = open.pop() {
        if seen.insert(id) {
            open.extend(edges.get(id).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    #[test]
    fn arrows_stay_true() {
        super::check().unwrap();
    }
}
