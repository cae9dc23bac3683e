//! Ingress: paths and hosts as its documentation states them, beside HTTPRoutes, under policies, and by TLS.

use bytes::Bytes;
use http::{Request, header};
use http_body_util::Empty;

use crate::kit::caller::{get_http2, http2, read, send, tls};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy_on};
use crate::kit::pki::Authority;
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const CLASS: &str = "
---
apiVersion: networking.k8s.io/v1
kind: IngressClass
metadata: {name: ours}
spec:
  controller: sallyport.dev/ingress-controller
  parameters: {apiGroup: gateway.networking.k8s.io, kind: Gateway, scope: Namespace, namespace: shop, name: public}
";
const ON_GATEWAY: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";
const ON_INGRESS: &str = "{group: networking.k8s.io, kind: Ingress, name: shop}";
const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]";
const NOWHERE: &str = "404 no-route";

/// Services by name: who of them got a request says which rule served it.
struct Shop {
    gateway: Gateway,
    services: Vec<(&'static str, Service)>,
}

impl Shop {
    /// Backends `a` to `d` behind a gateway on whose every route anybody may call.
    async fn open(more: &[String]) -> Self {
        Self::with(&[&[GATEWAY.to_owned(), policy_on("open", ON_GATEWAY, OPEN)], more].concat()).await
    }

    async fn with(manifests: &[String]) -> Self {
        let mut services = Vec::new();
        let mut text = manifests.concat() + CLASS;
        for name in ["a", "b", "c", "d"] {
            let service = Service::start().await;
            text += &backend(name, service.address, "");
            services.push((name, service));
        }
        Self { gateway: Gateway::start(&text).await, services }
    }

    /// The service that a request reached, or the verdict of the gateway.
    async fn served_by(&self, host: &str, target: &str) -> String {
        let request = Request::get(target).header(header::HOST, host).body(Empty::<Bytes>::new()).unwrap();
        let answer = send(self.gateway.http(), request).await;
        let reached = self.services.iter().find(|(_, service)| !service.take().is_empty());
        reached.map_or_else(|| answer.verdict(), |(name, _)| (*name).to_owned())
    }

