//! Products: routes that are subscribed to together.

use std::collections::BTreeMap;

use sallyport_api::condition::Reason;
use sallyport_api::reference::RouteReference;
use sallyport_snapshot::v1;

use super::limits;
use super::route::{RouteId, RouteNode};
use super::selector::complaint;
use crate::cluster::{ClusterState, ObjectName, Stored};
use crate::problem::Problem;

/// A Product.
pub struct ProductNode {
    pub generation: Option<i64>,
    pub message: v1::Product,
    pub problems: Vec<Problem>,
}

/// All Products; one that cannot be decoded holds no API.
pub fn products(cluster: &ClusterState, routes: &BTreeMap<RouteId, RouteNode>) -> BTreeMap<ObjectName, ProductNode> {
    let node = |(name, product): (&ObjectName, &Stored<sallyport_api::Product>)| {
        let mut problems = Vec::new();
        let (generation, message) = match product {
            Stored::Decoded(product) => {
                let selector = serde_json::to_value(&product.spec.subscribers.namespaces.selector).unwrap_or_default();
                let field = "spec.subscribers.namespaces.selector";
                problems.extend(complaint(&selector).map(|why| Problem::new(field, Reason::Invalid, why)));
                let apis = apis(name, &product.spec.apis, "spec.apis", routes, &mut problems);
                let limits = limits::of_product(&format!("Product {name}"), &product.spec.limits, &mut problems);
                let message = match limits.is_empty() {
                    true => v1::Product { apis, ..v1::Product::default() },
                    false => v1::Product { limits, limited_apis: apis, ..v1::Product::default() },
                };
                (product.metadata.generation, message)
            }
            Stored::Undecodable(product) => {
                problems.push(Problem::new(
                    "spec",
                    Reason::Undecodable,
                    "the Product cannot be decoded; subscriptions to it open nothing",
                ));
                (product.generation, v1::Product::default())
            }
        };
        (name.clone(), ProductNode { generation, message, problems })
    };
    cluster.products.iter().map(node).collect()
}

/// What references lead to, with a problem for each that leads nowhere.
pub(super) fn apis(
    owner: &ObjectName,
    references: &[RouteReference],
    field: &str,
    routes: &BTreeMap<RouteId, RouteNode>,
    problems: &mut Vec<Problem>,
) -> Vec<v1::ObjectRef> {
    let mut found = Vec::new();
    for (at, reference) in references.iter().enumerate() {
        let id = RouteId { kind: reference.kind.as_str(), name: ObjectName::new(&owner.namespace, &reference.name) };
        if !routes.contains_key(&id) {
            problems.push(Problem::new(
                format!("{field}[{at}]"),
                Reason::TargetNotFound,
                format!("{id} does not exist; create it, or take it out"),
            ));
        }
        found.push(v1::ObjectRef { kind: id.kind.into(), namespace: id.name.namespace, name: id.name.name });
    }
    found
}
