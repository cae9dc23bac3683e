//! Annotations by which Ingresses ask other controllers for something. What only tunes is passed over; anything else may be what
//! protects the Ingress there, and closes it here until it is said in our words.

use std::collections::BTreeMap;

use k8s_openapi::api::networking::v1::IngressSpec;
use sallyport_api::condition::Reason;

use super::{CLASS_ANNOTATION, part};
use crate::problem::{MAX_SHOWN, Problem, cut};

/// Groups of controllers that have not the word `ingress` in them.
const GROUPS: [&str; 14] = [
    "apisix.apache.org",
    "contour.heptio.com",
    "getambassador.io",
    "gloo.solo.io",
    "haproxy.com",
    "haproxy.org",
    "istio.io",
    "k8s.apisix.apache.org",
    "konghq.com",
    "networking.gke.io",
    "nginx.com",
    "nginx.org",
    "projectcontour.io",
    "skipper.zalando.org",
];

/// Names, or how they begin, that let nobody in who would be kept out by them: sizes, times, buffers, retries, logs, how load is spread,
/// and leave for browsers, which without it is not given.
const TUNING: [&str; 24] = [
    "affinity",
    "client-body-buffer-size",
    "connection-proxy-header",
    "cors-",
    "enable-access-log",
    "enable-cors",
    "enable-opentelemetry",
    "enable-rewrite-log",
    "ingress.global-static-ip-name",
    "ingress.regional-static-ip-name",
    "load-balance",
    "opentelemetry-",
    "proxy-body-size",
    "proxy-buffer",
    "proxy-busy-buffers-size",
    "proxy-connect-timeout",
    "proxy-http-version",
    "proxy-max-temp-file-size",
    "proxy-next-upstream",
    "proxy-read-timeout",
    "proxy-redirect-",
    "proxy-request-buffering",
    "proxy-send-timeout",
    "session-cookie-",
];

/// Of the ingress controllers whose annotations these are, the names besides that say what is done anyway, or nothing.
const DONE: [(&str, &str); 4] = [
    ("backend-protocol", "HTTP"),
    ("ssl-redirect", "true"),
    ("ssl-redirect", "false"),
    ("force-ssl-redirect", "false"),
];

/// What an annotation of another controller is to us.
enum Meaning {
    /// Nothing changes without it but how well the service is reached.
    Tunes,
    Asks,
}

/// Why an Ingress with these annotations is not served.
pub(super) fn refusal(annotations: &BTreeMap<String, String>, spec: Option<&IngressSpec>) -> Option<Problem> {
    let asks = |(name, value): &(&String, &String)| matches!(meaning(name, value, spec), Some(Meaning::Asks));
    let asking: Vec<_> = annotations.iter().filter(asks).map(|(name, _)| cut(name, MAX_SHOWN)).collect();
    let message = format!(
        "another ingress controller is asked by {} for what is not done here, and may be what protects the Ingress; say it in an ApiPolicy on it, then remove the annotation. Until then it answers 500",
        asking.join(", ")
    );
    (!asking.is_empty()).then(|| Problem::new("metadata.annotations", Reason::UnsupportedValue, message))
}

/// Annotations of other controllers that are passed over.
pub fn without_effect<'a>(annotations: &'a BTreeMap<String, String>, spec: Option<&IngressSpec>) -> Vec<&'a str> {
    let tunes = |(name, value): &(&String, &String)| matches!(meaning(name, value, spec), Some(Meaning::Tunes));
    annotations.iter().filter(tunes).map(|(name, _)| name.as_str()).collect()
}

/// `None` if no ingress controller is asked.
fn meaning(annotation: &str, value: &str, spec: Option<&IngressSpec>) -> Option<Meaning> {
    let (group, name) = annotation.split_once('/')?;
    let is_old = group == "kubernetes.io" && name.starts_with("ingress.") && annotation != CLASS_ANNOTATION;
    let is_anothers = is_old || group.contains("ingress") || GROUPS.contains(&group);
    let redirects = || name == "force-ssl-redirect" && spec.is_some_and(is_tls_throughout);
    let is_harmless =
        || TUNING.iter().any(|start| name.starts_with(start)) || DONE.contains(&(name, value)) || redirects();
    is_anothers.then(|| if is_harmless() { Meaning::Tunes } else { Meaning::Asks })
}

