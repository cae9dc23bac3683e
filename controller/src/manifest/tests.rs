//! Manifests and what is said of them.

use proptest::prelude::*;

use super::*;
use crate::cluster::Stored;

fn load_text(text: &str) -> Loaded {
    load(&[SourceFile { path: "a.yaml".into(), text: text.into() }])
}

fn names(loaded: &Loaded) -> Vec<String> {
    loaded.objects.iter().map(LoadedObject::label).collect()
}

fn said(text: &str) -> Vec<String> {
    load_text(text).diagnostics.iter().map(ToString::to_string).collect()
}

const ROUTE: &str =
    "apiVersion: gateway.networking.k8s.io/v1\nkind: HTTPRoute\nmetadata: {name: orders, namespace: shop}\n";
const POLICY: &str = "apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {name: orders, namespace: shop}\nspec:\n  targetRefs: [{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}]\n";

#[test]
fn every_rule_of_every_schema_can_be_evaluated() {
    for kind in ObjectKind::ALL {
        if let Some(schema) = schema::of(*kind) {
            assert_eq!(schema.unusable_rules(), Vec::<String>::new(), "{kind:?}");
        }
    }
    assert!(ObjectKind::ALL.iter().filter(|kind| schema::of(**kind).is_some()).count() == 11);
}

#[test]
fn forms_that_kubectl_takes() {
    let list = "apiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n";
    let loaded = load_text(&format!(
        "---\n{list}---\n# nothing\n---\n{{\"apiVersion\": \"v1\", \"kind\": \"ConfigMap\", \"metadata\": {{\"name\": \"c\"}}}}\n"
    ));
    assert_eq!(loaded.diagnostics, vec![]);
    let names: Vec<_> = loaded.objects.iter().map(|object| object.name.to_string()).collect();
    assert_eq!(names, ["a", "b", "default/c"]);
}

#[test]
fn string_data_and_defaults_are_filled_in() {
    let loaded = load_text(&format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{name: s}}\nstringData: {{key: value}}\n---\n{ROUTE}spec: {{rules: [{{}}]}}\n"
    ));
    assert_eq!(loaded.diagnostics, vec![]);
    let Object::Secret(Stored::Decoded(secret)) = &loaded.objects[0].object else { panic!() };
    assert_eq!(secret.data.as_ref().unwrap()["key"].0, b"value");
    let Object::HTTPRoute(Stored::Decoded(route)) = &loaded.objects[1].object else { panic!() };
    let path = route.spec.rules.as_ref().unwrap()[0].matches.as_ref().unwrap()[0].path.as_ref().unwrap();
    assert_eq!(path.value.as_deref(), Some("/"));
}

#[test]
fn what_an_api_server_would_refuse_is_said_with_its_place() {
    let jwt = |inner: &str| {
        format!("{POLICY}  authentication:\n  - name: a\n    jwt: {{issuer: \"https://i.example\", {inner}}}\n")
    };
    for (text, place, word) in [
        (format!("{POLICY}  ipFiltr: {{}}\n"), "a.yaml:6:3", "no such field"),
        (format!("{POLICY}  authentication:\n  - name: a\n    jwt: {{audiences: [x]}}\n"), "a.yaml:8:", "issuer"),
        (jwt("audiences: []"), "a.yaml:8:", "audiences"),
        (jwt("audiences: [x], audienceCheck: None"), "a.yaml:8:", "audience"),
        (jwt("audiences: [x], algorithms: [HS256]"), "a.yaml:8:", "HS256"),
        (jwt("audiences: [x], clockSkew: 301s"), "a.yaml:8:", "300s"),
        (jwt("audiences: [x], keys: {}"), "a.yaml:8:", "exactly one of"),
        (format!("{POLICY}  authentication:\n  - name: a\n    public: {{}}\n  - name: b\n    subscriptionKey: {{}}\n"), "a.yaml:6:3", "alone"),
        (format!("{POLICY}  authentication:\n  - name: a\n    subscriptionKey: {{}}\n  - name: a\n    subscriptionKey: {{}}\n"), "a.yaml:9:", "same key"),
        (format!("{POLICY}  enforcement: Floor\n  credential: {{none: {{}}}}\n"), "a.yaml:4:1", "Floor"),
        (format!("{POLICY}  enforcement: Floor\n  authentication: [{{name: a, public: {{}}}}]\n"), "a.yaml:4:1", "Floor"),
        (format!("{POLICY}  requestHeaders: {{set: [{{name: Host, value: x}}]}}\n"), "a.yaml:6:", "Host"),
        (format!("{POLICY}  requestHeaders: {{set: [{{name: X-User, value: x}}, {{name: x-user, value: y}}]}}\n"), "a.yaml:6:", "two entries name one header"),
        (format!("{POLICY}  credential: {{none: {{}}, passThrough: {{}}}}\n"), "a.yaml:6:3", "exactly one of"),
        (format!("{POLICY}  cors: {{allowOrigins: ['*'], allowCredentials: true}}\n"), "a.yaml:6:", "list the origins"),
        (format!("{POLICY}  cors: {{allowOrigins: ['https://a.example/path']}}\n"), "a.yaml:6:", "https://a.example/path"),
        (format!("{POLICY}  cors: {{allowOrigins: ['null']}}\n"), "a.yaml:6:", "null"),
        (format!("{POLICY}  cors: {{allowMethods: [TRACE]}}\n"), "a.yaml:6:", "TRACE"),
        (format!("{POLICY}  cors: {{maxAge: 0}}\n"), "a.yaml:6:", "0"),
        (format!("{ROUTE}spec: {{rules: [{{matches: [{{path: {{type: Exact, value: nope}}}}]}}]}}\n"), "a.yaml:4:", "absolute path"),
        (format!("{ROUTE}spec: {{rules: [{{filters: [{{type: URLRewrite}}]}}]}}\n"), "a.yaml:4:", "urlRewrite"),
        (format!("{ROUTE}spec: {{rules: [{{matches: [{{path: {{type: Prefix}}}}]}}]}}\n"), "a.yaml:4:", "Prefix"),
("apiVersion: gateway.networking.k8s.io/v1\nkind: Gateway\nmetadata: {name: g}\nspec:\n  gatewayClassName: c\n  listeners:\n  - {name: a, port: 80, protocol: HTTP}\n  - {name: a, port: 81, protocol: HTTP}\n".into(), "a.yaml:", "same key"),
        ("apiVersion: sallyport.dev/v1alpha1\nkind: Subscription\nmetadata: {name: s}\nspec: {scope: {}, keys: {secretName: x}}\n".into(), "a.yaml:4:", "exactly one of"),
        ("apiVersion: sallyport.dev/v1alpha1\nkind: Backend\nmetadata: {name: b}\nspec: {endpoints: [{host: {name: a, port: 70000}}]}\n".into(), "a.yaml:4:", "70000"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {portz: []}\nx: 1\n".into(), "a.yaml:5:1", "no such field"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: UPPER}\n".into(), "a.yaml:3:", "no name"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, label: {}}\n".into(), "a.yaml:3:", "no such field"),
        (format!("{POLICY}  credential: {{none: {{}}}}\n").replace("namespace: shop", "namespace: shop.a"), "a.yaml:3:26", "no name"),
        (ROUTE.replace("namespace", "labels: {version: 1.0}, namespace") + "spec: {rules: [{}]}\n", "a.yaml:3:35", "put it in quotes"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}], selector: {a: 1}}\n".into(), "a.yaml:4:40", "expected a string; correct it"),
        ("apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}], clusterIPs: 7}\n".into(), "a.yaml:4:29", "expected a sequence; correct it"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n".into(), "a.yaml:7:", "already"),
        ("apiVersion: sallyport.dev/v2\nkind: ApiPolicy\nmetadata: {name: a}\n".into(), "a.yaml:1:1", "write sallyport.dev/v1alpha1 ApiPolicy"),
        ("kind: ApiPolicy\n".into(), "a.yaml:1:1", "apiVersion"),
        ("a: [\n".into(), "a.yaml:", "no YAML"),
        ("a: 1\na: 2\n".into(), "a.yaml:2:1", "duplicated key"),
    ] {
        assert_said(&text, place, word);
    }
}

