//! Client addresses in every spelling, and what the service is told of where a request came from.

use bytes::Bytes;
use http_body_util::Empty;
use rstest::rstest;
use tokio::net::TcpStream;

use crate::kit::caller::{HOST, get, get_http2, http2, read, send};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, OPEN, backend, gateway_with, policy, route};
use crate::kit::service::{Seen, Service};

const BEHIND_PROXIES: &str = "{trustedProxies: {cidrs: [127.0.0.0/8, '2001:db8:1::/48', 10.1.0.0-10.1.0.9]}}";
const DENIED: &str = "403 address-denied";

async fn filtered(service: &Service, gateway: &str, filter: &str) -> Gateway {
    let spec = format!("{OPEN}\nipFilter: {filter}");
    let manifests =
        [gateway, &route("orders", "shop"), &backend("shop", service.address, ""), &policy("orders", &spec)];
    Gateway::start(&manifests.concat()).await
}

/// What a client is answered whose address proxies tell in these lines.
async fn told(gateway: &Gateway, lines: &[&str]) -> String {
    let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
    send(gateway.http(), get("/orders", &headers)).await.verdict()
}

#[rstest]
#[case::a_network("{allow: [203.0.113.0/24]}", &["203.0.113.0", "203.0.113.255"], &["203.0.112.255", "203.0.114.0"])]
#[case::a_network_with_host_bits("{allow: [203.0.113.77/24]}", &["203.0.113.0"], &["203.0.114.0"])]
#[case::one_address("{allow: [203.0.113.7]}", &["203.0.113.7"], &["203.0.113.8", "203.0.113.70"])]
#[case::a_range("{allow: [203.0.113.10-203.0.113.20]}", &["203.0.113.10", "203.0.113.20"], &["203.0.113.9", "203.0.113.21"])]
#[case::ipv6("{allow: ['2001:db8::/32']}", &["2001:db8::1", "2001:DB8:ffff::", "2001:0db8:0:0:0:0:0:1"], &["2001:db9::", "::1", "203.0.113.7"])]
#[case::a_range_of_ipv6("{allow: ['2001:db8::10-2001:db8::1f']}", &["2001:db8::10", "2001:db8::1F"], &["2001:db8::f", "2001:db8::20"])]
#[case::mapped_addresses_are_ipv4("{allow: [203.0.113.7]}", &["::ffff:203.0.113.7", "::FFFF:cb00:7107"], &["::ffff:203.0.113.8", "::203.0.113.7"])]
#[case::a_mapped_entry_is_ipv4("{allow: ['::ffff:203.0.113.0/120']}", &["203.0.113.7", "::ffff:203.0.113.7"], &["203.0.114.7"])]
#[case::all_of_ipv6_is_not_ipv4("{allow: ['::/0']}", &["2001:db8::1"], &["203.0.113.7", "::ffff:203.0.113.7"])]
#[case::all_of_ipv4_is_not_ipv6("{allow: [0.0.0.0/0]}", &["203.0.113.7", "::ffff:203.0.113.7"], &["2001:db8::1"])]
#[case::deny_beats_allow("{allow: [203.0.113.0/24], deny: [203.0.113.66]}", &["203.0.113.65"], &["203.0.113.66", "::ffff:203.0.113.66"])]
#[case::deny_alone("{deny: ['2001:db8::/32', 203.0.113.0/24]}", &["203.0.114.7", "2001:db9::1"], &["2001:db8::1", "203.0.113.7", "::ffff:203.0.113.7"])]
#[case::deny_in_mapped_form("{deny: ['::ffff:203.0.113.7']}", &["203.0.113.8"], &["203.0.113.7", "::ffff:203.0.113.7"])]
#[case::deny_of_all("{allow: [203.0.113.7], deny: [0.0.0.0/0, '::/0']}", &[], &["203.0.113.7", "2001:db8::1"])]
#[tokio::test]
async fn each_kind_of_entry_holds_what_it_names(
    #[case] filter: &str,
    #[case] admitted: &[&str],
    #[case] denied: &[&str],
) {
    let service = Service::start().await;
    let gateway = filtered(&service, &gateway_with(BEHIND_PROXIES), filter).await;
    for (addresses, expected) in [(admitted, "200"), (denied, DENIED)] {
        for address in addresses {
            assert_eq!(told(&gateway, &[address]).await, expected, "{address} {:?}", gateway.diagnostics);
        }
    }
    assert_eq!(service.count(), admitted.len());
}

