//! What the controller makes of manifests, in a form that can be read and compared.

use prost_reflect::prost::Message as _;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use sallyport_controller::cluster::reach::Reach;
use sallyport_controller::cluster::{ClusterState, ObjectName};
use sallyport_controller::compile::{Compiled, compile};
use sallyport_controller::graph::{Environment, Graph};
use sallyport_controller::infra::{self, Owner, PullPolicy, Site};
use sallyport_controller::manifest::{self, SourceFile};
use sallyport_controller::publish::Replica;
use sallyport_controller::status::{self, ObjectStatus, Plane, View};
use sallyport_controller::watch::Source;
use sallyport_snapshot::{DESCRIPTORS, check, of_gateway, v1};
use serde_json::{Map, Value, json};

/// 2026-11-24: statuses speak of this moment.
const NOW_S: i64 = 1_795_478_400;
/// Longer texts, certificates as a rule, are told by their length.
const MAX_TEXT: usize = 120;

pub struct Judged {
    pub compiled: Compiled,
    pub statuses: Vec<ObjectStatus>,
    pub diagnostics: Vec<String>,
    /// What runs each Gateway, by its name.
    pub infrastructure: Vec<(ObjectName, Option<Vec<Value>>)>,
}

/// Judges `manifests`; what one data plane that rejects nothing would have acknowledged counts as acknowledged.
pub fn judge(manifests: &str) -> Judged {
    judge_in(Environment::Cluster, manifests)
}

/// The same, where all Gateways share the ports of one process or have their own.
pub fn judge_in(environment: Environment, manifests: &str) -> Judged {
    judge_within(Reach::Everywhere, environment, manifests)
}

/// The same, where a controller sees some namespaces only: what the manifests have in others, it does not know.
pub fn judge_within(reach: Reach, environment: Environment, manifests: &str) -> Judged {
    let loaded = manifest::load(&[SourceFile { path: "manifests".into(), text: manifests.to_owned() }]);
    let diagnostics = loaded.diagnostics.iter().map(|one| format!("{} {}: {}", one.object, one.field, one.message));
    let mut diagnostics: Vec<_> = diagnostics.collect();
    diagnostics.sort();
    let mut cluster = ClusterState { reach, ..ClusterState::default() };
    let named = Source::standing(&cluster.reach);
    for object in loaded.objects {
        let is_named = named.contains(&Source::Named(object.kind, object.name.clone()));
        if is_named || cluster.reach.sees(object.kind, &object.name.namespace) {
            cluster.apply(object.name, object.object);
        }
    }
    let graph = Graph::build(&cluster, environment);
    let compiled = compile(&graph, &cluster);
    assert_eq!(check::dangling(&compiled.snapshot), vec![], "of {manifests}");
    for gateway in graph.gateways.keys() {
        assert_eq!(check::dangling(&of_gateway(&compiled.snapshot, &gateway.to_string())), vec![], "of {manifests}");
    }
    let mut replica = Replica::default();
    let update = replica.update(&compiled.snapshot).expect("the first update");
    replica.acknowledge(&v1::Ack { nonce: update.nonce, rejected: vec![], more: false });
    let plane = Plane { gateway: None, snapshot: &compiled.snapshot, replicas: vec![replica.standing()] };
    let view = View {
        graph: &graph,
        compiled: &compiled,
        planes: &[plane],
        addresses: None,
        unwritten: &std::collections::BTreeMap::new(),
        now_s: NOW_S,
    };
    let statuses = status::plan(view);
    let objects = |name| infra::objects(&site(), Owner { name, uid: "5a11" }, &graph.gateways[name]);
    let infrastructure = graph.gateways.keys().map(|name| (name.clone(), objects(name))).collect();
    Judged { compiled, statuses, diagnostics, infrastructure }
}

fn site() -> Site {
    Site {
        controller: ObjectName::new("sallyport-system", "sallyport"),
        stream_port: 9443,
        authority: "(certificates in PEM)".to_owned(),
        image: "ghcr.io/sallyport/dataplane:0.1.0".to_owned(),
        pull_policy: PullPolicy::IfNotPresent,
    }
}

impl Judged {
    /// Snapshot and status as one document.
    pub fn text(&self) -> String {
        let document = json!({
            "diagnostics": self.diagnostics,
            "snapshot": snapshot(&self.compiled),
            "status": self.statuses.iter().map(told).collect::<Map<_, _>>(),
        });
        serde_saphyr::to_string(&document).unwrap()
    }
}

impl Judged {
    /// The objects that run each Gateway, and what it is told, as one document.
    pub fn infrastructure_text(&self) -> String {
        let name_of = |object: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            format!("{} {}", text(&object["kind"]), text(&object["metadata"]["name"]))
        };
        let listed =
            |objects: &Vec<Value>| objects.iter().map(|one| (name_of(one), one.clone())).collect::<Map<_, _>>();
        let shown = |(name, objects): &(ObjectName, Option<Vec<Value>>)| {
            let objects = objects.as_ref().map_or("stays as it is".into(), |objects| Value::Object(listed(objects)));
            (format!("Gateway {name}"), objects)
        };
        let gateways = self.statuses.iter().filter(|status| status.kind == "Gateway");
        let document = json!({
            "diagnostics": self.diagnostics,
            "infrastructure": self.infrastructure.iter().map(shown).collect::<Map<_, _>>(),
            "status": gateways.map(told).collect::<Map<_, _>>(),
        });
        serde_saphyr::to_string(&document).unwrap()
    }
}

fn snapshot(compiled: &Compiled) -> Value {
    let pool = DescriptorPool::decode(DESCRIPTORS).unwrap();
    let descriptor = pool.get_message_by_name("sallyport.snapshot.v1.Resource").unwrap();
    let options = SerializeOptions::new().use_proto_field_name(true);
    let resources = compiled.snapshot.iter().map(|(name, resource)| {
        let message = v1::Resource { body: Some(resource.body().as_ref().clone()) };
        let message = DynamicMessage::decode(descriptor.clone(), &*message.encode_to_vec()).unwrap();
        let value = message.serialize_with_options(serde_json::value::Serializer, &options).unwrap();
        let body = value.as_object().and_then(|body| body.values().next()).cloned().unwrap_or_default();
        (name.to_string(), shortened(body))
    });
    Value::Object(resources.collect())
}

fn shortened(value: Value) -> Value {
    match value {
        Value::String(text) if text.len() > MAX_TEXT && !text.contains(' ') => {
            format!("({} characters)", text.len()).into()
        }
        Value::Array(items) => items.into_iter().map(shortened).collect(),
        Value::Object(members) => members.into_iter().map(|(name, value)| (name, shortened(value))).collect(),
        other => other,
    }
}

/// A status with its conditions as sentences. What is supported is the same everywhere, and the conformance suite's to judge.
fn told(status: &ObjectStatus) -> (String, Value) {
    fn sentences(value: Value) -> Value {
        match value {
            Value::Object(members) if members.contains_key("reason") => {
                let text = |name: &str| members.get(name).and_then(Value::as_str).unwrap_or_default();
                let sentence = format!("{}={} {} {}", text("type"), members["status"], text("reason"), text("message"));
                sentence.trim_end().into()
            }
            Value::Object(members) => members.into_iter().map(|(name, value)| (name, sentences(value))).collect(),
            Value::Array(items) => items.into_iter().map(sentences).collect(),
            other => other,
        }
    }
    let mut value = serde_json::to_value(status).unwrap();
    for name in ["kind", "name", "features"] {
        value.as_object_mut().unwrap().remove(name);
    }
    (format!("{} {}", status.kind, status.name), sentences(value))
}