fn assert_said(text: &str, place: &str, word: &str) {
    let said = said(text);
    assert!(
        said.iter().any(|line| line.starts_with(place) && line.contains(word)),
        "{text}\nexpected {place} {word}, said: {said:#?}"
    );
}

#[test]
fn what_an_api_server_would_refuse_of_entra_id_is_said_with_its_place() {
    let entra =
        |inner: &str| format!("{POLICY}  authentication:\n  - name: a\n    entraId: {{audiences: [x], {inner}}}\n");
    const TENANT: &str = "tenants: [11111111-2222-3333-4444-555555555555]";
    for (text, place, word) in [
        (entra("scopes: [a]"), "a.yaml:8:", "tenantCheck: None"),
        (
            entra("tenants: [11111111-2222-3333-4444-555555555555, 99999999-2222-3333-4444-555555555555]"),
            "a.yaml:8:",
            "by the id of the application",
        ),
        (entra("tenantCheck: None"), "a.yaml:8:", "by the id of the application"),
        (entra(&format!("{TENANT}, tenantCheck: None")), "a.yaml:8:", "list the tenants"),
        (entra("tenants: [contoso.onmicrosoft.com]"), "a.yaml:8:", "contoso.onmicrosoft.com"),
        (entra("tenants: [common]"), "a.yaml:8:", "common"),
        (entra(&format!("{TENANT}, audienceCheck: None")), "a.yaml:8:", "list the audiences"),
        (entra(&format!("{TENANT}, clientApplications: [orders]")), "a.yaml:8:", "orders"),
        (entra(&format!("{TENANT}, issuer: \"https://i.example\"")), "a.yaml:8:", "no such field"),
        (entra(&format!("{TENANT}, cloud: Germany")), "a.yaml:8:", "Germany"),
        (
            entra(&format!("{TENANT}, cloud: China, authority: \"https://a.example\"")),
            "a.yaml:8:",
            "in place of a cloud",
        ),
        (entra(&format!("{TENANT}, authority: \"https://a.example/path\"")), "a.yaml:8:", "authority"),
        (entra(&format!("{TENANT}, versions: [V1], authority: \"https://a.example\"")), "a.yaml:8:", "leave V1 out"),
        (entra(&format!("{TENANT}, types: [logout+jwt]")), "a.yaml:8:", "name a type of access tokens"),
        (
            format!(
                "{POLICY}  authentication:\n  - name: a\n    jwt: {{issuer: \"https://i.example\", audiences: [x]}}\n    entraId: {{audiences: [x], {TENANT}}}\n"
            ),
            "a.yaml:7:",
            "one token",
        ),
        (
            format!(
                "{POLICY}  authentication:\n  - name: a\n    public: {{}}\n    entraId: {{audiences: [x], {TENANT}}}\n"
            ),
            "a.yaml:7:",
            "stands alone",
        ),
    ] {
        assert_said(&text, place, word);
    }
}

#[test]
fn what_an_api_server_would_refuse_of_limits_is_said_with_its_place() {
    let limit = |inner: &str| format!("{POLICY}  limits:\n  - {{name: l, {inner}}}\n");
    let floor = |by: &str| {
        format!("{POLICY}  enforcement: Floor\n  limits:\n  - {{name: l, requests: 1, per: 1s, by: {by}}}\n")
    };
    assert!(said(&limit("requests: 1, per: 1s, by: Identity")).is_empty());
    for per in ["1h", "24h", "Day", "Month"] {
        assert!(said(&limit(&format!("requests: 1000000000, per: {per}, by: Subscription"))).is_empty());
    }
    assert!(said(&floor("ClientAddress")).is_empty());
    for (text, word) in [
        (limit("by: Identity"), "exactly one of requests"),
        (limit("requests: 1, per: 1s, concurrent: 1, by: Identity"), "exactly one of requests"),
        (limit("requests: 1, by: Identity"), "go together"),
        (limit("concurrent: 1, per: 1s, by: Identity"), "go together"),
        (limit("requests: 0, per: 1s, by: Identity"), "requests"),
        (limit("concurrent: 1000001, by: Identity"), "concurrent"),
        (limit("requests: 1, per: 999ms, by: Identity"), "state 1s to 24h"),
        (limit("requests: 1, per: 24h1ms, by: Identity"), "state 1s to 24h"),
        (limit("requests: 1, per: Week, by: Identity"), "per"),
        (limit("requests: 1, per: month, by: Identity"), "per"),
        (limit("requests: 1, per: 1s, by: Expression"), "expression goes with"),
        (limit("requests: 1, per: 1s, by: Identity, expression: auth.identity"), "expression goes with"),
        (limit("requests: 1, per: 1s, by: Host"), "Host"),
        (limit("requests: 1, per: 1s"), "by"),
        (floor("Subscription"), "state authentication in it"),
        (floor("Identity"), "state authentication in it"),
    ] {
        assert_said(&text, "a.yaml:", word);
    }
}