/// Whoever cannot be told who it is passes no filter, not even one that denies somebody else only.
#[rstest]
#[case("unknown")]
#[case("_hidden")]
#[case("")]
#[case(",")]
#[case("198.51.100.9,")]
#[case("198.51.100.9, ,")]
#[case("198.51.100.9:443")]
#[case("[2001:db8::9]")]
#[case("[2001:db8::9]:443")]
#[case("\"198.51.100.9\"")]
#[case("for=198.51.100.9")]
#[case("198.51.100.09")]
#[case("0306.0063.0144.0011")]
#[case("0xc6336409")]
#[case("3325256713")]
#[case("198.51.100")]
#[case("198.51.100.9/32")]
#[case("198.51.100.256")]
#[case("fe80::1%eth0")]
#[case("2001:db8::1::2")]
#[case("198.51.100.9 198.51.100.9")]
#[case("localhost")]
#[tokio::test]
async fn an_address_that_cannot_be_read_is_denied(#[case] line: &str) {
    let service = Service::start().await;
    for filter in ["{deny: [203.0.113.7]}", "{allow: [0.0.0.0/0, '::/0']}"] {
        let gateway = filtered(&service, &gateway_with(BEHIND_PROXIES), filter).await;
        assert_eq!(told(&gateway, &[line]).await, DENIED, "{line:?} by {filter}");
        assert_eq!(told(&gateway, &["198.51.100.9", line]).await, DENIED, "{line:?} behind another line");
    }
    assert_eq!(service.count(), 0);
}

/// `allow: [198.51.100.9]`, and the peer is a trusted proxy.
#[rstest]
#[case::as_it_is(&["198.51.100.9"], "200")]
#[case::with_space_within(&["198.51.100.9 ,\t10.1.0.3"], "200")]
#[case::through_a_second_proxy(&["198.51.100.9, 10.1.0.3"], "200")]
#[case::through_proxies_of_both_kinds(&["198.51.100.9, 2001:db8:1::7, 10.1.0.9"], "200")]
#[case::through_a_proxy_in_mapped_form(&["198.51.100.9, ::ffff:10.1.0.3"], "200")]
#[case::in_two_lines(&["198.51.100.9", "10.1.0.3"], "200")]
#[case::whatever_stands_left_of_it(&["unknown, , 10.1.0.3, 198.51.100.9"], "200")]
#[case::a_lie_on_the_left(&["198.51.100.9, 203.0.113.7"], DENIED)]
#[case::a_lie_in_a_line_before(&["198.51.100.9", "203.0.113.7"], DENIED)]
#[case::a_lie_behind_a_stranger(&["198.51.100.9, 203.0.113.7, 10.1.0.3"], DENIED)]
#[case::a_stranger_that_calls_itself_a_proxy(&["198.51.100.9, 10.1.0.10"], DENIED)]
#[case::proxies_alone(&["10.1.0.2, 10.1.0.3"], DENIED)]
#[case::nothing(&[], DENIED)]
#[tokio::test]
async fn forwarded_addresses_are_walked_from_the_right_through_proxies_only(
    #[case] lines: &[&str],
    #[case] expected: &str,
) {
    let service = Service::start().await;
    let gateway = filtered(&service, &gateway_with(BEHIND_PROXIES), "{allow: [198.51.100.9]}").await;
    assert_eq!(told(&gateway, lines).await, expected, "{:?}", gateway.diagnostics);
    let mut sender = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
    let answer = read(sender.send_request(get_http2("http", HOST, "/orders", &headers)).await.unwrap()).await;
    assert_eq!(answer.verdict(), expected, "over HTTP/2");
}

/// Other fields say nothing, of trusted proxies either: the header is one that is named.
#[rstest]
#[case("forwarded", "for=198.51.100.9")]
#[case("x-real-ip", "198.51.100.9")]
#[case("x_forwarded_for", "198.51.100.9")]
#[case("x-forwarded", "198.51.100.9")]
#[case("true-client-ip", "198.51.100.9")]
#[case("cf-connecting-ip", "198.51.100.9")]
#[tokio::test]
async fn no_other_field_tells_the_clients_address(#[case] name: &str, #[case] value: &str) {
    let service = Service::start().await;
    let gateway = filtered(&service, &gateway_with(BEHIND_PROXIES), "{allow: [198.51.100.9]}").await;
    assert_eq!(send(gateway.http(), get("/orders", &[(name, value)])).await.verdict(), DENIED);
    let both = get("/orders", &[(name, value), ("x-forwarded-for", "203.0.113.7")]);
    assert_eq!(send(gateway.http(), both).await.verdict(), DENIED);
    assert_eq!(service.count(), 0);
}

