//! Certificates of callers that a trusted proxy tells of: its word counts for theirs, its own certificate for nobody's, and anybody else's word for
//! nothing.

use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, SerialNumber, date_time_ymd};
use rstest::rstest;
use serde_json::json;

use crate::kit::caller::{Answer, HOST, get, get_from, over, raw, send, tls};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::{Issuer, encode};
use crate::kit::manifest::{backend, gateway_with, other_gateway, pem, policy, route};
use crate::kit::pki::{Authority, Identity};
use crate::kit::secured::certificate;
use crate::kit::service::Service;

const RFC9440: &str = "format: RFC9440";
const XFCC: &str = "format: XFCC";
const MISSING: &str = "403 certificate-missing";
const REFUSED: &str = "403 certificate-refused";
/// Not the proxy, which is this machine's usual address.
const STRANGER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 8);

/// `/orders` behind certificates of one authority, which a proxy tells of.
struct Shop {
    gateway: Gateway,
    service: Service,
    public: Authority,
    machines: Authority,
}

impl Shop {
    async fn start(header: &str) -> Self {
        let (public, machines) = (Authority::new("public"), Authority::new("machines"));
        let service = Service::start().await;
        let https = format!(
            "  - {{name: https, port: 8443, protocol: HTTPS, hostname: '{HOST}', tls: {{certificateRefs: [{{name: shown}}]}}}}\n"
        );
        let gateway =
            gateway_with(&parameters(header)).replace("  - {name: http,", &format!("{https}  - {{name: http,"));
        let manifests = [
            gateway,
            route("orders", "shop"),
            backend("shop", service.address, ""),
            policy("orders", BY_CERTIFICATE),
            certificate("shown", &public.issue(&[HOST])),
            pem("ConfigMap", "machines", &[("ca.crt", &machines.pem())]),
        ];
        let gateway = Gateway::start(&manifests.concat()).await;
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service, public, machines }
    }

    fn machine(&self) -> Identity {
        self.machines.issue_changed(&["loader.example.com"], for_callers)
    }

    async fn verdict(&self, headers: &[(&str, &str)]) -> String {
        send(self.gateway.http(), get("/orders", headers)).await.verdict()
    }

    /// What the proxy is answered that makes its connection with `own`.
    async fn over_tls(&self, own: &Identity, headers: &[(&str, &str)]) -> Answer {
        let config = self.public.client_showing(&[], own, &[]);
        over(tls(self.gateway.https(), HOST, config).await.unwrap(), get("/orders", headers)).await
    }
}

const BY_CERTIFICATE: &str = "authentication: [{name: machines, clientCertificate: {trust: {caCertificateRefs: [{kind: ConfigMap, name: machines}]}, identities: [{subjectAltName: {dns: loader.example.com}}]}}]\nrequestHeaders:\n  set:\n  - {name: X-Caller, expression: auth.certificate.sha256Fingerprint}";

fn parameters(header: &str) -> String {
    format!("{{trustedProxies: {{cidrs: [127.0.0.1], clientCertificateHeader: {{{header}}}}}}}")
}

fn for_callers(params: &mut CertificateParams) {
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
}

fn sequence(der: &[u8]) -> String {
    format!(":{}:", BASE64_STANDARD.encode(der))
}

/// SHA-256, in hexadecimal.
fn print_of(identity: &Identity) -> String {
    let print = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &identity.der);
    print.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn escaped(pem: &str) -> String {
    utf8_percent_encode(pem, NON_ALPHANUMERIC).to_string()
}

