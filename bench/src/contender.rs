//! The gateways, each set up to do the same work.

mod ours;
mod peers;

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

use crate::process::Running;
use crate::token::Signer;

/// The gateway's core, and that of the load and the service.
pub(crate) const GATEWAY_CORE: usize = 0;
pub(crate) const OTHER_CORE: usize = 1;
const UPSTREAM: u16 = 18080;
const GATEWAY: u16 = 18081;
const ADMIN: u16 = 18082;
/// The key that is sent; the others are like it.
pub(crate) const KEY: &str = "sp_00000000000000000000000000000000";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    /// No gateway: the load goes to the service.
    Direct,
    Sallyport,
    /// Ours with one open route: what the checks come on top of.
    SallyportPlain,
    /// Ours with one subscription.
    SallyportOneKey,
    Nginx,
    HaProxy,
    /// With its token cache, as large as ours.
    Envoy,
    /// Without its token cache, which costs it more than it saves where no token comes twice.
    EnvoyUncached,
}

/// What a gateway has to check.
#[derive(Clone, Copy)]
pub(crate) enum Checks {
    None,
    /// None, but there are as many other routes.
    Routes {
        among: usize,
    },
    Key {
        among: usize,
    },
    /// Signature, iss, aud, exp, nbf.
    Token(&'static str),
    /// Sizes of memory and start: as many routes, and as many subscriptions.
    Scale {
        routes: usize,
        keys: usize,
    },
}

/// Programs, a folder for their files, and the service behind.
pub(crate) struct Bench {
    sallyport: PathBuf,
    envoy: Option<PathBuf>,
    folder: TempDir,
    pub(crate) upstream: Running,
}

impl Kind {
    /// The port that it takes requests at.
    pub(crate) fn port(self) -> u16 {
        if self == Self::Direct { UPSTREAM } else { GATEWAY }
    }

    /// What it checks where the case asks for `checks`.
    fn checks(self, checks: Checks) -> Checks {
        match self {
            Self::SallyportPlain => Checks::None,
            Self::SallyportOneKey => Checks::Key { among: 1 },
            _ => checks,
        }
    }
}

impl Bench {
    pub(crate) fn new(sallyport: PathBuf, envoy: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let command = peers::nginx(folder.path(), "upstream.conf", include_str!("../config/upstream.conf"))?;
        let upstream = Running::start(OTHER_CORE, UPSTREAM, &command)?;
        Ok(Self { sallyport, envoy, folder, upstream })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether the program is here.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        !matches!(kind, Kind::Envoy | Kind::EnvoyUncached) || self.envoy.is_some()
    }

    /// Starts a gateway that makes these checks.
    pub(crate) fn start(&self, kind: Kind, checks: Checks, signer: Option<&Signer>) -> anyhow::Result<Running> {
        let folder = self.folder.path();
        let checks = kind.checks(checks);
        let command = match kind {
            Kind::Direct => anyhow::bail!("the service is running already"),
            Kind::Sallyport | Kind::SallyportPlain | Kind::SallyportOneKey => {
                ours::write_manifests(folder, checks, signer)?;
                ours::command(&self.sallyport, folder)
            }
            Kind::Nginx => peers::nginx(folder, "nginx.conf", include_str!("../config/nginx.conf"))?,
            Kind::HaProxy => peers::haproxy(folder, checks, signer)?,
            Kind::Envoy | Kind::EnvoyUncached => {
                let program = self.envoy.as_deref().unwrap_or(Path::new("envoy"));
                peers::envoy(folder, program, signer, kind == Kind::Envoy)?
            }
        };
        Running::start(GATEWAY_CORE, GATEWAY, &command)
    }
}

/// Writes `text`, a configuration with the folder and ports to fill in, and tells its path.
fn write(folder: &Path, name: &str, text: &str) -> anyhow::Result<String> {
    let path = folder.join(name);
    let filled = text
        .replace("${DIR}", &folder.display().to_string())
        .replace("${UPSTREAM}", &UPSTREAM.to_string())
        .replace("${PORT}", &GATEWAY.to_string());
    fs::write(&path, filled)?;
    Ok(path.display().to_string())
}
