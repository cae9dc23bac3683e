//! The requests of the demo: to the Gateway's address, or where it has none, or none that is reached from here, through the API server.

use std::time::Duration;

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use kube::client::Body;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use super::{key, whereabouts};
use crate::cluster::connect::{Cluster, printable};
use crate::exit::Outcome;
use crate::print;

/// A load balancer that is reached at all is reached sooner.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// Between two attempts.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(200);
/// Services take a moment to reach their first pod.
const PATIENCE: Duration = Duration::from_secs(20);
const BETWEEN_REQUESTS: Duration = Duration::from_millis(250);
/// More than the sample service says.
const MAX_ANSWER_BYTES: usize = 65_536;
const PATH: &str = "/orders";
const KEY_HEADER: &str = "Sallyport-Key";

/// What came, as far as it is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    status: u16,
    /// Of a refusal.
    reason: String,
    /// `Authorization` that the service saw.
    shown: String,
}

impl Answer {
    pub(super) fn of(status: u16, body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self { status, reason: text("/reason"), shown: text("/headers/Authorization/0") }
    }

    fn verdict(&self) -> String {
        format!("{} {}", self.status, self.reason).trim_end().to_owned()
    }
}

/// By which way requests go.
enum Way {
    /// To this address.
    Address(String),
    /// To this Service, through the API server.
    Proxy(String),
}

pub(super) async fn ask(cluster: &Cluster, began: Instant) -> anyhow::Result<Outcome> {
    let key = key(cluster).await?;
    let (address, service) = whereabouts(cluster).await?;
    let way = way(address.clone(), &service).await;
    let requests = [
        ("no key", "401 credential-missing", None),
        ("an unknown key", "401 key-unknown", Some("nobody")),
        ("the key", "200", Some(&*key)),
    ];
    let mut answers = Vec::new();
    for (what, expected, key) in requests {
        answers.push((what, expected, answered(cluster, &way, key, expected).await?));
    }
    let namespace = &cluster.namespace;
    print::line(&format!("A protected API in namespace {namespace} after {} s\n", began.elapsed().as_secs()));
    for (what, expected, answer) in &answers {
        let verdict = answer.verdict();
        let is_as_expected = if verdict == *expected { "as expected" } else { "NOT as expected" };
        print::line(&printable(&format!("  {what:<16} -> {verdict} ({is_as_expected})")));
    }
    let shown = answers.last().map(|(_, _, answer)| answer.shown.clone()).unwrap_or_default();
    print::line(&printable(&format!(
        "\nThe service never saw the key: it was shown `Authorization: {shown}`, a login of the gateway's own."
    )));
    print::line(&paste(&way, address.as_deref(), namespace, &service, &key));
    let is_fine = answers.iter().all(|(_, expected, answer)| answer.verdict() == *expected);
    Ok(if is_fine { Outcome::Fine } else { Outcome::Findings })
}

async fn way(address: Option<String>, service: &str) -> Way {
    let through = || Way::Proxy(service.to_owned());
    let Some(address) = address else { return through() };
    let is_reached = timeout(REACH_TIMEOUT, reached(&address)).await.is_ok();
    if is_reached { Way::Address(address) } else { through() }
}

/// Asks until the answer is what it should be, or has had the time to become so.
async fn answered(cluster: &Cluster, way: &Way, key: Option<&str>, expected: &str) -> anyhow::Result<Answer> {
    let began = Instant::now();
    loop {
        let answer = once(cluster, way, key).await;
        match answer {
            Ok(answer) if answer.verdict() == expected => return Ok(answer),
            answer if began.elapsed() >= PATIENCE => return answer,
            _ => sleep(BETWEEN_REQUESTS).await,
        }
    }
}

async fn once(cluster: &Cluster, way: &Way, key: Option<&str>) -> anyhow::Result<Answer> {
    let asked = async {
        match way {
            Way::Address(address) => directly(address, key).await,
            Way::Proxy(service) => through(cluster, service, key).await,
        }
    };
    timeout(PATIENCE, asked).await.context("the gateway does not answer")?
}

/// An address that is told leads somewhere a moment later.
async fn reached(address: &str) {
    while TcpStream::connect((address, 80)).await.is_err() {
        sleep(BETWEEN_ATTEMPTS).await;
    }
}

