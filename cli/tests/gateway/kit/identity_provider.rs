//! A real identity provider beside the gateway: `oidc-provider` in a process of its own (see `cli/tests/identity-provider`).

use std::path::PathBuf;
use std::process::Stdio;

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use http::{Method, Request, header};
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::caller::{self, Answer};
use super::issuer::encode;
use super::pki::{Authority, Identity};

/// The resource whose tokens are for the audience `orders-api`.
pub const ORDERS: &str = "urn:test:orders";
/// The same, whose tokens say nothing by themselves.
pub const OPAQUE: &str = "urn:test:opaque";
/// The same, whose tokens are encrypted.
pub const SEALED: &str = "urn:test:sealed";
const CLIENT: &str = "test-client:not-a-secret-outside-of-tests";
/// Gets tokens that are bound to its certificate.
const MACHINE: &str = "test-machine:not-a-secret-outside-of-tests";
const REDIRECT: &str = "https://client.invalid/callback";
const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/identity-provider");

pub struct IdentityProvider {
    port: u16,
    tls: Option<Tls>,
    process: Option<Process>,
    published: Vec<Key>,
}

/// A private key of the provider; kept here, so that it outlives the provider's process.
#[derive(Clone)]
pub struct Key(Value);

struct Tls {
    authority: Authority,
    identity: Identity,
}

struct Process {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl IdentityProvider {
    /// Over http, signing with one key for `algorithm`.
    pub async fn start(algorithm: &str) -> Self {
        let mut provider = Self::down().await;
        provider.up(algorithm).await;
        provider
    }

    /// Over https, with a certificate of an authority that nobody knows.
    pub async fn start_with_tls(algorithm: &str) -> Self {
        let authority = Authority::new("identity provider");
        let identity = authority.issue(&["127.0.0.1"]);
        let mut provider = Self { tls: Some(Tls { authority, identity }), ..Self::down().await };
        provider.up(algorithm).await;
        provider
    }

    /// Has a name, and no process yet.
    pub async fn down() -> Self {
        let probe = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        Self { port: probe.local_addr().unwrap().port(), tls: None, process: None, published: vec![] }
    }

    /// Starts the process; publishes the keys it had before, or a first one for `algorithm`.
    pub async fn up(&mut self, algorithm: &str) {
        self.process = Some(Process::start());
        if self.published.is_empty() {
            self.published = vec![self.make_key(algorithm, "first").await];
        }
        let published = self.published.clone();
        self.publish(&published).await;
    }

    /// Kills the process.
    pub async fn stop(&mut self) {
        let mut process = self.process.take().expect("it is up");
        process.child.kill().await.unwrap();
    }

    pub async fn make_key(&mut self, algorithm: &str, kid: &str) -> Key {
        let answer = self.command(&json!({ "do": "make-key", "alg": algorithm, "kid": kid })).await;
        Key(answer["jwk"].clone())
    }

    /// Publishes these keys from now on, and signs with the first.
    pub async fn publish(&mut self, keys: &[Key]) {
        let signing = &keys.first().expect("at least one key").0;
        let jwks: Vec<_> = keys.iter().map(|key| &key.0).collect();
        let tls = self.tls.as_ref().map(|tls| json!({ "cert": tls.identity.certificate, "key": tls.identity.key }));
        let command = json!({ "do": "serve", "port": self.port, "keys": jwks, "alg": signing["alg"], "kid": signing["kid"], "tls": tls });
        let answer = self.command(&command).await;
        assert_eq!(answer["port"], self.port);
        self.published = keys.to_vec();
    }

    /// Encrypts tokens for [`SEALED`] from now on, for a public key in PEM.
    pub async fn encrypt(&mut self, pem: &str, (algorithm, encryption): (&str, &str)) {
        self.command(&json!({ "do": "encrypt", "pem": pem, "alg": algorithm, "enc": encryption })).await;
    }

    /// Key sets that it has handed out since its process started.
    pub async fn key_sets(&mut self) -> u64 {
        self.command(&json!({ "do": "count" })).await["count"].as_u64().unwrap()
    }

    /// `iss` of its tokens.
    pub fn name(&self) -> String {
        format!("{}://127.0.0.1:{}", if self.tls.is_some() { "https" } else { "http" }, self.port)
    }

    /// The authority of its certificate.
    pub fn authority(&self) -> String {
        self.tls.as_ref().expect("it speaks TLS").authority.pem()
    }

    /// An access token by client credentials, for a resource and scopes.
    pub async fn token(&self, resource: &str, scope: &str) -> String {
        let form = format!("grant_type=client_credentials&resource={resource}&scope={}", scope.replace(' ', "+"));
        text(&self.ask_for_tokens(form).await, "access_token")
    }

