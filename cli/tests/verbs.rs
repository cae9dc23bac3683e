//! The verbs that print: what they say, and their exit codes.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Exit code, standard output, standard error.
fn sallyport(arguments: &[&str], input: &str) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

const FINE: &str = "apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n";
const FINDING: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {port: 80}\n";
const FOREIGN: &str = "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n";

#[test]
fn findings_are_told_in_one_order_with_a_count_and_the_same_exit_code_in_both_formats() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("b.yaml", FINDING), ("a.yaml", FOREIGN), ("c.yaml", "a: [\n"), ("d.yaml", FINE)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let (code, said, _) = sallyport(&["validate", "-f", path], "");
    let lines: Vec<_> = said.lines().map(|line| line.replace(&format!("{path}/"), "")).collect();
    assert_eq!(code, Some(1), "{said}");
    assert!(
        lines[0].starts_with("a.yaml:2:1: note: apps/v1 Deployment: kind: apps/v1 Deployment is not read"),
        "{said}"
    );
    assert_eq!(lines[1], "b.yaml:4:8: error: ConfigMap default/a: data.port: this is no text; put it in quotes");
    assert!(lines[2].starts_with("c.yaml:2:1: error: this is no YAML"), "{said}");
    assert_eq!((lines.len(), &*lines[3]), (4, "2 problems found, 1 note"));
    assert!(!said.contains('\u{1b}'), "no colour but on a terminal");
    let (code, said, _) = sallyport(&["validate", "-f", path, "-o", "json"], "");
    let findings: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((code, findings.as_array().unwrap().len()), (Some(1), 3));
    assert_eq!(
        findings[1],
        serde_json::json!({
            "file": format!("{path}/b.yaml"), "line": 4, "column": 8, "object": "ConfigMap default/a",
            "field": "data.port", "severity": "error", "message": "this is no text; put it in quotes"
        })
    );
}

#[test]
fn each_exit_code_is_that_of_the_table() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).to_str().unwrap().to_owned()
    };
    let (fine, finding) = (file("fine.yaml", FINE.as_bytes()), file("finding.yaml", FINDING.as_bytes()));
    let (foreign, latin) = (file("foreign.yaml", FOREIGN.as_bytes()), file("latin.yaml", b"a: \xe9"));
    let (empty, no_yaml) = (file("empty.yaml", b""), file("no.yaml", b"a: ["));
    let nothing = tempfile::tempdir().unwrap();
    let nothing = nothing.path().to_str().unwrap();
    for output in ["table", "json"] {
        for (path, code) in [
            (&*fine, 0),
            (&*foreign, 0),
            (&*empty, 0),
            (&*finding, 1),
            (&*no_yaml, 1),
            (&*latin, 2),
            ("/nowhere", 2),
            (nothing, 2),
        ] {
            let (ended, said, _) = sallyport(&["validate", "-f", path, "-o", output], "");
            assert_eq!(ended, Some(code), "{path} {output}: {said}");
        }
        for (input, code) in [(FINE, 0), (FINDING, 1), ("a: [", 1)] {
            let (ended, said, _) = sallyport(&["validate", "-f", "-", "-o", output], input);
            assert_eq!(ended, Some(code), "{input} {output}: {said}");
            assert!(code == 0 || said.contains("standard input"), "{said}");
        }
    }
    for (arguments, code) in [
        (&["validate"][..], 2),
        (&["validate", "-f", &fine, "-o", "xml"], 2),
        (&["run"], 2),
        (&["run", "-f", "/nowhere", "--admin", "127.0.0.1:0"], 2),
        (&["run", "-f", &fine, "--bind", "nowhere"], 2),
        (&["run", "-f", &fine, "--port-offset", "65536"], 2),
        (&["run", "-f", &fine, "--workers", "0"], 2),
        (&["crds"], 0),
        (&["crds", "more"], 2),
        (&["completions", "bash"], 0),
        (&["completions", "zsh"], 0),
        (&["completions", "fish"], 0),
        (&["completions", "cmd.exe"], 2),
        (&["man"], 0),
        (&["man", "--into", "/dev/null/nowhere"], 2),
        (&["--version"], 0),
        (&[], 2),
        (&["nonsense"], 2),
    ] {
        let (ended, said, error) = sallyport(arguments, "");
        assert_eq!(ended, Some(code), "{arguments:?}: {said} {error}");
        assert!(code == 0 || !error.is_empty(), "{arguments:?} says why");
    }
}