async fn directly(address: &str, key: Option<&str>) -> anyhow::Result<Answer> {
    let stream = TcpStream::connect((address, 80)).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let mut request = Request::get(PATH).header(header::HOST, address);
    if let Some(key) = key {
        request = request.header(KEY_HEADER, key);
    }
    let response = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = response.status().as_u16();
    let body = limited(response.into_body()).await?;
    driver.abort();
    Ok(Answer::of(status, &body))
}

/// The API server forwards to a Service, and leaves out who asked (Kubernetes, "Access services running on clusters").
async fn through(cluster: &Cluster, service: &str, key: Option<&str>) -> anyhow::Result<Answer> {
    let namespace = &cluster.namespace;
    let mut request = Request::get(format!("/api/v1/namespaces/{namespace}/services/{service}:80/proxy{PATH}"));
    if let Some(key) = key {
        request = request.header(KEY_HEADER, key);
    }
    let response = cluster.client.send(request.body(Body::empty())?).await;
    let response = response.map_err(|error| cluster.explained(&error, &format!("Service {namespace}/{service}")))?;
    let status = response.status().as_u16();
    Ok(Answer::of(status, &limited(response.into_body()).await?))
}

async fn limited<B>(body: B) -> anyhow::Result<Bytes>
where
    B: http_body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let whole = Limited::new(body, MAX_ANSWER_BYTES).collect().await.map_err(|error| {
        let is_long = error.is::<LengthLimitError>();
        anyhow!("{}", if is_long { "the answer is too long".to_owned() } else { error.to_string() })
    })?;
    Ok(whole.to_bytes())
}

/// Lines to paste, and what they are answered with.
fn paste(way: &Way, address: Option<&str>, namespace: &str, service: &str, key: &str) -> String {
    let (base, first) = match way {
        Way::Address(address) => (format!("http://{address}"), String::new()),
        Way::Proxy(_) => {
            let why = match address {
                Some(address) => format!("its address {address} is not reached from here"),
                None => "it has no address, for nobody in the cluster gives any".to_owned(),
            };
            let forward = format!("kubectl port-forward -n {namespace} service/{service} 8080:80");
            let first =
                format!("\n# The requests went through the API server: {why}. In another terminal, first:\n{forward}");
            ("http://127.0.0.1:8080".to_owned(), first)
        }
    };
    let cleaned = if namespace == super::NAMESPACE { String::new() } else { format!(" -n {namespace}") };
    format!(
        "\nTry it yourself:\n{first}\n# 401: no key\ncurl -i {base}{PATH}\n# 200, and what the service saw\ncurl -i {base}{PATH} -H '{KEY_HEADER}: {key}'\n# Remove it\nsallyport demo --cluster --clean{cleaned}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_told_by_its_status_and_reason() {
        for (status, body, verdict, shown) in [
            (401, r#"{"reason":"credential-missing"}"#, "401 credential-missing", ""),
            (200, r#"{"headers":{"Authorization":["Basic eA=="]}}"#, "200", "Basic eA=="),
            (503, "no JSON", "503", ""),
            (502, "", "502", ""),
        ] {
            let answer = Answer::of(status, body.as_bytes());
            assert_eq!((&*answer.verdict(), &*answer.shown), (verdict, shown));
        }
    }

    #[test]
    fn lines_to_paste_fit_the_way() {
        let direct = paste(
            &Way::Address("203.0.113.7".into()),
            Some("203.0.113.7"),
            "sallyport-demo",
            "public-sallyport",
            "spk_x",
        );
        assert!(direct.contains("curl -i http://203.0.113.7/orders -H 'Sallyport-Key: spk_x'"), "{direct}");
        assert!(!direct.contains("port-forward") && direct.ends_with("--clean"), "{direct}");
        let through = paste(&Way::Proxy("public-sallyport".into()), None, "mine", "public-sallyport", "spk_x");
        assert!(through.contains("kubectl port-forward -n mine service/public-sallyport 8080:80"), "{through}");
        assert!(
            through.contains("curl -i http://127.0.0.1:8080/orders\n") && through.ends_with("--clean -n mine"),
            "{through}"
        );
        let unreached = paste(&Way::Proxy("s".into()), Some("10.0.0.1"), "mine", "s", "spk_x");
        assert!(unreached.contains("10.0.0.1 is not reached"), "{unreached}");
    }
}
