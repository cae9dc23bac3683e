//! IngressClasses of ours, and the Gateways that they name.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::{IngressClass, IngressClassParametersReference};
use sallyport_api::condition::Reason;
use sallyport_api::{INGRESS_CONTROLLER_NAME, gateway_api};

use crate::cluster::{ClusterState, ObjectKind, ObjectName, Stored, Undecodable};
use crate::graph::gateway::GatewayNode;
use crate::graph::{Environment, reach};
use crate::problem::{MAX_SHOWN, Problem, cut};

/// The annotation of the class that Ingresses have which name none.
const DEFAULT_ANNOTATION: &str = "ingressclass.kubernetes.io/is-default-class";
/// Where a class names its Gateway.
const PARAMETERS: &str = "spec.parameters";

/// All classes, as far as Ingresses ask for them.
pub struct Classes {
    /// Those of ours, and those that may be.
    pub(super) nodes: BTreeMap<String, IngressClassNode>,
    /// Others, with their controllers where these can be read.
    foreign: BTreeMap<String, Option<String>>,
    /// What an Ingress without a class has. In a cluster its API server has seen to that.
    default: Default,
}

enum Default {
    None,
    Class(String),
    /// An API server refuses Ingresses that name none, then.
    Several,
}

/// A class of ours, or one that may be.
#[derive(Debug)]
pub struct IngressClassNode {
    pub name: String,
    /// Absent where it names none, or that cannot be read.
    pub gateway: Option<ObjectName>,
    /// Whether that Gateway is there and ours.
    pub is_there: bool,
    /// Any of these takes its Ingresses off the Gateway.
    pub problems: Vec<Problem>,
}

/// What an Ingress says of its class.
#[derive(Clone, Copy, Debug)]
pub enum Stated<'a> {
    Named(&'a str),
    Nothing,
    Untold,
}

/// Reads all of them.
pub fn all(cluster: &ClusterState, gateways: &BTreeMap<ObjectName, GatewayNode>, environment: Environment) -> Classes {
    let (mut nodes, mut foreign) = (BTreeMap::new(), BTreeMap::new());
    for (name, class) in &cluster.ingress_classes {
        let name = name.name.clone();
        match node(cluster, gateways, &name, class) {
            Ok(node) => drop(nodes.insert(name, node)),
            Err(controller) => drop(foreign.insert(name, controller)),
        }
    }
    let default = if environment == Environment::Cluster { Default::None } else { default(cluster) };
    Classes { nodes, foreign, default }
}

impl Classes {
    /// Those of ours, and those that may be.
    pub fn into_nodes(self) -> BTreeMap<String, IngressClassNode> {
        self.nodes
    }

    /// The class of an Ingress; or why none of ours is.
    pub fn of(&self, stated: Stated<'_>) -> Result<&IngressClassNode, String> {
        let name = match (stated, &self.default) {
            (Stated::Named(name), _) => name,
            (Stated::Nothing, Default::Class(name)) => name,
            (Stated::Nothing, Default::None) => {
                return Err("it names no IngressClass, and none is the default; state one".to_owned());
            }
            (Stated::Nothing, Default::Several) => {
                return Err("it names no IngressClass, and several are the default; state one".to_owned());
            }
            (Stated::Untold, _) => return Err("its class cannot be told".to_owned()),
        };
        self.nodes.get(name).ok_or_else(|| match self.foreign.get(name) {
            None => format!("IngressClass {name} does not exist; create it, or correct the name"),
            Some(controller) => {
                let controller = cut(controller.as_deref().unwrap_or("another"), MAX_SHOWN).into_owned();
                format!(
                    "IngressClass {name} is of controller {controller}; correct the name, or write controller: {INGRESS_CONTROLLER_NAME}"
                )
            }
        })
    }
}

/// A problem of a class, as its Ingresses are told of it.
pub fn passed_on(class: &IngressClassNode, problem: &Problem) -> Problem {
    let message = format!("of IngressClass {}, {}: {}", class.name, problem.field, problem.message);
    Problem::new("spec.ingressClassName", problem.reason, message)
}

