//! What the graph has found, said at the places of the files that it is about.

use std::collections::{BTreeMap, BTreeSet};

use sallyport_api::UnprotectedRoutes;
use sallyport_api::condition::Reason;
use sallyport_controller::cluster::{Object, ObjectKind, ObjectName, Stored};
use sallyport_controller::compile::Compiled;
use sallyport_controller::graph::Graph;
use sallyport_controller::graph::approval::Standing;
use sallyport_controller::graph::ingress::annotation::without_effect;
use sallyport_controller::graph::route::{INGRESS, RouteId, RouteNode};
use sallyport_controller::graph::subscription::SubscriptionNode;
use sallyport_controller::manifest::{Diagnostic, LoadedObject, Severity};
use sallyport_controller::problem::Problem;
use sallyport_controller::status::{LEFT_OPEN, UNPROTECTED};
use sallyport_snapshot::v1;

/// Objects with the places that they came from.
pub(super) type Objects<'a> = BTreeMap<(ObjectKind, &'a ObjectName), &'a LoadedObject>;

/// Everything that only shows when objects are seen together. Files are all there is: what names nothing among them leads nowhere,
/// while in a cluster another controller may be about to bring it.
pub(super) fn findings(objects: &Objects<'_>, graph: &Graph, compiled: &Compiled) -> Vec<Diagnostic> {
    let mut findings = Findings { objects, said: Vec::new() };
    for (name, class) in &graph.classes {
        findings.say(ObjectKind::GatewayClass, name, &class.problems);
    }
    for (name, parameters) in &graph.parameters {
        findings.say(ObjectKind::GatewayParameters, name, &parameters.problems);
        findings.without_effect(name);
    }
    for (name, problem) in &graph.unclaimed {
        findings.say(ObjectKind::Gateway, name, [problem]);
    }
    for (name, gateway) in &graph.gateways {
        let excess = compiled.excess.of("Gateway", name);
        findings.say(ObjectKind::Gateway, name, gateway.problems.iter().chain(&gateway.ignored).chain(excess));
        findings.say(ObjectKind::Gateway, name, gateway.listeners.iter().flat_map(|listener| &listener.problems));
    }
    for (name, class) in &graph.ingress_classes {
        findings.say(ObjectKind::IngressClass, &ObjectName::new("", name), &class.problems);
    }
    for (name, problem) in &graph.unclaimed_ingresses {
        findings.say(ObjectKind::Ingress, name, [problem]);
    }
    for (id, route) in &graph.routes {
        findings.route(id, route, compiled);
    }
    for (name, policy) in &graph.policies {
        findings.say(ObjectKind::ApiPolicy, name, &policy.problems);
        findings.say(ObjectKind::ApiPolicy, name, compiled.withheld.get(name).into_iter().flatten());
    }
    for conflict in &compiled.conflicts {
        let problem = Problem::new(format!("spec.{}", conflict.section), Reason::Conflicted, conflict.to_string());
        findings.say(ObjectKind::ApiPolicy, &conflict.loser, [&problem]);
    }
    for (name, backend) in &graph.backends {
        findings.say(ObjectKind::Backend, name, backend.problems.iter().chain(compiled.excess.of("Backend", name)));
    }
    for (name, product) in &graph.products {
        findings.say(ObjectKind::Product, name, product.problems.iter().chain(compiled.excess.of("Product", name)));
    }
    for (name, subscription) in &graph.subscriptions {
        findings.say(ObjectKind::Subscription, name, &subscription.problems);
        findings.subscription(name, subscription);
    }
    for (name, approval) in &graph.approvals {
        findings.say(ObjectKind::SubscriptionApproval, name, &approval.problems);
    }
    findings.said
}

struct Findings<'a> {
    objects: &'a Objects<'a>,
    said: Vec<Diagnostic>,
}

