//! The rim: which files there are, and what stands in them.

use std::collections::BTreeSet;
use std::fs::{self, DirEntry, File};
use std::io::{self, ErrorKind, Read as _};
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

impl Found {
    /// Takes the files at `open` back out: somebody still writes them, and what they hold so far may be half of it.
    pub fn set_aside(&mut self, open: &BTreeSet<PathBuf>) {
        let open: BTreeSet<_> = open.iter().filter_map(|path| path.canonicalize().ok()).collect();
        if open.is_empty() {
            return;
        }
        let is_open =
            |file: &mut SourceFile| Path::new(&file.path).canonicalize().is_ok_and(|path| open.contains(&path));
        for file in self.files.extract_if(.., is_open) {
            let message = "it is still being written; it is read once whoever writes has closed it";
            self.unreadable.push(Diagnostic::of_file(file.path, Severity::Error, message));
        }
    }
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
        io::Error::new(ErrorKind::InvalidData, format!("byte {at} is no UTF-8; save it as UTF-8"))
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
        let found = path.canonicalize().and_then(|canonical| {
            let metadata = path.metadata()?;
            Ok((self.seen.insert(canonical), metadata))
        });
        match found {
            Ok((false, _)) => {}
            Ok((_, metadata)) if metadata.is_dir() => self.folder(path, depth),
            // Whoever opens a pipe waits for a writer.
            Ok((_, metadata)) if !metadata.is_file() => self.refuse(path, "it is no file"),
            Ok(_) => match File::open(path).and_then(|file| read_stream(&path.display().to_string(), file)) {
                Ok(file) => self.found.files.push(file),
                Err(error) => self.fail(path, depth, &error),
            },
            Err(error) => self.fail(path, depth, &error),
        }
    }

    fn folder(&mut self, folder: &Path, depth: usize) {
        if depth > 0 && is_manifest(folder) {
            return self.refuse(folder, "it is a folder with the name of a file; rename it");
        }
        if depth > MAX_FOLDERS {
            return self.refuse(folder, "there are too many folders within each other");
        }
        let mut entries = match fs::read_dir(folder).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => return self.fail(folder, depth, &error),
        };
        entries.sort_by_key(DirEntry::file_name);
        for entry in entries {
            let (name, path) = (entry.file_name(), entry.path());
            if name.to_string_lossy().starts_with('.') {
                continue;
            }
            match is_folder(&entry) {
                _ if is_manifest(&path) => self.path(&path, depth + 1),
                Ok(true) => self.path(&path, depth + 1),
                Ok(false) => {}
                Err(error) => self.refuse(&path, &error.to_string()),
            }
        }
    }

    /// What went away while its folder was listed is as if it had been gone before. Whatever else keeps a file or a folder from being
    /// looked at says nothing about what is in there.
    fn fail(&mut self, path: &Path, depth: usize, error: &io::Error) {
        let is_gone = path.symlink_metadata().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        if depth == 0 || !is_gone {
            self.refuse(path, &error.to_string());
        }
    }

    fn refuse(&mut self, path: &Path, why: &str) {
        let message = format!("it cannot be read: {why}");
        self.found.unreadable.push(Diagnostic::of_file(path.display().to_string(), Severity::Error, message));
    }
}

/// Whether an entry is a folder, or a link to one. A link that leads nowhere is none.
fn is_folder(entry: &DirEntry) -> io::Result<bool> {
    let kind = entry
        .file_type()
        .and_then(|kind| if kind.is_symlink() { Ok(entry.path().metadata()?.file_type()) } else { Ok(kind) });
    match kind {
        Ok(kind) => Ok(kind.is_dir()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests;