#[test]
fn what_an_api_server_would_refuse_of_logins_is_said_with_its_place() {
    let alternative = |inner: &str| format!("{POLICY}  authentication:\n  - {{name: a, {inner}}}\n");
    let basic = |inner: &str| alternative(&format!("basic: {{{inner}}}"));
    let beside = |member: &str, more: &str| {
        alternative(&format!("basic: {{secretRef: {{name: s}}}}, {member}: {{audiences: [x]{more}}}"))
    };
    let (jwt, entra) = (", issuer: \"https://i.example\"", ", tenants: [11111111-2222-3333-4444-555555555555]");
    let elsewhere = ", from: [{header: {name: X-Token}}, {cookie: {name: t}}]";
    for text in [
        basic("secretRef: {name: s}"),
        basic("secretRef: {name: s, key: users.txt}, realm: my-orders"),
        alternative("basic: {secretRef: {name: s}}, subscriptionKey: {}"),
        beside("jwt", &format!("{jwt}{elsewhere}")),
        beside("entraId", &format!("{entra}{elsewhere}")),
    ] {
        assert!(said(&text).is_empty(), "{text}");
    }
    for (text, word) in [
        (basic(""), "secretRef"),
        (basic("secretRef: {}"), "name"),
        (basic("secretRef: {name: s, namespace: other}"), "no such field"),
        (basic("secretRef: {name: s, key: a/b}"), "secretRef.key"),
        (basic("secretRef: {name: s}, realm: \"\""), "realm"),
        (basic("secretRef: {name: s}, realm: 'a\"b'"), "realm"),
        (basic("secretRef: {name: s}, realm: 'a\\b'"), "realm"),
        (basic("secretRef: {name: s}, realm: 'a b'"), "realm"),
        (basic(&format!("secretRef: {{name: s}}, realm: {}", "a".repeat(65))), "realm"),
        (basic("secretRef: {name: s}, users: [a]"), "no such field"),
        (alternative("basic: {secretRef: {name: s}}, public: {}"), "stands alone"),
        (beside("jwt", jwt), "one Authorization holds"),
        (beside("jwt", &format!("{jwt}, from: []")), "one Authorization holds"),
        (
            beside(
                "jwt",
                &format!("{jwt}, from: [{{cookie: {{name: t}}}}, {{header: {{name: AUTHORIZATION, scheme: Token}}}}]"),
            ),
            "one Authorization holds",
        ),
        (beside("entraId", entra), "one Authorization holds"),
    ] {
        assert_said(&text, "a.yaml:", word);
    }
}

#[test]
fn what_an_api_server_would_refuse_of_introspection_is_said_with_its_place() {
    const CLIENT: &str = "clientAuthentication: {id: gateway, method: ClientSecretBasic, secretRef: {name: s}}";
    let alternative = |inner: &str| format!("{POLICY}  authentication:\n  - {{name: a, {inner}}}\n");
    let asked = |inner: &str| alternative(&format!("introspection: {{endpoint: \"https://i.example/x\", {inner}}}"));
    let whole = format!("{CLIENT}, audiences: [x]");
    let elsewhere = "from: [{header: {name: X-Token}}]";
    for text in [
        asked(&whole),
        asked(&format!("{CLIENT}, audienceCheck: None")),
        asked(&format!(
            "{whole}, issuer: \"https://i.example\", prefix: opq_, timeout: 50ms, cache: 0s, negativeCache: 1m"
        )),
        asked(&format!("{whole}, claims: [{{name: role, anyOf: [a]}}], maxLifetime: 1h, clockSkew: 0s")),
        alternative(&format!("introspection: {{endpoint: \"https://i.example/x\", {whole}}}, subscriptionKey: {{}}")),
        alternative(&format!(
            "introspection: {{endpoint: \"https://i.example/x\", {whole}, {elsewhere}}}, basic: {{secretRef: {{name: s}}}}"
        )),
    ] {
        assert!(said(&text).is_empty(), "{text}: {:?}", said(&text));
    }
    for (text, word) in [
        (asked("audiences: [x]"), "clientAuthentication"),
        (alternative(&format!("introspection: {{{whole}}}")), "endpoint"),
        (asked(CLIENT), "list the audiences"),
        (asked(&format!("{whole}, audienceCheck: None")), "audience"),
        (asked(&format!("{whole}, timeout: 49ms")), "50ms to 10s"),
        (asked(&format!("{whole}, timeout: 11s")), "50ms to 10s"),
        (asked(&format!("{whole}, cache: 11m")), "0s to 10m"),
        (asked(&format!("{whole}, negativeCache: 61s")), "0s to 1m"),
        (asked(&format!("{whole}, clockSkew: 301s")), "300s"),
        (asked(&format!("{whole}, prefix: \"a b\"")), "prefix"),
        (asked(&format!("{whole}, prefix: \"a:b\"")), "prefix"),
        (asked(&whole).replace("https://i.example", "https://me:x@i.example"), "endpoint"),
        (asked(&whole).replace("i.example/x", "i.example/x#y"), "endpoint"),
        (asked(&format!("{whole}, algorithms: [RS256]")), "no such field"),
        (asked(&format!("{whole}, answer: JWT")), "no such field"),
        (asked(&whole.replace("ClientSecretBasic", "PrivateKeyJwt")), "method"),
        (asked(&whole.replace("id: gateway, ", "")), "id"),
        (asked(&whole.replace("{name: s}", "{name: s, namespace: other}")), "no such field"),
        (
            alternative(&format!("introspection: {{endpoint: \"https://i.example/x\", {whole}}}, public: {{}}")),
            "stands alone",
        ),
        (
            alternative(&format!(
                "introspection: {{endpoint: \"https://i.example/x\", {whole}}}, basic: {{secretRef: {{name: s}}}}"
            )),
            "one Authorization holds",
        ),
        (
            alternative(&format!(
                "introspection: {{endpoint: \"https://i.example/x\", {whole}}}, jwt: {{issuer: \"https://i.example\", audiences: [x]}}"
            )),
            "one token",
        ),
    ] {
        assert_said(&text, "a.yaml:", word);
    }
}

