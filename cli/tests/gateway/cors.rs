//! What browsers are told of pages of other sites: by policies, by the filter of an HTTPRoute, and by both.

use http::{Method, Request};
use http_body_util::Empty;
use rstest::rstest;

use crate::kit::caller::{Answer, HOST, get, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, policy, policy_on, route};
use crate::kit::service::Service;

const SHOP: &str = "https://shop.example.com";
const OTHER: &str = "https://other.example.com";
const BY_KEY: &str = "authentication: [{name: customers, subscriptionKey: {}}]\n";
const GATEWAY_ITSELF: &str = "{group: gateway.networking.k8s.io, kind: Gateway, name: public}";

struct Shop {
    gateway: Gateway,
    service: Service,
}

impl Shop {
    /// `/orders` under `spec`, with `filter` in its rule, beside which `more` is there.
    async fn start(spec: &str, filter: &str, more: &str) -> Self {
        let service = Service::start().await;
        let routed = route("orders", "shop").replace("    backendRefs", &format!("{filter}    backendRefs"));
        let manifests = [GATEWAY, &routed, &backend("shop", service.address, ""), &policy("orders", spec), more];
        let gateway = Gateway::start(&manifests.concat()).await;
        assert!(gateway.diagnostics.is_empty(), "{:#?}", gateway.diagnostics);
        Self { gateway, service }
    }

    async fn preflight(&self, origin: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request =
            Request::builder().method(Method::OPTIONS).uri("/orders").header("host", HOST).header("origin", origin);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        send(self.gateway.http(), request.body(Empty::<bytes::Bytes>::new()).unwrap()).await
    }

    async fn asked(&self, origin: &str) -> Answer {
        send(self.gateway.http(), get("/orders", &[("origin", origin)])).await
    }
}

fn allowing(origin: &str) -> String {
    format!(
        "cors: {{allowOrigins: ['{origin}'], allowMethods: [PUT], allowHeaders: [Authorization], exposeHeaders: [Retry-After]}}\n"
    )
}

fn filter(origin: &str) -> String {
    format!(
        "    filters: [{{type: CORS, cors: {{allowOrigins: ['{origin}'], allowMethods: ['*'], allowCredentials: true, maxAge: 60}}}}]\n"
    )
}

fn told(answer: &Answer) -> Option<&str> {
    answer.header("access-control-allow-origin")
}

const METHOD: (&str, &str) = ("access-control-request-method", "PUT");