#[rstest]
#[case::rfc9440(RFC9440, "client-cert")]
#[case::by_another_name("name: X-Caller-Cert, format: RFC9440", "x-caller-cert")]
#[case::xfcc(XFCC, "x-forwarded-client-cert")]
#[case::of_nginx("name: ssl-client-cert, format: EscapedPEM", "ssl-client-cert")]
#[case::of_others("name: X-ARR-ClientCert, format: Base64DER", "x-arr-clientcert")]
#[tokio::test]
async fn what_a_proxy_tells_of_is_judged_as_what_is_shown(#[case] header: &str, #[case] name: &str) {
    let shop = Shop::start(header).await;
    let written = |identity: &Identity| match header {
        XFCC => {
            let cert = escaped(&identity.certificate);
            format!("By=spiffe://a;Hash={};Cert=\"{cert}\";Subject=\"CN=x\"", print_of(identity))
        }
        _ if header.contains("EscapedPEM") => escaped(&identity.certificate),
        _ if header.contains("Base64DER") => BASE64_STANDARD.encode(&identity.der),
        _ => sequence(&identity.der),
    };
    let machine = shop.machine();
    for _ in 0..2 {
        assert_eq!(shop.verdict(&[(name, &written(&machine))]).await, "200");
    }
    let seen = shop.service.take();
    let print = print_of(&machine);
    assert!(seen.iter().all(|seen| seen.header("x-caller") == Some(&*print)), "{seen:#?}");
    assert!(seen.iter().all(|seen| seen.header(name).is_none()), "{seen:#?}");

    let expired = shop.machines.issue_changed(&["loader.example.com"], |params| {
        for_callers(params);
        params.not_after = date_time_ymd(2026, 1, 1);
    });
    let another = shop.machines.issue_changed(&["other.example.com"], for_callers);
    let nobodys = Authority::new("machines").issue_changed(&["loader.example.com"], for_callers);
    for (what, value) in [
        ("expired", written(&expired)),
        ("another's", written(&another)),
        ("of nobody", written(&nobodys)),
        ("nonsense", "nonsense".to_owned()),
        ("cut short", written(&machine)[..60].to_owned()),
    ] {
        assert_eq!(shop.verdict(&[(name, &value)]).await, REFUSED, "{what}");
    }
    let (right, underscored) = (written(&machine), name.replace('-', "_"));
    assert_eq!(shop.verdict(&[(name, &right), (name, &right)]).await, REFUSED, "twice");
    assert_eq!(shop.verdict(&[(name, &right), (name, "")]).await, REFUSED, "beside one that tells of none");
    assert_eq!(shop.verdict(&[(name, ""), (name, &right)]).await, REFUSED, "beside one that tells of none");
    let joined = format!("{right}, {right}");
    assert_eq!(shop.verdict(&[(name, &joined)]).await, REFUSED, "two in one line");
    assert_eq!(shop.verdict(&[]).await, MISSING);
    assert_eq!(shop.verdict(&[(name, "")]).await, MISSING);
    assert_eq!(shop.verdict(&[(&underscored, &right)]).await, MISSING, "another spelling");
    assert_eq!(get_from(STRANGER, shop.gateway.http(), "/orders", &[(name, &right)]).await.verdict(), MISSING);
    assert_eq!(shop.service.count(), 0);
}

/// A proxy that authenticates itself has not thereby authenticated its callers.
#[tokio::test]
async fn a_proxys_own_certificate_is_nobodys() {
    let shop = Shop::start(RFC9440).await;
    let (proxy, machine) = (shop.machine(), shop.machine());
    assert_eq!(shop.over_tls(&proxy, &[]).await.verdict(), MISSING);
    assert_eq!(shop.over_tls(&proxy, &[("client-cert", "nonsense")]).await.verdict(), REFUSED);
    assert_eq!(shop.over_tls(&proxy, &[("client-cert", &sequence(&machine.der))]).await.verdict(), "200");
    assert_eq!(shop.service.count(), 1);
}

#[tokio::test]
async fn what_stands_between_it_and_its_authority_comes_along() {
    let shop = Shop::start(RFC9440).await;
    let middle = shop.machines.middle("middle");
    let machine = middle.issue_changed(&["loader.example.com"], for_callers);
    let (leaf, chain) = (sequence(&machine.der), sequence(&middle.der()));
    assert_eq!(shop.verdict(&[("client-cert", &leaf)]).await, REFUSED, "nobody knows who has issued it");
    assert_eq!(shop.verdict(&[("client-cert", &leaf), ("client-cert-chain", &chain)]).await, "200");
    assert_eq!(shop.verdict(&[("client-cert-chain", &chain)]).await, REFUSED);
    assert_eq!(shop.verdict(&[("client-cert", &leaf), ("client-cert-chain", "nonsense")]).await, REFUSED);
    assert!(shop.service.one().header("client-cert-chain").is_none());
}

/// Hashes and names prove nothing, and of several elements nobody can tell which is of the caller.
#[tokio::test]
async fn of_envoys_header_only_one_certificate_counts() {
    let shop = Shop::start(XFCC).await;
    let cert = format!("Cert=\"{}\"", escaped(&shop.machine().certificate));
    let hash = "By=spiffe://a;Hash=00;Subject=\"CN=loader.example.com\";DNS=loader.example.com";
    for value in [
        format!("{hash};{cert}"),
        hash.to_owned(),
        format!("{cert},{cert}"),
        format!("{hash},{cert}"),
        format!("{cert},{hash}"),
        format!("{cert};{cert}"),
        format!("By=a;Subject=\"CN=x;{}\"", cert.replace('"', "\\\"")),
    ] {
        assert_eq!(shop.verdict(&[("x-forwarded-client-cert", &value)]).await, REFUSED, "{value}");
    }
    assert_eq!(shop.service.count(), 0);
}

