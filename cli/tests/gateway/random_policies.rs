//! Policies at random, at all levels: what a Floor refuses comes in nowhere, a restriction lets nobody else in, what is only reported changes
//! nothing, and no other way in escapes a limit.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::kit::caller::{HOST, say_from};
use crate::kit::gateway::Gateway;
use crate::kit::manifest::{GATEWAY, backend, secret, subscription};
use crate::kit::service::Service;

const KEY: &str = "sp_aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
/// Of "change-me".
const HASH: &str = "$2y$04$abcdefghijklmnopqrstuuyqwirjp3FaKy02OuV3ePBeKk6PfuRp.";
const NEAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);
const CASES: u32 = 100;

/// One route with a rule that has a name, and one that has none.
const ROUTE: &str = "
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: orders, namespace: shop}
spec:
  parentRefs: [{name: public}]
  rules:
  - name: special
    matches: [{path: {type: PathPrefix, value: /orders/special}}]
    backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]
  - matches: [{path: {type: PathPrefix, value: /orders}}]
    backendRefs: [{group: sallyport.dev, kind: Backend, name: shop}]
";

/// From far to near.
const LEVELS: [&str; 4] = [
    "{group: gateway.networking.k8s.io, kind: Gateway, name: public}",
    "{group: gateway.networking.k8s.io, kind: Gateway, name: public, sectionName: http}",
    "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders}",
    "{group: gateway.networking.k8s.io, kind: HTTPRoute, name: orders, sectionName: special}",
];
const WAYS: [&str; 3] = [
    "{name: key, subscriptionKey: {}}",
    "{name: login, basic: {secretRef: {name: staff}}}",
    "{name: both, subscriptionKey: {}, basic: {secretRef: {name: staff}}}",
];
const RULES: [&str; 4] = [
    "{name: r0, require: 'request.path.startsWith(\"/orders/s\")'}",
    "{name: r1, require: 'client.address == \"127.0.0.1\"'}",
    "{name: r2, when: 'request.path == \"/orders/1\"', require: 'false'}",
    "{name: r3, require: '!(\"x-forbidden\" in request.headers)'}",
];
const FILTERS: [&str; 4] = [
    "{allow: [127.0.0.0/8]}",
    "{deny: [127.0.0.9]}",
    "{allow: [127.0.0.1]}",
    "{allow: [127.0.0.0/8], deny: [127.0.0.1-127.0.0.2]}",
];

/// What a policy may say.
#[derive(Clone, Debug)]
struct Said {
    level: usize,
    is_floor: bool,
    /// `None`: nothing; else ways in, where none at all are `public`.
    ways: Option<BTreeSet<usize>>,
    rules: BTreeSet<usize>,
    filter: Option<usize>,
}

impl Said {
    /// For a Gateway as a whole.
    fn nothing() -> Self {
        Self { level: 0, is_floor: false, ways: None, rules: BTreeSet::new(), filter: None }
    }

    fn any() -> impl Strategy<Value = Self> {
        let ways = prop::option::of(prop::collection::btree_set(0..WAYS.len(), 0..=2));
        let rules = prop::collection::btree_set(0..RULES.len(), 0..=1);
        (0..LEVELS.len(), any::<bool>(), ways, rules, prop::option::of(0..FILTERS.len()))
            .prop_map(|(level, is_floor, ways, rules, filter)| Self { level, is_floor, ways, rules, filter })
    }

    fn written(&self, name: &str, more: &str) -> String {
        let named =
            |all: &[&str], chosen: &BTreeSet<usize>| chosen.iter().map(|at| all[*at]).collect::<Vec<_>>().join(", ");
        let mut spec = more.to_owned();
        match &self.ways {
            Some(ways) if !ways.is_empty() => spec += &format!("  authentication: [{}]\n", named(&WAYS, ways)),
            // A Floor cannot be public.
            Some(_) if !self.is_floor => spec += "  authentication: [{name: open, public: {}}]\n",
            _ => {}
        }
        if !self.rules.is_empty() {
            spec += &format!("  authorization: [{}]\n", named(&RULES, &self.rules));
        }
        if let Some(filter) = self.filter {
            spec += &format!("  ipFilter: {}\n", FILTERS[filter]);
        }
        let enforcement = if self.is_floor { "Floor" } else { "Default" };
        format!(
            "\n---\napiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\nmetadata: {{name: {name}, namespace: shop}}\nspec:\n  targetRefs: [{}]\n  enforcement: {enforcement}\n{spec}",
            LEVELS[self.level]
        )
    }
}