/// Somebody who is not above permissions.
const NOBODY: u32 = 65_534;

#[test]
fn a_folder_that_may_be_listed_but_not_entered_is_not_passed_over() {
    let root = tempfile::tempdir().unwrap();
    let at = |name: &str| root.path().join(name);
    let allow = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    fs::create_dir_all(at("d/policies/more")).unwrap();
    fs::write(at("d/fine.yaml"), FINE).unwrap();
    fs::write(at("d/policies/floor.yaml"), FINDING).unwrap();
    // Nobody may not reach where it has been built. A process of its own copies: in this one, another test may start a process while
    // the copy is open for writing, and what is open there cannot be run.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_sallyport")).arg(at("sallyport")).status().unwrap().success());
    for (path, mode) in [("", 0o755), ("d", 0o755), ("sallyport", 0o755), ("d/policies", 0o644)] {
        allow(&at(path), mode);
    }
    let mut command = Command::new(at("sallyport"));
    command.args(["validate", "-f"]).arg(at("d"));
    if root.path().metadata().unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    allow(&at("d/policies"), 0o755);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("policies/floor.yaml: error: it cannot be read: Permission denied"), "{said}");
}

#[test]
fn help_tells_each_option_and_the_exit_codes() {
    let (code, said, _) = sallyport(&["--help"], "");
    assert_eq!(code, Some(0));
    for word in [
        "run",
        "demo",
        "validate",
        "status",
        "check",
        "approve",
        "reject",
        "suspend",
        "keys",
        "crds",
        "man",
        "completions",
        "Exit codes",
        "0 fine, 1 findings, 2 wrong usage",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    let of_run = ["--filename", "--bind", "--port-offset", "--admin", "--workers", "--access-log", "--otlp-endpoint"];
    for (verb, options) in [("run", &of_run[..]), ("validate", &["--filename", "--output", "standard input"])] {
        let (code, said, _) = sallyport(&[verb, "--help"], "");
        assert_eq!(code, Some(0));
        for option in options {
            assert!(said.contains(option), "{verb} {option}: {said}");
        }
    }
}

#[test]
fn a_plugin_of_kubectl_calls_itself_so() {
    let folder = tempfile::tempdir().unwrap();
    let plugin = folder.path().join("kubectl-sallyport");
    symlink(env!("CARGO_BIN_EXE_sallyport"), &plugin).unwrap();
    for (arguments, usage) in [
        (&["--help"][..], "Usage: kubectl sallyport <COMMAND>"),
        (&["status", "--help"], "Usage: kubectl sallyport status [OPTIONS]"),
        (&["keys", "rotate", "--help"], "Usage: kubectl sallyport keys rotate [OPTIONS] <SUBSCRIPTION> <KEY>"),
    ] {
        let output = Command::new(&plugin).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        assert!(said.contains(usage), "{said}");
        let (_, plain, _) = sallyport(arguments, "");
        assert!(plain.contains(&usage.replace("kubectl sallyport", "sallyport")), "{plain}");
    }
}

#[test]
fn each_verb_has_a_manual_page() {
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("man1");
    let (code, _, _) = sallyport(&["man", "--into", into.to_str().unwrap()], "");
    assert_eq!(code, Some(0));
    for (page, text) in
        [("sallyport", "Exit codes"), ("sallyport-status", "namespace"), ("sallyport-keys-rotate", "timeout")]
    {
        let page = fs::read_to_string(into.join(format!("{page}.1"))).unwrap();
        assert!(page.contains(".TH") && page.contains(text), "{page}");
    }
    let (code, page, _) = sallyport(&["man"], "");
    assert!(code == Some(0) && page.contains(".TH sallyport 1"), "{page}");
}
