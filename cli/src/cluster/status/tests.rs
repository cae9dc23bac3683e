//! A folder of cases: objects as a cluster has them, and beside them what is told. `UPDATE_GOLDEN=1` writes that anew.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;

/// A document of this kind stands for a kind that cannot be read.
const UNREAD: &str = "Unread";

fn world(manifests: &str) -> World {
    let mut world = World::default();
    for document in manifests.split("\n---\n").filter(|document| !document.trim().is_empty()) {
        let object: Value = serde_saphyr::from_str(document).unwrap();
        if object["kind"] == UNREAD {
            let kind = KINDS.into_iter().find(|kind| object["of"] == kind.as_str()).unwrap();
            world.objects.retain(|one| one["kind"] != kind.as_str());
            world.unread.push(Unread { kind: kind.as_str(), why: object["why"].as_str().unwrap().to_owned() });
        } else {
            world.objects.push(object);
        }
    }
    world
}

fn told(case: &Path) -> String {
    let base = fs::read_to_string(case.with_file_name("base.yaml")).unwrap();
    let world = world(&format!("{base}\n---\n{}", fs::read_to_string(case).unwrap()));
    let report = judge::judge(&world);
    let json = serde_json::to_string_pretty(&report).unwrap();
    let (narrow, wide) = (show::table(&report, false, false), show::table(&report, true, false));
    let wide = wide.split("\n\n").next().unwrap().to_owned();
    format!("{narrow}\n\nexit code {}\n\n--- wide\n{wide}\n\n--- json\n{json}\n", outcome(&report).code())
}

fn cases() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/status");
    let mut found: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "yaml") && !path.ends_with("base.yaml"));
    found.sort();
    found
}

#[test]
fn every_case_is_told_as_it_stands_beside_it() {
    let mut wrong = Vec::new();
    for case in cases() {
        let (found, pinned) = (told(&case), case.with_extension("out.txt"));
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&pinned, &found).unwrap();
        }
        if fs::read_to_string(&pinned).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", case.display()));
        }
    }
    assert!(cases().len() >= 8);
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn colours_are_for_terminals_and_control_characters_for_nobody() {
    let manifests = "kind: ApiPolicy\nmetadata: {name: p, namespace: \"s\\e[2J\", generation: 1}\nstatus: {observedGeneration: 1, conditions: [{type: Ready, status: 'False', reason: Invalid, message: \"bad \\e[2J\"}]}";
    let report = judge::judge(&world(manifests));
    let plain = show::table(&report, true, false);
    assert!(!plain.contains('\u{1b}') && plain.contains("bad \u{fffd}[2J"), "{plain}");
    let coloured = show::table(&report, true, true);
    assert!(coloured.contains("\u{1b}[31mApiPolicy") && !coloured.contains("\u{1b}[2J"), "{coloured}");
}
