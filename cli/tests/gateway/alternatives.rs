//! Which alternative speaks where none holds, and what is answered to credentials that are ambiguous.

use bytes::Bytes;
use http_body_util::Empty;
use tokio::net::TcpStream;

use crate::kit::caller::{Answer, HOST, get, get_http2, http2, raw, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::issuer::Issuer;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, route, subscription};
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

async fn open_to_all(service: &Service) -> Gateway {
    let manifests = [GATEWAY, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", OPEN)];
    Gateway::start(&manifests.concat()).await
}

#[tokio::test]
async fn two_authorizations_are_an_invalid_request_in_http_1() {
    let service = Service::start().await;
    let gateway = open_to_all(&service).await;
    for lines in
        ["Authorization: Bearer a\r\nAuthorization: Bearer b", "authorization: Bearer a\r\nAUTHORIZATION: Basic b"]
    {
        let heard =
            raw(gateway.http(), format!("GET /orders HTTP/1.1\r\nHost: {HOST}\r\n{lines}\r\n\r\n").as_bytes()).await;
        assert_eq!((heard.statuses(), heard.closed), (vec![400], true), "{heard:?}");
        let challenge = heard.text.lines().filter(|line| line.starts_with("www-authenticate:"));
        assert_eq!(challenge.collect::<Vec<_>>(), [r#"www-authenticate: Bearer error="invalid_request""#]);
        assert!(heard.text.contains(r#""reason":"credential-ambiguous""#), "{heard:?}");
    }
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn two_authorizations_are_an_invalid_request_in_http_2() {
    let service = Service::start().await;
    let gateway = open_to_all(&service).await;
    let mut caller = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let twice = [("authorization", "Bearer a"), ("authorization", "Bearer b")];
    let answer = read(caller.send_request(get_http2("http", HOST, "/orders", &twice)).await.unwrap()).await;
    assert_eq!(answer.verdict(), "400 credential-ambiguous");
    assert_eq!(challenges(&answer), [r#"Bearer error="invalid_request""#]);
    assert_eq!(service.count(), 0);
}

#[tokio::test]
async fn a_key_in_two_places_is_an_invalid_request() {
    let service = Service::start().await;
    let spec =
        "authentication: [{name: customers, subscriptionKey: {headers: [Sallyport-Key], queryParameters: [key]}}]";
    let manifests = [
        GATEWAY,
        &route("orders", "shop"),
        &backend("shop", service.address, ""),
        &policy("orders", spec),
        &subscription("acme", "{apis: [{kind: HTTPRoute, name: orders}]}", &format!("{{primary: {KEY}}}")),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let in_query = format!("/orders?key={KEY}");
    let twice_in_query = format!("/orders?key={KEY}&key={KEY}");
    type Case<'a> = (&'a str, &'a [(&'a str, &'a str)]);
    let cases: [Case<'_>; 3] = [
        ("/orders", &[("sallyport-key", KEY), ("sallyport-key", KEY)]),
        (&in_query, &[("sallyport-key", KEY)]),
        (&twice_in_query, &[]),
    ];
    for (target, headers) in cases {
        let answer = send(gateway.http(), get(target, headers)).await;
        assert_eq!(answer.verdict(), "400 credential-ambiguous", "{target}");
        assert_eq!(challenges(&answer), [r#"Sallyport-Key error="invalid_request""#], "{target}");
    }
    assert_eq!(service.count(), 0);
}