/// While nobody knows who is a proxy, nobody knows whose a certificate is: that of the connection may be a proxy's.
#[tokio::test]
async fn where_a_proxy_cannot_be_read_no_certificate_is_known() {
    let mut shop = Shop::start(RFC9440).await;
    let machine = shop.machine();
    let told = [("client-cert", &*sequence(&machine.der))];
    assert_eq!(shop.verdict(&told).await, "200");
    let manifests = gateway_with(&parameters(RFC9440).replace("[127.0.0.1]", "[127.0.0.1, nowhere]"));
    let manifests = [
        manifests,
        route("orders", "shop"),
        backend("shop", shop.service.address, ""),
        policy("orders", BY_CERTIFICATE),
        pem("ConfigMap", "machines", &[("ca.crt", &shop.machines.pem())]),
    ];
    shop.gateway.write("main.yaml", &manifests.concat());
    assert_eq!(shop.verdict(&told).await, REFUSED);
    assert_eq!(shop.verdict(&[]).await, REFUSED);
    assert_eq!(shop.service.count(), 1);
}

/// What a balancer of layer 4 tells in front of the connection says nothing of certificates: its own is nobody's, and a client's header is the client's.
#[tokio::test]
async fn behind_a_proxy_header_only_trusted_proxies_are_heard() {
    let behind = format!(
        "{{trustedProxies: {{cidrs: [127.0.0.1, 192.0.2.7], proxyProtocol: Required, clientCertificateHeader: {{{RFC9440}}}}}}}"
    );
    let mut shop = Shop::start(RFC9440).await;
    let listeners = shop_without_policy(&shop).replacen(&parameters(RFC9440), &behind, 1);
    shop.gateway.write("main.yaml", &listeners);
    shop.gateway.write("policy.yaml", &policy("orders", BY_CERTIFICATE));
    let told = sequence(&shop.machine().der);
    for (client, expected) in [("192.0.2.7", 200), ("198.51.100.9", 403)] {
        let request = format!(
            "PROXY TCP4 {client} 127.0.0.1 40000 80\r\nGET /orders HTTP/1.1\r\nHost: {HOST}\r\nClient-Cert: {told}\r\nConnection: close, client-cert\r\n\r\n"
        );
        let heard = raw(shop.gateway.http(), request.as_bytes()).await;
        assert_eq!(heard.statuses(), [expected], "{client}: {heard:?}");
        assert!(expected == 200 || heard.text.contains("certificate-refused"), "{heard:?}");
    }
}

/// A list that comes between two requests counts for what is remembered of the first.
#[tokio::test]
async fn what_is_remembered_is_judged_anew_after_a_change() {
    let mut shop = Shop::start(RFC9440).await;
    let machine = shop.machines.issue_changed(&["loader.example.com"], |params| {
        for_callers(params);
        params.serial_number = Some(SerialNumber::from(4711));
    });
    let told = [("client-cert", &*sequence(&machine.der))];
    assert_eq!(shop.verdict(&told).await, "200");
    let listed = BY_CERTIFICATE
        .replace("}, identities", "}, revocation: {crlRefs: [{kind: ConfigMap, name: machines-crl}]}, identities");
    shop.gateway.write("crl.yaml", &pem("ConfigMap", "machines-crl", &[("ca.crl", &shop.machines.revoking(&[4711]))]));
    shop.gateway.write("main.yaml", &shop_without_policy(&shop));
    shop.gateway.write("policy.yaml", &policy("orders", &listed));
    assert_eq!(shop.verdict(&told).await, REFUSED);
    shop.gateway.write("crl.yaml", &pem("ConfigMap", "machines-crl", &[("ca.crl", &shop.machines.revoking(&[1]))]));
    assert_eq!(shop.verdict(&told).await, "200");
}

