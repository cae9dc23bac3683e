//! `examples/cluster/cert-manager` with cert-manager's own controllers: a certificate that comes late, is renewed, is broken and mended, and
//! goes. What cert-manager mends at once stays as it is while it is away.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::examples::{example, made_key, service};
use crate::kit::answer::ask;
use crate::kit::fate::{kubectl, now, roll, scale};
use crate::kit::traffic::{Traffic, none_is_lost, secured_customers};
use crate::kit::trust::Trust;
use crate::kit::world::{World, until};
use crate::lossless::DATA_PLANE;

const HOST: &str = "shop.example.com";
/// Of the listener's Secret, and so of its Certificate.
const NAME: &str = "shop-example-com";
/// Namespace and name of its Deployment.
const CERT_MANAGER: (&str, &str) = ("cert-manager", "cert-manager");
const PARAMETERS: &str = "
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {name: public}
spec: {deployment: {replicas: 2}}
";
/// New connections, some of them to each replica.
const CONNECTIONS: usize = 20;

/// What of the example is cert-manager's, and the rest, with two replicas.
fn parts() -> [String; 2] {
    let class = "gatewayClassName: sallyport\n";
    let parameters =
        "  infrastructure: {parametersRef: {group: sallyport.dev, kind: GatewayParameters, name: public}}\n";
    let written = example("cert-manager").replace(class, &format!("{class}{parameters}"));
    let documents = written.split("\n---\n");
    let (issued, rest): (Vec<_>, Vec<_>) = documents.partition(|text| text.starts_with("apiVersion: cert-manager.io/"));
    [issued, rest].map(|documents| documents.join("\n---\n"))
}

/// The example in force, and who trusts its authority.
struct Shop {
    world: World,
    address: String,
    key: String,
    trust: Trust,
}

impl Shop {
    /// Before anybody can issue a certificate.
    async fn without_certificate(test: &str) -> (World, String) {
        let [issued, rest] = parts();
        scale(CERT_MANAGER, 1).await;
        let world = World::with(test, &[service("orders"), PARAMETERS.to_owned(), rest]).await;
        world.replicas("public", 2).await;
        (world, issued)
    }

    async fn open(test: &str) -> Self {
        let (world, issued) = Self::without_certificate(test).await;
        Self::issued(world, &issued).await
    }

    async fn issued(world: World, issued: &str) -> Self {
        world.apply(issued).await;
        world.ready("Certificate", NAME).await;
        world.listener_says("https", "Programmed=True", "").await;
        world.ready("Subscription", "acme").await;
        let address = world.address("public").await;
        let key = made_key(&world.namespace, "acme", "primary").await;
        let trust = Trust::new(&entry(&world, "ca.crt").await, HOST);
        let shop = Self { world, address, key, trust };
        shop.answers(&[("sallyport-key", &shop.key)], "200").await;
        shop
    }

    /// Asks over TLS until this is the verdict.
    async fn answers(&self, headers: &[(&str, &str)], verdict: &str) {
        let (caller, url) = (self.trust.caller(), format!("https://{}/orders", self.address));
        let headers = [headers, &[("host", HOST)]].concat();
        until(&format!("{verdict} over TLS"), async || {
            (ask(&caller, &url, &headers).await.ok()?.verdict() == verdict).then_some(())
        })
        .await;
    }

    fn customers(&self) -> Traffic {
        secured_customers(&self.trust, &self.address, "/orders", &[("sallyport-key", &self.key), ("host", HOST)])
    }

    /// What each new connection is shown, all of them the same.
    async fn shown(&self) -> Vec<u8> {
        let first = self.trust.shown(&self.address).await.unwrap();
        for _ in 1..CONNECTIONS {
            assert!(self.trust.shown(&self.address).await.unwrap() == first, "one and another certificate is shown");
        }
        first
    }

    /// Waits until every new connection is shown another one.
    async fn shows_another_than(&self, before: &[u8]) {
        until("another certificate", async || {
            for _ in 0..CONNECTIONS {
                self.trust.shown(&self.address).await.ok().filter(|shown| shown != before)?;
            }
            Some(())
        })
        .await;
    }

    /// Waits until it is; by the listener over plain text all is as it was.
    async fn is_closed(&self) {
        is_closed(&self.address).await;
        self.world.verdict(&self.address, "/orders", &[("host", HOST)], "301").await;
    }

    /// Writes over some of the Secret.
    async fn store(&self, entries: &[(&str, &str)]) {
        let data: serde_json::Map<_, _> =
            entries.iter().map(|(name, text)| ((*name).to_owned(), json!(BASE64_STANDARD.encode(text)))).collect();
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/tls", "metadata": { "name": NAME }, "data": data,
        });
        self.world.apply(&secret.to_string()).await;
    }

    /// Has the certificate issued anew, as `cmctl renew` does.
    async fn renew(&self) {
        let certificate = self.world.get("Certificate", NAME).await.unwrap();
        let mut conditions = certificate["status"]["conditions"].as_array().unwrap().clone();
        conditions.retain(|one| one["type"] != "Issuing");
        conditions.push(json!({
            "type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "asked for",
            "lastTransitionTime": now().to_string(), "observedGeneration": certificate["metadata"]["generation"],
        }));
        let patch = json!({ "status": { "conditions": conditions } }).to_string();
        let name = format!("certificate/{NAME}");
        kubectl(&["patch", "-n", &self.world.namespace, &name, "--subresource=status", "--type=merge", "-p", &patch])
            .await;
    }
}

