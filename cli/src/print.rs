//! Standard output.

use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;

use anyhow::Context as _;

use crate::exit::Outcome;

/// A line on standard output. Whoever reads it may stop reading.
pub(crate) fn line(text: &str) {
    let _closed = writeln!(io::stdout(), "{text}");
}

/// A line on standard error, which is not part of what was asked for.
pub(crate) fn aside(text: &str) {
    let _closed = writeln!(io::stderr(), "{text}");
}

/// Whether somebody looks who sees colours, and wants them (no-color.org).
pub(crate) fn is_coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The same of standard error, where logs go.
pub(crate) fn is_log_coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The manual page of the program, or one for each verb in a folder (roff, man(7)).
pub(crate) fn manual(command: clap::Command, folder: Option<&Path>) -> anyhow::Result<Outcome> {
    match folder {
        Some(folder) => {
            std::fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
            let written = clap_mangen::generate_to(command, folder);
            written.with_context(|| format!("pages cannot be written into {}", folder.display()))?;
        }
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            line(String::from_utf8_lossy(&page).trim_end());
        }
    }
    Ok(Outcome::Fine)
}

/// All CRDs, as YAML documents.
pub(crate) fn crds() -> anyhow::Result<Outcome> {
    for crd in sallyport_api::schema::custom_resource_definitions() {
        line(&format!("---\n{}", serde_saphyr::to_string(&crd)?));
    }
    Ok(Outcome::Fine)
}