fn all(policies: &[Said]) -> String {
    policies.iter().enumerate().map(|(at, said)| said.written(&format!("p{at}"), "")).collect()
}

/// A request: its path, what it shows, and where it comes from.
type Asked = (usize, usize, Ipv4Addr);

struct Shop {
    gateway: Gateway,
    service: Service,
    login: String,
}

impl Shop {
    async fn start() -> Self {
        let service = Service::start().await;
        let scope = "{apis: [{kind: HTTPRoute, name: orders}]}";
        let hash = format!("{{htpasswd: 'anna:{HASH}'}}");
        let manifests = [
            GATEWAY,
            ROUTE,
            &backend("shop", service.address, ""),
            &secret("staff", &hash),
            &subscription("acme", scope, &format!("{{primary: {KEY}}}")),
        ];
        let gateway = Gateway::start(&manifests.concat()).await;
        let login = format!("Basic {}", BASE64_STANDARD.encode("anna:change-me"));
        Self { gateway, service, login }
    }

    fn enforce(&mut self, policies: &str) {
        self.gateway.write("policies.yaml", policies);
        // What is said of policies that were understood has a reason.
        let broken: Vec<_> = self.gateway.diagnostics.iter().filter(|one| one.reason.is_none()).collect();
        assert!(broken.is_empty(), "{policies}\n{broken:#?}");
    }

    /// Requests that are let in while `policies` are in force.
    async fn admitted(&mut self, policies: &str) -> BTreeSet<Asked> {
        self.enforce(policies);
        let mut admitted = BTreeSet::new();
        for (path_at, path) in ["/orders/1", "/orders/special"].into_iter().enumerate() {
            for (shown_at, shown) in self.shown().iter().enumerate() {
                for address in [NEAR, FAR] {
                    if self.status(path, shown, address).await == 200 {
                        admitted.insert((path_at, shown_at, address));
                    }
                }
            }
        }
        admitted
    }

    /// What comes of a request; 0 where nothing is heard, as who may not even connect.
    async fn status(&self, path: &str, shown: &[(&str, &str)], address: Ipv4Addr) -> u16 {
        let headers: String = shown.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {HOST}\r\nConnection: close\r\n{headers}\r\n");
        let heard = say_from(address, self.gateway.http(), &head).await;
        heard.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }

