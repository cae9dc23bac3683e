//! Subscriptions beyond the number that a Product takes of one namespace.

use std::collections::BTreeMap;

use sallyport_api::State;
use sallyport_api::condition::Reason;

use super::SubscriptionNode;
use crate::cluster::{ClusterState, ObjectName, Stored};
use crate::graph::approval::Standing;
use crate::problem::Problem;

/// Those of one namespace to one Product.
type Rivals = Vec<(Rank, ObjectName)>;

/// Whoever is smaller comes first.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// No word of the Product's owner is about it: who is suspended has his place still.
    is_unnamed: bool,
    created_ms: i64,
}

/// Takes away what those open that come after all places are taken.
pub(super) fn refuse(cluster: &ClusterState, nodes: &mut BTreeMap<ObjectName, SubscriptionNode>) {
    let mut rivals = BTreeMap::<(ObjectName, String), Rivals>::new();
    for (name, node) in nodes.iter().filter(|(_, node)| has_place(node)) {
        let Some(product) = node.product.clone().filter(|product| number(cluster, product).is_some()) else { continue };
        let is_named = node.word.as_ref().is_some_and(|word| !word.approvals.is_empty());
        let rank = Rank { is_unnamed: !is_named, created_ms: node.created_ms };
        rivals.entry((product, name.namespace.clone())).or_default().push((rank, name.clone()));
    }
    for ((product, namespace), mut all) in rivals {
        let most = number(cluster, &product).unwrap_or(u32::MAX);
        all.sort();
        for (_, name) in all.into_iter().skip(most as usize) {
            let Some(node) = nodes.get_mut(&name) else { continue };
            let message = format!(
                "Product {product} takes {most} Subscriptions of namespace {namespace}, and others come first; delete or cancel one of them, or ask the Product's owner"
            );
            node.problems.push(Problem::new("spec.scope.product", Reason::TooManySubscriptions, message));
            node.is_surplus = true;
            node.message = None;
        }
    }
}

/// Whether it takes a place from others.
fn has_place(node: &SubscriptionNode) -> bool {
    let standing = node.word.as_ref().map(|word| word.standing);
    node.state != State::Cancelled && standing.is_some_and(|standing| standing != Standing::Rejected)
}

