//! What fuzzing has found interesting holds: the corpora, without a fuzzer.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::path::Path;

#[path = "../../fuzz/checks.rs"]
mod checks;

fn each(target: &str, check: impl Fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 6, "{target}: {}", files.len());
    files.iter().for_each(|file| check(&fs::read(file).unwrap()));
}

#[test]
fn gate() {
    each("gate", checks::gate);
}

#[test]
fn path() {
    each("path", checks::path);
}

#[test]
fn proxy_header() {
    each("proxy_header", checks::proxy_header);
}

#[test]
fn token() {
    each("token", checks::token);
}
