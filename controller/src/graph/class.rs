//! GatewayClasses of ours, and GatewayParameters.

use std::collections::BTreeMap;

use sallyport_api::CONTROLLER_NAME;
use sallyport_api::condition::Reason;
use sallyport_api::gateway_api::GatewayClass;

use super::parameters::{Reference, judge};
use super::reach;
use crate::cluster::{ClusterState, ObjectKind, ObjectName, Stored};
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
    let ours = ours.filter(|(name, class)| is_ours_to_judge(cluster, name, class));
    ours.map(|(name, class)| {
        let invalid = |why: String| Problem::new("spec.parametersRef", Reason::InvalidParameters, why);
        let problems = Reference::of_class(class).and_then(|reference| match reference.find(cluster) {
            Ok((place, parameters)) => judge(cluster, &place, &parameters.spec)
                .first()
                .map(|problem| invalid(format!("GatewayParameters {place}, {}: {}", problem.field, problem.message))),
            Err(why) => Some(invalid(why)),
        });
        let node = ClassNode { generation: class.metadata.generation, problems: problems.into_iter().collect() };
        (name.clone(), node)
    })
    .collect()
}

/// A class whose parameters are in a namespace that is not watched, and that nobody uses where we watch, is another release's: that one
/// sees them, and two words about one class would take turns for ever.
fn is_ours_to_judge(cluster: &ClusterState, name: &ObjectName, class: &GatewayClass) -> bool {
    let namespace = Reference::of_class(class).and_then(|reference| reference.namespace);
    let is_seen = namespace.is_none_or(|one| reach::refusal(cluster, ObjectKind::GatewayParameters, one).is_none());
    let is_used = || {
        cluster.gateways.values().any(|gateway| match gateway {
            Stored::Decoded(gateway) => gateway.spec.gateway_class_name == name.name,
            Stored::Undecodable(_) => false,
        })
    };
    is_seen || is_used()
}

/// All GatewayParameters.
pub fn parameters(cluster: &ClusterState) -> BTreeMap<ObjectName, ClassNode> {
    let node = |name: &ObjectName, stored: &Stored<sallyport_api::GatewayParameters>| match stored {
        Stored::Decoded(parameters) => {
            let problems = judge(cluster, name, &parameters.spec);
            ClassNode { generation: parameters.metadata.generation, problems }
        }
        Stored::Undecodable(parameters) => {
            let message = "it cannot be decoded; Gateways that refer to it answer every request 500";
            let problems = vec![Problem::new("spec", Reason::Undecodable, message)];
            ClassNode { generation: parameters.generation, problems }
        }
    };
    cluster.gateway_parameters.iter().map(|(name, stored)| (name.clone(), node(name, stored))).collect()
}