/// Waits until every handshake is broken off. Whoever is shown a certificate complains of that instead.
async fn is_closed(address: &str) {
    let nobody = Trust::nobody();
    until("a listener that is closed", async || {
        for _ in 0..CONNECTIONS {
            nobody.shown(address).await.err().filter(|error| error.contains("handshake eof"))?;
        }
        Some(())
    })
    .await;
}

/// One entry of the Secret.
async fn entry(world: &World, name: &str) -> String {
    let secret = world.get("Secret", NAME).await.unwrap();
    String::from_utf8(BASE64_STANDARD.decode(secret["data"][name].as_str().unwrap()).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_comes_late_opens_its_listener() {
    let (world, issued) = Shop::without_certificate("late").await;
    world.listener_says("https", "ResolvedRefs=False", "InvalidCertificateRef").await;
    world.listener_says("https", "ResolvedRefs=False", &format!("{NAME} does not exist")).await;
    world.listener_says("https", "Programmed=False", "Invalid").await;
    world.listener_says("http", "Programmed=True", "").await;
    let address = world.address("public").await;
    world.verdict(&address, "/orders", &[("host", HOST)], "301").await;
    is_closed(&address).await;
    // The annotation of the Gateway has made a Certificate, which waits for an issuer.
    assert!(world.get("Certificate", NAME).await.is_some());

    let shop = Shop::issued(world, &issued).await;
    shop.world.listener_says("https", "ResolvedRefs=True", "").await;
    shop.answers(&[], "401 credential-missing").await;
    let secret = shop.world.get("Secret", NAME).await.unwrap();
    assert_eq!((&secret["type"], cert_manager_label(&secret)), (&json!("kubernetes.io/tls"), Some("true")));
}

fn cert_manager_label(secret: &Value) -> Option<&str> {
    secret["metadata"]["labels"]["controller.cert-manager.io/fao"].as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_shown_and_no_request_is_lost() {
    let shop = Shop::open("renewed").await;
    let customers = shop.customers();
    for _ in 0..3 {
        customers.more(200).await;
        let (before, key) = (shop.shown().await, entry(&shop.world, "tls.key").await);
        shop.renew().await;
        shop.shows_another_than(&before).await;
        assert_ne!(entry(&shop.world, "tls.key").await, key);
        shop.world.ready("Certificate", NAME).await;
    }
    customers.more(200).await;
    none_is_lost(&customers.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_secret_leaves_the_last_good_certificate_in_use_until_it_is_mended() {
    let shop = Shop::open("broken").await;
    let customers = shop.customers();
    let before = shop.shown().await;
    let [certificate, key] = [entry(&shop.world, "tls.crt").await, entry(&shop.world, "tls.key").await];
    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    scale(CERT_MANAGER, 0).await;
    for (crt, key, told) in [
        ("nonsense", &*key, "tls.crt holds no certificate in PEM"),
        ("", &key, "tls.crt holds no certificate in PEM"),
        (&key, &certificate, "tls.crt holds no certificate in PEM"),
        (&certificate, "", "tls.key holds no private key in PEM"),
        (&certificate, &certificate, "tls.key holds no private key in PEM"),
        (&certificate, &other, "tls.key is not the key of tls.crt"),
    ] {
        shop.store(&[("tls.crt", crt), ("tls.key", key)]).await;
        shop.world.listener_says("https", "ResolvedRefs=False", told).await;
        shop.world.listener_says("https", "Programmed=False", "Invalid").await;
        assert!(shop.shown().await == before, "{told}");
        customers.more(200).await;
    }
    scale(CERT_MANAGER, 1).await;
    shop.shows_another_than(&before).await;
    shop.world.listener_says("https", "Programmed=True", "").await;
    customers.more(200).await;
    none_is_lost(&customers.stop().await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_goes_closes_its_listener_and_no_other_until_it_is_back() {
    let shop = Shop::open("gone").await;
    let before = shop.shown().await;
    scale(CERT_MANAGER, 0).await;
    shop.world.delete("Secret", NAME).await;
    shop.world.listener_says("https", "ResolvedRefs=False", &format!("{NAME} does not exist")).await;
    shop.is_closed().await;
    // What was in use before it went is not taken up again.
    shop.store(&[("tls.crt", "nonsense"), ("tls.key", "nonsense")]).await;
    shop.world.listener_says("https", "ResolvedRefs=False", "tls.crt holds no certificate in PEM").await;
    shop.is_closed().await;
    // A replica that has started since never had one to keep, and is ready for all else.
    roll(&shop.world.namespace, DATA_PLANE).await;
    shop.world.replicas("public", 2).await;
    shop.is_closed().await;
    scale(CERT_MANAGER, 1).await;
    shop.shows_another_than(&before).await;
    shop.answers(&[("sallyport-key", &shop.key)], "200").await;
    shop.world.listener_says("https", "Programmed=True", "").await;
}
