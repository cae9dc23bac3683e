//! The rim: which files there are, and what stands in them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::SourceFile;

/// The manifests at `path`: the file itself, or all `.yaml`, `.yml` and `.json` files below the folder, in order. Names that
/// begin with a dot are passed over; so a mounted ConfigMap is read once, through the links that stand beside its `..data`.
pub fn read(path: &Path) -> io::Result<Vec<SourceFile>> {
    let mut files = Vec::new();
    if path.is_dir() {
        list(path, &mut files)?
    } else {
        files.push(path.to_owned())
    };
    files
        .into_iter()
        .map(|path| Ok(SourceFile { text: fs::read_to_string(&path)?, path: path.display().to_string() }))
        .collect()
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    let mut entries: Vec<_> =
        fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    for path in entries {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(".");
        let is_manifest =
            path.extension().is_some_and(|ending| ["yaml", "yml", "json"].iter().any(|one| ending == *one));
        match (name.starts_with('.'), path.is_dir()) {
            (true, _) => {}
            (false, true) => list(&path, files)?,
            (false, false) if is_manifest => files.push(path),
            (false, false) => {}
        }
    }
    Ok(())
}
