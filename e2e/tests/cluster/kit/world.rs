//! A namespace of a test's own.

use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ApiResource, DeleteParams, DynamicObject, EvictParams, Patch, PatchParams};
use kube::discovery::Discovery;
use kube::{Client, ResourceExt as _};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::answer::{Answer, ask, caller};
use super::places::Places;
use super::trust::Caller;

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(60);
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

pub struct World {
    pub namespace: String,
    client: Client,
    kinds: Discovery,
    caller: Caller,
}

impl World {
    /// A new namespace with these manifests in it.
    pub async fn with(name: &str, manifests: &[impl AsRef<str>]) -> Self {
        let client = Client::try_default().await.expect("there is no cluster; run `make e2e`, or set KUBECONFIG");
        let namespace = format!("{name}-{:06x}", rand::random::<u32>() & 0x00ff_ffff);
        let kinds = Discovery::new(client.clone()).run().await.unwrap();
        let world = Self { namespace, client, kinds, caller: caller() };
        world.make_namespace().await;
        for manifest in manifests {
            world.apply(manifest.as_ref()).await;
        }
        world
    }

    async fn make_namespace(&self) {
        self.apply(&format!("{{apiVersion: v1, kind: Namespace, metadata: {{name: {}}}}}", self.namespace)).await;
    }

    /// Deletes the namespace with all that is in it, and makes it anew.
    pub async fn emptied(&self) {
        self.delete("Namespace", &self.namespace).await;
        let gone = format!("the end of {}", self.namespace);
        until(&gone, async || self.get("Namespace", &self.namespace).await.is_none().then_some(())).await;
        self.make_namespace().await;
    }

    /// Applies one manifest, once the API server takes it.
    pub async fn eventually_apply(&self, manifest: &str) {
        let object: DynamicObject = serde_saphyr::from_str(manifest).unwrap();
        let (name, api) = (object.name_any(), self.api(&object.types.as_ref().unwrap().kind));
        let apply = PatchParams::apply("e2e").force();
        until(&name, async || api.patch(&name, &apply, &Patch::Apply(&object)).await.ok()).await;
    }

    /// Applies manifests, server-side, as `kubectl apply` would.
    pub async fn apply(&self, manifests: &str) {
        for document in manifests.split("\n---\n").filter(|document| !document.trim().is_empty()) {
            let object: DynamicObject = serde_saphyr::from_str(document).unwrap();
            let name = object.name_any();
            let api = self.api(&object.types.as_ref().unwrap().kind);
            let done = api.patch(&name, &PatchParams::apply("e2e").force(), &Patch::Apply(&object)).await;
            done.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }

    pub async fn delete(&self, kind: &str, name: &str) {
        self.api(kind).delete(name, &DeleteParams::default()).await.unwrap();
    }

    pub async fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.api(kind).get_opt(name).await.unwrap().map(|object| serde_json::to_value(object).unwrap())
    }

    /// Waits until the Gateway has so many replicas, all ready, and none that ends.
    pub async fn replicas(&self, gateway: &str, number: usize) {
        let places = self.places(gateway);
        until(&format!("{number} replicas of {gateway}"), async || {
            let replicas = places.replicas().await?;
            (replicas.len() == number && replicas.iter().all(|replica| replica.ready)).then_some(())
        })
        .await;
    }

    /// Evicts a pod as draining a node does, asking again while a budget forbids it.
    pub async fn evict(&self, pod: &str) {
        let pods = Api::<Pod>::namespaced(self.client.clone(), &self.namespace);
        until(&format!("eviction of {pod}"), async || pods.evict(pod, &EvictParams::default()).await.ok()).await;
    }

    /// Where the Gateway and each of its replicas are.
    pub fn places(&self, gateway: &str) -> Places {
        Places::new(&self.client, &self.namespace, gateway)
    }

    fn api(&self, kind: &str) -> Api<DynamicObject> {
        let groups = self.kinds.groups().flat_map(|group| group.recommended_resources());
        let (resource, capabilities): (ApiResource, _) = groups
            .into_iter()
            .find(|(resource, _)| resource.kind == kind)
            .unwrap_or_else(|| panic!("there is no kind {kind}"));
        match capabilities.scope {
            kube::discovery::Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            kube::discovery::Scope::Namespaced => Api::namespaced_with(self.client.clone(), &self.namespace, &resource),
        }
    }