/// An entry that is none makes its filter admit nobody, and is said.
#[rstest]
#[case("{allow: [0.0.0.0/0, 300.1.1.1]}")]
#[case("{deny: [203.0.113.0/33]}")]
#[case("{deny: [203.0.113.20-203.0.113.10]}")]
#[case("{deny: ['203.0.113.1-2001:db8::1']}")]
#[case("{deny: [localhost]}")]
#[case("{deny: [203.0.113.7, '']}")]
#[case("{deny: [203.000.113.007]}")]
#[tokio::test]
async fn a_filter_with_an_entry_that_is_none_admits_nobody(#[case] filter: &str) {
    let service = Service::start().await;
    let gateway = filtered(&service, GATEWAY, filter).await;
    assert_eq!(send(gateway.http(), get("/orders", &[])).await.verdict(), "500 configuration");
    assert_eq!(service.count(), 0);
    assert!(gateway.said("ApiPolicy shop/orders").contains("ipFilter"), "{:?}", gateway.diagnostics);
}

/// While nobody knows which proxies are trusted no client address is known.
#[tokio::test]
async fn proxies_that_cannot_be_read_leave_no_client_known() {
    let service = Service::start().await;
    let gateway = gateway_with("{trustedProxies: {cidrs: [127.0.0.0/8, 10.0.0.0/99]}}");
    let gateway = filtered(&service, &gateway, "{allow: [0.0.0.0/0]}").await;
    assert_eq!(told(&gateway, &["198.51.100.9"]).await, DENIED, "{:?}", gateway.diagnostics);
    assert_eq!(told(&gateway, &[]).await, DENIED);
    assert_eq!(service.count(), 0);
}

const LIES: [(&str, &str); 9] = [
    ("forwarded", "for=10.0.0.1;proto=https"),
    ("x-forwarded-for", "10.0.0.1"),
    ("x-forwarded-host", "evil.example.com"),
    ("x-forwarded-port", "443"),
    ("x-forwarded-proto", "https"),
    ("x-real-ip", "10.0.0.1"),
    ("x_forwarded_for", "10.0.0.1"),
    ("X_Real_IP", "10.0.0.1"),
    ("x_forwarded-Proto", "https"),
];

async fn seen(gateway: &Gateway, service: &Service, headers: &[(&str, &str)]) -> [Seen; 2] {
    let answer = send(gateway.http(), get("/orders", headers)).await;
    assert_eq!(answer.verdict(), "200", "{:?}", gateway.diagnostics);
    let first = service.one();
    let mut sender = http2::<Empty<Bytes>>(TcpStream::connect(gateway.http()).await.unwrap()).await;
    let lower: Vec<_> = headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), *value)).collect();
    let lower: Vec<_> = lower.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let answer = read(sender.send_request(get_http2("http", HOST, "/orders", &lower)).await.unwrap()).await;
    assert_eq!(answer.verdict(), "200");
    [first, service.one()]
}

fn lines<'a>(seen: &'a Seen, name: &str) -> Vec<&'a str> {
    seen.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
}

#[tokio::test]
async fn of_a_strangers_word_the_service_hears_nothing() {
    let service = Service::start().await;
    let gateway = filtered(&service, GATEWAY, "{}").await;
    for seen in seen(&gateway, &service, &LIES).await {
        for (name, expected) in
            [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-proto", "http"), ("x-forwarded-host", HOST)]
        {
            assert_eq!(lines(&seen, name), [expected], "{name}");
        }
        let told: Vec<_> = seen.headers.keys().filter(|name| name.as_str().contains('_')).collect();
        assert!(told.is_empty(), "{told:?}");
        assert!(["forwarded", "x-real-ip"].iter().all(|name| lines(&seen, name).is_empty()), "{seen:?}");
        assert!(!format!("{:?}", seen.headers).contains("10.0.0.1"), "{seen:?}");
        assert!(!format!("{:?}", seen.headers).contains("evil"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_trusted_proxys_word_goes_on_with_the_proxy_behind_it() {
    let service = Service::start().await;
    let gateway = filtered(&service, &gateway_with(BEHIND_PROXIES), "{}").await;
    for seen in seen(&gateway, &service, &LIES).await {
        assert_eq!(lines(&seen, "x-forwarded-for"), ["10.0.0.1, 127.0.0.1"], "{seen:?}");
        assert_eq!(lines(&seen, "x-forwarded-proto"), ["https"], "the caller came by TLS");
        assert_eq!(lines(&seen, "x-forwarded-host"), ["evil.example.com"]);
        let odd: Vec<_> = seen.headers.keys().filter(|name| name.as_str().contains('_')).collect();
        assert!(odd.is_empty(), "spellings that no proxy uses: {odd:?}");
    }
}