    /// Takes a token back (RFC 7009).
    pub async fn revoke(&self, token: &str) {
        let request = self.form_request(CLIENT, "/token/revocation");
        let answer = self.send(request.body(Full::from(format!("token={token}"))).unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    /// The same of a client whose tokens are bound to its certificate (RFC 8705, 3), of which whoever stands in front of the provider tells.
    pub async fn token_of_machine(&self, resource: &str, scope: &str, machine: &Identity) -> String {
        let form = format!("grant_type=client_credentials&resource={resource}&scope={scope}");
        let told = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &machine.der);
        let request = self.token_request(MACHINE).header("x-client-certificate", told);
        text(&self.tokens(request, form).await, "access_token")
    }

    /// What a client with a key of its own gets that asks for `address` with a token of this provider (see `client.mjs`).
    pub async fn call_with_proof(&self, address: &str, resource: &str, scope: &str) -> Value {
        let told = json!({ "issuer": self.name(), "address": address, "resource": resource, "scope": scope });
        client(&told, &[]).await
    }

    /// The access token and the ID token of a person who signs in: authorization code with PKCE.
    pub async fn sign_in(&self, scope: &str) -> (String, String) {
        let verifier = "a-code-verifier-of-at-least-forty-three-characters";
        let challenge = encode(digest(&SHA256, verifier.as_bytes()));
        let scope = scope.replace(' ', "+");
        let start = format!(
            "/auth?client_id=test-client&response_type=code&redirect_uri={REDIRECT}&scope=openid+{scope}&resource={ORDERS}&code_challenge={challenge}&code_challenge_method=S256"
        );
        let code = self.follow_to_code(start).await;
        let form = format!(
            "grant_type=authorization_code&code={code}&redirect_uri={REDIRECT}&code_verifier={verifier}&resource={ORDERS}"
        );
        let tokens = self.ask_for_tokens(form).await;
        (text(&tokens, "access_token"), text(&tokens, "id_token"))
    }

    /// Follows redirects with their cookies, as a browser does, until one leads back to the client.
    async fn follow_to_code(&self, start: String) -> String {
        const MOST_REDIRECTS: usize = 6;
        let (mut target, mut cookies) = (start, Vec::<(String, String)>::new());
        for _ in 0..MOST_REDIRECTS {
            let sent: Vec<_> = cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let request = self.request(Method::GET, &target).header(header::COOKIE, sent.join("; "));
            let answer = self.send(request.body(Full::default()).unwrap()).await;
            let location = answer.header("location").unwrap_or_else(|| panic!("no redirect: {answer:?}")).to_owned();
            if let Some((_, rest)) = location.split_once("?code=") {
                return rest.split('&').next().unwrap().to_owned();
            }
            for set in answer.headers.get_all("set-cookie") {
                let (name, value) = set.to_str().unwrap().split(';').next().unwrap().split_once('=').unwrap();
                cookies.retain(|(known, _)| known != name);
                cookies.push((name.to_owned(), value.to_owned()));
            }
            target = location.strip_prefix(&self.name()).unwrap_or(&location).to_owned();
        }
        panic!("the sign-in does not end: {target}");
    }

    async fn ask_for_tokens(&self, form: String) -> Value {
        self.tokens(self.token_request(CLIENT), form).await
    }

    fn token_request(&self, client: &str) -> http::request::Builder {
        self.form_request(client, "/token")
    }

    fn form_request(&self, client: &str, target: &str) -> http::request::Builder {
        let credentials = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, client);
        self.request(Method::POST, target)
            .header(header::AUTHORIZATION, format!("Basic {credentials}"))
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
    }

    async fn tokens(&self, request: http::request::Builder, form: String) -> Value {
        let answer = self.send(request.body(Full::from(form)).unwrap()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn request(&self, method: Method, target: &str) -> http::request::Builder {
        Request::builder().method(method).uri(target).header(header::HOST, format!("127.0.0.1:{}", self.port))
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Answer {
        let address = ([127, 0, 0, 1], self.port).into();
        match &self.tls {
            Some(tls) => {
                let stream = caller::tls(address, "127.0.0.1", tls.authority.client(&[])).await.unwrap();
                caller::over(stream, request).await
            }
            None => caller::over(TcpStream::connect(address).await.unwrap(), request).await,
        }
    }

    async fn command(&mut self, command: &Value) -> Value {
        self.process.as_mut().expect("it is up").command(command).await
    }
}

/// What `client.mjs` says that is told this.
pub async fn client(told: &Value, environment: &[(&str, &str)]) -> Value {
    let script = format!("{FOLDER}/client.mjs");
    let mut client = Command::new("node");
    client.args([&script, installed().to_str().unwrap(), &told.to_string()]).envs(environment.iter().copied());
    let output = client.output().await.expect("node can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

impl Process {
    fn start() -> Self {
        let mut child = Command::new("node")
            .args([&format!("{FOLDER}/server.mjs"), installed().to_str().unwrap()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("node can be started");
        let (commands, answers) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Self { child, commands, answers: BufReader::new(answers).lines() }
    }

    async fn command(&mut self, command: &Value) -> Value {
        self.commands.write_all(format!("{command}\n").as_bytes()).await.unwrap();
        let line = self.answers.next_line().await.unwrap();
        serde_json::from_str(&line.unwrap_or_else(|| panic!("the identity provider has ended at {command}"))).unwrap()
    }
}

/// Where `make` has installed the provider: keyed by the lock file, so that an older one is never taken.
fn installed() -> PathBuf {
    let lock = std::fs::read(format!("{FOLDER}/package-lock.json")).unwrap();
    let key: String = digest(&SHA256, &lock).as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let home = || PathBuf::from(std::env::var_os("HOME").expect("HOME is set")).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").filter(|path| !path.is_empty()).map_or_else(home, PathBuf::from);
    let folder = cache.join(format!("sallyport/identity-provider-{key}"));
    assert!(folder.is_dir(), "{} is missing; run `make identity-provider`", folder.display());
    folder
}

fn text(tokens: &Value, name: &str) -> String {
    tokens[name].as_str().unwrap_or_else(|| panic!("no {name}: {tokens}")).to_owned()
}
