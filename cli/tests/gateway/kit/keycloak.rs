//! A real Keycloak beside the gateway, over TLS, with the realm of `cli/tests/keycloak/realm.json`.

use std::path::PathBuf;
use std::process::Stdio;

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use rustls::ClientConfig;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::time::{Duration, timeout};

use super::caller::{self, Answer};
use super::pki::{Authority, Identity};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/keycloak");
/// What the name of what is installed hangs on, in the order of the names.
const SOURCES: [&str; 3] = ["install", "realm.json", "start"];
const REALM: &str = "sallyport-test";
const SECRET: &str = "not-a-secret-outside-of-tests";
/// It is up in 6 s on a quiet machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Ends with its test.
pub struct Keycloak {
    port: u16,
    authority: Authority,
    /// Ends before its folder goes.
    _process: Child,
    folder: TempDir,
}

impl Keycloak {
    /// With clients that may show certificates of `machines`.
    pub async fn start(machines: &Authority) -> Self {
        let (authority, folder) = (Authority::new("login"), tempfile::tempdir().unwrap());
        let identity = authority.issue(&["127.0.0.1"]);
        let written = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let (chain, key) = (written("tls.crt", &identity.certificate), written("tls.key", &identity.key));
        let trusted = written("machines.crt", &machines.pem());
        written("ca.crt", &authority.pem());
        let mut process = Command::new(format!("{FOLDER}/start"))
            .arg(installed())
            .arg(folder.path().join("own"))
            .args(["--https-port=0", "--https-trust-store-type=PEM"])
            .arg(format!("--https-certificate-file={chain}"))
            .arg(format!("--https-certificate-key-file={key}"))
            .arg(format!("--https-trust-store-file={trusted}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Keycloak can be started");
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let mut said = Vec::new();
        let listens = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                said.push(line.clone());
                if let Some((_, rest)) = line.split_once("https://127.0.0.1:") {
                    return rest.split(|one: char| !one.is_ascii_digit()).next().unwrap().parse::<u16>().ok();
                }
            }
            None
        };
        let port = timeout(PATIENCE, listens).await.ok().flatten();
        let port = port.unwrap_or_else(|| panic!("Keycloak does not start: {said:#?}"));
        // Nobody reads what else it says; it must not wait for anybody who does.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { port, authority, _process: process, folder }
    }

    /// `iss` of its tokens.
    pub fn issuer(&self) -> String {
        format!("https://127.0.0.1:{}/realms/{REALM}", self.port)
    }

    /// The authority of its certificate.
    pub fn authority(&self) -> String {
        self.authority.pem()
    }

    /// An access token of a client that is called so, and shows nothing but its secret.
    pub async fn token(&self, client: &str) -> String {
        let config = self.authority.client(&[]);
        text(&self.granted(client, "grant_type=client_credentials", config).await)
    }

    /// The same of one whose tokens are bound to its certificate.
    pub async fn token_of(&self, machine: &Identity) -> String {
        let config = self.authority.client_showing(&[], machine, &[]);
        text(&self.granted("machine-mtls", "grant_type=client_credentials", config).await)
    }

    /// The access token of a person.
    pub async fn token_of_alice(&self) -> String {
        let form = "grant_type=password&client_id=app&username=alice&password=alice-password";
        text(&self.granted("", form, self.authority.client(&[])).await)
    }

    /// What a client with a key of its own gets that asks for `address` with one of its tokens (see `cli/tests/identity-provider/client.mjs`).
    pub async fn call_with_proof(&self, address: &str) -> Value {
        let told = json!({ "issuer": self.issuer(), "address": address, "resource": "", "scope": "orders:read",
                           "client": "machine-dpop", "secret": "machine-dpop-secret" });
        let trusted = self.folder.path().join("ca.crt");
        super::identity_provider::client(&told, &[("NODE_EXTRA_CA_CERTS", trusted.to_str().unwrap())]).await
    }

    /// Makes a key that signs from now on; its component's id.
    pub async fn rotate(&self, name: &str, priority: u32) -> String {
        let config = json!({ "priority": [priority.to_string()], "algorithm": ["RS256"], "keySize": ["2048"],
                             "enabled": ["true"], "active": ["true"] });
        let key = json!({ "name": name, "providerId": "rsa-generated", "providerType": "org.keycloak.keys.KeyProvider", "config": config });
        let made = self.manage(Method::POST, &format!("/{REALM}/components"), Some(&key)).await;
        assert_eq!(made.status, 201, "{made:?}");
        made.header("location").unwrap().rsplit('/').next().unwrap().to_owned()
    }

    /// Ids of the keys that sign with RS256, but for `kept`.
    pub async fn forget_keys_but(&self, kept: &str) {
        let keys =
            self.manage(Method::GET, &format!("/{REALM}/components?type=org.keycloak.keys.KeyProvider"), None).await;
        let keys: Value = serde_json::from_slice(&keys.body).unwrap();
        let ours =
            keys.as_array().unwrap().iter().filter(|key| key["providerId"] == "rsa-generated" && key["id"] != kept);
        for key in ours {
            let path = format!("/{REALM}/components/{}", key["id"].as_str().unwrap());
            assert_eq!(self.manage(Method::DELETE, &path, None).await.status, 204);
        }
    }

    pub async fn delete_realm(&self) {
        assert_eq!(self.manage(Method::DELETE, &format!("/{REALM}"), None).await.status, 204);
    }

    /// The same clients and people again, with keys of its own.
    pub async fn make_realm(&self) {
        let realm = std::fs::read(format!("{FOLDER}/realm.json")).unwrap();
        let made = self.manage(Method::POST, "", Some(&serde_json::from_slice(&realm).unwrap())).await;
        assert_eq!(made.status, 201, "{made:?}");
    }

    /// By the administrator's interface.
    async fn manage(&self, method: Method, path: &str, body: Option<&Value>) -> Answer {
        let form = format!("grant_type=client_credentials&client_id=test-admin&client_secret={SECRET}");
        let target = "/realms/master/protocol/openid-connect/token";
        let token = text(&said(&self.posted(target, form, self.authority.client(&[])).await));
        let request = self.request(method, &format!("/admin/realms{path}"));
        let request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        let request = request.header(header::CONTENT_TYPE, "application/json");
        let body = body.map_or_else(Full::default, |body| Full::from(body.to_string()));
        self.send(request.body(body).unwrap(), self.authority.client(&[])).await
    }

    async fn granted(&self, client: &str, form: &str, config: ClientConfig) -> Value {
        let of_client = if client.is_empty() {
            String::new()
        } else {
            format!("&client_id={client}&client_secret={client}-secret")
        };
        let target = format!("/realms/{REALM}/protocol/openid-connect/token");
        said(&self.posted(&target, format!("{form}{of_client}"), config).await)
    }

    async fn posted(&self, target: &str, form: String, config: ClientConfig) -> Answer {
        let request = self.request(Method::POST, target);
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Full::from(form)).unwrap(), config).await
    }

    fn request(&self, method: Method, target: &str) -> http::request::Builder {
        Request::builder().method(method).uri(target).header(header::HOST, format!("127.0.0.1:{}", self.port))
    }

    async fn send(&self, request: Request<Full<Bytes>>, config: ClientConfig) -> Answer {
        let address = ([127, 0, 0, 1], self.port).into();
        caller::over(caller::tls(address, "127.0.0.1", config).await.unwrap(), request).await
    }
}

fn said(answer: &Answer) -> Value {
    assert_eq!(answer.status, 200, "{answer:?}");
    serde_json::from_slice(&answer.body).unwrap()
}

fn text(granted: &Value) -> String {
    granted["access_token"].as_str().unwrap_or_else(|| panic!("no token: {granted}")).to_owned()
}

/// Where `make` has installed it: keyed by what installs it, so that an older one is never taken.
fn installed() -> PathBuf {
    let mut context = Context::new(&SHA256);
    SOURCES.iter().for_each(|name| context.update(&std::fs::read(format!("{FOLDER}/{name}")).unwrap()));
    let key: String = context.finish().as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from);
    let folder = cache.join(format!("sallyport/keycloak-{key}"));
    assert!(folder.is_dir(), "{} is missing; run `make keycloak`", folder.display());
    folder
}