#[tokio::test]
async fn a_preflight_is_answered_here_without_a_credential() {
    let shop = Shop::start(&[BY_KEY, &allowing(SHOP)].concat(), "", "").await;
    let answer = shop.preflight(SHOP, &[METHOD, ("access-control-request-headers", "authorization")]).await;
    assert_eq!((answer.status.as_u16(), told(&answer)), (204, Some(SHOP)));
    assert_eq!(answer.header("access-control-allow-methods"), Some("PUT"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization"));
    assert_eq!(answer.header("access-control-max-age"), Some("5"));
    let foreign = shop.preflight(OTHER, &[METHOD]).await;
    assert_eq!((foreign.status.as_u16(), told(&foreign)), (204, None), "and no more is told");
    assert!(foreign.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "{foreign:?}");
    assert_eq!(shop.preflight(SHOP, &[]).await.verdict(), "401 credential-missing", "it is no preflight");
    assert_eq!(shop.service.count(), 0);
}

/// A page has to see why it was refused.
#[tokio::test]
async fn refusals_can_be_read_and_services_do_not_speak_for_themselves() {
    let shop = Shop::start(&[BY_KEY, &allowing(SHOP)].concat(), "", "").await;
    let refused = shop.asked(SHOP).await;
    assert_eq!((refused.verdict().as_str(), told(&refused)), ("401 credential-missing", Some(SHOP)));
    assert_eq!(refused.header("access-control-expose-headers"), Some("retry-after"));
    assert_eq!(refused.header("vary"), Some("Origin"));
    assert_eq!(told(&shop.asked(OTHER).await), None);
    let elsewhere = send(shop.gateway.http(), get("/elsewhere", &[("origin", SHOP)])).await;
    assert_eq!((elsewhere.verdict().as_str(), told(&elsewhere)), ("404 no-route", None), "of no route nothing is said");
    let shop = Shop::start(&[OPEN, "\n", &allowing(SHOP)].concat(), "", "").await;
    let service = "/orders/open-to-all";
    for origin in [SHOP, OTHER] {
        let answer = send(shop.gateway.http(), get(service, &[("origin", origin)])).await;
        assert_eq!((answer.verdict().as_str(), told(&answer)), ("200", (origin == SHOP).then_some(SHOP)));
        assert_eq!(answer.header("access-control-allow-methods"), None);
    }
}

/// Which word is in force: of a policy on the rule itself, of the rule's filter, of a policy further off; Floors always.
#[rstest]
#[case::nothing("", "", "", None, None)]
#[case::of_the_route("{SHOP}", "", "", Some(SHOP), None)]
#[case::of_the_filter("", "{OTHER}", "", None, Some(OTHER))]
#[case::the_filter_beats_the_route("{SHOP}", "{OTHER}", "", None, Some(OTHER))]
#[case::of_the_gateway("", "", "{SHOP}", Some(SHOP), None)]
#[case::the_route_beats_the_gateway("{OTHER}", "", "{SHOP}", None, Some(OTHER))]
#[case::stated_empty("none", "", "{SHOP}", None, None)]
#[case::a_floor_below_a_filter("", "{OTHER}", "floor {SHOP}", None, None)]
#[case::a_floor_that_allows_it("", "https://*.example.com", "floor {SHOP}", Some(SHOP), None)]
#[case::a_floor_opens_nothing("", "", "floor {SHOP}", None, None)]
#[tokio::test]
async fn the_nearest_word_is_in_force_and_all_floors(
    #[case] of_route: &str,
    #[case] of_filter: &str,
    #[case] of_gateway: &str,
    #[case] shop_told: Option<&str>,
    #[case] other_told: Option<&str>,
) {
    let filled = |text: &str| text.replace("{SHOP}", SHOP).replace("{OTHER}", OTHER);
    let spec = match of_route {
        "" => OPEN.to_owned(),
        "none" => [OPEN, "\ncors: {}\n"].concat(),
        origin => [OPEN, "\n", &allowing(&filled(origin))].concat(),
    };
    let on_gateway = match of_gateway.strip_prefix("floor ") {
        Some(origin) => format!("enforcement: Floor\n{}", allowing(&filled(origin))),
        None => allowing(&filled(of_gateway)),
    };
    let more = if of_gateway.is_empty() { String::new() } else { policy_on("on-gateway", GATEWAY_ITSELF, &on_gateway) };
    let filter = if of_filter.is_empty() { String::new() } else { filter(&filled(of_filter)) };
    let shop = Shop::start(&spec, &filter, &more).await;
    for (origin, expected) in [(SHOP, shop_told), (OTHER, other_told)] {
        assert_eq!(told(&shop.asked(origin).await), expected, "{origin}");
    }
}

#[tokio::test]
async fn a_policy_of_the_rule_itself_beats_its_filter() {
    let target = "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders, sectionName: list}";
    let named = format!("{}\n", filter(OTHER).trim_end().replace("filters", "name: list\n    filters"));
    let shop = Shop::start(OPEN, &named, &policy_on("rule", target, &allowing(SHOP))).await;
    for (origin, expected) in [(SHOP, Some(SHOP)), (OTHER, None)] {
        assert_eq!(told(&shop.asked(origin).await), expected, "{origin}");
    }
}

/// It is asked what may be asked later: as that is matched, and by whoever may come at all.
#[tokio::test]
async fn a_preflight_is_judged_as_what_it_asks_for() {
    let barred = format!("{}{}ipFilter: {{deny: [127.0.0.0/8]}}\n", BY_KEY, allowing(SHOP));
    let shop = Shop::start(&barred, "", "").await;
    assert_eq!(shop.preflight(SHOP, &[METHOD]).await.verdict(), "403 address-denied");
    let only_put = "    matches: [{path: {type: PathPrefix, value: /orders}, method: PUT}]\n";
    let service = Service::start().await;
    let routed = route("orders", "shop").replace(
        "  - matches: [{path: {type: PathPrefix, value: /orders}}]\n",
        &format!("  -{}", only_put.trim_start_matches("   ")),
    );
    let manifests = [
        GATEWAY,
        &routed,
        &backend("shop", service.address, ""),
        &policy("orders", &[BY_KEY, &allowing(SHOP)].concat()),
    ];
    let gateway = Gateway::start(&manifests.concat()).await;
    let shop = Shop { gateway, service };
    assert_eq!(shop.preflight(SHOP, &[METHOD]).await.status.as_u16(), 204);
    assert_eq!(shop.preflight(SHOP, &[("access-control-request-method", "DELETE")]).await.verdict(), "404 no-route");
}

/// With its parameters the path is one rule's, and without them another's of what the page wants to do.
#[tokio::test]
async fn a_preflight_for_a_path_that_can_be_read_in_two_ways_is_refused() {
    let service = Service::start().await;
    let put = route("orders", "shop").replace("value: /orders}}", "value: /orders}, method: PUT}");
    let all = route("all", "shop").replace("value: /all", "value: /");
    let spec = [BY_KEY, &allowing(SHOP)].concat();
    let manifests =
        [GATEWAY, &put, &all, &backend("shop", service.address, ""), &policy("orders", &spec), &policy("all", &spec)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let asked = |path: &str, method: &str| {
        let request = Request::builder().method(Method::OPTIONS).uri(path).header("host", HOST).header("origin", SHOP);
        let request = request.header(METHOD.0, method).body(Empty::<bytes::Bytes>::new()).unwrap();
        send(gateway.http(), request)
    };
    assert_eq!(asked("/orders;x", "PUT").await.verdict(), "400 malformed-request");
    assert_eq!(asked("/orders;x", "GET").await.verdict(), "204");
    assert_eq!(asked("/orders", "PUT").await.verdict(), "204");
}

/// All that a filter says, told by the filter alone.
#[tokio::test]
async fn a_filter_answers_preflights_with_all_that_it_says() {
    let of_filter = "    filters: [{type: CORS, cors: {allowOrigins: ['https://*.example.com'], allowMethods: [PUT, DELETE], allowHeaders: [X-One], exposeHeaders: [X-Two], allowCredentials: true, maxAge: 60}}]\n";
    let shop = Shop::start(BY_KEY, of_filter, "").await;
    let answer = shop.preflight(SHOP, &[METHOD, ("access-control-request-headers", "x-one,x-three")]).await;
    let said = ["origin", "methods", "headers", "credentials"]
        .map(|part| answer.header(&format!("access-control-allow-{part}")));
    assert_eq!(said, [Some(SHOP), Some("PUT, DELETE"), Some("x-one"), Some("true")]);
    assert_eq!(answer.header("access-control-max-age"), Some("60"));
    assert_eq!(shop.asked(SHOP).await.header("access-control-expose-headers"), Some("x-two"));
    assert_eq!(told(&shop.preflight("https://shop.example.org", &[METHOD]).await), None);
}

/// For what it asks no rule has a word, and another rule has one for the question itself.
#[tokio::test]
async fn a_question_that_is_spoken_of_never_reaches_a_service() {
    let service = Service::start().await;
    let silent = "  - matches: [{path: {type: PathPrefix, value: /orders}, method: DELETE}]\n    backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]\n";
    let routed =
        route("orders", "shop").replace("    backendRefs", &format!("{}    backendRefs", filter(SHOP))) + silent;
    let manifests = [GATEWAY, &routed, &backend("shop", service.address, ""), &policy("orders", OPEN)];
    let gateway = Gateway::start(&manifests.concat()).await;
    let shop = Shop { gateway, service };
    let answer = shop.preflight(SHOP, &[("access-control-request-method", "DELETE")]).await;
    assert_eq!((answer.verdict().as_str(), told(&answer)), ("204", None));
    assert_eq!(shop.preflight(SHOP, &[METHOD]).await.header("access-control-allow-origin"), Some(SHOP));
    assert_eq!(shop.service.count(), 0);
}

/// Without a word for it the service speaks for itself, to whoever gets there.
#[tokio::test]
async fn where_nobody_says_anything_preflights_are_requests() {
    let shop = Shop::start(BY_KEY, "", "").await;
    assert_eq!(shop.preflight(SHOP, &[METHOD]).await.verdict(), "401 credential-missing");
    let shop = Shop::start(OPEN, "", "").await;
    assert_eq!(shop.preflight(SHOP, &[METHOD]).await.verdict(), "200");
    assert_eq!(shop.service.one().method, "OPTIONS");
}
