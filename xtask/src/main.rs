//! Generated files, and the structure that a compiler cannot check. `cargo xtask --help` lists the verbs.

mod arrows;
#[cfg(test)]
mod documents;
mod gateway_api;
mod generate;
#[cfg(test)]
mod roles;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Generated files and structure tests of this repository")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Writes crds/ and docs/reference/ from the Rust types
    Generate,
    /// Writes Gateway API's types and schemas from its CRDs
    GatewayApi {
        /// Folder of the CRDs, `config/crd/standard` of the Go module sigs.k8s.io/gateway-api
        #[arg(long)]
        crds: std::path::PathBuf,
        /// The kopium binary
        #[arg(long, default_value = "kopium")]
        kopium: std::path::PathBuf,
    },
    /// Checks which crate may depend on which
    Arrows,
    /// Checks that Gateway API's types and schemas are as they were generated
    Recorded,
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().verb {
        Verb::Generate => generate::all(),
        Verb::GatewayApi { crds, kopium } => gateway_api::all(&crds, &kopium),
        Verb::Arrows => arrows::check(),
        Verb::Recorded => gateway_api::check(),
    }
}

/// The root of the repository.
fn root() -> &'static std::path::Path {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the repository")
}