    fn shown(&self) -> [Vec<(&'static str, &str)>; 6] {
        let (key, login) = (("sallyport-key", KEY), ("authorization", &*self.login));
        let guess = ("authorization", "Basic YW5uYTpndWVzcw==");
        [
            vec![],
            vec![key],
            vec![login],
            vec![key, login],
            vec![key, guess],
            vec![("sallyport-key", "sp_guessed"), login],
        ]
    }
}

/// What was seen of all cases: that they are none of which nothing could be seen.
#[derive(Debug, Default)]
struct Seen {
    admitted: usize,
    narrowed: usize,
    limited: usize,
}

fn run<T: std::fmt::Debug>(
    strategy: &impl Strategy<Value = T>,
    case: impl AsyncFn(&mut Shop, T, &mut Seen) -> Result<(), TestCaseError>,
) -> Seen {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let shop = RefCell::new(runtime.block_on(Shop::start()));
    let seen = RefCell::new(Seen::default());
    let config = Config { cases: CASES, failure_persistence: None, ..Config::default() };
    let judged = TestRunner::new(config)
        .run(strategy, |value| runtime.block_on(case(&mut shop.borrow_mut(), value, &mut seen.borrow_mut())));
    if let Err(fault) = judged {
        panic!("{fault}");
    }
    seen.into_inner()
}

/// The first is the Gateway's word about everything: a route that nobody has spoken about lets nobody in, and whoever speaks about it first, be
/// it by a Floor, restricts nothing.
fn policies() -> impl Strategy<Value = Vec<Said>> {
    let ways = prop::collection::btree_set(0..WAYS.len(), 0..=2);
    (ways, prop::collection::vec(Said::any(), 0..5)).prop_map(|(ways, mut more)| {
        more.insert(0, Said { ways: Some(ways), ..Said::nothing() });
        more
    })
}

/// Whoever may come by is let in everywhere, but for what the Floor says.
fn alone(floor: &Said) -> String {
    let open = Said { ways: Some(BTreeSet::new()), ..Said::nothing() };
    all(&[open, floor.clone()])
}

#[test]
fn what_a_floor_refuses_is_let_in_nowhere() {
    let seen = run(&policies(), async |shop, policies, seen| {
        let admitted = shop.admitted(&all(&policies)).await;
        seen.admitted += admitted.len();
        for floor in policies.iter().filter(|one| one.is_floor) {
            let by_floor = shop.admitted(&alone(floor)).await;
            seen.narrowed += usize::from(admitted.len() < by_floor.len());
            prop_assert!(
                admitted.is_subset(&by_floor),
                "{floor:?} lets {by_floor:?} in, and all together {admitted:?}"
            );
        }
        Ok(())
    });
    assert!(seen.admitted > 50 && seen.narrowed > 10, "{seen:?}");
}

#[test]
fn a_restriction_lets_nobody_else_in_and_what_is_only_reported_changes_nothing() {
    let seen = run(&(policies(), Said::any()), async |shop, (policies, one), seen| {
        let policies = all(&policies);
        let admitted = shop.admitted(&policies).await;
        seen.admitted += admitted.len();
        let rules_alone = Said { is_floor: false, ways: None, filter: None, ..one.clone() };
        for more in [&Said { is_floor: true, ..one.clone() }, &rules_alone] {
            let restricted = shop.admitted(&format!("{policies}{}", more.written("more", ""))).await;
            seen.narrowed += usize::from(restricted.len() < admitted.len());
            prop_assert!(restricted.is_subset(&admitted), "{more:?}: {restricted:?} of {admitted:?}");
        }
        let reported = shop.admitted(&format!("{policies}{}", one.written("more", "  mode: Report\n"))).await;
        prop_assert_eq!(reported, admitted, "{:?}", one);
        Ok(())
    });
    assert!(seen.admitted > 50 && seen.narrowed > 10, "{seen:?}");
}

/// Of each number, for how many callers one caller can pass: by subscription with and without one, by identity as well as one who logs in.
const LIMITS: [(&str, usize); 4] = [
    ("by: ClientAddress", 1),
    ("by: Expression, expression: request.method", 1),
    ("by: Subscription", 2),
    ("by: Identity", 3),
];
const MOST: usize = 3;

#[test]
fn no_other_way_in_escapes_a_limit() {
    // A counter that nobody has used.
    let number = RefCell::new(0);
    let seen = run(&(policies(), 0..LIMITS.len()), async |shop, (policies, limit), seen| {
        *number.borrow_mut() += 1;
        let (by, passes) = LIMITS[limit];
        let limits = format!("  limits: [{{name: l, requests: {MOST}, per: 1h, {by}}}]\n");
        let limits = Said::nothing().written(&format!("limits-{}", number.borrow()), &limits);
        shop.enforce(&format!("{}{limits}", all(&policies)));
        shop.service.take();
        for path in ["/orders/1", "/orders/special", "/orders/special;x=1"] {
            for shown in shop.shown().iter().cycle().take(24) {
                seen.limited += usize::from(shop.status(path, shown, NEAR).await == 429);
            }
        }
        let served = shop.service.count();
        seen.admitted += served;
        prop_assert!(served <= MOST * passes, "{by}: {served}");
        Ok(())
    });
    assert!(seen.admitted > 50 && seen.limited > 50, "{seen:?}");
}
