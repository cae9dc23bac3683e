//! Standard output.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use anyhow::Context as _;

use crate::exit::Outcome;

/// A line on standard output. Whoever reads it may stop reading.
pub(crate) fn line(text: &str) {
    let _closed = writeln!(io::stdout(), "{text}");
}

/// All CRDs, as YAML documents.
pub(crate) fn crds() -> anyhow::Result<Outcome> {
    for crd in sallyport_api::schema::custom_resource_definitions() {
        line(&format!("---\n{}", serde_saphyr::to_string(&crd)?));
    }
    Ok(Outcome::Fine)
}

/// A manual page for the program and for each verb.
pub(crate) fn manual(folder: &Path) -> anyhow::Result<Outcome> {
    clap_mangen::generate_to(crate::command(), folder)
        .with_context(|| format!("manual pages cannot be written into {}", folder.display()))?;
    line(&format!("{} manual pages are in {}", fs::read_dir(folder)?.count(), folder.display()));
    Ok(Outcome::Fine)
}