#[test]
fn what_an_api_server_would_refuse_of_authorizers_is_said_with_its_place() {
    const SERVICE: &str = "backendRef: {name: opa, port: 9191}";
    let asked = |inner: &str| format!("{POLICY}  externalAuthorization: {{{inner}}}\n");
    let by = |protocol: &str, more: &str| asked(&format!("{SERVICE}, protocol: {protocol}{more}"));
    for text in [
        by("GRPC", ""),
        by("HTTP", ", pathPrefix: /check/v1.2, timeout: 10ms"),
        by("GRPC", ", headersToAuthorizer: [Authorization, Cookie, X-Team], headersToBackend: [X-User, Authorization]"),
        by(
            "GRPC",
            ", context: [{name: a, value: ''}, {name: b, value: 'x y'}, {name: c, expression: auth.alternative}]",
        ),
        by("GRPC", ", forwardBody: {maxBytes: 1}, denial: Problem"),
        by("HTTP", ", forwardBody: {maxBytes: 1Mi}, denial: Pass, headersToCaller: [Set-Cookie, Location]"),
        asked("backendRef: {group: sallyport.dev, kind: Backend, name: opa, namespace: other}, protocol: GRPC"),
    ] {
        assert!(said(&text).is_empty(), "{text}: {:?}", said(&text));
    }
    for (text, word) in [
        (asked(SERVICE), "protocol"),
        (asked("protocol: GRPC"), "backendRef"),
        (by("grpc", ""), "protocol"),
        (asked("backendRef: {name: opa}, protocol: GRPC"), "a Service needs a port"),
        (
            asked("backendRef: {group: sallyport.dev, kind: Backend, name: opa, port: 80}, protocol: GRPC"),
            "a Backend states its own",
        ),
        (asked("backendRef: {kind: Backend, name: opa}, protocol: GRPC"), "correct group"),
        (asked("backendRef: {group: sallyport.dev, name: opa, port: 80}, protocol: GRPC"), "correct group"),
        (by("GRPC", ", pathPrefix: /check"), "pathPrefix is for protocol HTTP"),
        (by("HTTP", ", pathPrefix: check"), "pathPrefix"),
        (by("HTTP", ", pathPrefix: /a/../b"), "pathPrefix"),
        (by("HTTP", ", pathPrefix: /a%2fb"), "pathPrefix"),
        (by("HTTP", ", pathPrefix: '/a?b'"), "pathPrefix"),
        (by("HTTP", ", pathPrefix: /a/"), "pathPrefix"),
        (by("GRPC", ", timeout: 9ms"), "10ms to 10s"),
        (by("GRPC", ", timeout: 11s"), "10ms to 10s"),
        (by("GRPC", ", headersToAuthorizer: [Sallyport-Key]"), "subscription keys not at all"),
        (by("GRPC", ", headersToAuthorizer: [X-Forwarded-For]"), "leave them out"),
        (by("GRPC", ", headersToAuthorizer: [client-cert-chain]"), "leave them out"),
        (by("GRPC", ", headersToAuthorizer: [Proxy-Authorization]"), "leave them out"),
        (by("GRPC", ", headersToAuthorizer: [Host]"), "leave them out"),
        (by("GRPC", ", headersToAuthorizer: ['a b']"), "headersToAuthorizer"),
        (by("GRPC", ", headersToBackend: [Content-Length]"), "leave them out"),
        (by("GRPC", ", headersToBackend: [host]"), "leave them out"),
        (by("GRPC", ", headersToCaller: [Transfer-Encoding]"), "leave them out"),
        (by("GRPC", ", headersToCaller: [Set-Cookie]"), "only with denial: Pass"),
        (by("GRPC", ", headersToCaller: [set-cookie], denial: Problem"), "only with denial: Pass"),
        (by("GRPC", ", denial: Allow"), "denial"),
        (by("GRPC", ", context: [{name: a}]"), "exactly one of value, expression"),
        (by("GRPC", ", context: [{name: a, value: b, expression: c}]"), "exactly one of value, expression"),
        (by("GRPC", ", context: [{name: X-A, value: b}, {name: x_a, value: c}]"), "state it once"),
        (by("GRPC", ", context: [{name: Host, value: b}]"), "choose another name"),
        (by("GRPC", ", context: [{name: a, value: ' b'}]"), "value"),
        (by("GRPC", ", forwardBody: {}"), "maxBytes"),
        (by("GRPC", ", forwardBody: {maxBytes: 0}"), "1 to 1Mi"),
        (by("GRPC", ", forwardBody: {maxBytes: 2Mi}"), "1 to 1Mi"),
        (by("GRPC", ", forwardBody: {maxBytes: 1.5}"), "maxBytes"),
        (by("GRPC", ", failOpen: true"), "no such field"),
        (
            format!("{}  credential: {{passThrough: {{}}}}\n", by("GRPC", ", headersToBackend: [authorization]")),
            "beside a credential",
        ),
    ] {
        assert_said(&text, "a.yaml:", word);
    }
}

#[test]
fn what_an_api_server_would_refuse_of_bindings_is_said_with_its_place() {
    let constraint = |inner: &str| {
        format!(
            "{POLICY}  authentication:\n  - {{name: a, jwt: {{issuer: \"https://i.example\", audiences: [x], senderConstraint: {{{inner}}}}}}}\n"
        )
    };
    for inner in [
        "require: Certificate",
        "require: DPoP",
        "require: Either",
        "require: IfBound",
        "require: DPoP, dpop: {}",
        "require: IfBound, dpop: {maxAge: 5s, nonce: Required, replay: Store}",
        "require: Either, dpop: {maxAge: 120s, nonce: None, replay: Replica, algorithms: [ES256]}",
        "require: DPoP, dpop: {origins: ['https://api.example.com', 'https://[::1]:8443', 'https://A-b_c.example:1']}",
    ] {
        let found = said(&constraint(inner));
        assert!(found.is_empty(), "{inner}: {found:?}");
    }
    for (inner, word) in [
        ("", "require"),
        ("require: certificate", "require"),
        ("require: dpop", "require"),
        ("require: None", "require"),
        ("require: [Certificate]", "require"),
        ("require: Certificate, dpop: {}", "state require: Either"),
        ("require: DPoP, dpop: {maxAge: 4s}", "5s to 120s"),
        ("require: DPoP, dpop: {maxAge: 121s}", "5s to 120s"),
        ("require: DPoP, dpop: {nonce: required}", "nonce"),
        ("require: DPoP, dpop: {nonce: false}", "nonce"),
        ("require: DPoP, dpop: {replay: Redis}", "replay"),
        ("require: DPoP, dpop: {algorithms: [HS256]}", "algorithms"),
        ("require: DPoP, dpop: {origins: ['http://api.example.com']}", "origins"),
        ("require: DPoP, dpop: {origins: ['https://api.example.com/']}", "origins"),
        ("require: DPoP, dpop: {origins: ['https://user@api.example.com']}", "origins"),
        ("require: DPoP, dpop: {origins: ['api.example.com']}", "origins"),
        ("require: DPoP, dpop: {nonces: None}", "no such field"),
        ("require: DPoP}, from: [{cookie: {name: session}}], keys: {inline: '{}'", "after the scheme DPoP"),
    ] {
        assert_said(&constraint(inner), "a.yaml:", word);
    }
}

