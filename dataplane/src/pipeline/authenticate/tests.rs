//! Callers at alternatives whose keys are there, are not there, or are on their way.

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header;
use sallyport_expression::Steps;
use sallyport_snapshot::Hash;
use sallyport_snapshot::v1::key_set::Source;
use sallyport_snapshot::v1::{self};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::*;
use crate::clock::Clock;
use crate::egress::{AddressRules, Egress};
use crate::external_authorization::{Question, Yes};
use crate::issuer::{Issuers, Means};
use crate::limit::registry::Registry;
use crate::pipeline::permit;
use crate::replays;
use crate::runtime::keys::Api;
use crate::runtime::policy::Policy;
use crate::runtime::policy::external_authorization::{Asked, ExternalAuthorization};
use crate::settings::Environment;

/// The token and key of RFC 7515, A.3, and a moment at which it was valid.
const TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
const KEY_SET: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;
const TOKEN_TIME: UnixMs = UnixMs(1_300_000_000_000);
const EXPIRES: UnixMs = UnixMs(1_300_819_380_000);

/// Key sets as a data plane holds them.
struct World {
    issuers: Issuers,
    unusable: Map<Arc<str>, String>,
    tokens: Tokens,
    keys: Keys,
    _reports: mpsc::UnboundedReceiver<v1::Report>,
}

impl World {
    fn new() -> Self {
        let (reports, receiver) = mpsc::unbounded_channel();
        let egress = Egress::new(AddressRules::of(Environment::Standalone));
        let issuers = Issuers::new(Means { egress, clock: Clock::default(), reports }, Handle::current());
        let (unusable, tokens, keys) = (Map::default(), Tokens::default(), Keys::default());
        Self { issuers, unusable, tokens, keys, _reports: receiver }
    }

    fn with_keys(self, source: Source) -> Self {
        let set = v1::KeySet { issuer: "joe".into(), source: Some(source), ca_certificates: vec![] };
        self.issuers.insert(&"joe".into(), &set).unwrap();
        self
    }

    /// What comes of a caller at this policy; `None` if it would have to wait.
    fn now<T>(
        &self,
        authorization: &str,
        now: UnixMs,
        judge: impl AsyncFnOnce(&Caller<'_>) -> Result<T, Rejection>,
    ) -> Option<Result<T, Rejection>> {
        let (key_sets, products) = (self.issuers.in_force(), Map::default());
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, authorization.parse().unwrap())]);
        let api = Api { kind: "HTTPRoute".into(), namespace: "shop".into(), name: "orders".into() };
        let caller = Caller {
            method: &Method::GET,
            host: "api.example.com",
            path: "/orders",
            headers: &headers,
            query: Query(None),
            address: None,
            door: Door { api: &api, gateway: "shop/public", products: &products },
            hop: Hop::default(),
            body_bytes: None,
            replicas: NonZeroU32::MIN,
            rule: "0",
            keys: &self.keys,
            tokens: &self.tokens,
            key_sets: &key_sets,
            unusable_key_sets: &self.unusable,
            trusts: &Map::default(),
            password_files: &Map::default(),
            passwords: &Passwords::new(crate::passwords::Counters::default()).unwrap(),
            introspections: &Introspections::of_tests(),
            patience: Patience::Waits,
            beside: None,
            replays: &Replays::new(replays::Counters::default(), Clock::default()),
            nonces: None,
            course: &Course::default(),
            now,
            explained: None,
            asks_nobody: false,
            limit_store: None,
            counts_in_store: false,
        };
        judge(&caller).now_or_never()
    }

    fn verdict(&self, authorization: &str) -> (Option<Reason>, String) {
        let policy = by_token();
        let outcome = self.now(authorization, TOKEN_TIME, async |caller| hold(&policy.authentication, caller).await);
        match outcome.expect("nothing is waited for") {
            Ok(_) => (None, String::new()),
            Err(rejection) => (Some(rejection.reason), rejection.origin.message),
        }
    }
}

