//! The gateways, each set up to do the same work.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::TempDir;

use crate::process::Running;
use crate::token::Signer;

/// The gateway's core, and that of the load and the service.
pub(crate) const GATEWAY_CORE: usize = 0;
pub(crate) const OTHER_CORE: usize = 1;
pub(crate) const UPSTREAM: u16 = 18080;
const GATEWAY: u16 = 18081;
/// The key that is sent; the others are like it.
pub(crate) const KEY: &str = "sp_00000000000000000000000000000000";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum Kind {
    /// No gateway: the load goes to the service.
    Direct,
    Sallyport,
    Nginx,
    HaProxy,
    Envoy,
}

/// What a gateway has to check.
#[derive(Clone, Copy)]
pub(crate) enum Checks {
    None,
    Key {
        among: usize,
    },
    /// Signature, iss, aud, exp, nbf.
    Token(&'static str),
}

/// Programs, a folder for their files, and the service behind.
pub(crate) struct Bench {
    sallyport: PathBuf,
    envoy: Option<PathBuf>,
    folder: TempDir,
    pub(crate) upstream: Running,
}

impl Bench {
    pub(crate) fn new(sallyport: PathBuf, envoy: Option<PathBuf>) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = filled(include_str!("../config/upstream.conf"), folder.path(), UPSTREAM);
        let file = folder.path().join("upstream.conf");
        fs::write(&file, config)?;
        let command =
            ["nginx".into(), "-c".into(), file.display().to_string(), "-p".into(), folder.path().display().to_string()];
        let upstream = Running::start(OTHER_CORE, UPSTREAM, &command)?;
        Ok(Self { sallyport, envoy, folder, upstream })
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Whether the program is here.
    pub(crate) fn has(&self, kind: Kind) -> bool {
        kind != Kind::Envoy || self.envoy.is_some()
    }

    /// The port that `kind` takes requests at.
    pub(crate) fn port(kind: Kind) -> u16 {
        if kind == Kind::Direct { UPSTREAM } else { GATEWAY }
    }

    /// Starts a gateway that makes these checks.
    pub(crate) fn start(&self, kind: Kind, checks: Checks, signer: Option<&Signer>) -> anyhow::Result<Running> {
        let folder = self.folder.path();
        let write = |name: &str, text: &str| -> anyhow::Result<String> {
            let path = folder.join(name);
            fs::write(&path, text)?;
            Ok(path.display().to_string())
        };
        let fill = |text: &str| filled(text, folder, GATEWAY);
        let command = match kind {
            Kind::Direct => anyhow::bail!("the service is running already"),
            Kind::Nginx => {
                let file = write("nginx.conf", &fill(include_str!("../config/nginx.conf")))?;
                vec!["nginx".into(), "-c".into(), file, "-p".into(), folder.display().to_string()]
            }
            Kind::HaProxy => {
                let checks = haproxy_checks(checks, signer, &write)?;
                let file =
                    write("haproxy.cfg", &fill(&include_str!("../config/haproxy.cfg").replace("${CHECKS}", &checks)))?;
                vec!["haproxy".into(), "-db".into(), "-f".into(), file]
            }
            Kind::Envoy => {
                let checks = envoy_checks(checks, signer);
                let file =
                    write("envoy.yaml", &fill(&include_str!("../config/envoy.yaml").replace("${CHECKS}", &checks)))?;
                let program = self.envoy.as_ref().map(|path| path.display().to_string()).unwrap_or_default();
                [&program, "--concurrency", "1", "--log-level", "error", "--disable-hot-restart", "-c", &file]
                    .map(str::to_owned)
                    .to_vec()
            }
            Kind::Sallyport => {
                let manifests = folder.join("manifests");
                let _absent = fs::remove_dir_all(&manifests);
                fs::create_dir(&manifests)?;
                fs::write(manifests.join("main.yaml"), fill(&ours(checks, signer)))?;
                if let Checks::Key { among } = checks {
                    write_subscriptions(&manifests, among)?;
                }
                let program = self.sallyport.display().to_string();
                let folder = manifests.display().to_string();
                [&program, "run", "-f", &folder, "--workers", "1", "--admin", "127.0.0.1:18082"]
                    .map(str::to_owned)
                    .to_vec()
            }
        };
        Running::start(GATEWAY_CORE, GATEWAY, &command)
    }
}

fn filled(text: &str, folder: &Path, port: u16) -> String {
    text.replace("${DIR}", &folder.display().to_string())
        .replace("${UPSTREAM}", &UPSTREAM.to_string())
        .replace("${PORT}", &port.to_string())
}

fn ours(checks: Checks, signer: Option<&Signer>) -> String {
    let key_set = signer.map(Signer::key_set).unwrap_or_default();
    let authentication = match checks {
        Checks::None => "{name: open, public: {}}".to_owned(),
        Checks::Key { .. } => "{name: customers, subscriptionKey: {}}".to_owned(),
        Checks::Token(algorithm) => format!(
            "{{name: staff, jwt: {{issuer: \"https://issuer.example.com\", audiences: [orders-api], algorithms: [{algorithm}], keys: {{inline: '{key_set}'}}}}}}"
        ),
    };
    include_str!("../config/sallyport.yaml").replace("${AUTHENTICATION}", &authentication)
}

/// In files of a size that is taken.
fn write_subscriptions(folder: &Path, among: usize) -> anyhow::Result<()> {
    for from in (0..among).step_by(10_000) {
        let text: String = (from..among.min(from + 10_000)).map(subscription).collect();
        fs::write(folder.join(format!("keys-{from}.yaml")), text)?;
    }
    Ok(())
}

fn subscription(number: usize) -> String {
    format!(
        "---\n{{apiVersion: sallyport.dev/v1alpha1, kind: Subscription, metadata: {{name: s{number}, namespace: shop}}, spec: {{scope: {{apis: [{{kind: HTTPRoute, name: all}}]}}, keys: {{secretName: s{number}}}}}}}\n---\n{{apiVersion: v1, kind: Secret, metadata: {{name: s{number}, namespace: shop}}, stringData: {{primary: sp_{number:032}}}}}\n"
    )
}

fn haproxy_checks(
    checks: Checks,
    signer: Option<&Signer>,
    write: &impl Fn(&str, &str) -> anyhow::Result<String>,
) -> anyhow::Result<String> {
    let (Checks::Token(algorithm), Some(signer)) = (checks, signer) else { return Ok(String::new()) };
    write("public.pem", &signer.pem()?)?;
    Ok(include_str!("../config/haproxy-token.cfg").replace("${ALG}", algorithm))
}

/// With its token cache, as large as ours.
fn envoy_checks(checks: Checks, signer: Option<&Signer>) -> String {
    let (Checks::Token(_), Some(signer)) = (checks, signer) else { return String::new() };
    let cache = ", jwt_cache_config: {jwt_cache_size: 100000}";
    include_str!("../config/envoy-token.yaml").replace("${JWKS}", &signer.key_set()).replace("${CACHE}", cache)
}