#[test]
fn what_an_api_server_would_refuse_of_forwarded_certificates_is_said_with_its_place() {
    let header = |inner: &str| {
        let head =
            "apiVersion: sallyport.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: a, namespace: shop}\n";
        format!("{head}spec:\n  trustedProxies: {{cidrs: [10.0.0.0/8], clientCertificateHeader: {{{inner}}}}}\n")
    };
    for inner in [
        "format: RFC9440",
        "format: XFCC",
        "format: XFCC, name: X-Forwarded-Client-Cert",
        "format: EscapedPEM, name: ssl-client-cert",
        "format: Base64DER, name: X-ARR-ClientCert",
    ] {
        assert!(said(&header(inner)).is_empty(), "{inner}: {:?}", said(&header(inner)));
    }
    for (inner, word) in [
        ("", "format"),
        ("name: Client-Cert", "format"),
        ("format: EscapedPEM", "name the header"),
        ("format: Base64DER", "name the header"),
        ("format: PEM", "format"),
        ("format: rfc9440", "format"),
        ("format: RFC9440, name: \"\"", "name"),
        ("format: RFC9440, name: client_cert", "name"),
        ("format: RFC9440, name: Authorization", "read for something else"),
        ("format: RFC9440, name: COOKIE", "read for something else"),
        ("format: XFCC, name: X-Forwarded-For", "read for something else"),
        ("format: XFCC, name: X-Forwarded-Prefix", "read for something else"),
        ("format: XFCC, name: Range", "read for something else"),
        ("format: XFCC, name: grpc-timeout", "read for something else"),
        ("format: XFCC, chain: true", "no such field"),
    ] {
        assert_said(&header(inner), "a.yaml:", word);
    }
    let of_nobody = header("format: RFC9440").replace("cidrs: [10.0.0.0/8], ", "");
    assert_said(&of_nobody, "a.yaml:", "name those in cidrs");
}

#[test]
fn what_an_api_server_would_refuse_of_origin_locks_is_said_with_its_place() {
    let lock = |inner: &str| {
        let head =
            "apiVersion: sallyport.dev/v1alpha1\nkind: GatewayParameters\nmetadata: {name: a, namespace: shop}\n";
        format!("{head}spec:\n  originLock: {{{inner}}}\n")
    };
    let header = |name: &str| lock(&format!("header: {{name: \"{name}\", secretRef: {{name: waf}}}}"));
    let certificate = |more: &str| {
        let trust = "trust: {caCertificateRefs: [{kind: ConfigMap, name: ca}]}";
        lock(&format!("clientCertificate: {{{trust}, {more}}}"))
    };
    for text in [
        header("X-Origin"),
        header("X-Azure-FDID"),
        header("CF-Access-Client-Secret"),
        lock("cidrs: [192.0.2.0/24]"),
        certificate("identities: [{subjectAltName: {dns: waf.example.com}}]"),
        certificate("revocation: {crlRefs: [{kind: ConfigMap, name: crl}], onUnknown: Deny}"),
        lock("cidrs: [192.0.2.7], mode: Report"),
    ] {
        assert!(said(&text).is_empty(), "{text}: {:?}", said(&text));
    }
    for (text, word) in [
        (lock(""), "at least one of header, cidrs, clientCertificate"),
        (lock("mode: Report"), "at least one of header, cidrs, clientCertificate"),
        (lock("cidrs: []"), "originLock"),
        (lock("cidrs: [192.0.2.7], mode: Off"), "mode"),
        (lock("header: {name: X-Origin}"), "secretRef"),
        (lock("header: {secretRef: {name: waf}}"), "name"),
        (lock("header: {name: X-Origin, secretRef: {name: waf, namespace: other}}"), "no such field"),
        (lock("headers: {name: X-Origin}"), "no such field"),
        (header(""), "name"),
        (header("X Origin"), "name"),
        (header("X-Origin:"), "name"),
        (header("X_Origin"), "name"),
        (header("sallyport_key"), "name"),
        (certificate("revocation: {crlRefs: [{kind: ConfigMap, name: crl}], onUnknown: Allow}"), "onUnknown"),
    ] {
        assert_said(&text, "a.yaml:", word);
    }
    for taken in [
        "Authorization",
        "COOKIE",
        "Host",
        "connection",
        "Content-Length",
        "Transfer-Encoding",
        "Sallyport-Key",
        "X-Forwarded-For",
        "x-forwarded-client-cert",
        "Client-Cert-Chain",
        "Proxy-Authorization",
        "Sec-Fetch-Site",
        "Origin",
        "CDN-Loop",
        "Accept",
        "If-Match",
        "Range",
        "Forwarded",
        "X-Real-IP",
        "Access-Control-Request-Method",
        "grpc-timeout",
        "X-Original-URL",
    ] {
        assert_said(&header(taken), "a.yaml:", "read for something else");
    }
}

#[test]
fn what_an_api_server_would_refuse_of_certificates_is_said_with_its_place() {
    let certificate =
        |inner: &str| format!("{POLICY}  authentication:\n  - name: a\n    clientCertificate: {{{inner}}}\n");
    const TRUST: &str = "trust: {caCertificateRefs: [{kind: ConfigMap, name: ca}]}";
    for (text, place, word) in [
        (certificate("trust: {caCertificateRefs: []}"), "a.yaml:8:", "list at least 1"),
        (certificate(&format!("{TRUST}, identities: []")), "a.yaml:8:", "list at least 1"),
        (certificate("identities: [{subject: CN=a}]"), "a.yaml:8:", "state trust"),
        (certificate("identities: []"), "a.yaml:8:", "list at least 1"),
        (certificate(&format!("{TRUST}, identities: [{{}}]")), "a.yaml:8:", "state at least one of"),
        (certificate(&format!("{TRUST}, identities: [{{serialNumber: ab}}]")), "a.yaml:8:", "state at least one of"),
        (
            certificate(&format!("{TRUST}, identities: [{{subject: CN=a, serialNumber: ab}}]")),
            "a.yaml:8:",
            "state issuer as well",
        ),
        (certificate(&format!("{TRUST}, identities: [{{issuer: CN=a, serialNumber: xy}}]")), "a.yaml:8:", "xy"),
        (certificate(&format!("{TRUST}, identities: [{{subjectAltName: {{}}}}]")), "a.yaml:8:", "exactly one of uri"),
        (
            certificate(&format!("{TRUST}, identities: [{{subjectAltName: {{uri: a, dns: b}}}}]")),
            "a.yaml:8:",
            "exactly one of uri",
        ),
        (certificate(&format!("{TRUST}, identities: [{{sha256Fingerprint: ab}}]")), "a.yaml:8:", "64"),
        (
            certificate(
                "identities: [{certificateRef: {name: a}}], revocation: {crlRefs: [{kind: ConfigMap, name: a}]}",
            ),
            "a.yaml:8:",
            "leave revocation out",
        ),
        (certificate(&format!("{TRUST}, revocation: {{crlRefs: []}}")), "a.yaml:8:", "list at least 1"),
        (
            certificate(&format!("{TRUST}, revocation: {{crlRefs: [{{kind: ConfigMap, name: a}}], onUnknown: Ask}}")),
            "a.yaml:8:",
            "Ask",
        ),
        (
            format!("{POLICY}  authentication:\n  - name: a\n    public: {{}}\n    clientCertificate: {{{TRUST}}}\n"),
            "a.yaml:7:",
            "stands alone",
        ),
    ] {
        assert_said(&text, place, word);
    }
}

#[test]
fn an_object_that_is_refused_is_kept_as_undecodable() {
    let loaded = load_text(&format!("{POLICY}  ipFiltr: {{}}\n"));
    assert!(
        matches!(&loaded.objects[0].object, Object::ApiPolicy(Stored::Undecodable(object)) if object.raw["spec"]["targetRefs"].is_array())
    );
}

