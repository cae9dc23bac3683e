//! Callers that prove who they are by a certificate, over TLS from outside of a cluster.

use crate::examples::{example, service};
use crate::kit::answer::{Answer, ask};
use crate::kit::authority::{Authority, Identity};
use crate::kit::trust::Trust;
use crate::kit::world::{World, until};

const HOST: &str = "shop.example.com";

/// The example in force, and those who have to do with it.
struct Shop {
    world: World,
    address: String,
    public: Authority,
    machines: Authority,
}

impl Shop {
    async fn open() -> Self {
        let (public, machines) = (Authority::new(), Authority::new());
        let given = [
            service("orders"),
            public.issue(HOST).secret("shop-example-com"),
            machines.config_map("machine-ca"),
            machines.revoking("machine-crl", &[]),
            example("client-certificate"),
        ];
        let world = World::with("client-certificate", &given).await;
        world.ready("ApiPolicy", "orders").await;
        let address = world.address("public").await;
        Self { world, address, public, machines }
    }

    /// Asks over a connection of its own.
    async fn ask(&self, identity: Option<&Identity>) -> Result<Answer, String> {
        let trust = Trust::new(&self.public.pem(), HOST);
        let trust = identity.into_iter().fold(trust, |trust, identity| trust.showing(identity));
        let own = [("host", HOST), ("client-cert", ":bWluZQ==:"), ("client_cert", ":bWluZQ==:")];
        ask(&trust.caller(), &format!("https://{}/orders", self.address), &own).await
    }

    /// Asks until this is the verdict.
    async fn answers(&self, identity: Option<&Identity>, verdict: &str) -> Answer {
        until(verdict, async || self.ask(identity).await.ok().filter(|answer| answer.verdict() == verdict)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_let_in_by_their_certificates_until_those_are_revoked() {
    let shop = Shop::open().await;
    let (loader, reporter) = (shop.machines.issue("loader.example.com"), shop.machines.issue("reporter.example.com"));
    let answer = shop.answers(Some(&loader), "200").await;
    assert_eq!(answer.saw("Client-Cert"), Some(&*loader.rfc9440()), "what the caller says of itself is gone");
    assert_eq!(answer.saw("Client_cert"), None);
    shop.answers(Some(&reporter), "200").await;
    for (identity, verdict) in [
        (None, "403 certificate-missing"),
        (Some(shop.machines.issue("other.example.com")), "403 certificate-refused"),
        (Some(Authority::new().issue("loader.example.com")), "403 certificate-refused"),
        (Some(shop.public.issue("loader.example.com")), "403 certificate-refused"),
    ] {
        assert_eq!(shop.ask(identity.as_ref()).await.unwrap().verdict(), verdict);
    }
    shop.world.apply(&shop.machines.revoking("machine-crl", &[&loader])).await;
    shop.answers(Some(&loader), "403 certificate-refused").await;
    assert_eq!(shop.ask(Some(&reporter)).await.unwrap().verdict(), "200");
    // Who cannot be told from those who are revoked is not let in.
    shop.world.apply(&Authority::new().revoking("machine-crl", &[])).await;
    shop.answers(Some(&reporter), "403 certificate-refused").await;
}
