//! Issuers that misbehave, over real sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use sallyport_snapshot::v1::issuer_health::State;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::*;
use crate::egress::AddressRules;
use crate::settings::Environment;

const KEYS: &str =
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;

const PRIVATE: &str =
    r#"{"kty":"OKP","crv":"Ed25519","kid":"other","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","d":"AAAA"}"#;

/// An issuer whose answer to every request is what stands in the cell; counts requests.
struct Issuer {
    address: String,
    answer: Arc<Mutex<String>>,
    requests: Arc<AtomicUsize>,
}

impl Issuer {
    async fn start(answer: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let (answer, requests) = (Arc::new(Mutex::new(answer)), Arc::new(AtomicUsize::new(0)));
        let issuer = Self { address, answer: Arc::clone(&answer), requests: Arc::clone(&requests) };
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                requests.fetch_add(1, Ordering::SeqCst);
                let answer = answer.lock().clone();
                tokio::spawn(async move {
                    let mut head = [0; 2048];
                    let _read = stream.read(&mut head).await;
                    let _sent = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        issuer
    }

    fn keys(&self) -> v1::KeySet {
        v1::KeySet {
            issuer: self.address.clone(),
            source: Some(Source::JwksUri(format!("{}/jwks", self.address))),
            ca_certificates: vec![],
        }
    }

    fn requests(&self) -> usize {
        self.requests.load(Ordering::SeqCst)
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn issuers(environment: Environment) -> (Issuers, mpsc::UnboundedReceiver<v1::Report>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let means = Means { egress: Egress::new(AddressRules::of(environment)), clock: Clock::default(), reports: sender };
    (Issuers::new(means, Handle::current()), receiver)
}

async fn health(reports: &mut mpsc::UnboundedReceiver<v1::Report>) -> (State, String) {
    let report = tokio::time::timeout(Duration::from_secs(20), reports.recv()).await.unwrap().unwrap();
    let Some(v1::report::Report::Issuer(health)) = report.report else { panic!("another report") };
    (health.state(), health.message)
}

async fn first_look(answer: String) -> (Arc<IssuerKeys>, State, String) {
    let issuer = Issuer::start(answer).await;
    let (issuers, mut reports) = issuers(Environment::Standalone);
    issuers.insert(&"set".into(), &issuer.keys()).unwrap();
    let (state, message) = health(&mut reports).await;
    (issuers.in_force()["set"].clone(), state, message)
}

#[tokio::test]
async fn a_good_issuer_is_healthy() {
    let (keys, state, _) = first_look(ok(KEYS)).await;
    assert_eq!(state, State::Healthy);
    assert!(keys.ring().is_some());
}

#[tokio::test]
async fn a_hostile_answer_gives_no_key() {
    let gigantic = format!(r#"{{"keys":[],"pad":"{}"}}"#, "x".repeat(1_100_000));
    for (answer, why) in [
        ("HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned(), "302"),
        ("HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n".to_owned(), "500"),
        (ok("<html>login</html>"), "JSON"),
        (ok(""), "JSON"),
        (ok(r#"{"keys":[]}"#), "none of its keys"),
        (ok(&gigantic), "larger"),
        (
            format!("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: {}\r\n\r\n{KEYS}", KEYS.len()),
            "encoding",
        ),
        ("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{".to_owned(), "broke off"),
        ("garbage".to_owned(), "HTTP"),
    ] {
        let (keys, state, message) = first_look(answer).await;
        assert_eq!(state, State::Unreached, "{message}");
        assert!(keys.ring().is_none() && message.contains(why), "{why}: {message}");
    }
}

#[tokio::test]
async fn one_bad_key_among_good_ones_is_left_out() {
    let mixed = KEYS.replace(r#"{"keys":["#, r#"{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"},"#);
    let (keys, state, _) = first_look(ok(&mixed)).await;
    assert_eq!((state, keys.ring().unwrap().left_out.len()), (State::Healthy, 1));
}

#[tokio::test]
async fn discovery_has_to_speak_of_the_same_issuer() {
    let issuer = Issuer::start(String::new()).await;
    let (issuers, mut reports) = issuers(Environment::Standalone);
    *issuer.answer.lock() = ok(&format!(r#"{{"issuer":"{}/","jwks_uri":"{}/jwks"}}"#, issuer.address, issuer.address));
    let set = v1::KeySet { source: Some(Source::Discovery(v1::Discovery::default())), ..issuer.keys() };
    issuers.insert(&"set".into(), &set).unwrap();
    let (state, message) = health(&mut reports).await;
    assert_eq!(state, State::Unreached);
    assert!(message.contains("metadata is that of"), "{message}");
}

#[tokio::test]
async fn an_issuer_that_was_away_heals_and_keys_outlive_its_absence() {
    let issuer = Issuer::start("garbage".to_owned()).await;
    let (issuers, mut reports) = issuers(Environment::Standalone);
    issuers.insert(&"set".into(), &issuer.keys()).unwrap();
    assert_eq!(health(&mut reports).await.0, State::Unreached);
    *issuer.answer.lock() = ok(KEYS);
    assert_eq!(health(&mut reports).await.0, State::Healthy);
    let keys = issuers.in_force()["set"].clone();
    *issuer.answer.lock() = "garbage".to_owned();
    keys.look_again().await;
    assert_eq!(health(&mut reports).await.0, State::Stale);
    assert!(keys.ring().is_some());
}

/// What the issuer says of a key that is held, once it has been fetched and then something else is published.
async fn after(published: &str) -> (Arc<IssuerKeys>, State, String) {
    let issuer = Issuer::start(ok(KEYS)).await;
    let (issuers, mut reports) = issuers(Environment::Standalone);
    issuers.insert(&"set".into(), &issuer.keys()).unwrap();
    assert_eq!(health(&mut reports).await.0, State::Healthy);
    let keys = issuers.in_force()["set"].clone();
    *issuer.answer.lock() = ok(published);
    keys.look_again().await;
    let (state, message) = health(&mut reports).await;
    (keys, state, message)
}

#[tokio::test]
async fn a_key_that_its_issuer_discredits_verifies_no_longer() {
    for (published, why) in [
        (PRIVATE.to_owned(), "private half"),
        (PRIVATE.replace("other", "one"), "private half"),
        (PRIVATE.replace(r#""d":"AAAA""#, r#""use":"enc""#), "its use is not sig"),
        (r#"{"kty":"EC","crv":"P-521","kid":"one"}"#.to_owned(), "its kty or crv"),
        (format!(r#"{{"kty":"oct"}},{PRIVATE},7"#), "private half"),
    ] {
        let (keys, state, message) = after(&format!(r#"{{"keys":[{published}]}}"#)).await;
        assert_eq!(state, State::Unreached, "{published}: {message}");
        assert!(keys.ring().is_none() && message.contains(why), "{published}: {message}");
    }
}

#[tokio::test]
async fn a_set_that_names_no_key_that_is_held_changes_nothing() {
    for published in [
        r#"{"keys":[]}"#,
        r#"{"keys":[7]}"#,
        r#"{"keys":[{}]}"#,
        r#"{"keys":[{"kty":"oct","kid":"two","k":"c2VjcmV0"}]}"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"two","x":"AQ","d":"AAAA"}]}"#,
        r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":7,"use":"enc"}]}"#,
        r#"{"keys":{"kid":"one"}}"#,
        "<html>one</html>",
    ] {
        let (keys, state, message) = after(published).await;
        assert_eq!(state, State::Stale, "{published}: {message}");
        assert!(keys.ring().is_some(), "{published}: {message}");
    }
}

#[tokio::test]
async fn a_flood_of_unknown_keys_costs_one_look() {
    let issuer = Issuer::start(ok(KEYS)).await;
    let (issuers, mut reports) = issuers(Environment::Standalone);
    issuers.insert(&"set".into(), &issuer.keys()).unwrap();
    health(&mut reports).await;
    let keys = issuers.in_force()["set"].clone();
    let before = issuer.requests();
    let flood = (0..200).map(|_| {
        let keys = Arc::clone(&keys);
        tokio::spawn(async move { keys.look_again().await })
    });
    for one in flood.collect::<Vec<_>>() {
        one.await.unwrap();
    }
    assert_eq!(issuer.requests() - before, 1);
    keys.look_again().await;
    assert_eq!(issuer.requests() - before, 1, "the cool-down is not over");
}

#[tokio::test]
async fn in_a_cluster_loopback_is_not_called() {
    let issuer = Issuer::start(ok(KEYS)).await;
    let (issuers, mut reports) = issuers(Environment::Cluster);
    issuers.insert(&"set".into(), &issuer.keys()).unwrap();
    let (state, message) = health(&mut reports).await;
    assert!(state == State::Unreached && message.contains("must not be called"), "{message}");
    assert_eq!(issuer.requests(), 0);
}

#[tokio::test]
async fn given_keys_are_there_at_once_and_never_fetched() {
    let (issuers, _reports) = issuers(Environment::Cluster);
    let set = |json: &'static str| v1::KeySet {
        source: Some(Source::Jwks(Bytes::from_static(json.as_bytes()))),
        ..v1::KeySet::default()
    };
    issuers.insert(&"set".into(), &set(KEYS)).unwrap();
    let keys = issuers.in_force()["set"].clone();
    keys.look_again().await;
    assert!(keys.ring().is_some());
    assert!(issuers.insert(&"bad".into(), &set("{}")).is_err());
    issuers.remove("set");
    assert!(issuers.in_force().is_empty());
}

#[tokio::test]
async fn of_given_keys_it_is_told_which_are_left_out() {
    let (issuers, mut reports) = issuers(Environment::Cluster);
    let set = |json: String| v1::KeySet { source: Some(Source::Jwks(json.into())), ..v1::KeySet::default() };
    issuers.insert(&"good".into(), &set(KEYS.to_owned())).unwrap();
    assert!(reports.try_recv().is_err(), "there is nothing to tell");
    let mixed = KEYS.replace(r#"{"keys":["#, r#"{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"},7,"#);
    issuers.insert(&"mixed".into(), &set(mixed)).unwrap();
    let (state, message) = health(&mut reports).await;
    assert_eq!(state, State::Healthy);
    assert!(message.contains("keys[0]: it is no RSA key") && message.contains("keys[1]: it is no object"), "{message}");
    let refused = issuers.insert(&"bad".into(), &set(format!(r#"{{"keys":[{PRIVATE},7]}}"#))).unwrap_err();
    assert!(
        refused.contains("keys[0]: it is published with") && refused.contains("keys[1]: it is no object"),
        "{refused}"
    );
    assert!(reports.try_recv().is_err(), "what is rejected is told as such");
}