#[test]
fn a_kind_of_somebody_else_is_only_noted() {
    for version in [
        "apps/v1\nkind: Deployment",
        "networking.istio.io/v1\nkind: Gateway",
        "example.com/v1\nkind: AllowList",
        "example.com/v1\nkind: AllowList\nitems: 7",
        "apps/v1\nkind: DeploymentList\nitems: [{}]",
    ] {
        let loaded = load_text(&format!("apiVersion: {version}\nmetadata: {{name: a}}\n"));
        assert_eq!((loaded.diagnostics[0].severity, loaded.objects.len()), (Severity::Note, 0), "{version}");
        assert!(loaded.unreadable.is_empty(), "{version}");
    }
}

#[test]
fn a_status_of_a_file_is_nobodys() {
    let status = "status: {conditions: 7, parents: 7, loadBalancer: 7}\n";
    let service = "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: {ports: [{port: 80}]}\n";
    for text in
        [format!("{POLICY}{status}"), format!("{ROUTE}spec: {{rules: [{{}}]}}\n{status}"), format!("{service}{status}")]
    {
        let loaded = load_text(&text);
        assert_eq!((loaded.diagnostics, loaded.objects.len()), (vec![], 1), "{text}");
    }
    let loaded = load_text(&format!("{POLICY}  typo: 1\n{status}"));
    let Object::ApiPolicy(Stored::Undecodable(policy)) = &loaded.objects[0].object else { panic!() };
    assert!(policy.raw["status"].is_null());
}

#[test]
fn places_are_kept_only_as_long_as_something_may_be_said() {
    let mut loaded = load_text(&format!(
        "{ROUTE}spec: {{rules: 7}}\n---\napiVersion: v1\nkind: Secret\nmetadata: {{name: a}}\nstringData: {{a: b}}\n"
    ));
    assert!(loaded.objects[1].source.places.nearest("").is_none(), "nothing is said of a Secret once it has been read");
    assert_eq!(loaded.objects[0].diagnostic("spec.rules", "").column, 8);
    loaded.objects[0].forget_places();
    assert_eq!(
        (loaded.objects[0].diagnostic("spec.rules", "").line, loaded.objects[0].source.places.nearest("")),
        (1, None)
    );
}

#[test]
fn rules_about_changes_are_those_that_are_judged() {
    let with_such_rules = |kind: &&ObjectKind| {
        sallyport_api::schema::open_api_schema(kind.as_str())
            .is_some_and(|schema| schema.to_string().contains("oldSelf"))
    };
    let kinds: Vec<_> = ObjectKind::ALL.iter().filter(with_such_rules).collect();
    assert_eq!(
        kinds,
        [&ObjectKind::GatewayClass, &ObjectKind::Subscription],
        "a further kind belongs into `transition::refused`"
    );
}

#[test]
fn a_file_of_which_not_every_object_can_be_told_is_unreadable_as_a_whole() {
    let good = "apiVersion: v1\nkind: Namespace\nmetadata: {name: good}\n---\n";
    let policy = "apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\n";
    for (bad, word) in [
        ("kind: ApiPolicy\nmetadata: {name: a}\n".to_owned(), "apiVersion: it is missing"),
        ("apiVersion: v1\nmetadata: {name: a}\n".to_owned(), "kind: it is missing"),
        ("apiVersion: v1\nkind: [Secret]\nmetadata: {name: a}\n".to_owned(), "kind: it is missing"),
        ("apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolcy\nmetadata: {name: a}\n".to_owned(), "not read here"),
        ("apiVersion: sallyport.dev/v1alpha\nkind: ApiPolicy\nmetadata: {name: a}\n".to_owned(), "not read here"),
        ("apiVersion: gateway.networking.k8s.io/v1\nkind: HTPRoute\nmetadata: {name: a}\n".to_owned(), "not read here"),
        (
            "apiVersion: salyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {name: a}\n".to_owned(),
            "apiVersion: salyport.dev",
        ),
        (
            "apiVersion: sallyport.dev\nkind: ApiPolicy\nmetadata: {name: a}\n".to_owned(),
            "write sallyport.dev/v1alpha1 ApiPolicy",
        ),
        (
            "apiVersion: example.com/v1\nkind: HTTPRoute\nmetadata: {name: a}\n".to_owned(),
            "write gateway.networking.k8s.io/v1 HTTPRoute",
        ),
        (format!("{policy}metdata: {{name: a}}\n"), "metadata: it is missing"),
        (format!("{policy}metadata: []\n"), "metadata: it is missing"),
        (format!("{policy}metadata: {{name: 7}}\n"), "metadata.name: it is missing, or no text"),
        (format!("{policy}metadata: {{name: \"\"}}\n"), "metadata.name: it is missing, or no text"),
        (format!("{policy}metadata: {{name: a, namespace: [shop]}}\n"), "metadata.namespace: it is no text"),
        (format!("{policy}metadata: {{name: a, namespcae: shop}}\n"), "metadata.namespcae: there is no such field"),
        (format!("{policy}metadata: {{generateName: a-}}\n"), "metadata.generateName: names are not made up"),
        ("just a text\n".to_owned(), "this is no object"),
        ("[]\n".to_owned(), "this is no object"),
        ("apiVersion: v1\nkind: List\n".to_owned(), "List has no list `items`"),
        ("apiVersion: v1\nkind: List\nitems:\n".to_owned(), "List has no list `items`"),
        ("apiVersion: v1\nkind: NamespaceList\n".to_owned(), "NamespaceList has no list `items`"),
        ("apiVersion: v2\nkind: List\nitems: []\n".to_owned(), "apiVersion: v2 List is not read here; write v1 List"),
        ("apiVersion: v1\nkind: ApiPolicyList\nitems: []\n".to_owned(), "write sallyport.dev/v1alpha1 ApiPolicyList"),
        ("apiVersion: v1\nkind: List\nitems: [{kind: Secret}]\n".to_owned(), "apiVersion: it is missing"),
        ("a: [\n".to_owned(), "this is no YAML"),
        ("a: 1\na: 2\n".to_owned(), "duplicated key \"a\""),
        ("a:\n\tb: 1\n".to_owned(), "this is no YAML"),
        ("a: .inf\n".to_owned(), "this cannot be read"),
        ("a: 0443\n".to_owned(), "kubectl reads digits behind a 0 in base 8"),
        ("a: [-0443]\n".to_owned(), "kubectl reads digits behind a 0 in base 8"),
        ("0443: a\n".to_owned(), "kubectl reads digits behind a 0 in base 8"),
        ("a: 00\n".to_owned(), "kubectl reads digits behind a 0 in base 8"),
        ("a: !!binary aGk=\n".to_owned(), "this cannot be read"),
        ("? [a]\n: b\n".to_owned(), "a key is no plain text"),
        (format!("{{{}: 1}}\n", "a".repeat(1025)), "a key is longer than 1024 bytes"),
        (format!("{policy}metadata: {{name: {}}}\n", "a".repeat(254)), "metadata.name: it is longer than 253 bytes"),
        (
            format!("{policy}metadata: {{name: a, namespace: {}}}\n", "a".repeat(254)),
            "metadata.namespace: it is longer",
        ),
        (
            format!("apiVersion: sallyport.dev/v1\nkind: {}\n", "a".repeat(10_000)),
            "aaa… is not read here; known are v1 Namespace",
        ),
    ] {
        let loaded = load_text(&format!("{good}{bad}"));
        let said: Vec<_> = loaded.diagnostics.iter().map(ToString::to_string).collect();
        assert!(said.iter().any(|line| line.contains(word) && line.contains(": error: ")), "{bad}: {said:#?}");
        assert_eq!((&*loaded.unreadable, names(&loaded)), (&["a.yaml".to_owned()][..], vec![]), "{bad}");
    }
}

