//! Standard output.

use std::io::{self, Write as _};

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
