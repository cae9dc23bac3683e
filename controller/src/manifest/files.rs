//! The rim: which files there are, and what stands in them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use super::located::MAX_FILE_BYTES;
use super::{Diagnostic, Severity, SourceFile};

/// Endings of manifests.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];
/// Folders within folders beyond this are links that lead in circles.
const MAX_FOLDERS: usize = 32;

/// What there is to read.
#[derive(Default)]
pub struct Found {
    pub files: Vec<SourceFile>,
    /// Files and folders that are there and cannot be read, or that were asked for and are not there: why. Whoever reloads keeps
    /// what they held before.
    pub unreadable: Vec<Diagnostic>,
}

/// The manifests at `paths`: files themselves, or all `.yaml`, `.yml` and `.json` files below a folder, in order; each once, however
/// many paths lead to it. Names that begin with a dot are passed over; so a mounted ConfigMap is read through the links that stand
/// beside its `..data`.
pub fn read(paths: &[PathBuf]) -> Found {
    let mut finder = Finder::default();
    for path in paths {
        finder.path(path, 0);
    }
    finder.found
}

/// Whether a file of that name is looked at within a folder.
pub fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|ending| ENDINGS.iter().any(|one| ending == *one))
}

/// The text of `reader` as a file of the name `path`.
pub fn read_stream(path: &str, reader: impl io::Read) -> io::Result<SourceFile> {
    // One byte more than is taken, so that it is seen and refused.
    let mut bytes = Vec::new();
    reader.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        io::Error::new(io::ErrorKind::InvalidData, format!("byte {at} is no UTF-8; save it as UTF-8"))
    })?;
    Ok(SourceFile { path: path.to_owned(), text })
}

#[derive(Default)]
struct Finder {
    found: Found,
    seen: BTreeSet<PathBuf>,
}

impl Finder {
    fn path(&mut self, path: &Path, depth: usize) {
        let is_new = match path.canonicalize() {
            Ok(canonical) => self.seen.insert(canonical),
            // It went away while its folder was listed: as if it had been gone before.
            Err(_) if depth > 0 && path.symlink_metadata().is_err() => return,
            Err(error) => return self.refuse(path, &error.to_string()),
        };
        match is_new {
            false => {}
            true if path.is_dir() => self.folder(path, depth),
            true => self.file(path),
        }
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        if depth > 0 && is_manifest(folder) {
            return self.refuse(folder, "it is a folder with the name of a file; rename it");
        }
        if depth > MAX_FOLDERS {
            return self.refuse(folder, "there are too many folders within each other");
        }
        let entries = fs::read_dir(folder)
            .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<Vec<_>, _>>());
        let mut entries = match entries {
            Ok(entries) => entries,
            Err(error) => return self.refuse(folder, &error.to_string()),
        };
        entries.sort();
        for path in entries {
            let is_hidden = path.file_name().is_none_or(|name| name.to_string_lossy().starts_with('.'));
            if !is_hidden && (is_manifest(&path) || path.is_dir()) {
                self.path(&path, depth + 1);
            }
        }
    }

    fn file(&mut self, path: &Path) {
        // Whoever opens a pipe waits for a writer.
        if !path.is_file() {
            return self.refuse(path, "it is no file");
        }
        match File::open(path).and_then(|file| read_stream(&path.display().to_string(), file)) {
            Ok(file) => self.found.files.push(file),
            Err(error) => self.refuse(path, &error.to_string()),
        }
    }

    fn refuse(&mut self, path: &Path, why: &str) {
        let message = format!("it cannot be read: {why}");
        self.found.unreadable.push(Diagnostic::of_file(path.display().to_string(), Severity::Error, message));
    }
}

#[cfg(test)]
mod tests;