#[test]
fn a_file_without_a_document_is_empty_and_one_with_an_empty_list_is_not() {
    let list = "apiVersion: v1\nkind: List\nitems: []\n";
    for (text, is_empty) in [
        ("", true),
        ("# nothing\n", true),
        ("---\n# nothing\n---\n...\n", true),
        ("\u{feff}", true),
        (list, false),
        ("apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicyList\nitems: []\n", false),
        ("{\"apiVersion\": \"v1\", \"kind\": \"List\", \"items\": []}", false),
    ] {
        let loaded = load_text(text);
        assert_eq!((loaded.empty.len() == 1, loaded.unreadable.len()), (is_empty, 0), "{text:?}");
        assert!(loaded.diagnostics.iter().all(|one| one.severity == Severity::Note), "{text:?}");
    }
}

#[test]
fn spellings_that_kubectl_takes() {
    let (two, json) =
        (["Namespace a", "Namespace b"], "{\"apiVersion\":\"v1\",\"kind\":\"Namespace\",\"metadata\":{\"name\":");
    let namespace = |name: &str| format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n");
    let (a, b) = (namespace("a"), namespace("b"));
    for text in [
        format!("{a}---\n{b}"),
        format!("{a}...\n---\n{b}...\n"),
        format!("\u{feff}{a}---\n{b}"),
        format!("{a}---\n{b}").replace('\n', "\r\n"),
        format!("{json}\"a\"}}}}\n---\n{json}\"b\"}}}}\n"),
        format!("{{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"List\",\n\t\"items\": [\n\t\t{json}\"a\"}}}},\n\t\t{json}\"\\u0062\"}}}}\n\t]\n}}\n"),
        "apiVersion: v1\nkind: NamespaceList\nitems:\n- metadata: {name: a}\n- {apiVersion: v1, kind: Namespace, metadata: {name: b}}\n".into(),
        "apiVersion: v1\nkind: List\nmetadata: {resourceVersion: \"\"}\nitems:\n- {apiVersion: v1, kind: Namespace, metadata: {name: a}}\n- apiVersion: v1\n  kind: List\n  items: [{apiVersion: v1, kind: Namespace, metadata: {name: b}}]\n".into(),
        "# 0443\na: [0, -0, 0.5, 0x1f, 0o17, \"0443\", '0443', !!str 0443, 0443s, 10443]\napiVersion: v1\nkind: List\nitems: [{apiVersion: v1, kind: Namespace, metadata: {name: a}}, {apiVersion: v1, kind: Namespace, metadata: {name: b}}]\n".into(),
        "a: &a {apiVersion: v1, kind: Namespace}\nkind: List\napiVersion: v1\nitems:\n- {<<: *a, metadata: {name: a}}\n- {metadata: {name: b}, <<: [*a, {kind: Secret}]}\n".into(),
    ] {
        let loaded = load_text(&text);
        assert_eq!((names(&loaded), &*loaded.diagnostics), (two.map(str::to_owned).to_vec(), &[][..]), "{text:?}");
    }
}

#[test]
fn what_stands_in_a_list_is_told_with_its_place() {
    let items: String =
        (0..12).map(|at| format!("- apiVersion: v1\n  kind: ConfigMap\n  metadata: {{name: c{at}}}\n")).collect();
    let text = format!("apiVersion: v1\nkind: List\nitems:\n{items}  data: {{a: 7}}\n");
    assert_eq!(said(&text), ["a.yaml:40:10: error: ConfigMap default/c11: data.a: this is no text; put it in quotes"]);
}

#[test]
fn aliases_stand_for_what_they_name() {
    let loaded = load_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: &name c, labels: {app: *name}}\ndata: {a: &a one, b: *a}\n",
    );
    let Object::ConfigMap(Stored::Decoded(map)) = &loaded.objects[0].object else { panic!("{:?}", loaded.diagnostics) };
    assert_eq!(map.data.as_ref().unwrap()["b"], "one");
    assert_eq!(map.metadata.labels.as_ref().unwrap()["app"], "c");
    for (text, word) in [
        ("a: *nobody\n", "this is no YAML"),
        ("a: &a [*a]\n", "refers to nothing that is whole"),
        ("a: &a x\n---\nb: *a\n", "refers to nothing that is whole"),
        ("a: &a x\n*a : y\n", "a key is no plain text"),
        ("a: {<<: 7}\n", "<< takes an object"),
        ("a: {<<: []}\n", "<< takes an object"),
        ("a: {<<: {x: 1}, <<: {y: 1}}\n", "duplicated key"),
    ] {
        assert!(said(text).iter().any(|line| line.contains(word)), "{text}: {:?}", said(text));
    }
}

#[test]
fn aliases_of_aliases_end_before_the_memory_does() {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let inner = vec![format!("*a{}", level - 1); 10].join(", ");
        text += &format!("a{level}: &a{level} [{inner}]\n");
    }
    assert!(said(&text)[0].contains("aliases add more than"), "{:?}", said(&text));
    let long: String = (0..1000).map(|_| "- *a\n").collect();
    assert!(said(&format!("- &a {}\n{long}", "x".repeat(1 << 20)))[0].contains("aliases add more than"));
    let mut deep = "a0: &a0 [x]\n".to_owned();
    for level in 1..100 {
        deep += &format!("a{level}: &a{level} [*a{}]\n", level - 1);
    }
    assert!(said(&deep)[0].contains("nests deeper"), "{:?}", said(&deep));
}

#[test]
fn nesting_ends_before_the_stack_does() {
    for opening in ["- ", "[", "{a: ", "{a: [", "? ", "- - ? "] {
        let said = said(&opening.repeat(100_000));
        assert!(
            said[0].contains("nests deeper") || said[0].contains("no YAML") || said[0].contains("a key is"),
            "{opening}: {said:?}"
        );
    }
    let indented: String = (0..70).map(|level| format!("{}a:\n", " ".repeat(level))).collect();
    assert!(said(&indented)[0].contains("nests deeper than 64 levels"));
}

