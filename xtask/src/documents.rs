//! What the documents say of files is true: links lead somewhere, and so do the paths in ARCHITECTURE.md.

mod metrics;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// Paths in ARCHITECTURE.md begin here, where they do not begin at the root.
const BASES: [&str; 10] = [
    "",
    "api/src",
    "snapshot",
    "controller",
    "controller/src",
    "dataplane/src",
    "expression/src",
    "password/src",
    "cli/src",
    "xtask/src",
];
/// As long as ARCHITECTURE.md may get.
const MAX_LINES: usize = 250;

/// Pages at the root and below docs/, and that of the chart.
fn pages() -> Vec<PathBuf> {
    let (mut found, mut open) = (Vec::new(), vec![root().join("docs")]);
    let markdown = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "md");
    let list = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    found.extend(list(root()).into_iter().filter(markdown).filter(|page| is_ours(page)));
    while let Some(folder) = open.pop() {
        let (folders, files): (Vec<_>, Vec<_>) = list(&folder).into_iter().partition(|path| path.is_dir());
        open.extend(folders);
        found.extend(files.into_iter().filter(markdown));
    }
    found.push(root().join("charts/sallyport/README.md"));
    found.sort();
    found
}

/// What lies about in a work tree is not judged.
fn is_ours(page: &Path) -> bool {
    let known = ["ARCHITECTURE.md", "CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"];
    page.file_name().and_then(|name| name.to_str()).is_some_and(|name| known.contains(&name))
}

/// Text outside of code, where what looks like a link is none.
fn prose(page: &str) -> String {
    let mut fenced = false;
    let mut lines = Vec::new();
    for line in page.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            lines.push(line.split('`').step_by(2).collect::<Vec<_>>().join("``"));
        }
    }
    lines.join("\n")
}

/// Where the links of `page` lead.
fn links(page: &str) -> Vec<String> {
    let prose = prose(page);
    prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()).map(str::to_owned).collect()
}

/// What can follow `#` in a link to `page`: anchors of its own, and its headings as they are shown by forges.
fn anchors(page: &str) -> BTreeSet<String> {
    let own = page.split("<a id=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned);
    let headings =
        page.lines().filter_map(|line| line.strip_prefix('#')).map(|rest| slug(rest.trim_start_matches('#')));
    own.chain(headings).collect()
}

fn slug(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

/// What is wrong with a link on `page`, if anything.
fn fault(page: &Path, link: &str) -> Option<String> {
    if link.starts_with("https://") {
        return None;
    }
    let (file, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if file.is_empty() { page.to_owned() } else { page.parent()?.join(file) };
    if !target.exists() {
        return Some(format!("{}: {link} leads nowhere", page.display()));
    }
    let known = || fs::read_to_string(&target).is_ok_and(|text| anchors(&text).contains(anchor));
    (!anchor.is_empty() && !known()).then(|| format!("{}: {link} has no such anchor", page.display()))
}

/// Words that name a file or a folder.
fn paths(text: &str) -> Vec<&str> {
    let words = text.split(|letter: char| letter.is_whitespace() || "`()|·▶─".contains(letter));
    let is_path = |word: &&str| {
        let plain = word.chars().all(|letter| letter.is_ascii_alphanumeric() || "_-./{},".contains(letter));
        plain && !word.starts_with('/') && (word.ends_with(".rs") || word.ends_with(".proto") || word.ends_with('/'))
    };
    words.map(|word| word.trim_end_matches([',', ':', ';'])).filter(is_path).collect()
}

/// `a/{b,c}.rs` is `a/b.rs` and `a/c.rs`.
fn expanded(path: &str) -> Vec<String> {
    match path.split_once('{').and_then(|(begin, rest)| Some((begin, rest.split_once('}')?))) {
        Some((begin, (middle, end))) => middle.split(',').map(|one| format!("{begin}{one}{end}")).collect(),
        None => vec![path.to_owned()],
    }
}

fn is_there(path: &str) -> bool {
    BASES.iter().any(|base| root().join(base).join(path).exists())
}

#[test]
fn every_link_leads_somewhere() {
    let mut seen = 0;
    let mut faults = Vec::new();
    for page in pages() {
        let links = links(&fs::read_to_string(&page).unwrap());
        seen += links.len();
        faults.extend(links.iter().filter_map(|link| fault(&page, link)));
    }
    assert!(faults.is_empty(), "{faults:#?}");
    assert!(seen > 100, "{seen} links");
}

/// ARCHITECTURE.md, and what else speaks of the code rather than of its use.
fn pages_about_code() -> Vec<PathBuf> {
    let decisions = root().join("docs/adr");
    let about_code = |page: &PathBuf| page.starts_with(&decisions) || page.parent() == Some(root());
    pages().into_iter().filter(about_code).collect()
}

#[test]
fn every_path_in_a_page_about_code_is_there() {
    let mut all = Vec::new();
    for page in pages_about_code() {
        let text = fs::read_to_string(&page).unwrap();
        all.extend(paths(&text).into_iter().flat_map(expanded).map(|path| (page.clone(), path)));
    }
    let missing: Vec<_> = all.iter().filter(|(_, path)| !is_there(path)).collect();
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(all.len() > 80, "{} paths", all.len());
}

#[test]
fn the_architecture_is_short_enough_to_be_read() {
    let lines = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap().lines().count();
    assert!(lines <= MAX_LINES, "{lines} lines");
}

/// Verbs of the Makefile that `page` names.
fn verbs(page: &str) -> Vec<&str> {
    let named = page.split("make ").skip(1);
    let before = page.split("make ").map(|part| part.chars().next_back());
    named
        .zip(before)
        .filter(|(_, before)| *before == Some('`'))
        .filter_map(|(rest, _)| rest.split(['`', ' ']).next())
        .collect()
}

#[test]
fn every_verb_that_a_page_names_is_one_of_the_makefile() {
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let mut seen = BTreeSet::new();
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for verb in verbs(&text) {
            assert!(makefile.contains(&format!("\n{verb}:")), "{}: make {verb}", page.display());
            seen.insert(verb.to_owned());
        }
    }
    assert!(seen.len() >= 6, "{seen:?}");
    assert_eq!(verbs("`make a`, `make b c`, we make d"), ["a", "b"]);
}

#[test]
fn what_is_wrong_is_found() {
    let page = root().join("README.md");
    for link in ["nowhere.md", "docs/nowhere/", "SECURITY.md#nowhere", "#nowhere", "docs/reference/reasons.md#nowhere"]
    {
        assert!(fault(&page, link).is_some(), "{link}");
    }
    for link in ["SECURITY.md", "docs/adr", "docs/reference/reasons.md#no-route", "https://example.com/"] {
        assert_eq!(fault(&page, link), None);
    }
    assert!(!is_there("dataplane/src/nowhere.rs") && !is_there("nowhere/"));
}

#[test]
fn links_and_paths_are_told_from_other_words() {
    assert_eq!(links("[a](b.md) `[c](d)`\n```\n[e](f)\n```\n[`g`](h#i)"), ["b.md", "h#i"]);
    assert_eq!(paths("`a/{b,c}.rs`, `/livez` or (d/e/): f.rs; x/y"), ["a/{b,c}.rs", "d/e/", "f.rs"]);
    assert_eq!(expanded("a/{b,c}.rs"), ["a/b.rs", "a/c.rs"]);
    assert_eq!(slug("To add …"), "to-add-");
    assert!(
        anchors("## Trusted proxies\n<a id=\"x.y\"></a>").is_superset(&["trusted-proxies".into(), "x.y".into()].into())
    );
}
