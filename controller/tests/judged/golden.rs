//! A feature is a folder, a case a file whose name is a sentence; beside it stands what came out. `UPDATE_GOLDEN=1` writes that anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_controller::cluster::reach::Reach;
use sallyport_controller::graph::Environment;

use crate::judged::judge_within;

/// Orders in which the documents of a case are given; the answer is always the same.
const SHUFFLES: u64 = 4;

#[test]
fn every_case_gives_what_stands_beside_it_in_any_order() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let cases = cases(&root);
    assert!(cases.len() >= 60, "{} cases", cases.len());
    let mut pairs = BTreeSet::new();
    let wrong: Vec<_> = cases.iter().filter_map(|case| check(case, &mut pairs)).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
    assert!(pairs.len() >= 30, "{} pairs of type and reason", pairs.len());
}

#[test]
fn every_output_has_its_case() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let cases: BTreeSet<_> = cases(&root).iter().map(|case| case.with_extension("out.yaml")).collect();
    let orphans: Vec<_> = files(&root).filter(|path| is_output(path) && !cases.contains(path)).collect();
    assert!(orphans.is_empty(), "no case leads to {orphans:#?}; remove them");
}

#[test]
fn the_table_refuses_reasons_that_are_not_of_a_condition() {
    assert!(is_of_table("Accepted", "Invalid") && is_of_table("Ready", "BackendNotFound"));
    assert!(!is_of_table("Programmed", "BackendNotFound") && !is_of_table("Accepted", "Nonsense"));
}

/// Type and reason of a line such as `- Accepted=true Accepted`.
fn condition_of(line: &str) -> Option<(String, String)> {
    let (kind, rest) = line.trim().strip_prefix("- ")?.trim_start_matches(['"', '\'']).split_once('=')?;
    let (status, rest) = rest.split_once(' ')?;
    let reason = rest.split(|letter: char| !letter.is_ascii_alphanumeric()).next()?;
    let is_condition = ["true", "false"].contains(&status) && ConditionType::ALL.iter().any(|one| one.as_str() == kind);
    is_condition.then(|| (kind.to_owned(), reason.to_owned()))
}

fn is_of_table(kind: &str, reason: &str) -> bool {
    use ConditionType as T;
    let kind = ConditionType::ALL.iter().find(|one| one.as_str() == kind);
    let reason = Reason::ALL.iter().find(|one| one.as_str() == reason);
    // These repeat the reason of another condition.
    let sums = [T::Ready, T::Reconciling, T::Stalled];
    kind.zip(reason).is_some_and(|(kind, reason)| sums.contains(kind) || reason.conditions().contains(kind))
}

/// The table in `api/src/condition.rs` says which reasons a condition can have; the reference page is made of it.
fn check(case: &Path, pairs: &mut BTreeSet<(String, String)>) -> Option<String> {
    let base = fs::read_to_string(case.with_file_name("base.yaml")).unwrap_or_default();
    let manifests = format!("{base}\n---\n{}", fs::read_to_string(case).unwrap());
    let found = text(case, &manifests);
    for (kind, reason) in found.lines().filter_map(condition_of) {
        if !is_of_table(&kind, &reason) {
            return Some(format!("{}: {kind} has the reason {reason}; add it to the reason's row", case.display()));
        }
        pairs.insert((kind, reason));
    }
    let pinned = case.with_extension("out.yaml");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&pinned, &found).unwrap();
    }
    let expected = fs::read_to_string(&pinned).unwrap_or_default();
    if found != expected {
        return Some(format!("{}\n{}", case.display(), difference(&expected, &found)));
    }
    let other = (1..=SHUFFLES).map(|seed| text(case, &shuffled(&manifests, seed))).find(|text| *text != found)?;
    Some(format!("{} depends on the order\n{}", case.display(), difference(&found, &other)))
}

/// What comes out is snapshot and status; of infrastructure, the objects that run each Gateway. Standalone, all Gateways share the ports
/// of one process.
fn text(case: &Path, manifests: &str) -> String {
    let is_standalone = case.iter().any(|folder| folder == "standalone");
    let environment = if is_standalone { Environment::Standalone } else { Environment::Cluster };
    let judged = judge_within(reach(manifests), environment, manifests);
    let is_infra = case.parent().is_some_and(|feature| feature.ends_with("infra"));
    if is_infra { judged.infrastructure_text() } else { judged.text() }
}

/// The namespaces that a case says are watched, in a line `# watches: shop, acme`; all, if it has none.
fn reach(manifests: &str) -> Reach {
    let named = manifests.lines().find_map(|line| line.strip_prefix("# watches: "));
    let namespaces = named.into_iter().flat_map(|names| names.split(", ")).map(str::to_owned);
    Reach::within(namespaces, "sallyport-system").unwrap()
}

fn cases(root: &Path) -> Vec<PathBuf> {
    let is_case = |path: &PathBuf| {
        path.extension().is_some_and(|extension| extension == "yaml")
            && !is_output(path)
            && !path.ends_with("base.yaml")
    };
    let mut found: Vec<_> = files(root).filter(is_case).collect();
    found.sort();
    found
}

/// All files in the folders of features.
fn files(root: &Path) -> impl Iterator<Item = PathBuf> {
    let (mut folders, mut found) = (vec![root.to_owned()], Vec::new());
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        let (inner, files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
        folders.extend(inner);
        found.extend(files);
    }
    found.into_iter()
}

fn is_output(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.ends_with(".out.yaml"))
}

/// The documents in another order; which one depends on the seed only.
fn shuffled(manifests: &str, seed: u64) -> String {
    let mut documents: Vec<_> = manifests.split("\n---\n").collect();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    for at in (1..documents.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let other = usize::try_from(state >> 33).unwrap() % (at + 1);
        documents.swap(at, other);
    }
    documents.join("\n---\n")
}

/// The lines that only one of the two has.
fn difference(expected: &str, found: &str) -> String {
    let missing =
        expected.lines().filter(|line| !found.lines().any(|other| other == *line)).map(|line| format!("- {line}"));
    let added =
        found.lines().filter(|line| !expected.lines().any(|other| other == *line)).map(|line| format!("+ {line}"));
    missing.chain(added).take(40).collect::<Vec<_>>().join("\n")
}
