//! Examples hold: every folder validates; `served.rs` asks each for what its use case promises.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn sallyport(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sallyport")).args(arguments).output().unwrap()
}

fn entries(folder: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

/// Folders of examples that files alone serve; those in `cluster` are applied to a cluster.
fn examples() -> Vec<PathBuf> {
    entries("examples").into_iter().filter(|path| !path.ends_with("cluster")).collect()
}

#[test]
fn every_example_is_valid() {
    let folders = examples();
    assert!(folders.len() >= 12);
    for folder in folders {
        let output = sallyport(&["validate", "-f", folder.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{}: {said}", folder.display());
    }
}

#[test]
fn the_readme_has_a_row_for_each_example_and_for_no_other() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let rows: Vec<_> = readme.lines().filter_map(|line| line.strip_prefix("| [")?.split(']').next()).collect();
    let rows: Vec<_> =
        rows.into_iter().filter(|row| row.starts_with("examples/")).map(|row| root().join(row)).collect();
    let folders = [examples(), entries("examples/cluster")].concat();
    assert_eq!(folders, rows, "in the order of their names");
}

#[test]
fn what_is_wrong_is_told_with_its_place_and_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let example = fs::read_to_string(root().join("examples/token/main.yaml")).unwrap();
    fs::write(folder.path().join("a.yaml"), example.replace("audiences:", "audience:")).unwrap();
    let path = folder.path().to_str().unwrap();
    let output = sallyport(&["validate", "-f", path]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("a.yaml:") && said.contains("ApiPolicy shop/orders") && said.contains("audience"), "{said}");
    let output = sallyport(&["validate", "-f", path, "-o", "json"]);
    let findings: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(findings[0]["line"].as_u64() > Some(0) && findings[0]["column"].as_u64() > Some(0), "{findings}");
    assert_eq!(sallyport(&["validate", "-f", "/nowhere"]).status.code(), Some(2));
    assert_eq!(sallyport(&["validate"]).status.code(), Some(2));
    assert_eq!(sallyport(&["nonsense"]).status.code(), Some(2));
    for verb in
        [&["status"][..], &["check"], &["approve", "acme"], &["keys", "list"], &["keys", "rotate", "acme", "primary"]]
    {
        let output =
            Command::new(env!("CARGO_BIN_EXE_sallyport")).args(verb).env("KUBECONFIG", "/nowhere").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{verb:?}: {said}");
        assert!(said.contains("KUBECONFIG"), "{verb:?}: {said}");
    }
    assert_eq!(sallyport(&["keys", "rotate", "acme", "tertiary"]).status.code(), Some(2));
}

#[test]
fn the_demo_does_what_it_says() {
    let output = sallyport(&["demo", "--once"]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.matches("(as expected)").count() == 6 && said.contains("curl -i"), "{said}");
}

#[test]
fn crds_and_completions_are_printed() {
    let crds = String::from_utf8(sallyport(&["crds"]).stdout).unwrap();
    assert_eq!(crds.matches("kind: CustomResourceDefinition").count(), 6);
    assert!(!sallyport(&["completions", "bash"]).stdout.is_empty());
    let help = String::from_utf8(sallyport(&["--help"]).stdout).unwrap();
    assert!(help.contains("Exit codes"), "{help}");
}
