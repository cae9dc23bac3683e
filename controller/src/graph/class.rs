//! GatewayClasses of ours, and GatewayParameters.

use std::collections::BTreeMap;

use sallyport_api::CONTROLLER_NAME;
use sallyport_api::condition::Reason;

use super::parameters::judge;
use crate::cluster::{ClusterState, ObjectName, Stored};
use crate::problem::Problem;

/// A class, or parameters: Gateways read them, so that only what is wrong with them stands here.
pub struct ClassNode {
    pub generation: Option<i64>,
    pub problems: Vec<Problem>,
}

/// All classes that name this controller.
pub fn classes(cluster: &ClusterState) -> BTreeMap<ObjectName, ClassNode> {
    let ours = cluster.gateway_classes.iter().filter_map(|(name, class)| match class {
        Stored::Decoded(class) if class.spec.controller_name == CONTROLLER_NAME => Some((name, class)),
        _ => None,
    });
    ours.map(|(name, class)| {
        let problems = class.spec.parameters_ref.as_ref().and_then(|reference| {
            let place = ObjectName::new(reference.namespace.clone().unwrap_or_default(), &reference.name);
            let invalid = |why: String| Some(Problem::new("spec.parametersRef", Reason::InvalidParameters, why));
            match cluster.gateway_parameters.get(&place) {
                _ if reference.kind != "GatewayParameters" => {
                    invalid(format!("parameters of kind {} are not known; name a GatewayParameters", reference.kind))
                }
                Some(Stored::Decoded(parameters)) => judge(&parameters.spec).first().and_then(|problem| {
                    invalid(format!("GatewayParameters {place}, {}: {}", problem.field, problem.message))
                }),
                Some(Stored::Undecodable(_)) => {
                    invalid(format!("GatewayParameters {place} cannot be decoded; correct it"))
                }
                None => invalid(format!("GatewayParameters {place} does not exist; create it")),
            }
        });
        let node = ClassNode { generation: class.metadata.generation, problems: problems.into_iter().collect() };
        (name.clone(), node)
    })
    .collect()
}

/// All GatewayParameters.
pub fn parameters(cluster: &ClusterState) -> BTreeMap<ObjectName, ClassNode> {
    let node = |stored: &Stored<sallyport_api::GatewayParameters>| match stored {
        Stored::Decoded(parameters) => {
            ClassNode { generation: parameters.metadata.generation, problems: judge(&parameters.spec) }
        }
        Stored::Undecodable(parameters) => {
            let message = "it cannot be decoded; address filters of Gateways that refer to it let nobody pass";
            let problems = vec![Problem::new("spec", Reason::Undecodable, message)];
            ClassNode { generation: parameters.generation, problems }
        }
    };
    cluster.gateway_parameters.iter().map(|(name, stored)| (name.clone(), node(stored))).collect()
}
