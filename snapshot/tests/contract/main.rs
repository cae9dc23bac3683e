//! The contract as it was frozen: what has been said once can be read for ever.
//!
//! `contract/v1.binpb` has the descriptors, `contract/v1/` a stream that was recorded. `UPDATE_GOLDEN=1` adds to them what is new, and
//! changes nothing that is there: a controller and a data plane that are one minor version apart have to understand each other.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod compatible;
mod recorded;

use std::path::{Path, PathBuf};

/// A file of the frozen contract.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contract").join(name)
}

/// Whether what is new is to be frozen.
fn is_asked_to_freeze() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// What is frozen in `name`; `now` becomes that, if nothing is and that is asked for.
fn frozen(name: &str, now: &[u8]) -> Vec<u8> {
    let path = file(name);
    if is_asked_to_freeze() && !path.exists() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, now).unwrap();
    }
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}; UPDATE_GOLDEN=1 writes it", path.display()))
}