/// Whether nothing of an Ingress is served in cleartext: then callers are sent to TLS without being asked for.
fn is_tls_throughout(spec: &IngressSpec) -> bool {
    let mut hosts = spec.rules.iter().flatten().map(|rule| rule.host.as_deref().unwrap_or_default());
    let of_default = spec.default_backend.is_none() || part::asks_for_tls(spec, "");
    of_default && hosts.all(|host| part::asks_for_tls(spec, &host.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::networking::v1::{IngressRule, IngressTLS};

    use super::*;

    fn found(annotation: &str, value: &str, spec: &IngressSpec) -> &'static str {
        match meaning(annotation, value, Some(spec)) {
            None => "",
            Some(Meaning::Tunes) => "tunes",
            Some(Meaning::Asks) => "asks",
        }
    }

    #[test]
    fn what_may_protect_an_ingress_elsewhere_asks_for_something() {
        for annotation in [
            "nginx.ingress.kubernetes.io/auth-url",
            "nginx.ingress.kubernetes.io/auth-type",
            "nginx.ingress.kubernetes.io/auth-tls-secret",
            "nginx.ingress.kubernetes.io/whitelist-source-range",
            "nginx.ingress.kubernetes.io/denylist-source-range",
            "nginx.ingress.kubernetes.io/satisfy",
            "nginx.ingress.kubernetes.io/limit-rps",
            "nginx.ingress.kubernetes.io/configuration-snippet",
            "nginx.ingress.kubernetes.io/server-snippet",
            "nginx.ingress.kubernetes.io/enable-modsecurity",
            "nginx.ingress.kubernetes.io/rewrite-target",
            "nginx.ingress.kubernetes.io/use-regex",
            "nginx.ingress.kubernetes.io/permanent-redirect",
            "nginx.ingress.kubernetes.io/proxy-ssl-verify",
            "nginx.ingress.kubernetes.io/what-comes-next",
            "ingress.kubernetes.io/whitelist-source-range",
            "kubernetes.io/ingress.allow-http",
            "traefik.ingress.kubernetes.io/router.middlewares",
            "alb.ingress.kubernetes.io/scheme",
            "appgw.ingress.kubernetes.io/waf-policy-for-path",
            "haproxy.org/allow-list",
            "haproxy-ingress.github.io/auth-url",
            "nginx.org/policies",
            "konghq.com/plugins",
            "ingress.pomerium.io/policy",
        ] {
            assert_eq!(found(annotation, "x", &IngressSpec::default()), "asks", "{annotation}");
        }
    }

    #[test]
    fn what_tunes_is_passed_over_and_what_is_nobodys_is_not_looked_at() {
        for (annotation, value, expected) in [
            ("nginx.ingress.kubernetes.io/proxy-body-size", "8m", "tunes"),
            ("nginx.ingress.kubernetes.io/proxy-read-timeout", "60", "tunes"),
            ("nginx.ingress.kubernetes.io/proxy-request-buffering", "off", "tunes"),
            ("nginx.ingress.kubernetes.io/enable-cors", "true", "tunes"),
            ("nginx.ingress.kubernetes.io/cors-allow-origin", "*", "tunes"),
            ("nginx.ingress.kubernetes.io/backend-protocol", "HTTP", "tunes"),
            ("nginx.ingress.kubernetes.io/backend-protocol", "HTTPS", "asks"),
            ("nginx.ingress.kubernetes.io/ssl-redirect", "false", "tunes"),
            ("nginx.ingress.kubernetes.io/force-ssl-redirect", "false", "tunes"),
            ("cert-manager.io/cluster-issuer", "ours", ""),
            ("acme.cert-manager.io/http01-edit-in-place", "true", ""),
            ("external-dns.alpha.kubernetes.io/hostname", "a.example.com", ""),
            ("kubectl.kubernetes.io/last-applied-configuration", "{}", ""),
            ("kubernetes.io/ingress.class", "sallyport", ""),
            ("meta.helm.sh/release-name", "shop", ""),
            ("ingress", "x", ""),
        ] {
            assert_eq!(found(annotation, value, &IngressSpec::default()), expected, "{annotation}");
        }
    }

    #[test]
    fn a_redirect_to_tls_is_done_where_all_hosts_have_it() {
        let rule = |host: &str| IngressRule { host: Some(host.to_owned()), http: None };
        let tls = |host: &str| IngressTLS { hosts: Some(vec![host.to_owned()]), secret_name: None };
        let spec = |rules: &[&str], hosts: &[&str]| IngressSpec {
            rules: Some(rules.iter().map(|host| rule(host)).collect()),
            tls: Some(hosts.iter().map(|host| tls(host)).collect()),
            ..IngressSpec::default()
        };
        for (spec, expected) in [
            (spec(&["a.example.com"], &["a.example.com"]), "tunes"),
            (spec(&["a.example.com", "b.example.com"], &["*.example.com"]), "tunes"),
            (spec(&["a.example.com", "b.example.com"], &["a.example.com"]), "asks"),
            (spec(&["a.example.com", ""], &["a.example.com"]), "asks"),
            (spec(&["a.example.com"], &[]), "asks"),
        ] {
            assert_eq!(found("nginx.ingress.kubernetes.io/force-ssl-redirect", "true", &spec), expected, "{spec:?}");
        }
    }
}