impl Findings<'_> {
    fn say<'p>(&mut self, kind: ObjectKind, name: &ObjectName, problems: impl IntoIterator<Item = &'p Problem>) {
        let Some(object) = self.objects.get(&(kind, name)) else { return };
        // What made an object undecodable has been said where it was read.
        let news = problems.into_iter().filter(|problem| problem.reason != Reason::Undecodable);
        self.said.extend(news.map(|problem| Diagnostic {
            reason: Some(problem.reason.as_str()),
            ..object.diagnostic(&problem.field, &problem.message)
        }));
    }

    /// What says how something is made in a cluster: nobody makes it here, and the same manifest is good in both.
    fn without_effect(&mut self, name: &ObjectName) {
        let Some(object) = self.objects.get(&(ObjectKind::GatewayParameters, name)) else { return };
        let Object::GatewayParameters(Stored::Decoded(parameters)) = &object.object else { return };
        let spec = &parameters.spec;
        let stated = [("spec.deployment", spec.deployment.is_some()), ("spec.service", spec.service.is_some())];
        let message = "it says what is made in a cluster, and has no effect from files";
        let notes = stated.into_iter().filter(|(_, is_stated)| *is_stated);
        let notes =
            notes.map(|(field, _)| Diagnostic { severity: Severity::Note, ..object.diagnostic(field, message) });
        self.said.extend(notes);
    }

    /// Annotations that another controller would have been tuned by.
    fn passed_over(&mut self, name: &ObjectName) {
        let Some(object) = self.objects.get(&(ObjectKind::Ingress, name)) else { return };
        let Object::Ingress(Stored::Decoded(ingress)) = &object.object else { return };
        let annotations = ingress.metadata.annotations.iter();
        let names = annotations.flat_map(|all| without_effect(all, ingress.spec.as_ref()));
        let message = |name: &str| format!("{name} tunes another ingress controller, and has no effect here");
        let note = |name| object.diagnostic("metadata.annotations", message(name));
        self.said.extend(names.map(|name| Diagnostic { severity: Severity::Note, ..note(name) }));
    }

    /// What keeps a Subscription from opening anything without being a mistake, and what only a cluster does.
    fn subscription(&mut self, name: &ObjectName, subscription: &SubscriptionNode) {
        let Some(object) = self.objects.get(&(ObjectKind::Subscription, name)) else { return };
        let note = |field: &str, reason: Option<&'static str>, message: &str| Diagnostic {
            severity: Severity::Note,
            reason,
            ..object.diagnostic(field, message)
        };
        let word = subscription.word.as_ref().filter(|word| word.standing != Standing::Taken);
        self.said.extend(word.map(|word| note("spec.scope.product", Some(word.reason.as_str()), &word.message)));
        if subscription.keys.schedule.is_some() {
            let message = "keys are rotated only in a cluster, and only those that the controller made";
            self.said.push(note("spec.keys.rotation", None, message));
        }
    }

    /// Gateway API lets a filter open a rule to every site with the credentials that browsers keep; an ApiPolicy cannot.
    fn open_to_all_sites(&mut self, kind: ObjectKind, name: &ObjectName, route: &RouteNode) {
        let Some(object) = self.objects.get(&(kind, name)) else { return };
        let opens = |cors: &v1::Cors| cors.allow_credentials && cors.allow_origins.iter().any(|origin| origin == "*");
        let rules = route.rules.iter().enumerate().filter(|(_, rule)| rule.message.cors.as_ref().is_some_and(opens));
        let message = "its CORS filter lets every site read what is answered to whoever is signed in; list the origins in allowOrigins";
        let note = |at| object.diagnostic(&format!("spec.rules[{at}].filters"), message);
        self.said.extend(rules.map(|(at, _)| Diagnostic { severity: Severity::Note, ..note(at) }));
    }

    fn route(&mut self, id: &RouteId, route: &RouteNode, compiled: &Compiled) {
        let kind = match id.kind {
            INGRESS => ObjectKind::Ingress,
            "GRPCRoute" => ObjectKind::GRPCRoute,
            _ => ObjectKind::HTTPRoute,
        };
        if kind == ObjectKind::Ingress {
            self.passed_over(&id.name);
        }
        self.open_to_all_sites(kind, &id.name, route);
        let excess: BTreeSet<_> = compiled.excess.of(id.kind, &id.name).collect();
        self.say(kind, &id.name, route.problems.iter().chain(excess));
        self.say(kind, &id.name, route.parents.iter().flat_map(|parent| &parent.problems));
        let elsewhere = route.parents.iter().filter(|parent| parent.problems.is_empty());
        self.say(kind, &id.name, elsewhere.flat_map(|parent| &parent.closed).map(|closed| &closed.why));
        self.say(kind, &id.name, &route.orphaned);
        for (gateway, becomes) in compiled.unprotected.get(id).into_iter().flatten() {
            let (severity, reason, text) = match becomes {
                UnprotectedRoutes::Deny => (Severity::Error, Reason::Unprotected, UNPROTECTED),
                UnprotectedRoutes::Allow => (Severity::Note, Reason::LeftOpen, LEFT_OPEN),
            };
            let before = self.said.len();
            self.say(kind, &id.name, [&Problem::new("", reason, format!("at Gateway {gateway} {text}"))]);
            self.said.iter_mut().skip(before).for_each(|one| one.severity = severity);
        }
    }
}

