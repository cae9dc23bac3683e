//! Which cluster, which namespace, and how its objects are read.

use std::time::Duration;

use anyhow::{Context as _, bail};
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use sallyport_controller::cluster::{ObjectKind, Scope};
use sallyport_controller::watch::resource;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Who writes, for server-side apply.
pub(super) const MANAGER: &str = "sallyport-cli";
/// How long the API server may take for one answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);

/// Options of every verb that speaks with a cluster.
#[derive(clap::Args, Default)]
pub(crate) struct Place {
    /// Context of the kubeconfig ($KUBECONFIG or ~/.kube/config); default: the current one, or in a pod its own cluster
    #[arg(long)]
    context: Option<String>,
    /// Namespace; default: that of the context
    #[arg(short, long)]
    namespace: Option<String>,
}

impl Place {
    /// The cluster of that context.
    pub(crate) fn in_context(context: Option<String>) -> Self {
        Self { context, namespace: None }
    }
}

/// A cluster, and the namespace that is meant where none is stated.
pub(super) struct Cluster {
    pub(super) client: Client,
    pub(super) namespace: String,
}

impl Cluster {
    /// The cluster of `place`. Nothing is asked of it yet.
    pub(super) async fn of(place: &Place) -> anyhow::Result<Self> {
        let mut config = match &place.context {
            None => Config::infer().await.context("no cluster is named; set KUBECONFIG")?,
            Some(context) => {
                let options = KubeConfigOptions { context: Some(context.clone()), ..KubeConfigOptions::default() };
                let kubeconfig = Kubeconfig::read().context("the kubeconfig cannot be read; set KUBECONFIG")?;
                Config::from_custom_kubeconfig(kubeconfig, &options).await.with_context(|| {
                    format!("the context {context} cannot be used; `kubectl config get-contexts` lists those there are")
                })?
            }
        };
        config.read_timeout = Some(ANSWER_TIMEOUT);
        let namespace = place.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        Ok(Self { client: Client::try_from(config)?, namespace })
    }

    /// Objects of a kind, of one namespace or of all.
    pub(super) async fn list(&self, kind: ObjectKind, namespace: Option<&str>) -> anyhow::Result<Vec<Value>> {
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) if kind.scope() == Scope::Namespaced => {
                Api::namespaced_with(self.client.clone(), namespace, &resource(kind))
            }
            _ => Api::all_with(self.client.clone(), &resource(kind)),
        };
        let found = api.list(&ListParams::default()).await.with_context(|| untold(kind))?;
        found.items.into_iter().map(|object| Ok(serde_json::to_value(object)?)).collect()
    }

    /// One object; that it is not there is an error.
    pub(super) async fn get(&self, kind: ObjectKind, namespace: &str, name: &str) -> anyhow::Result<Value> {
        match self.api(kind, namespace).get_opt(name).await.with_context(|| untold(kind))? {
            Some(object) => Ok(serde_json::to_value(object)?),
            None => bail!(
                "{} {namespace}/{name} does not exist; correct the name, or name its namespace by -n",
                kind.as_str()
            ),
        }
    }

    /// Server-side apply of what is stated, over what others say of the same fields.
    pub(super) async fn apply(&self, kind: ObjectKind, object: &Value) -> anyhow::Result<()> {
        let [namespace, name] = ["namespace", "name"].map(|part| object["metadata"][part].as_str().unwrap_or_default());
        let patch = PatchParams::apply(MANAGER).force();
        let done = self.api(kind, namespace).patch(name, &patch, &Patch::Apply(object)).await;
        done.with_context(|| format!("{} {namespace}/{name} cannot be written", kind.as_str())).map(drop)
    }

    pub(super) fn api(&self, kind: ObjectKind, namespace: &str) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), namespace, &resource(kind))
    }
}

fn untold(kind: ObjectKind) -> String {
    format!("the API server does not tell of {}", kind.plural())
}

/// Looks until `look` finds something, for at most `patience`; `None` if it never did.
pub(super) async fn within<T>(
    patience: Duration,
    mut look: impl AsyncFnMut() -> anyhow::Result<Option<T>>,
) -> anyhow::Result<Option<T>> {
    let deadline = Instant::now() + patience;
    loop {
        let found = look().await?;
        if found.is_some() || Instant::now() >= deadline {
            return Ok(found);
        }
        sleep(BETWEEN_LOOKS).await;
    }
}
