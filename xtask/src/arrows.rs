//! Which crate may depend on which: the arrows of ARCHITECTURE.md, checked over `cargo metadata`.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

/// A crate, and what must not be among all that it depends on, directly or not.
const FORBIDDEN: [(&str, &[&str]); 6] = [
    (
        "sallyport-snapshot",
        &[
            "sallyport-api",
            "sallyport-controller",
            "sallyport-dataplane",
            "kube*",
            "k8s-openapi",
            "tokio",
            "hyper",
            "rustls",
        ],
    ),
    (
        "sallyport-expression",
        &["sallyport-api", "sallyport-controller", "sallyport-dataplane", "kube*", "tokio", "hyper", "rustls"],
    ),
    ("sallyport-password", &["sallyport-snapshot", "sallyport-api", "kube*", "tokio", "hyper", "rustls"]),
    ("sallyport-dataplane", &["cel", "sallyport-api", "sallyport-controller", "sallyport", "kube*", "k8s-openapi"]),
    ("sallyport-controller", &["sallyport-dataplane", "sallyport"]),
    (
        "sallyport-api",
        &["sallyport-snapshot", "sallyport-controller", "sallyport-dataplane", "tokio", "hyper", "rustls"],
    ),
];
/// The two halves, and the only one that names both.
const HALVES: [&str; 2] = ["sallyport-controller", "sallyport-dataplane"];
const JOINT: &str = "sallyport";

pub(crate) fn check() -> anyhow::Result<()> {
    let mut found = Vec::new();
    for arrow in Crates::of(&metadata()?)?.violations()? {
        if is_of_itself(&arrow)? {
            found.push(arrow);
        }
    }
    ensure!(found.is_empty(), "dependencies that must not be:\n{}", found.join("\n"));
    Ok(())
}