fn default(cluster: &ClusterState) -> Default {
    let is_default = |class: &Stored<IngressClass>| match class {
        Stored::Decoded(class) => {
            let stated = class.metadata.annotations.as_ref().and_then(|all| all.get(DEFAULT_ANNOTATION));
            stated.is_some_and(|text| text == "true")
        }
        Stored::Undecodable(class) => class.raw["metadata"]["annotations"][DEFAULT_ANNOTATION] == "true",
    };
    let mut defaults =
        cluster.ingress_classes.iter().filter(|(_, class)| is_default(class)).map(|(name, _)| &name.name);
    match (defaults.next(), defaults.next()) {
        (None, _) => Default::None,
        (Some(name), None) => Default::Class(name.clone()),
        (Some(_), Some(_)) => Default::Several,
    }
}

/// The class, if it is ours or may be; else its controller, if that can be read.
fn node(
    cluster: &ClusterState,
    gateways: &BTreeMap<ObjectName, GatewayNode>,
    name: &str,
    class: &Stored<IngressClass>,
) -> Result<IngressClassNode, Option<String>> {
    let found = match class {
        Stored::Decoded(class) => {
            let spec = class.spec.as_ref();
            let controller = spec.and_then(|spec| spec.controller.clone());
            if controller.as_deref() != Some(INGRESS_CONTROLLER_NAME) {
                return Err(controller);
            }
            named(spec.and_then(|spec| spec.parameters.as_ref()))
        }
        Stored::Undecodable(class) => match class.raw["spec"]["controller"].as_str() {
            Some(other) if other != INGRESS_CONTROLLER_NAME => return Err(Some(other.to_owned())),
            _ => Named { gateway: lenient(class), problem: Some(undecodable()) },
        },
    };
    let Named { gateway, problem } = found;
    let is_there = gateway.as_ref().is_some_and(|gateway| gateways.contains_key(gateway));
    let missing = gateway.as_ref().filter(|_| !is_there).map(|gateway| missing(cluster, gateway));
    let problems = problem.into_iter().chain(missing).collect();
    Ok(IngressClassNode { name: name.to_owned(), gateway, is_there, problems })
}

struct Named {
    gateway: Option<ObjectName>,
    problem: Option<Problem>,
}

/// The Gateway that parameters name.
fn named(parameters: Option<&IngressClassParametersReference>) -> Named {
    let wrong = |field: &str, message: &str| {
        let message = format!("{message}. Until then no Ingress of the class is served");
        Named { gateway: None, problem: Some(Problem::new(field, Reason::InvalidParameters, message)) }
    };
    let Some(stated) = parameters else {
        return wrong(
            PARAMETERS,
            "they name no Gateway; state apiGroup, kind, namespace and name of one, and scope: Namespace",
        );
    };
    let is_gateway = stated.kind == "Gateway" && stated.api_group.as_deref() == Some(gateway_api::GROUP);
    if !is_gateway {
        return wrong(PARAMETERS, "they name no Gateway; write apiGroup: gateway.networking.k8s.io and kind: Gateway");
    }
    match (stated.scope.as_deref(), &stated.namespace) {
        (Some("Namespace"), Some(namespace)) => {
            Named { gateway: Some(ObjectName::new(namespace, &stated.name)), problem: None }
        }
        _ => wrong(
            "spec.parameters.scope",
            "a Gateway is in a namespace; write scope: Namespace, and state the namespace",
        ),
    }
}

/// The Gateway that an undecodable class names, where that can be read.
fn lenient(class: &Undecodable) -> Option<ObjectName> {
    let stated = &class.raw["spec"]["parameters"];
    let text = |field: &str| stated[field].as_str();
    (text("kind") == Some("Gateway")).then_some(())?;
    Some(ObjectName::new(text("namespace")?, text("name")?))
}

fn undecodable() -> Problem {
    Problem::new(
        "spec",
        Reason::Undecodable,
        "the class cannot be decoded; correct it. Until then none of its Ingresses is served",
    )
}

fn missing(cluster: &ClusterState, gateway: &ObjectName) -> Problem {
    let why = match (cluster.gateways.get(gateway), reach::refusal(cluster, ObjectKind::Gateway, &gateway.namespace)) {
        (None, Some(why)) => format!("Gateway {gateway}: {why}"),
        (None, None) => format!("Gateway {gateway} does not exist; create it, or correct the name"),
        (Some(_), _) => {
            format!("Gateway {gateway} is of no GatewayClass of this controller; correct the name, or its class")
        }
    };
    let message = format!("{why}. Until then no Ingress of the class is served");
    Problem::new("spec.parameters.name", Reason::InvalidParameters, message)
}