    async fn check(&self, cases: &[(&str, &str, &str)]) {
        let mut wrong = Vec::new();
        for (host, target, expected) in cases {
            let found = self.served_by(host, target).await;
            if found != *expected {
                wrong.push(format!("{host}{target}: {found}, not {expected}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?} {:?}", self.gateway.diagnostics);
    }
}

fn path(kind: &str, path: &str, to: &str) -> String {
    format!("{{path: {path}, pathType: {kind}, backend: {}}}", to_backend(to))
}

fn to_backend(name: &str) -> String {
    format!("{{resource: {{apiGroup: sallyport.dev, kind: Backend, name: {name}}}}}")
}

fn rule(host: &str, paths: &[String]) -> String {
    let host = if host.is_empty() { String::new() } else { format!("host: '{host}', ") };
    format!("{{{host}http: {{paths: [{}]}}}}", paths.join(", "))
}

/// Of this name and year, with these rules and `more` in its spec.
fn ingress(name: &str, year: u32, more: &str, rules: &[String]) -> String {
    format!(
        "
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{year}-01-01T00:00:00Z'}}
spec: {{ingressClassName: ours, {more}rules: [{}]}}
",
        rules.join(", ")
    )
}

/// An HTTPRoute of this year from a path, in the words of Gateway API, to a Backend.
fn http_route(name: &str, year: u32, hostnames: &str, matching: &str, to: &str) -> String {
    format!(
        "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: shop, creationTimestamp: '{year}-01-01T00:00:00Z'}}
spec:
  parentRefs: [{{name: public}}]
  hostnames: [{hostnames}]
  rules: [{{matches: [{{path: {matching}}}], backendRefs: [{{group: sallyport.dev, kind: Backend, name: {to}}}]}}]
"
    )
}

/// The table of examples in Kubernetes' documentation (Ingress, path types); each row is an Ingress of its own host.
#[tokio::test]
async fn paths_match_as_the_table_of_kubernetes_says() {
    type Row<'a> = (&'a [(&'a str, &'a str, &'a str)], &'a str, &'a str);
    let rows: [Row<'_>; 29] = [
        (&[("Prefix", "/", "a")], "/", "a"),
        (&[("Prefix", "/", "a")], "/any/thing", "a"),
        (&[("Exact", "/foo", "a")], "/foo", "a"),
        (&[("Exact", "/foo", "a")], "/bar", NOWHERE),
        (&[("Exact", "/foo", "a")], "/foo/", NOWHERE),
        (&[("Exact", "/foo/", "a")], "/foo", NOWHERE),
        (&[("Exact", "/foo/", "a")], "/foo/", "a"),
        (&[("Exact", "/foo", "a")], "/Foo", NOWHERE),
        (&[("Prefix", "/foo", "a")], "/foo", "a"),
        (&[("Prefix", "/foo", "a")], "/foo/", "a"),
        (&[("Prefix", "/foo/", "a")], "/foo", "a"),
        (&[("Prefix", "/foo/", "a")], "/foo/", "a"),
        (&[("Prefix", "/foo", "a")], "/FOO", NOWHERE),
        (&[("Prefix", "/aaa/bb", "a")], "/aaa/bbb", NOWHERE),
        (&[("Prefix", "/aaa/bbb", "a")], "/aaa/bbb", "a"),
        (&[("Prefix", "/aaa/bbb/", "a")], "/aaa/bbb", "a"),
        (&[("Prefix", "/aaa/bbb", "a")], "/aaa/bbb/", "a"),
        (&[("Prefix", "/aaa/bbb", "a")], "/aaa/bbb/ccc", "a"),
        (&[("Prefix", "/aaa/bbb", "a")], "/aaa/bbbxyz", NOWHERE),
        (&[("Prefix", "/", "a"), ("Prefix", "/aaa", "b")], "/aaa/ccc", "b"),
        (&[("Prefix", "/", "a"), ("Prefix", "/aaa", "b"), ("Prefix", "/aaa/bbb", "c")], "/aaa/bbb", "c"),
        (&[("Prefix", "/", "a"), ("Prefix", "/aaa", "b"), ("Prefix", "/aaa/bbb", "c")], "/ccc", "a"),
        (&[("Prefix", "/aaa", "a")], "/ccc", NOWHERE),
        (&[("Prefix", "/foo", "a"), ("Exact", "/foo", "b")], "/foo", "b"),
        (&[("Prefix", "/foo", "a"), ("Exact", "/foo", "b")], "/foo/x", "a"),
        (&[("ImplementationSpecific", "/foo", "a")], "/foo/x", "a"),
        (&[("ImplementationSpecific", "/foo", "a")], "/foox", NOWHERE),
        (&[("ImplementationSpecific", "''", "a")], "/x", "a"),
        (&[("ImplementationSpecific", "/foo", "a"), ("Exact", "/foo", "b")], "/foo", "b"),
    ];
    let hosts: Vec<_> = (0..rows.len()).map(|at| format!("row-{at}.example.com")).collect();
    let ingresses = rows.iter().zip(&hosts).enumerate().map(|(at, ((paths, ..), host))| {
        let paths: Vec<_> = paths.iter().map(|(kind, text, to)| path(kind, text, to)).collect();
        ingress(&format!("row-{at}"), 2020, "", &[rule(host, &paths)])
    });
    let shop = Shop::open(&ingresses.collect::<Vec<_>>()).await;
    let cases: Vec<_> = rows.iter().zip(&hosts).map(|((_, asked, to), host)| (host.as_str(), *asked, *to)).collect();
    shop.check(&cases).await;
}

#[tokio::test]
async fn a_wildcard_stands_for_exactly_one_label() {
    let all = |to| [path("Prefix", "/", to)];
    let ingresses = [
        ingress("wild", 2020, "", &[rule("*.foo.com", &all("a"))]),
        ingress("own", 2021, "", &[rule("own.foo.com", &[path("Prefix", "/own", "b")])]),
        http_route("deep", 2022, "'*.foo.com'", "{value: /deep}", "c"),
    ];
    let shop = Shop::open(&ingresses).await;
    shop.check(&[
        ("bar.foo.com", "/", "a"),
        ("BAR.FOO.com", "/", "a"),
        ("bar.foo.com:8080", "/", "a"),
        ("baz.bar.foo.com", "/", NOWHERE),
        ("foo.com", "/", NOWHERE),
        ("barfoo.com", "/", NOWHERE),
        ("own.foo.com", "/own", "b"),
        ("own.foo.com", "/", "a"),
        // Of an HTTPRoute it stands for more; the longer path wins among both.
        ("baz.bar.foo.com", "/deep", "c"),
        ("bar.foo.com", "/deep", "c"),
    ])
    .await;
}

#[tokio::test]
async fn a_default_backend_takes_what_nothing_else_does() {
    let of_default = |name: &str| format!("defaultBackend: {}, ", to_backend(name));
    let manifests = [
        ingress(
            "old",
            2019,
            &of_default("a"),
            &[rule("a.example.com", &[path("Prefix", "/a", "b")]), "{host: bare.example.com}".into()],
        ),
        ingress("young", 2020, &of_default("d"), &[rule("", &[path("Prefix", "/everywhere", "d")])]),
        http_route("route", 2024, "route.example.com", "{value: /route}", "c"),
    ];
    let mut shop = Shop::open(&manifests).await;
    shop.check(&[
        ("a.example.com", "/a", "b"),
        ("a.example.com", "/else", "a"),
        ("bare.example.com", "/x", "a"),
        ("nobody.example.com", "/x", "a"),
        ("nobody.example.com", "/everywhere", "d"),
        ("route.example.com", "/route", "c"),
        ("route.example.com", "/else", "a"),
    ])
    .await;
    // Even the youngest rule for everything comes first.
    shop.gateway.write("more.yaml", &ingress("all", 2025, "", &[rule("", &[path("Prefix", "/", "c")])]));
    shop.check(&[("nobody.example.com", "/x", "c"), ("bare.example.com", "/x", "a")]).await;
}

#[tokio::test]
async fn beside_http_routes_the_nearest_match_wins_and_of_equal_ones_the_older() {
    let manifests = [
        ingress(
            "shop",
            2021,
            "",
            &[rule(
                "a.example.com",
                &[
                    path("Prefix", "/same", "a"),
                    path("Prefix", "/old/", "a"),
                    path("Exact", "/exact", "a"),
                    path("Prefix", "/long/er", "a"),
                    path("Prefix", "/re/1", "a"),
                ],
            )],
        ),
        http_route("older", 2020, "a.example.com", "{value: /same}", "b"),
        http_route("younger", 2022, "a.example.com", "{value: /old}", "b"),
        http_route("prefix", 2020, "a.example.com", "{value: /exact}", "b"),
        http_route("shorter", 2020, "a.example.com", "{value: /long}", "b"),
        http_route("wider", 2019, "'*.example.com'", "{type: Exact, value: /exact}", "b"),
        http_route("regex", 2022, "a.example.com", "{type: RegularExpression, value: '/re/[0-9]'}", "b"),
    ];
    let shop = Shop::open(&manifests).await;
    shop.check(&[
        ("a.example.com", "/same", "b"),
        ("a.example.com", "/old", "a"),
        ("a.example.com", "/exact", "a"),
        ("a.example.com", "/exact/x", "b"),
        ("a.example.com", "/long/er", "a"),
        ("a.example.com", "/long/est", "b"),
        ("a.example.com", "/re/1", "b"),
        ("b.example.com", "/exact", "b"),
    ])
    .await;
}

#[tokio::test]
async fn it_is_refused_without_a_policy_and_obeys_the_nearest() {
    let all = [rule("", &[path("Prefix", "/", "a")])];
    let base = [GATEWAY.to_owned(), ingress("shop", 2020, "", &all)];
    let mut shop = Shop::with(&base).await;
    shop.check(&[("a.example.com", "/", "500 unprotected")]).await;
    let said = shop.gateway.said("Ingress shop/shop");
    assert!(said.contains("no policy says who may call it"), "{said}");
    let conditions =
        shop.gateway.statuses.iter().filter(|status| status.kind == "Gateway").flat_map(|one| &one.conditions);
    let told: Vec<_> = conditions.filter(|one| one.r#type == "sallyport.dev/IngressesRefused").collect();
    assert!(told.len() == 1 && told[0].message.contains("Ingress shop/shop"), "{told:?}");
    shop.gateway.write("gateway.yaml", &policy_on("of-gateway", ON_GATEWAY, OPEN));
    shop.check(&[("a.example.com", "/", "a")]).await;
    shop.gateway.write("own.yaml", &policy_on("own", ON_INGRESS, BY_KEY));
    shop.check(&[("a.example.com", "/", "401 credential-missing")]).await;
    shop.gateway.remove("gateway.yaml");
    shop.check(&[("a.example.com", "/", "401 credential-missing")]).await;
}

#[tokio::test]
async fn a_key_of_a_subscription_to_an_ingress_opens_it_and_nothing_else() {
    const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    let scope = "{apis: [{group: networking.k8s.io, kind: Ingress, name: shop}]}";
    let manifests = [
        GATEWAY.to_owned(),
        ingress("shop", 2020, "", &[rule("a.example.com", &[path("Prefix", "/", "a")])]),
        ingress("other", 2020, "", &[rule("b.example.com", &[path("Prefix", "/", "b")])]),
        policy_on("keys", ON_GATEWAY, BY_KEY),
        crate::kit::manifest::subscription("acme", scope, &format!("{{primary: {KEY}}}")),
    ];
    let shop = Shop::with(&manifests).await;
    for (host, verdict) in [("a.example.com", "200"), ("b.example.com", "403 key-out-of-scope")] {
        let request = Request::get("/").header(header::HOST, host).header("sallyport-key", KEY);
        let answer = send(shop.gateway.http(), request.body(Empty::<Bytes>::new()).unwrap()).await;
        assert_eq!(answer.verdict(), verdict, "{host}");
    }
}

#[tokio::test]
async fn what_protects_it_at_another_controller_is_not_left_out() {
    let all = [rule("", &[path("Prefix", "/", "a")])];
    let mut shop = Shop::open(&[]).await;
    for (annotation, verdict) in [
        ("nginx.ingress.kubernetes.io/auth-url: 'https://auth.example.com'", "500 configuration"),
        ("nginx.ingress.kubernetes.io/whitelist-source-range: 10.0.0.0/8", "500 configuration"),
        ("traefik.ingress.kubernetes.io/router.middlewares: shop-auth@kubernetescrd", "500 configuration"),
        ("nginx.ingress.kubernetes.io/proxy-body-size: 8m", "a"),
        ("cert-manager.io/issuer: ours", "a"),
    ] {
        let annotated = ingress("shop", 2020, "", &all)
            .replace("namespace: shop,", &format!("namespace: shop, annotations: {{{annotation}}},"));
        shop.gateway.write("ingress.yaml", &annotated);
        shop.check(&[("a.example.com", "/", verdict)]).await;
    }
}

#[tokio::test]
async fn a_form_that_is_broken_opens_nothing() {
    let mut shop = Shop::open(&[ingress("wide", 2021, "", &[rule("", &[path("Prefix", "/", "d")])])]).await;
    let guarded = |spec: &str| ingress("shop", 2020, spec, &[rule("a.example.com", &[path("Prefix", "/admin", "a")])]);
    shop.gateway.write("policy.yaml", &policy_on("own", ON_INGRESS, BY_KEY));
    for broken in [
        guarded("").replace("pathType: Prefix", "pathType: prefix"),
        guarded("").replace("host: ", "hots: "),
        guarded("nonsense: 1, "),
        guarded("").replace("resource: {", "service: {name: a}, resource: {"),
        guarded("").replace("path: /admin", "path: admin"),
    ] {
        shop.gateway.write("ingress.yaml", &broken);
        let found = shop.served_by("a.example.com", "/admin").await;
        assert!(["500 configuration", "401 credential-missing"].contains(&found.as_str()), "{broken}: {found}");
        shop.gateway.remove("ingress.yaml");
    }
    shop.gateway.write("ingress.yaml", &guarded(""));
    shop.check(&[("a.example.com", "/admin", "401 credential-missing"), ("a.example.com", "/else", "d")]).await;
}

const TLS_LISTENER: &str = "
  - {name: https, port: 8443, protocol: HTTPS, tls: {certificateRefs: [{name: wide}]}, allowedRoutes: {namespaces: {from: All}}}
  - {name: exact, port: 8443, protocol: HTTPS, hostname: exact.example.com, tls: {certificateRefs: [{name: wide}]}}
";

/// What is shown for `name`, and what is answered there.
async fn over_tls(shop: &Shop, authority: &Authority, name: &str) -> Result<(Vec<u8>, String), String> {
    let stream = tls(shop.gateway.https(), name, authority.client(&["h2"])).await.map_err(|error| error.to_string())?;
    let shown = stream.get_ref().1.peer_certificates().unwrap()[0].to_vec();
    let mut sender = http2(stream).await;
    let response = sender.send_request(get_http2("https", name, "/", &[])).await.map_err(|error| error.to_string())?;
    Ok((shown, read(response).await.verdict()))
}

#[tokio::test]
async fn its_certificates_are_shown_by_server_name_and_a_broken_one_closes_its_name() {
    let authority = Authority::new("public");
    let (wide, own, deep) = (
        authority.issue(&["*.example.com"]),
        authority.issue(&["a.example.com", "exact.example.com"]),
        authority.issue(&["*.shop.example.com"]),
    );
    let hosts = [
        "a.example.com",
        "plain.example.com",
        "exact.example.com",
        "b.shop.example.com",
        "lost.example.com",
        "bad.example.com",
    ];
    let rules: Vec<_> = hosts.iter().map(|host| rule(host, &[path("Prefix", "/", "a")])).collect();
    let tls_of = "tls: [{hosts: [a.example.com, exact.example.com], secretName: own}, {hosts: ['*.shop.example.com'], secretName: deep}, {hosts: [lost.example.com], secretName: lost}, {hosts: [bad.example.com], secretName: bad}], ";
    let manifests = [
        GATEWAY.trim_end().to_owned() + TLS_LISTENER,
        policy_on("open", ON_GATEWAY, OPEN),
        certificate("wide", &wide),
        certificate("own", &own),
        certificate("deep", &deep),
        crate::kit::manifest::secret("bad", "{tls.crt: x, tls.key: y}"),
        ingress("shop", 2020, tls_of, &rules),
    ];
    let mut shop = Shop::with(&manifests).await;
    for (name, shown) in [
        ("a.example.com", &own),
        ("plain.example.com", &wide),
        ("exact.example.com", &wide),
        ("b.shop.example.com", &deep),
    ] {
        let found = over_tls(&shop, &authority, name).await;
        assert_eq!(found, Ok((shown.der.to_vec(), "200".to_owned())), "{name}");
    }
    for name in ["lost.example.com", "bad.example.com"] {
        assert!(over_tls(&shop, &authority, name).await.is_err(), "{name}");
        assert!(shop.gateway.said("Ingress shop/shop").contains("handshakes for its hosts are refused"));
    }
    shop.gateway.write("lost.yaml", &certificate("lost", &authority.issue(&["lost.example.com"])));
    assert_eq!(over_tls(&shop, &authority, "lost.example.com").await.unwrap().1, "200");
    shop.gateway.remove("lost.yaml");
    assert!(over_tls(&shop, &authority, "lost.example.com").await.is_err(), "what is gone is shown no more");
}

#[tokio::test]
async fn a_host_with_tls_is_not_served_in_cleartext() {
    let authority = Authority::new("public");
    let all = |host: &str| rule(host, &[path("Prefix", "/", "a")]);
    let with_tls =
        ingress("shop", 2020, "tls: [{hosts: [a.example.com]}], ", &[all("a.example.com"), all("b.example.com")]);
    let base =
        [policy_on("open", ON_GATEWAY, OPEN), certificate("wide", &authority.issue(&["*.example.com"])), with_tls];
    let shop = Shop::with(&[&[GATEWAY.trim_end().to_owned() + TLS_LISTENER], &base[..]].concat()).await;
    shop.check(&[("a.example.com", "/x?y=1", "308"), ("b.example.com", "/x", "a")]).await;
    let request = Request::get("/x?y=1").header(header::HOST, "a.example.com").body(Empty::<Bytes>::new()).unwrap();
    let answer = send(shop.gateway.http(), request).await;
    assert_eq!(answer.header("location"), Some("https://a.example.com:8443/x?y=1"));
    assert_eq!(over_tls(&shop, &authority, "a.example.com").await.unwrap().1, "200");
    let bare = Shop::with(&[&[GATEWAY.to_owned()], &base[..]].concat()).await;
    bare.check(&[("a.example.com", "/", "500 configuration"), ("b.example.com", "/", "a")]).await;
    let said = bare.gateway.said("Ingress shop/shop");
    assert!(said.contains("no HTTPS listener of its Gateway takes a.example.com"), "{said}");
}

#[tokio::test]
async fn who_has_no_class_has_the_default_and_others_are_left_alone() {
    let unstated =
        ingress("shop", 2020, "", &[rule("", &[path("Prefix", "/", "a")])]).replace("ingressClassName: ours, ", "");
    let mut shop = Shop::open(std::slice::from_ref(&unstated)).await;
    shop.check(&[("a.example.com", "/", NOWHERE)]).await;
    assert!(shop.gateway.said("Ingress shop/shop").contains("names no IngressClass"));
    let preset = CLASS
        .replace("{name: ours}", "{name: preset, annotations: {ingressclass.kubernetes.io/is-default-class: 'true'}}");
    shop.gateway.write("class.yaml", &preset);
    shop.check(&[("a.example.com", "/", "a")]).await;
    shop.gateway.write("class.yaml", &preset.replace("sallyport.dev/ingress-controller", "example.com/controller"));
    shop.check(&[("a.example.com", "/", NOWHERE)]).await;
    let said = shop.gateway.said("Ingress shop/shop");
    assert!(said.contains("is of controller example.com/controller"), "{said}");
}
