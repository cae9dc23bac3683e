//! The way to a cluster: kubeconfig, context and namespace as kubectl has them.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::api::{DynamicObject, ListParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use sallyport_controller::cluster::ObjectKind;
use sallyport_controller::watch::resource;
use serde_json::Value;

/// An API server that is there takes connections sooner.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// And answers what is asked here sooner: all of it is short.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// Who writes, for server-side apply.
pub(crate) const MANAGER: &str = "sallyport-cli";
/// Objects that are asked for at a time.
const PAGE: u32 = 500;

/// Which cluster, and where in it.
#[derive(Clone, Default, clap::Args)]
pub(crate) struct Access {
    /// The kubeconfig; default: what KUBECONFIG names, ~/.kube/config, or what a pod is given
    #[arg(long)]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig; default: its current one
    #[arg(long)]
    pub(crate) context: Option<String>,
    /// The namespace; default: that of the context, of `check` all, of `demo` sallyport-demo
    #[arg(short, long)]
    pub(crate) namespace: Option<String>,
}

/// A cluster that is reached as somebody.
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// What is meant where nobody names another.
    pub(crate) namespace: String,
    server: String,
}

impl Access {
    pub(crate) async fn connect(&self) -> anyhow::Result<Cluster> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(CONNECT_TIMEOUT);
        config.read_timeout = Some(ANSWER_TIMEOUT);
        config.reset_reader_on_write = true;
        let namespace = self.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| anyhow!("{}", text(&error))).with_context(|| {
            format!("the kubeconfig does not lead to {server}; compare its cluster and user with what kubectl takes")
        })?;
        Ok(Cluster { client, namespace, server })
    }

    async fn config(&self) -> anyhow::Result<Config> {
        let told = "there is no way to a cluster; set KUBECONFIG, or state --kubeconfig and --context";
        if self.kubeconfig.is_none() && self.context.is_none() {
            return Config::infer().await.map_err(|error| anyhow!("{}", text(&error))).context(told);
        }
        let kubeconfig = match &self.kubeconfig {
            Some(path) => Kubeconfig::read_from(path),
            None => Kubeconfig::read(),
        };
        let options = KubeConfigOptions { context: self.context.clone(), ..KubeConfigOptions::default() };
        let config = async { Config::from_custom_kubeconfig(kubeconfig?, &options).await };
        Box::pin(config).await.map_err(|error| anyhow!("{}", text(&error))).context(told)
    }
}

impl Cluster {
    /// Objects of a kind, in one namespace or in all.
    pub(crate) fn api(&self, kind: ObjectKind, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = resource(kind);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    /// All objects of a kind, as manifests would have them.
    pub(crate) async fn list(&self, kind: ObjectKind, namespace: Option<&str>) -> Result<Vec<Value>, kube::Error> {
        let api = self.api(kind, namespace);
        let (mut found, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
        loop {
            let list = api.list(&page).await?;
            found.extend(list.items.into_iter().map(|object| value(kind, object)));
            page.continue_token = list.metadata.continue_.filter(|token| !token.is_empty());
            if page.continue_token.is_none() {
                return Ok(found);
            }
        }
    }

    /// One object; none if it is not there.
    pub(crate) async fn get(&self, kind: ObjectKind, namespace: &str, name: &str) -> anyhow::Result<Option<Value>> {
        let found = self.api(kind, Some(namespace)).get_opt(name).await;
        let found = found.map_err(|error| self.explained(&error, &format!("{} {namespace}/{name}", kind.as_str())))?;
        Ok(found.map(|object| value(kind, object)))
    }

    /// The error as people are told it: what was asked for, what came, and what to do.
    pub(crate) fn explained(&self, error: &kube::Error, what: &str) -> anyhow::Error {
        anyhow!("{what}: {}", self.why(error))
    }

    /// The same without what was asked for.
    pub(crate) fn why(&self, error: &kube::Error) -> String {
        let server = &self.server;
        let kube::Error::Api(status) = error else {
            let text = text(error);
            return format!(
                "the API server {server} cannot be asked: {text}; see whether `kubectl version` reaches it"
            );
        };
        let said = printable(&status.message);
        match status.code {
            401 => format!("the API server {server} does not know who you are: {said}; log in anew"),
            403 => format!("{said}; ask whoever runs the cluster for this right"),
            404 => format!("{said}; `sallyport check --pre` says what the cluster lacks"),
            409 => format!("{said}; somebody else has written meanwhile: look, and try again"),
            429 | 503 | 504 => format!("the API server {server} is busy: {said}; try again"),
            code => format!("the API server answers {code}: {said}"),
        }
    }
}

/// Whoever writes an object writes no control sequences to the terminal of whoever reads of it.
pub(crate) fn printable(text: &str) -> String {
    text.replace(|letter: char| letter.is_control() || is_unseen(letter), "\u{fffd}")
}

/// What turns the direction of a line, or cannot be seen in it.
fn is_unseen(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// An object as a manifest would have it.
pub(crate) fn value(kind: ObjectKind, object: DynamicObject) -> Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = kind.api_version().into();
    value["kind"] = kind.as_str().into();
    value
}

/// An error with all that caused it, each said once.
fn text(error: &dyn std::error::Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(inner) = cause {
        let more = inner.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = inner.source();
    }
    printable(&text)
}

#[cfg(test)]
mod tests;