/// Whether the crate depends on it by itself: `cargo metadata` counts with the features that any crate of the workspace asks for.
fn is_of_itself(arrow: &str) -> anyhow::Result<bool> {
    let Some((from, to)) = arrow.split_once(" -> ").filter(|(_, to)| !to.contains(' ')) else { return Ok(true) };
    let arguments = ["tree", "--locked", "-p", from, "-e", "normal", "--prefix=none", "--format={p}"];
    let output = Command::new(env!("CARGO")).args(arguments).output()?;
    ensure!(output.status.success(), "cargo tree: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8(output.stdout)?.lines().any(|line| line.split(' ').next() == Some(to)))
}

fn metadata() -> anyhow::Result<Value> {
    let output = Command::new(env!("CARGO")).args(["metadata", "--format-version=1", "--locked"]).output()?;
    ensure!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Every crate of the lock file by its id: a name can have several versions.
struct Crates<'a> {
    names: BTreeMap<&'a str, &'a str>,
    dependencies: BTreeMap<&'a str, Vec<&'a str>>,
    ours: BTreeSet<&'a str>,
}

impl<'a> Crates<'a> {
    fn of(metadata: &'a Value) -> anyhow::Result<Self> {
        let packages = metadata["packages"].as_array().context("packages")?;
        let nodes = metadata["resolve"]["nodes"].as_array().context("resolve.nodes")?;
        let members = metadata["workspace_members"].as_array().context("workspace_members")?;
        Ok(Self {
            names: packages.iter().filter_map(|one| Some((one["id"].as_str()?, one["name"].as_str()?))).collect(),
            dependencies: nodes.iter().filter_map(|node| Some((node["id"].as_str()?, dependencies(node)))).collect(),
            ours: members.iter().filter_map(Value::as_str).collect(),
        })
    }

    /// Each arrow that must not be, as a line.
    fn violations(&self) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        for (from, forbidden) in FORBIDDEN {
            let named = self.ours.iter().find(|id| self.names.get(*id) == Some(&from));
            let reached = self.reached(named.with_context(|| format!("crate {from} is gone"))?);
            let bad = reached.iter().filter(|name| forbidden.iter().any(|pattern| is_like(name, pattern)));
            found.extend(bad.map(|to| format!("{from} -> {to}")));
        }
        found.extend(self.ours.iter().filter_map(|id| self.other_joint(id)));
        Ok(found)
    }

    /// A crate of ours that names both halves, and is not the one that may.
    fn other_joint(&self, id: &str) -> Option<String> {
        let name = self.names.get(id)?;
        let direct: BTreeSet<_> = self.dependencies.get(id)?.iter().filter_map(|id| self.names.get(id)).collect();
        let joins = *name != JOINT && HALVES.iter().all(|half| direct.contains(half));
        joins.then(|| format!("{name} -> {}: only {JOINT} joins them", HALVES.join(", ")))
    }

    /// The names of all that `from` depends on, directly or not, without itself.
    fn reached(&self, from: &'a str) -> BTreeSet<&'a str> {
        let (mut seen, mut open) = (BTreeSet::from([from]), vec![from]);
        while let Some(id) = open.pop() {
            let next = self.dependencies.get(id).into_iter().flatten().copied();
            open.extend(next.filter(|id| seen.insert(*id)));
        }
        seen.remove(from);
        seen.iter().filter_map(|id| self.names.get(id).copied()).collect()
    }
}

/// Ids of normal dependencies: what tests and build scripts use does not end up in the program.
fn dependencies(node: &Value) -> Vec<&str> {
    let is_normal = |one: &&Value| {
        let kinds = one["dep_kinds"].as_array();
        kinds.is_some_and(|kinds| kinds.iter().any(|kind| kind["kind"].is_null()))
    };
    node["deps"].as_array().into_iter().flatten().filter(is_normal).filter_map(|one| one["pkg"].as_str()).collect()
}

/// Equal, or of the family: `kube*` is kube and all whose names begin so.
fn is_like(name: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(name == pattern, |family| name.starts_with(family))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Of a workspace with all our crates; each edge is from, to and what for.
    fn workspace(edges: &[(&str, &str, Option<&str>)]) -> Value {
        let ours = FORBIDDEN.map(|(name, _)| name).into_iter().chain([JOINT, "sallyport-bench"]);
        let ours: BTreeSet<_> = ours.collect();
        let all: BTreeSet<_> =
            ours.iter().copied().chain(edges.iter().flat_map(|(from, to, _)| [*from, *to])).collect();
        let deps = |name: &str| -> Vec<_> {
            let own = edges.iter().filter(|(from, ..)| *from == name);
            own.map(|(_, to, kind)| json!({"pkg": format!("{to} 1"), "dep_kinds": [{"kind": kind}]})).collect()
        };
        let node = |name: &&str| json!({"id": format!("{name} 1"), "deps": deps(name)});
        json!({
            "packages": all.iter().map(|name| json!({"id": format!("{name} 1"), "name": name})).collect::<Vec<_>>(),
            "workspace_members": ours.iter().map(|name| format!("{name} 1")).collect::<Vec<_>>(),
            "resolve": {"nodes": all.iter().map(node).collect::<Vec<_>>()},
        })
    }

    fn violations(edges: &[(&str, &str, Option<&str>)]) -> Vec<String> {
        Crates::of(&workspace(edges)).unwrap().violations().unwrap()
    }

    #[test]
    fn arrows_stay_true() {
        check().unwrap();
    }

    #[test]
    fn an_arrow_by_the_features_of_another_crate_is_none() {
        assert!(
            !is_of_itself("sallyport-api -> hyper").unwrap() && !is_of_itself("sallyport-snapshot -> tokio").unwrap()
        );
        assert!(
            is_of_itself("sallyport-api -> kube-core").unwrap()
                && is_of_itself("sallyport-dataplane -> hyper").unwrap()
        );
        assert!(is_of_itself("a -> b: only c joins them").unwrap());
    }

    #[test]
    fn every_forbidden_arrow_is_found_direct_and_by_a_third_crate() {
        for (from, forbidden) in FORBIDDEN {
            for pattern in forbidden {
                let to = pattern.trim_end_matches('*');
                assert_eq!(violations(&[(from, to, None)]), [format!("{from} -> {to}")]);
                let around = [(from, "between", None), ("between", "further", None), ("further", to, None)];
                assert_eq!(violations(&around), [format!("{from} -> {to}")]);
            }
        }
    }

    #[test]
    fn a_family_is_meant_as_a_whole_and_a_name_alone() {
        assert_eq!(violations(&[("sallyport-snapshot", "kube-core", None)]), ["sallyport-snapshot -> kube-core"]);
        assert!(violations(&[("sallyport-snapshot", "tokio-macros", None)]).is_empty());
    }

    #[test]
    fn what_tests_and_build_scripts_use_is_no_arrow() {
        for kind in ["dev", "build"] {
            assert!(violations(&[("sallyport-dataplane", "kube", Some(kind))]).is_empty(), "{kind}");
        }
    }

    #[test]
    fn one_crate_alone_joins_the_halves() {
        let joint = |name| [(name, HALVES[0], None), (name, HALVES[1], None)];
        assert!(violations(&joint(JOINT)).is_empty());
        assert!(violations(&[("sallyport-bench", JOINT, None)]).is_empty(), "through the joint");
        let found = violations(&joint("sallyport-bench"));
        assert!(matches!(&*found, [line] if line.starts_with("sallyport-bench ->")), "{found:?}");
    }

    #[test]
    fn circles_end() {
        let circle = [("sallyport-api", "one", None), ("one", "two", None), ("two", "one", None)];
        assert!(violations(&circle).is_empty());
    }

    #[test]
    fn a_crate_that_is_gone_is_told() {
        let mut workspace = workspace(&[]);
        workspace["workspace_members"] = json!([]);
        assert!(Crates::of(&workspace).unwrap().violations().is_err());
        assert!(Crates::of(&json!({})).is_err());
    }
}
