//! Tokens of a real identity provider that only whoever may use whose certificate or key they were issued to.

use crate::examples::{service, with_issuer};
use crate::kit::answer::{Answer, ask};
use crate::kit::authority::{Authority, Identity};
use crate::kit::identity_provider::{call_with_proof, start, token, token_of_machine};
use crate::kit::trust::Trust;
use crate::kit::world::{World, until};

const HOST: &str = "shop.example.com";

async fn asked(world: &World, public: &Authority, identity: Option<&Identity>, token: &str) -> Result<Answer, String> {
    let trust = Trust::new(&public.pem(), HOST);
    let trust = identity.into_iter().fold(trust, |trust, identity| trust.showing(identity));
    let own = [("host", HOST), ("authorization", &*format!("Bearer {token}"))];
    let address = world.address("public").await;
    ask(&trust.caller(), &format!("https://{address}/orders"), &own).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copied_token_opens_nothing() {
    let (public, machines) = (Authority::new(), Authority::new());
    let given = [service("orders"), public.issue(HOST).secret("shop-example-com")];
    let world = World::with("bound-tokens", &given).await;
    start(&world).await;
    world.apply(&with_issuer(&world, "bound-tokens")).await;
    world.ready("ApiPolicy", "orders").await;
    let (machine, colleague) = (machines.issue("loader.example.com"), machines.issue("loader.example.com"));
    let bound = token_of_machine(&world, "orders.read", &machine).await;
    let unbound = token(&world, "orders.read").await;
    let is_served = async || {
        let answer = asked(&world, &public, Some(&machine), &bound).await.ok()?;
        (answer.verdict() == "200").then_some(())
    };
    until("the token with its certificate", is_served).await;
    for (identity, token) in [(Some(&colleague), &bound), (None, &bound), (Some(&machine), &unbound), (None, &unbound)]
    {
        let answer = asked(&world, &public, identity, token).await.unwrap();
        assert_eq!(answer.verdict(), "401 token-invalid");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_comes_with_a_proof_or_not_at_all() {
    let public = Authority::new();
    let given = [service("orders"), public.issue(HOST).secret("shop-example-com")];
    let world = World::with("proofs", &given).await;
    start(&world).await;
    world.apply(&with_issuer(&world, "proofs")).await;
    world.ready("ApiPolicy", "orders").await;
    let unbound = token(&world, "orders.read").await;
    let answer = asked(&world, &public, None, &unbound).await.unwrap();
    assert_eq!(answer.verdict(), "401 token-invalid");
    let login = world.get("ConfigMap", "login-ca").await.unwrap();
    let both = format!("{}{}", login["data"]["ca.crt"].as_str().unwrap(), public.pem());
    let trusted = serde_json::json!({
        "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "trusted" }, "data": { "ca.crt": both },
    });
    world.apply(&trusted.to_string()).await;
    let address = world.address("public").await;
    let told = call_with_proof(&world, &format!("https://{HOST}/orders"), &address, "trusted").await;
    assert_eq!((&told["status"], &told["copied"], &told["bearer"]), (&200.into(), &401.into(), &401.into()), "{told}");
    assert_eq!(told["asked"], 2, "the first answer has a number for the second: {told}");
}