#[test]
fn of_many_mistakes_the_first_are_told() {
    let fields: String = (0..150).map(|at| format!("  \"{at} {}\": x\n", "x".repeat(900))).collect();
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\n";
    for text in [
        format!("{POLICY}{fields}"),
        format!("{secret}data:\n{fields}"),
        format!("{secret}stringData:\n{fields}"),
        format!("apiVersion: v1\nkind: Namespace\nmetadata: {{name: a}}\nspec:\n{fields}"),
        format!("apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{}]}}\n", "7, ".repeat(1000)),
    ] {
        let told = load_text(&text).objects[0].object.problems().len();
        assert!((100..=101).contains(&told), "{told} of {text:.100}");
    }
    let port = format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: a}}\nspec: {{ports: [{{port: {}}}]}}\n",
        "x".repeat(1000)
    );
    assert!(said(&port)[0].len() < 200, "{:?}", said(&port));
    let many: Vec<_> = (0..20).map(|_| format!("{secret}data:\n{fields}")).collect();
    let said = said(&many.join("---\n"));
    assert!(
        said.len() < 1100
            && said.iter().any(|line| line == "a.yaml: error: there are 1000 more problems; correct these first"),
        "{}",
        said.len()
    );
}

#[test]
fn a_second_form_under_a_taken_name_opens_nothing_and_closes_what_only_it_speaks_of() {
    let on = |targets: &str, rest: &str| {
        let policy = POLICY.split("  targetRefs").next().unwrap();
        let target = |name: &str| format!("{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name}}}");
        let targets: Vec<_> = targets.split(' ').map(target).collect();
        format!("{policy}  targetRefs: [{}]\n{rest}", targets.join(", "))
    };
    let route = |path: &str| {
        format!("{ROUTE}spec: {{parentRefs: [{{name: g}}], rules: [{{matches: [{{path: {{value: {path}}}}}]}}]}}\n")
    };
    let public = "  authentication: [{name: a, public: {}}]\n";
    for (first, second, closed) in [
        (on("orders", ""), on("orders", ""), None),
        (on("orders", ""), on("orders", "").replace("namespace: shop", "namespace: shop, labels: {a: b}"), None),
        (on("orders", ""), on("orders", public), Some("orders")),
        (on("orders", public), on("orders", ""), Some("orders")),
        (on("orders", public), on("admin", ""), Some("admin orders")),
        (on("orders", ""), on("orders admin", public), Some("orders admin")),
        (on("orders admin", ""), on("orders", public), Some("orders admin")),
        (on("orders", ""), on("orders admin", "  typo: 1\n"), Some("orders admin")),
        (on("orders", ""), POLICY.replace("targetRefs", "targets"), Some("targets")),
        (route("/orders"), route("/orders"), None),
        (route("/orders"), route("/admin"), Some("/admin")),
        (route("/orders"), route("/orders").replace("rules", "hostnames: [a.example], rules"), None),
        (route("/orders").replace("rules", "hostnames: [a.example], rules"), route("/orders"), Some("/orders")),
        (route("/orders"), route("/orders").replace("name: g", "name: h"), Some("name\":\"h")),
        (route("/orders"), route("/orders").replace("[{path", "7, x: [{path"), Some("7")),
    ] {
        let loaded = load(&[
            SourceFile { path: "a.yaml".into(), text: first.clone() },
            SourceFile { path: "b.yaml".into(), text: second.clone() },
        ]);
        let said = loaded.diagnostics.iter().any(|one| one.file == "b.yaml" && one.message.contains("a.yaml:1"));
        assert!(said, "{:?}", loaded.diagnostics);
        assert!(loaded.objects[0].object.problems().is_empty());
        let raw = loaded.objects.get(1).map(|second| match &second.object {
            Object::ApiPolicy(Stored::Undecodable(object)) => object.raw["spec"].to_string(),
            Object::HTTPRoute(Stored::Undecodable(object)) => object.raw["spec"].to_string(),
            _ => panic!("{}", second.name),
        });
        assert_eq!(raw.is_some(), closed.is_some(), "{second}");
        let raw = raw.unwrap_or_default();
        let all_closed = closed.unwrap_or_default().split(' ').all(|closed| raw.contains(closed));
        assert!(all_closed, "{second}: {raw}");
    }
}

/// What is wrong with the route that is kept of `text`.
fn wrong_with_route(loaded: &Loaded) -> Vec<String> {
    let route = loaded.objects.last().map(|one| &one.object);
    let Some(Object::HTTPRoute(Stored::Undecodable(route))) = route else { panic!("no such route") };
    route.problems.iter().map(|problem| problem.field.clone()).collect()
}

#[test]
fn what_is_refused_is_kept_as_it_was_stated() {
    let loaded = load_text(&format!("{ROUTE}spec: {{parentRefs: [{{name: g}}], rules: [{{match: [{{}}]}}]}}\n"));
    let Object::HTTPRoute(Stored::Undecodable(route)) = &loaded.objects[0].object else { panic!() };
    assert_eq!(route.raw["spec"]["rules"][0], serde_json::json!({"match": [{}]}));
}

#[test]
fn what_is_not_told_any_more_may_be_wrong_anywhere() {
    let fields = |count: usize| (0..count).map(|at| format!("a{at}: 1")).collect::<Vec<_>>().join(", ");
    for (count, told, is_bounded) in [(99, 99, false), (100, 100, false), (101, 101, true), (400, 101, true)] {
        let loaded = load_text(&format!(
            "{ROUTE}spec: {{parentRefs: [{{name: g}}], rules: [{{filters: [{{type: x, {}}}]}}]}}\n",
            fields(count - 1)
        ));
        let wrong = wrong_with_route(&loaded);
        assert_eq!((wrong.len(), wrong.contains(&"spec".to_owned())), (told, is_bounded), "{count}");
    }
}

#[test]
fn a_second_form_closes_with_what_is_wrong_with_it() {
    let route = |hosts: &str| {
        format!(
            "{ROUTE}spec: {{parentRefs: [{{name: g}}], {hosts}: [a.example], rules: [{{matches: [{{path: {{value: /a}}}}]}}]}}\n"
        )
    };
    let loaded = load_text(&format!("{}---\n{}", route("hostnames"), route("hostname")));
    assert!(wrong_with_route(&loaded).contains(&"spec.hostname".to_owned()));
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z:{}\\[\\]&*!|>'\"#\\-\n ,0-9\u{0}\u{ff}]{0,80}") {
        load_text(&text);
    }

    #[test]
    fn no_spec_makes_it_panic(spec in "[a-zA-Z:{}\\[\\], 0-9]{0,60}") {
        load_text(&format!("{POLICY}  {spec}\n"));
        load_text(&format!("{ROUTE}spec: {spec}\n"));
    }
}
