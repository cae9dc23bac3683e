//! Generates the Rust types of the `.proto` files, without a `protoc` on the machine.

use std::path::Path;

use prost::Message as _;

/// Messages whose derived `Debug` would print a secret. They have own ones that do not.
const SILENT: [&str; 2] = ["sallyport.snapshot.v1.Secret", "sallyport.snapshot.v1.VersionedResource"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new("proto");
    println!("cargo:rerun-if-changed=proto");
    let files = ["sallyport/snapshot/v1/resource.proto", "sallyport/snapshot/v1/stream.proto"];
    let descriptors = protox::compile(files, [root])?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(Path::new(&out).join("descriptors.bin"), descriptors.encode_to_vec())?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]).skip_debug(SILENT);
    // Few policies have them, and all resources are as large as the largest.
    config.boxed("sallyport.snapshot.v1.Policy.cors").boxed("sallyport.snapshot.v1.Policy.request");
    config.compile_fds(descriptors)?;
    Ok(())
}