    /// Waits until the condition holds, or does not, for the object as it is now; its reason.
    pub async fn condition(&self, kind: &str, name: &str, condition: &str, status: bool) -> String {
        let wanted = if status { "True" } else { "False" };
        let text = format!("{kind} {name} {condition}={wanted}");
        until(&text, async || {
            let object = self.get(kind, name).await?;
            let generation = object["metadata"]["generation"].clone();
            let parts = ["parents", "ancestors"].map(|part| object["status"][part].as_array());
            let parts = parts.into_iter().flatten().flatten().flat_map(|one| conditions(&one["conditions"]));
            let own = conditions(&object["status"]["conditions"]);
            let mut all = own.chain(parts);
            let found = all.find(|one| one["type"] == condition && one["status"] == wanted)?;
            (generation.is_null() || found["observedGeneration"] == generation)
                .then(|| found["reason"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// Waits until a listener of the Gateway `public` has this condition, such as `Programmed=True`, with this in its reason or message.
    pub async fn listener_says(&self, listener: &str, condition: &str, text: &str) {
        until(&format!("{condition} of {listener} with '{text}'"), async || {
            let gateway = self.get("Gateway", "public").await?;
            let mut all = gateway["status"]["listeners"].as_array().into_iter().flatten();
            let status = &all.find(|one| one["name"] == listener)?["conditions"];
            let told = |one: &Value| {
                ["type", "status", "reason", "message"].map(|part| one[part].as_str().unwrap_or_default().to_owned())
            };
            let mut told = conditions(status).map(told);
            told.any(|[kind, status, reason, message]| {
                format!("{kind}={status}") == condition && format!("{reason}: {message}").contains(text)
            })
            .then_some(())
        })
        .await;
    }

    pub async fn ready(&self, kind: &str, name: &str) {
        self.condition(kind, name, "Ready", true).await;
    }

    /// Where the Gateway is reached, once it is.
    pub async fn address(&self, gateway: &str) -> String {
        self.condition("Gateway", gateway, "Programmed", true).await;
        let gateway = self.get("Gateway", gateway).await.unwrap();
        gateway["status"]["addresses"][0]["value"].as_str().unwrap().to_owned()
    }

    pub async fn ask(&self, address: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        ask(&self.caller, &format!("http://{address}{path}"), headers).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Asks until this is the verdict.
    pub async fn verdict(&self, address: &str, path: &str, headers: &[(&str, &str)], verdict: &str) -> Answer {
        let (mut last, text) = (String::new(), format!("{verdict} at {path}"));
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            match ask(&self.caller, &format!("http://{address}{path}"), headers).await {
                Ok(answer) if answer.verdict() == verdict => return answer,
                Ok(answer) => last = answer.verdict(),
                Err(error) => last = error,
            }
            sleep(BETWEEN_LOOKS).await;
        }
        panic!("{text} did not come; {last}")
    }
}

fn conditions(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

/// What `look` finds, once it finds it.
pub async fn until<T>(text: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if let Some(found) = look().await {
            return found;
        }
        sleep(BETWEEN_LOOKS).await;
    }
    panic!("{text} did not come")
}

impl Drop for World {
    /// What is left of a test that failed says why; of others nothing is left.
    fn drop(&mut self) {
        if std::thread::panicking() {
            dump(&self.namespace);
        }
        let arguments = ["delete", "namespace", &self.namespace, "--wait=false"];
        let _ended = std::process::Command::new("kubectl").args(arguments).output();
    }
}

/// Prints objects, events and logs of a namespace, and the logs of the controller.
fn dump(namespace: &str) {
    let kinds = "gateways,httproutes,apipolicies,backends,subscriptions,pods,services,endpointslices,events";
    let asked: [&[&str]; 3] = [
        &["get", kinds, "-n", namespace, "-o", "yaml"],
        &["logs", "-n", namespace, "--tail=20", "-l", "app.kubernetes.io/name=sallyport-dataplane"],
        &["logs", "-n", "sallyport-system", "--tail=50", "-l", "app.kubernetes.io/name=sallyport-controller"],
    ];
    for arguments in asked {
        let output = std::process::Command::new("kubectl").args(arguments).output();
        let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        eprintln!("--- kubectl {}\n{}", arguments.join(" "), text.unwrap_or_default());
    }
}
