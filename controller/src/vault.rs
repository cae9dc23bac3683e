//! The Secret that all replicas of the controller share: their certificate authority, and the certificate that data planes know them by.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::PostParams;
use kube::{Api, Client};
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;

use crate::authority::Stored;
use crate::clock::Clock;
use crate::cluster::ObjectName;
use crate::metrics::Metrics;
use crate::seed::Seed;

/// How often it is looked at what is stored: another replica may have renewed it.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10 * 60);
/// A pause after the API server could not be asked.
const PAUSE: Duration = Duration::from_secs(5);
/// Replicas that start together make one authority; all others find it at the next attempt.
const ATTEMPTS: usize = 10;

const AUTHORITIES: &str = "ca.crt";
const AUTHORITY_KEYS: &str = "ca.key";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// What follows from the Secret.
#[derive(Clone)]
pub struct Opened {
    pub server: Arc<ServerConfig>,
    pub client: Arc<ClientConfig>,
    /// PEM, for data planes.
    pub bundle: Arc<str>,
    pub seed: Seed,
}

/// The Secret, and the names that the controller is called by.
pub struct Vault {
    api: Api<Secret>,
    name: String,
    names: Vec<String>,
    metrics: Metrics,
}

impl Vault {
    pub fn new(client: Client, secret: &ObjectName, names: Vec<String>, metrics: Metrics) -> Self {
        Self { api: Api::namespaced(client, &secret.namespace), name: secret.name.clone(), names, metrics }
    }

    /// Makes or renews what is stored, as far as it is time for that.
    pub async fn open(&self) -> anyhow::Result<Opened> {
        for _ in 0..ATTEMPTS {
            let found = self.api.get_opt(&self.name).await.context("the Secret of the authority cannot be read")?;
            let stored = found.as_ref().map(read);
            let (renewed, is_changed) = Stored::renewed(stored.as_ref(), Clock.now(), &self.names)?;
            if !is_changed || self.store(found.as_ref(), &renewed).await? {
                let (authority_s, server_s) = renewed.ends_s();
                self.metrics.certificates_end(authority_s, server_s);
                return opened(&renewed);
            }
        }
        anyhow::bail!("others change the Secret {} of the authority all the time", self.name)
    }

    /// Looks at it from now on, and tells what has become of it.
    pub async fn keep(self, opened: watch::Sender<Opened>) {
        loop {
            tokio::time::sleep(BETWEEN_LOOKS).await;
            match self.open().await {
                Ok(now) => drop(opened.send_replace(now)),
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "the authority cannot be looked at");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// Whether it is stored now; not if somebody else was faster.
    async fn store(&self, found: Option<&Secret>, stored: &Stored) -> anyhow::Result<bool> {
        let metadata = found.map_or_else(
            || ObjectMeta { name: Some(self.name.clone()), ..ObjectMeta::default() },
            |found| found.metadata.clone(),
        );
        let secret = Secret { metadata, data: Some(written(stored)), ..Secret::default() };
        let parameters =
            PostParams { field_manager: Some(crate::write::FIELD_MANAGER.into()), ..PostParams::default() };
        let done = match found {
            Some(_) => self.api.replace(&self.name, &parameters, &secret).await,
            None => self.api.create(&parameters, &secret).await,
        };
        match done {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => Ok(false),
            Err(error) => Err(error).context("the Secret of the authority cannot be written"),
        }
    }
}

fn opened(stored: &Stored) -> anyhow::Result<Opened> {
    Ok(Opened {
        server: Arc::new(stored.server_config()?),
        client: Arc::new(stored.client_config()?),
        bundle: stored.bundle_pem().into(),
        seed: stored.seed()?,
    })
}

fn read(secret: &Secret) -> Stored {
    let text = |key: &str| {
        let bytes = secret.data.as_ref().and_then(|data| data.get(key));
        bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok()).unwrap_or_default()
    };
    Stored {
        authorities: text(AUTHORITIES),
        authority_keys: text(AUTHORITY_KEYS),
        server_certificate: text(CERTIFICATE),
        server_key: text(KEY),
    }
}

fn written(stored: &Stored) -> BTreeMap<String, ByteString> {
    let entries = [
        (AUTHORITIES, &stored.authorities),
        (AUTHORITY_KEYS, &stored.authority_keys),
        (CERTIFICATE, &stored.server_certificate),
        (KEY, &stored.server_key),
    ];
    entries.into_iter().map(|(key, text)| (key.to_owned(), ByteString(text.clone().into_bytes()))).collect()
}