/// Who ends TLS in front tells of the certificate that a token is bound to.
#[tokio::test]
async fn a_token_is_bound_to_what_the_proxy_tells_of() {
    let mut shop = Shop::start(RFC9440).await;
    let issuer = Issuer::start().await;
    let (name, keys) = (issuer.name(), issuer.key_set());
    let bound = format!(
        "authentication:\n- name: machines\n  jwt: {{issuer: '{name}', audiences: [orders-api], keys: {{inline: '{keys}'}}, senderConstraint: {{require: Certificate}}}}\n"
    );
    shop.gateway
        .write("bound.yaml", &policy("orders", &bound).replace("name: orders, namespace", "name: abound, namespace"));
    shop.gateway.write("main.yaml", &shop_without_policy(&shop));
    let (machine, colleague) = (shop.machine(), shop.machine());
    let print = encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &machine.der));
    // An issuer that has taken the digest of nothing has bound the token to nobody.
    let of_nothing = encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b""));
    let of_nothing =
        format!("Bearer {}", issuer.token_with("orders-api", &json!({ "cnf": { "x5t#S256": of_nothing } })));
    for told in ["::", "nonsense", ""] {
        let headers = [("authorization", &*of_nothing), ("client-cert", told)];
        assert_eq!(shop.verdict(&headers).await, "401 token-invalid", "{told:?}");
    }
    let token = format!("Bearer {}", issuer.token_with("orders-api", &json!({ "cnf": { "x5t#S256": print } })));
    let with = |identity: Option<&Identity>| {
        let mut headers = vec![("authorization".to_owned(), token.clone())];
        headers.extend(identity.map(|identity| ("client-cert".to_owned(), sequence(&identity.der))));
        headers
    };
    for (identity, expected) in
        [(Some(&machine), "200"), (Some(&colleague), "401 token-invalid"), (None, "401 token-invalid")]
    {
        let headers = with(identity);
        let headers: Vec<_> = headers.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(shop.verdict(&headers).await, expected);
    }
    assert_eq!(shop.service.count(), 1);
}

fn shop_without_policy(shop: &Shop) -> String {
    [
        gateway_with(&parameters(RFC9440)),
        route("orders", "shop"),
        backend("shop", shop.service.address, ""),
        pem("ConfigMap", "machines", &[("ca.crt", &shop.machines.pem())]),
    ]
    .concat()
}

/// A gateway in front of a gateway: what the first has judged it tells the second, in a header that no caller can set.
#[tokio::test]
async fn one_gateway_tells_another() {
    let inner = Shop::start(RFC9440).await;
    let tell = "authentication: [{name: machines, clientCertificate: {trust: {caCertificateRefs: [{kind: ConfigMap, name: machines}]}}}]\nrequestHeaders:\n  set:\n  - {name: Client-Cert, expression: auth.certificate.rfc9440}";
    let https = format!(
        "  - {{name: https, port: 8443, protocol: HTTPS, hostname: '{HOST}', tls: {{certificateRefs: [{{name: shown}}]}}}}\n"
    );
    let manifests = [
        crate::kit::manifest::GATEWAY,
        &https,
        &route("orders", "inner"),
        &backend("inner", inner.gateway.http(), ""),
        &policy("orders", tell),
        &certificate("shown", &inner.public.issue(&[HOST])),
        &pem("ConfigMap", "machines", &[("ca.crt", &inner.machines.pem())]),
    ];
    let outer = Gateway::start(&manifests.concat()).await;
    let asked = async |identity: &Identity, headers: &[(&str, &str)]| {
        let config = inner.public.client_showing(&[], identity, &[]);
        over(tls(outer.https(), HOST, config).await.unwrap(), get("/orders", headers)).await.verdict()
    };
    let machine = inner.machine();
    assert_eq!(asked(&machine, &[]).await, "200");
    let another = inner.machines.issue_changed(&["other.example.com"], for_callers);
    let claims = [("client-cert", &*sequence(&machine.der))];
    assert_eq!(asked(&another, &claims).await, REFUSED, "it is told of itself, whatever it claims");
}

/// Only a class can have others believed.
#[tokio::test]
async fn a_gateway_alone_believes_nobody() {
    let service = Service::start().await;
    let machines = Authority::new("machines");
    let own = "trustedProxies: {cidrs: [127.0.0.1], clientCertificateHeader: {format: RFC9440}}";
    let manifests = [
        gateway_with("{trustedProxies: {cidrs: [127.0.0.1]}}"),
        other_gateway(own),
        route("others", "shop").replace("name: public", "name: other"),
        backend("shop", service.address, ""),
        policy("others", BY_CERTIFICATE),
        pem("ConfigMap", "machines", &[("ca.crt", &machines.pem())]),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let said = gateway.said("Gateway shop/other");
    assert!(said.contains("clientCertificateHeader is ignored"), "{said}");
    let machine = machines.issue_changed(&["loader.example.com"], for_callers);
    let mut request = get("/others", &[("client-cert", &sequence(&machine.der))]);
    request.headers_mut().insert("host", "other.example.com".parse().unwrap());
    assert_eq!(send(gateway.http(), request).await.verdict(), MISSING);
    assert_eq!(service.count(), 0);
}
