//! Which files are found, and what is said of those that cannot be read.

use std::os::unix::fs::symlink;

use super::*;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Paths below `folder` of what was read, and of what could not be read.
fn found(folder: &Path, paths: &[&str]) -> (Vec<String>, Vec<String>) {
    let found = read(&paths.iter().map(|path| folder.join(path)).collect::<Vec<_>>());
    let below = |path: &str| Path::new(path).strip_prefix(folder).unwrap().display().to_string();
    let read = found.files.iter().map(|file| below(&file.path)).collect();
    (read, found.unreadable.iter().map(|diagnostic| below(&diagnostic.file)).collect())
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn each_file_is_read_once_in_order_and_hidden_ones_are_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for name in ["d/b.yaml", "d/a.yml", "d/sub/c.json", "d/notes.txt", "d/.hidden.yaml", "d/.git/x.yaml"] {
        write(&folder.join(name), "");
    }
    symlink(folder.join("d"), folder.join("d/sub/around")).unwrap();
    let all = strings(&["d/a.yml", "d/b.yaml", "d/sub/c.json"]);
    for paths in [&["d"][..], &["d", "d"], &["d", "d/sub", "d/b.yaml"]] {
        assert_eq!(found(folder, paths), (all.clone(), vec![]), "{paths:?}");
    }
    assert_eq!(found(folder, &["d/b.yaml", "d"]).0, strings(&["d/b.yaml", "d/a.yml", "d/sub/c.json"]));
    assert_eq!(found(folder, &["d/notes.txt"]).0, strings(&["d/notes.txt"]), "who names a file means it");
}

#[test]
fn what_cannot_be_read_is_said_and_spoils_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(&folder.join("good.yaml"), "");
    write(&folder.join("folder.yaml/x.yaml"), "");
    fs::write(folder.join("latin.yaml"), b"a: \xe9\n").unwrap();
    symlink("nowhere", folder.join("dangling.yaml")).unwrap();
    symlink("circle.yaml", folder.join("circle.yaml")).unwrap();
    std::os::unix::net::UnixListener::bind(folder.join("socket.yaml")).unwrap();
    let unreadable = strings(&["circle.yaml", "dangling.yaml", "folder.yaml", "latin.yaml", "socket.yaml"]);
    assert_eq!(found(folder, &[""]), (strings(&["good.yaml"]), unreadable));
    assert_eq!(found(folder, &["absent"]), (vec![], strings(&["absent"])));
    let said = read(&[folder.join("latin.yaml")]).unreadable[0].message.clone();
    assert!(said.contains("byte 3 is no UTF-8"), "{said}");
}

#[test]
fn only_what_is_not_there_is_passed_over() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(&folder.join("good.yaml"), "");
    symlink("nowhere", folder.join("leads-nowhere")).unwrap();
    symlink("good.yaml", folder.join("leads-to-a-file")).unwrap();
    assert_eq!(found(folder, &[""]), (strings(&["good.yaml"]), vec![]));
    symlink("around", folder.join("around")).unwrap();
    symlink("good.yaml/below", folder.join("below-a-file")).unwrap();
    let unreadable = strings(&["around", "below-a-file"]);
    assert_eq!(found(folder, &[""]), (strings(&["good.yaml"]), unreadable), "what is there cannot be told");
}

#[test]
fn what_is_being_written_is_set_aside_whatever_path_leads_to_it() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    write(&folder.join("d/a.yaml"), "");
    write(&folder.join("d/b.yaml"), "");
    symlink("d", folder.join("link")).unwrap();
    for open in ["d/a.yaml", "link/a.yaml", "d/../d/a.yaml"] {
        let mut found = read(&[folder.join("link")]);
        found.set_aside(&[folder.join(open), folder.join("gone.yaml")].into());
        let left: Vec<_> = found.files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(left, [folder.join("link/b.yaml").display().to_string()], "{open}");
        assert_eq!(found.unreadable[0].file, folder.join("link/a.yaml").display().to_string(), "{open}");
    }
}

#[test]
fn a_mounted_config_map_is_read_through_its_links() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for (version, text) in [("..1", "old"), ("..2", "new")] {
        write(&folder.join(version).join("a.yaml"), text);
    }
    symlink("..data/a.yaml", folder.join("a.yaml")).unwrap();
    for (version, text) in [("..1", "old"), ("..2", "new")] {
        symlink(version, folder.join("..swap")).unwrap();
        fs::rename(folder.join("..swap"), folder.join("..data")).unwrap();
        let found = read(&[folder.to_owned()]);
        assert_eq!((found.files.len(), &*found.files[0].text, found.unreadable.len()), (1, text, 0));
    }
}
