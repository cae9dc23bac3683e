//! nginx, HAProxy and Envoy.

use std::path::Path;

use super::{Checks, write};
use crate::token::Signer;

/// With the configuration `text`: the gateway, and the service behind.
pub(super) fn nginx(folder: &Path, name: &str, text: &str) -> anyhow::Result<Vec<String>> {
    let file = write(folder, name, text)?;
    Ok(vec!["nginx".into(), "-c".into(), file, "-p".into(), folder.display().to_string()])
}

pub(super) fn haproxy(folder: &Path, checks: Checks, signer: Option<&Signer>) -> anyhow::Result<Vec<String>> {
    let lines = match (checks, signer) {
        (Checks::Token(algorithm), Some(signer)) => {
            write(folder, "public.pem", &signer.pem()?)?;
            include_str!("../../config/haproxy-token.cfg").replace("${ALG}", algorithm)
        }
        _ => String::new(),
    };
    let file = write(folder, "haproxy.cfg", &include_str!("../../config/haproxy.cfg").replace("${CHECKS}", &lines))?;
    Ok(vec!["haproxy".into(), "-db".into(), "-f".into(), file])
}

pub(super) fn envoy(
    folder: &Path,
    program: &Path,
    signer: Option<&Signer>,
    cached: bool,
) -> anyhow::Result<Vec<String>> {
    let cache = if cached { ", jwt_cache_config: {jwt_cache_size: 100000}" } else { "" };
    let filter = signer.map_or(String::new(), |signer| {
        include_str!("../../config/envoy-token.yaml").replace("${JWKS}", &signer.key_set()).replace("${CACHE}", cache)
    });
    let file = write(folder, "envoy.yaml", &include_str!("../../config/envoy.yaml").replace("${CHECKS}", &filter))?;
    let program = program.display().to_string();
    let command = [&program, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart", "-c", &file];
    Ok(command.map(str::to_owned).to_vec())
}
