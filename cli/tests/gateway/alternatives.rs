//! Which alternative speaks where none holds.

use crate::kit::caller::{Answer, get, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, backend, policy, route, subscription};
use crate::kit::service::Service;

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const OTHER_KEY: &str = "sp_bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";

fn token_of(issuer: &Issuer, name: &str) -> String {
    let (issuer, keys) = (issuer.name(), issuer.key_set());
    format!("- name: {name}\n  jwt: {{issuer: '{issuer}', audiences: [orders-api], keys: {{inline: '{keys}'}}}}\n")
}

fn challenges(answer: &Answer) -> Vec<String> {
    let values = answer.headers.get_all("www-authenticate").iter();
    values.map(|value| value.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_token_without_its_key_is_told_of_the_key_and_not_of_the_token() {
    let (service, partners, staff) = (Service::start().await, Issuer::start().await, Issuer::start().await);
    let with_key = token_of(&partners, "partners") + "  subscriptionKey: {}\n";
    let without = token_of(&staff, "staff");
    for alternatives in [[&with_key, &without], [&without, &with_key]] {
        let spec = format!("authentication:\n{}{}", alternatives[0], alternatives[1]);
        let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
        let manifests = [
            GATEWAY,
            &route("orders", "shop"),
            &backend("shop", service.address, ""),
            &policy("orders", &spec),
            &subscription("acme", scope, &format!("{{primary: {KEY}}}")),
        ];
        let gateway = Gateway::start(&manifests.concat()).await;
        let bearer = format!("Bearer {}", partners.token("orders-api"));
        let token = ("authorization", bearer.as_str());
        let key_alone = [r#"Sallyport-Key realm="sallyport""#];
        let both = [r#"Bearer realm="sallyport""#, key_alone[0]];
        let invalid = [r#"Bearer realm="sallyport", error="invalid_token""#];
        type Case<'a> = (&'a [(&'a str, &'a str)], &'a str, &'a [&'a str]);
        let cases: [Case<'_>; 6] = [
            (&[token], "401 credential-missing", &key_alone),
            (&[token, ("sallyport-key", OTHER_KEY)], "401 key-unknown", &key_alone),
            (&[token, ("sallyport-key", KEY)], "200", &[]),
            (&[("sallyport-key", KEY)], "401 credential-missing", &both),
            (&[("authorization", "Bearer x"), ("sallyport-key", KEY)], "401 token-invalid", &invalid),
            (&[], "401 credential-missing", &both),
        ];
        for (headers, expected, offered) in cases {
            let answer = send(gateway.http(), get("/orders", headers)).await;
            assert_eq!(
                (answer.verdict().as_str(), challenges(&answer)),
                (expected, offered.iter().map(|one| (*one).to_owned()).collect()),
                "{headers:?}"
            );
        }
    }
}