/// How many the Product takes of one namespace; `None`: any number.
fn number(cluster: &ClusterState, product: &ObjectName) -> Option<u32> {
    match cluster.products.get(product) {
        Some(Stored::Decoded(product)) => product.spec.subscribers.max_per_namespace,
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use sallyport_api::Phase;
    use sallyport_snapshot::v1;

    use super::*;
    use crate::graph::{Environment, Graph};
    use crate::manifest::{self, SourceFile};

    const WORLD: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: Product
metadata: {name: basic, namespace: shop}
spec:
  apis: [{kind: HTTPRoute, name: orders}]
  subscribers: {namespaces: {from: All}, maxPerNamespace: 2}
  approval: MODE
";

    /// A Subscription with keys, made in the second `created` of some hour; `more` is the rest of its spec.
    fn subscription(namespace: &str, name: &str, created: u8, more: &str) -> String {
        let digit = name.bytes().next().unwrap() % 10;
        let digest = format!("{digit}{created}").repeat(32)[..64].to_owned();
        format!(
            "---
apiVersion: sallyport.dev/v1alpha1
kind: Subscription
metadata: {{name: {name}, namespace: {namespace}, uid: uid-of-{name}, creationTimestamp: '2026-01-01T00:00:0{created}Z'}}
spec:
  scope: {{product: {{name: basic, namespace: shop}}}}
  keys: {{sha256: {{primary: '{digest}'}}}}
  {more}
"
        )
    }

    fn approval(of: &str, decision: &str) -> String {
        format!(
            "---
apiVersion: sallyport.dev/v1alpha1
kind: SubscriptionApproval
metadata: {{name: about-{of}, namespace: shop}}
spec: {{productRef: {{name: basic}}, subscriptionRef: {{namespace: acme, name: {of}, uid: uid-of-{of}}}, decision: {decision}}}
"
        )
    }

    /// Names of those that open something.
    fn opening(mode: &str, objects: &[String]) -> Vec<String> {
        let text = WORLD.replace("MODE", mode) + &objects.concat();
        let loaded = manifest::load(&[SourceFile { path: "manifests".into(), text }]);
        assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
        let mut cluster = ClusterState::default();
        for object in loaded.objects {
            cluster.apply(object.name, object.object);
        }
        let graph = Graph::build(&cluster, Environment::Cluster);
        for node in graph.subscriptions.values() {
            let is_told = node.problems.iter().any(|problem| problem.reason == Reason::TooManySubscriptions);
            assert_eq!(is_told, node.is_surplus);
            assert!(!node.is_surplus || node.message.is_none() && node.phase(0) != Phase::Active);
        }
        let is_active = |message: &v1::Subscription| message.state() == v1::subscription::State::Active;
        let opens = graph.subscriptions.iter().filter(|(_, node)| node.message.as_ref().is_some_and(is_active));
        opens.map(|(name, _)| name.name.clone()).collect()
    }

    #[test]
    fn the_older_come_first_and_each_namespace_has_its_own_number() {
        let all = [
            subscription("acme", "d", 1, ""),
            subscription("acme", "c", 2, ""),
            subscription("acme", "b", 3, ""),
            subscription("bolt", "e", 9, ""),
            subscription("shop", "f", 9, ""),
        ];
        assert_eq!(opening("Automatic", &all), ["c", "d", "e", "f"]);
        let same_second =
            [1, 1, 1].iter().zip(["c", "a", "b"]).map(|(second, name)| subscription("acme", name, *second, ""));
        assert_eq!(opening("Automatic", &same_second.collect::<Vec<_>>()), ["a", "b"]);
    }

    #[test]
    fn a_place_is_held_until_nothing_can_come_of_it_any_more() {
        for (more, holds) in [
            ("state: Active", true),
            ("state: Suspended", true),
            ("expires: '2020-01-01T00:00:00Z'", true),
            ("state: Cancelled", false),
        ] {
            let all = [
                subscription("acme", "a", 1, more),
                subscription("acme", "b", 2, ""),
                subscription("acme", "c", 3, ""),
            ];
            let has_third = opening("Automatic", &all).contains(&"c".to_owned());
            assert_eq!(has_third, !holds, "{more}");
        }
        let three = [1, 2, 3].iter().zip(["a", "b", "c"]).map(|(second, name)| subscription("acme", name, *second, ""));
        let three: Vec<_> = three.collect();
        let said = |decision: &str| [three.clone(), vec![approval("a", decision)]].concat();
        assert_eq!(opening("Automatic", &said("Rejected")), ["b", "c"]);
        assert!(!opening("Automatic", &said("Suspended")).contains(&"c".to_owned()));
        // Whom the owner has approved once is not pushed out by being suspended.
        for mode in ["Automatic", "Manual"] {
            let all = [three.clone(), ["b", "c"].map(|name| approval(name, "Approved")).to_vec()].concat();
            assert_eq!(opening(mode, &all), ["b", "c"]);
            let all = [three.clone(), vec![approval("b", "Suspended"), approval("c", "Approved")]].concat();
            assert_eq!(opening(mode, &all), ["c"], "{mode}");
        }
    }

    #[test]
    fn whom_the_owner_has_approved_comes_before_whoever_waits() {
        let three = [1, 2, 3].iter().zip(["a", "b", "c"]).map(|(second, name)| subscription("acme", name, *second, ""));
        let three: Vec<_> = three.collect();
        let all = [three.clone(), vec![approval("c", "Approved")]].concat();
        assert!(opening("Manual", &all).contains(&"c".to_owned()));
        assert_eq!(opening("Automatic", &all), ["a", "c"]);
        // Of too many that are approved the older come first.
        let approvals = ["a", "b", "c"].map(|name| approval(name, "Approved"));
        assert_eq!(opening("Manual", &[three, approvals.to_vec()].concat()), ["a", "b"]);
    }
}