#[cfg(test)]
mod tests {
    use sallyport_controller::manifest::{Severity, SourceFile};

    use crate::standalone::State;

    const WORLD: &str = "
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: sallyport}, spec: {controllerName: sallyport.dev/gateway-controller}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: another}, spec: {controllerName: example.com/controller}}
---
{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {name: public}, spec: {gatewayClassName: sallyport, listeners: [{name: http, port: 80, protocol: HTTP}]}}
---
{apiVersion: sallyport.dev/v1alpha1, kind: Backend, metadata: {name: orders}, spec: {endpoints: [{address: {ip: 127.0.0.1, port: 9000}}]}}
";
    const OPEN: &str = "
---
{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {name: open}, spec: {targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: public}], authentication: [{name: open, public: {}}]}}
";

    fn gateway(class: &str) -> String {
        format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: Gateway, metadata: {{name: extra}}, spec: {{gatewayClassName: {class}, listeners: [{{name: http, port: 81, protocol: HTTP}}]}}}}\n"
        )
    }

    fn route(parent: &str, rule: &str) -> String {
        format!(
            "---\n{{apiVersion: gateway.networking.k8s.io/v1, kind: HTTPRoute, metadata: {{name: orders}}, spec: {{parentRefs: [{{{parent}}}], rules: [{rule}]}}}}\n"
        )
    }

    fn policy(name: &str, spec: &str) -> String {
        format!(
            "---\n{{apiVersion: sallyport.dev/v1alpha1, kind: ApiPolicy, metadata: {{name: {name}}}, spec: {{targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}}], {spec}}}}}\n"
        )
    }

    /// Object, field, reason and severity of everything that is found in the world with `more` in it.
    fn found(more: &[&str]) -> Vec<(String, String, &'static str, Severity)> {
        let text = [WORLD, &more.concat()].concat();
        let mut state = State::default();
        let said = state.load(&[SourceFile { path: "world.yaml".into(), text }]);
        assert!(said.is_empty(), "{said:#?}");
        let findings = state.judge();
        assert!(findings.iter().all(|one| one.line > 0 && !one.message.is_empty()), "{findings:#?}");
        findings.into_iter().map(|one| (one.object, one.field, one.reason.unwrap_or_default(), one.severity)).collect()
    }

    fn error(object: &str, field: &str, reason: &'static str) -> Vec<(String, String, &'static str, Severity)> {
        vec![(object.into(), field.into(), reason, Severity::Error)]
    }

    const TO_ORDERS: &str = "{backendRefs: [{group: sallyport.dev, kind: Backend, name: orders}]}";

    #[test]
    fn what_is_in_order_is_not_found() {
        assert_eq!(found(&[OPEN, &route("name: public", TO_ORDERS)]), vec![]);
        let redirect = "{filters: [{type: RequestRedirect, requestRedirect: {scheme: https}}]}";
        assert_eq!(found(&[&route("name: public", redirect)]), vec![], "nothing is forwarded");
    }

    #[test]
    fn what_leads_nowhere_is_found() {
        let class = error("Gateway default/extra", "spec.gatewayClassName", "TargetNotFound");
        assert_eq!(found(&[&gateway("nowhere")]), class);
        assert_eq!(found(&[OPEN, &gateway("another"), &route("name: extra", TO_ORDERS)]), class, "nobody else serves");
        let parent = error("HTTPRoute default/orders", "spec.parentRefs[0]", "NoMatchingParent");
        assert_eq!(found(&[OPEN, &route("name: nowhere", TO_ORDERS)]), parent);
        assert_eq!(found(&[OPEN, &route("name: public, sectionName: nowhere", TO_ORDERS)]), parent);
    }

    #[test]
    fn what_is_there_and_serves_nothing_is_not_said_to_be_missing() {
        let on_extra = policy("extra", "authentication: [{name: a, public: {}}]")
            .replace("HTTPRoute, name: orders", "Gateway, name: extra");
        let broken = gateway("another").replace("port: 81", "port: 0");
        for (world, said) in [
            (
                gateway("another"),
                [
                    "GatewayClass another is of controller example.com/controller; ",
                    "Gateway default/extra is of no GatewayClass of this controller",
                ],
            ),
            (
                gateway("nowhere"),
                ["GatewayClass nowhere does not exist", "Gateway default/extra is of no GatewayClass"],
            ),
            (
                gateway("torn")
                    + "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: torn}, spec: {}}\n",
                ["GatewayClass torn cannot be decoded", ""],
            ),
            (broken, ["", "Gateway default/extra cannot be decoded"]),
            (String::new(), ["", "Gateway default/extra does not exist"]),
        ] {
            let mut state = State::default();
            state.load(&[SourceFile { path: "world.yaml".into(), text: [WORLD, &world, &on_extra].concat() }]);
            let messages: Vec<_> = state.judge().into_iter().map(|one| one.message).collect();
            let is_said = |said: &&str| messages.iter().any(|message| message.contains(said));
            assert!(said.iter().all(is_said), "{said:?}: {messages:#?}");
        }
    }

    #[test]
    fn a_route_that_no_policy_protects_is_found() {
        let unprotected = error("HTTPRoute default/orders", "", "Unprotected");
        assert_eq!(found(&[&route("name: public", TO_ORDERS)]), unprotected);
        let filter = policy("filter", "ipFilter: {allow: [10.0.0.0/8]}");
        assert_eq!(found(&[&route("name: public", TO_ORDERS), &filter]), unprotected, "an address is nobody");
    }

    #[test]
    fn what_is_left_open_on_purpose_is_a_note() {
        let class = "---\n{apiVersion: gateway.networking.k8s.io/v1, kind: GatewayClass, metadata: {name: lenient}, spec: {controllerName: sallyport.dev/gateway-controller, parametersRef: {group: sallyport.dev, kind: GatewayParameters, name: lenient, namespace: default}}}\n---\n{apiVersion: sallyport.dev/v1alpha1, kind: GatewayParameters, metadata: {name: lenient}, spec: {unprotectedRoutes: Allow}}\n";
        let left_open = vec![("HTTPRoute default/orders".into(), String::new(), "LeftOpen", Severity::Note)];
        assert_eq!(found(&[class, &gateway("lenient"), &route("name: extra", TO_ORDERS)]), left_open);
    }

    #[test]
    fn a_filter_that_shows_every_site_what_is_for_whoever_is_signed_in_is_a_note() {
        let with = |cors: &str| {
            let rule = TO_ORDERS.replacen('{', &format!("{{filters: [{{type: CORS, cors: {{{cors}}}}}], "), 1);
            found(&[OPEN, &route("name: public", &rule)])
        };
        let note = ("HTTPRoute default/orders".into(), "spec.rules[0].filters".into(), "", Severity::Note);
        assert_eq!(with("allowOrigins: ['*'], allowCredentials: true"), [note]);
        for narrower in ["allowOrigins: ['*']", "allowOrigins: ['https://a.example'], allowCredentials: true"] {
            assert_eq!(with(narrower), [], "{narrower}");
        }
        let filter = "{filters: [{type: CORS, cors: {allowOrigins: ['https://a.example']}}], ";
        let unprotected = [route("name: public", &TO_ORDERS.replacen('{', filter, 1))];
        let found = found(&[&unprotected[0]]);
        assert_eq!(found, error("HTTPRoute default/orders", "", "Unprotected"), "it protects nothing");
    }

    #[test]
    fn what_a_policy_loses_to_another_is_found() {
        let key = "authentication: [{name: customers, subscriptionKey: {}}]";
        let policies = [policy("a", key), policy("b", key)].concat();
        let lost = error("ApiPolicy default/b", "spec.authentication", "Conflicted");
        assert_eq!(found(&[&route("name: public", TO_ORDERS), &policies]), lost);
    }

    #[test]
    fn parameters_are_found_where_they_stand() {
        let parameters = "---\n{apiVersion: sallyport.dev/v1alpha1, kind: GatewayParameters, metadata: {name: p}, spec: {trustedProxies: {cidrs: [10.0.0.0/33]}}}\n";
        let unreadable = error("GatewayParameters default/p", "spec.trustedProxies.cidrs[0]", "Invalid");
        assert_eq!(found(&[OPEN, parameters]), unreadable);
    }

    #[test]
    fn what_is_made_in_a_cluster_only_is_a_note() {
        let parameters = "---\n{apiVersion: sallyport.dev/v1alpha1, kind: GatewayParameters, metadata: {name: p}, spec: {deployment: {replicas: 2}, service: {type: ClusterIP}}}\n";
        let note = |field: &str| ("GatewayParameters default/p".to_owned(), field.to_owned(), "", Severity::Note);
        assert_eq!(found(&[OPEN, parameters]), [note("spec.deployment"), note("spec.service")]);
    }
}