/// A policy that takes tokens of "joe", with 60 s of clock skew.
fn by_token() -> Arc<Policy> {
    let jwt = v1::Jwt {
        issuer: "joe".into(),
        audience_unchecked: true,
        algorithms: vec!["ES256".into()],
        clock_skew_s: 60,
        key_set: "joe".into(),
        ..v1::Jwt::default()
    };
    let staff = v1::Alternative { name: "staff".into(), jwt: Some(jwt), ..v1::Alternative::default() };
    let authentication = v1::Authentication { object: "ApiPolicy shop/orders".into(), alternatives: vec![staff] };
    let policy = v1::Policy { authentication: Some(authentication), ..v1::Policy::default() };
    Arc::new(Policy::build(&"orders".into(), Hash::of_bytes(b""), &policy, &mut Registry::default()).0)
}

fn given() -> Source {
    Source::Jwks(Bytes::from_static(KEY_SET.as_bytes()))
}

/// An issuer that takes connections and says nothing.
async fn silent() -> (TcpListener, Source) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    (listener, Source::JwksUri(format!("http://{address}/jwks")))
}

#[tokio::test]
async fn keys_that_are_not_there_are_a_matter_of_configuration_whatever_is_sent() {
    let (absent, mut rejected) = (World::new(), World::new());
    rejected.unusable.insert("joe".into(), "it has no source".into());
    for sent in [format!("Bearer {TOKEN}"), "Bearer x.y.z".into(), "Bearer garbage".into(), "Basic eA==".into()] {
        let (reason, message) = absent.verdict(&sent);
        assert_eq!(reason, Some(Reason::Configuration), "{sent}");
        assert!(message.contains("key set joe") && message.contains("not there"), "{message}");
        let (reason, message) = rejected.verdict(&sent);
        assert_eq!(reason, Some(Reason::Configuration), "{sent}");
        assert!(message.contains("it has no source"), "{message}");
    }
}

#[tokio::test]
async fn keys_that_are_there_judge() {
    let world = World::new().with_keys(given());
    assert_eq!(world.verdict(&format!("Bearer {TOKEN}")).0, None);
    assert_eq!(world.verdict("Bearer x.y.z").0, Some(Reason::TokenInvalid));
    assert_eq!(world.verdict("Basic eA==").0, Some(Reason::CredentialMissing));
}

#[tokio::test]
async fn only_a_token_of_the_issuer_waits_for_one_that_was_never_reached() {
    let (_listener, source) = silent().await;
    let world = World::new().with_keys(source);
    assert_eq!(world.verdict("Bearer x.y.z").0, Some(Reason::TokenInvalid), "garbage is garbage");
    let policy = by_token();
    let waiting =
        world.now(&format!("Bearer {TOKEN}"), TOKEN_TIME, async |caller| hold(&policy.authentication, caller).await);
    assert!(waiting.is_none(), "the first look is on its way");
}

#[tokio::test]
async fn a_rehearsal_waits_for_no_keys() {
    let (_listener, source) = silent().await;
    let world = World::new().with_keys(source);
    let policy = by_token();
    let bearer = format!("Bearer {TOKEN}");
    let rehearsed = world.now(&bearer, TOKEN_TIME, async |caller| {
        permit::rehearse(&policy, caller, (&policy, &Held::default()), &mut Steps::default()).await.map(drop)
    });
    let refused = rehearsed.expect("it is judged by the keys that are there").unwrap_err();
    assert_eq!(refused.reason, Reason::IssuerUnreached);
}

/// No policy here has anybody asked.
struct Nobody;

impl permit::Asks for Nobody {
    async fn ask(
        &mut self,
        _: &ExternalAuthorization,
        _: &Asked,
        _: &Caller<'_>,
        _: Question,
    ) -> Result<Yes, Rejection> {
        panic!("nobody is asked")
    }
}

#[tokio::test]
async fn what_the_clock_skew_admits_ends_with_the_skew() {
    let world = World::new().with_keys(given());
    let (policy, bearer) = (by_token(), format!("Bearer {TOKEN}"));
    let end = |now: UnixMs| {
        let permit = world.now(&bearer, now, async |caller| permit::authorise(&policy, caller, &mut Nobody).await);
        permit.unwrap().map(|permit| permit.into_grounds().expires).map_err(|rejection| rejection.reason)
    };
    let later = |ms: i64| UnixMs(EXPIRES.0 + ms);
    assert_eq!(end(later(-1)), Ok(Some(EXPIRES)));
    assert_eq!(end(EXPIRES), Ok(Some(later(60_000))));
    assert_eq!(end(later(59_999)), Ok(Some(later(60_000))));
    assert_eq!(end(later(60_000)), Err(Reason::TokenInvalid));
}
