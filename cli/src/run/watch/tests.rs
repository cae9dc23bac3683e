//! What is watched, and which events mean a change.

use std::fs;
use std::os::unix::fs::symlink;

use notify::event::{CreateKind, DataChange, Flag, MetadataKind, RemoveKind, RenameMode};

use super::*;

const WRITTEN: EventKind = EventKind::Access(AccessKind::Close(AccessMode::Write));
const DATA: EventKind = EventKind::Modify(ModifyKind::Data(DataChange::Any));
const CREATED: EventKind = EventKind::Create(CreateKind::File);
const REMOVED: EventKind = EventKind::Remove(RemoveKind::File);
const RENAMED: EventKind = EventKind::Modify(ModifyKind::Name(RenameMode::To));

#[test]
fn only_what_can_change_the_manifests_is_a_change() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::create_dir_all(at("d/sub")).unwrap();
    fs::write(at("one.yaml"), "").unwrap();
    let interest = Interest::in_paths(&[at("d"), at("one.yaml")]);
    let change = |kind: EventKind, name: &str| interest.changes(&Event::new(kind).add_path(at(name)));
    let (writing, written) = (|name| vec![Change::Writing(at(name))], |name| vec![Change::Written(at(name))]);
    let (other, none) = (vec![Change::Other], vec![]);
    for (kind, name, expected) in [
        (DATA, "one.yaml", writing("one.yaml")),
        (DATA, "d/a.yml", writing("d/a.yml")),
        (DATA, "d/sub/a.json", writing("d/sub/a.json")),
        (DATA, "gateway.log", none.clone()),
        (DATA, "two.yaml", none.clone()),
        (DATA, "d/gateway.log", none.clone()),
        (DATA, "d/.a.yaml", none.clone()),
        (WRITTEN, "one.yaml", written("one.yaml")),
        (WRITTEN, "d/gateway.log", none.clone()),
        (EventKind::Access(AccessKind::Open(AccessMode::Any)), "one.yaml", none.clone()),
        (EventKind::Access(AccessKind::Close(AccessMode::Read)), "one.yaml", none.clone()),
        (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), "d/a.yaml", other.clone()),
        (EventKind::Modify(ModifyKind::Metadata(MetadataKind::Any)), "d/gateway.log", none.clone()),
        (CREATED, "d/a.yaml", other.clone()),
        (CREATED, "two.yaml", none.clone()),
        (EventKind::Create(CreateKind::Folder), "d/new", other.clone()),
        (EventKind::Create(CreateKind::Folder), "d", other.clone()),
        (RENAMED, "one.yaml", written("one.yaml")),
        (RENAMED, "d", written("d")),
        (RENAMED, "d/sub/..data", written("d/sub/..data")),
        (RENAMED, "..data", written("..data")),
        (RENAMED, "d/.a.yaml.swp", none.clone()),
        (REMOVED, "d/a.yaml", written("d/a.yaml")),
        (REMOVED, "two.yaml", none.clone()),
    ] {
        assert_eq!(change(kind, name), expected, "{kind:?} {name}");
    }
    let lost = Event::new(EventKind::Other).set_flag(Flag::Rescan);
    assert_eq!(interest.changes(&lost), [Change::Missed], "events were lost");
}

#[test]
fn names_on_the_way_to_a_path_are_watched_where_they_may_lead_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir_all(root.join("releases/42")).unwrap();
    symlink("releases/42", root.join("current")).unwrap();
    fs::write(root.join("releases/42/a.yaml"), "").unwrap();
    let places = |path: &str| places(&[root.join(path)]).into_iter().collect::<Vec<_>>();
    let (recursive, flat) = (RecursiveMode::Recursive, RecursiveMode::NonRecursive);
    let expected = vec![(root.clone(), flat), (root.join("current"), recursive), (root.join("releases"), flat)];
    assert_eq!(places("current"), expected);
    let expected = vec![(root.clone(), flat), (root.join("current"), flat), (root.join("releases"), flat)];
    assert_eq!(places("current/a.yaml"), expected, "a file's folder is watched without what is below it");
    assert_eq!(places("gone/for/now"), vec![(root.clone(), flat)], "what is not there is awaited where it would begin");
}
