//! `sallyport run` as a process: what it hears of its files, what it says, and how it ends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

/// Nothing here takes that long, except on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(30);
/// The listener's port in the manifests, and what is added to it.
const PORT: u16 = 80;
const OFFSET: u16 = 8000;

const GATEWAY: &str = "
apiVersion: gateway.networking.k8s.io/v1
kind: GatewayClass
metadata: {name: sallyport}
spec: {controllerName: sallyport.dev/gateway-controller}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: public, namespace: shop}
spec:
  gatewayClassName: sallyport
  listeners: [{name: http, port: 80, protocol: HTTP}]
";

/// An open route of the path prefix `/NAME` to a service.
fn route(name: &str, service: SocketAddr) -> String {
    format!(
        "
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{name: {name}, namespace: shop}}
spec:
  parentRefs: [{{name: public}}]
  rules:
  - matches: [{{path: {{type: PathPrefix, value: /{name}}}}}]
    backendRefs: [{{group: sallyport.dev, kind: Backend, name: {name}}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: Backend
metadata: {{name: {name}, namespace: shop}}
spec:
  endpoints: [{{address: {{ip: {}, port: {}}}}}]
---
apiVersion: sallyport.dev/v1alpha1
kind: ApiPolicy
metadata: {{name: {name}, namespace: shop}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, name: {name}}}]
  authentication: [{{name: open, public: {{}}}}]
",
        service.ip(),
        service.port()
    )
}

/// By process and by gateway within it, so that tests run beside each other on the same ports.
fn own_address() -> IpAddr {
    static STARTED: AtomicU8 = AtomicU8::new(1);
    let [_, _, high, low] = std::process::id().to_be_bytes();
    Ipv4Addr::new(127, high, low, STARTED.fetch_add(1, Ordering::Relaxed)).into()
}

/// A service that answers each request after a word on the channel that comes with it.
fn service() -> (SocketAddr, Receiver<TcpStream>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (arrived, arrivals) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _length = stream.read(&mut head).unwrap();
            if arrived.send(stream).is_err() {
                return;
            }
        }
    });
    (address, arrivals)
}

fn answer(mut stream: TcpStream) {
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").unwrap();
}

/// A service that answers at once.
fn prompt_service() -> SocketAddr {
    let (address, arrivals) = service();
    thread::spawn(move || arrivals.into_iter().for_each(answer));
    address
}

/// A gateway in a process of its own, which ends with it.
struct Gateway {
    child: Child,
    ip: IpAddr,
    said: Receiver<String>,
    heard: Vec<String>,
}

impl Gateway {
    /// Runs with `paths`, and has put them in force.
    fn start(paths: &[&Path]) -> Self {
        let mut gateway = Self::spawn(paths, own_address(), &[]);
        gateway.until_said("ready");
        gateway
    }

    fn spawn(paths: &[&Path], ip: IpAddr, more: &[&str]) -> Self {
        let mut child = command(paths, ip, more).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (say, said) = channel();
        thread::spawn(move || stderr.lines().map_while(Result::ok).for_each(|line| drop(say.send(line))));
        Self { child, ip, said, heard: vec![] }
    }

    /// Waits for a line with this word on standard error.
    fn until_said(&mut self, word: &str) -> String {
        loop {
            match self.said.recv_timeout(PATIENCE) {
                Ok(line) => self.heard.push(line),
                Err(_) => panic!("nobody said {word}: {:#?}", self.heard),
            }
            let line = self.heard.last().unwrap();
            if line.contains(word) {
                return line.clone();
            }
        }
    }

    fn status(&self, path: &str) -> u16 {
        status((self.ip, PORT + OFFSET), path)
    }

    /// Waits until this path is answered so.
    fn until_answered(&self, path: &str, expected: u16) {
        let tries = PATIENCE.as_millis() / 20;
        for _ in 0..tries {
            if self.status(path) == expected {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
        panic!("{path} is answered {} rather than {expected}", self.status(path));
    }

    /// Asks it to end, by the signal that is named.
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ended = self.child.kill();
        let _ended = self.child.wait();
    }
}

fn command(paths: &[&Path], ip: IpAddr, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sallyport"));
    command.arg("run").args(["--workers", "1", "--bind", &ip.to_string(), "--port-offset", &OFFSET.to_string()]);
    command.args(["--admin", &format!("{ip}:9090")]).args(more);
    for path in paths {
        command.arg("-f").arg(path);
    }
    command
        .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT")
        .env("RUST_LOG", "info")
        .stdin(Stdio::null())
        .stdout(Stdio::null());
    command
}

/// The status of a GET; 0 where nobody answers.
fn status(address: (IpAddr, u16), path: &str) -> u16 {
    let Ok(mut stream) = TcpStream::connect(address) else { return 0 };
    let request = format!("GET {path} HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n");
    let mut answer = String::new();
    if stream.write_all(request.as_bytes()).is_err() || stream.read_to_string(&mut answer).is_err() {
        return 0;
    }
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

/// Ends by itself: its exit code, and what it said.
fn ends(paths: &[&Path], ip: IpAddr, more: &[&str]) -> (Option<i32>, String) {
    let output = command(paths, ip, more).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(&folder.path().join(name), text);
    }
    folder
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// As most editors save.
fn replace(path: &Path, text: &str) {
    let beside = path.with_extension("tmp");
    write(&beside, text);
    fs::rename(beside, path).unwrap();
}

/// Makes `link` lead to `target` in one step.
fn relink(link: &Path, target: &str) {
    let beside = link.with_file_name("..swap");
    symlink(target, &beside).unwrap();
    fs::rename(beside, link).unwrap();
}

#[test]
fn files_below_a_folder_are_heard_of_however_they_change() {
    let service = prompt_service();
    let (one, two) = (route("one", service), route("two", service));
    let folder = folder(&[("gateway.yaml", GATEWAY), ("route.yaml", &one)]);
    let at = |name: &str| folder.path().join(name);
    let mut gateway = Gateway::start(&[folder.path()]);
    gateway.until_answered("/one", 200);
    fs::write(at("route.yaml"), &two).unwrap();
    gateway.until_answered("/two", 200);
    assert_eq!(gateway.status("/one"), 404, "written in place");
    replace(&at("route.yaml"), &one);
    gateway.until_answered("/one", 200);
    write(&at("more/deep/two.yaml"), &two);
    gateway.until_answered("/two", 200);
    fs::remove_dir_all(at("more")).unwrap();
    gateway.until_answered("/two", 404);
    fs::write(at("route.yaml"), "").unwrap();
    gateway.until_said("the file is empty");
    fs::write(at("route.yaml"), b"a: \xff").unwrap();
    gateway.until_said("no UTF-8");
    fs::write(at("two.yaml"), &two).unwrap();
    gateway.until_answered("/two", 200);
    assert_eq!(gateway.status("/one"), 200, "a file that cannot be read keeps what it held");
    fs::remove_file(at("route.yaml")).unwrap();
    gateway.until_answered("/one", 404);
}

#[test]
fn a_file_that_is_still_written_is_not_read_and_holds_nothing_else_up() {
    let service = prompt_service();
    let (one, two) = (route("one", service), route("two", service));
    let folder = folder(&[("gateway.yaml", GATEWAY), ("route.yaml", &one)]);
    let at = |name: &str| folder.path().join(name);
    let mut gateway = Gateway::start(&[folder.path()]);
    gateway.until_answered("/one", 200);
    let mut file = fs::File::create(at("route.yaml")).unwrap();
    file.write_all(two.as_bytes()).unwrap();
    gateway.until_said("it is still being written");
    write(&at("three.yaml"), &route("three", service));
    gateway.until_answered("/three", 200);
    assert_eq!((gateway.status("/one"), gateway.status("/two")), (200, 404), "good as it is, it may be half of it");
    drop(file);
    gateway.until_answered("/two", 200);
    assert_eq!(gateway.status("/one"), 404);
}

#[test]
fn links_that_are_made_to_lead_elsewhere_are_heard_of() {
    let service = prompt_service();
    let (one, two) = (route("one", service), route("two", service));
    let root = folder(&[
        ("releases/41/a.yaml", &format!("{GATEWAY}---{one}")),
        ("releases/42/a.yaml", &format!("{GATEWAY}---{two}")),
        ("mounted/..41/b.yaml", &route("three", service)),
        ("mounted/..42/b.yaml", &route("four", service)),
    ]);
    let at = |name: &str| root.path().join(name);
    relink(&at("current"), "releases/41");
    relink(&at("mounted/..data"), "..41");
    symlink("..data/b.yaml", at("mounted/b.yaml")).unwrap();
    let gateway = Gateway::start(&[&at("current"), &at("mounted/b.yaml")]);
    gateway.until_answered("/one", 200);
    gateway.until_answered("/three", 200);
    for (link, target, comes, goes) in [
        ("current", "releases/42", "/two", "/one"),
        ("mounted/..data", "..42", "/four", "/three"),
        ("current", "releases/41", "/one", "/two"),
        ("mounted/..data", "..41", "/three", "/four"),
    ] {
        relink(&at(link), target);
        gateway.until_answered(comes, 200);
        assert_eq!(gateway.status(goes), 404, "{link} -> {target}");
    }
    write(&at("releases/41/a.yaml"), &format!("{GATEWAY}---{two}"));
    gateway.until_answered("/two", 200);
}

#[test]
fn a_path_that_goes_keeps_what_it_held_and_is_seen_again_when_it_comes() {
    let service = prompt_service();
    let root = folder(&[("d/a.yaml", &format!("{GATEWAY}---{}", route("one", service)))]);
    let at = |name: &str| root.path().join(name);
    let mut gateway = Gateway::start(&[&at("d")]);
    gateway.until_answered("/one", 200);
    fs::rename(at("d"), at("elsewhere")).unwrap();
    gateway.until_said("it cannot be read");
    assert_eq!(gateway.status("/one"), 200);
    write(&at("d/a.yaml"), &format!("{GATEWAY}---{}", route("two", service)));
    gateway.until_answered("/two", 200);
    write(&at("d/a.yaml"), &format!("{GATEWAY}---{}", route("three", service)));
    gateway.until_answered("/three", 200);
}

#[test]
fn its_own_log_beside_its_manifests_does_not_keep_it_reading() {
    let service = prompt_service();
    let root = folder(&[("gateway.yaml", &format!("{GATEWAY}---{}", route("one", service)))]);
    for watched in [root.path().join("gateway.yaml"), root.path().to_owned()] {
        let log = root.path().join("gateway.log");
        let ip = own_address();
        let child = command(&[&watched], ip, &[]).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        let gateway = Gateway { child, ip, said: channel().1, heard: vec![] };
        gateway.until_answered("/one", 200);
        write(&root.path().join("gateway.yaml"), &format!("{GATEWAY}---{}", route("two", service)));
        gateway.until_answered("/two", 200);
        // Whoever reads for each line of its own log reads some ten times within this.
        thread::sleep(Duration::from_millis(700));
        let times = fs::read_to_string(&log).unwrap().matches("configuration in force").count();
        assert!(times <= 3, "{times}");
        drop(gateway);
        write(&root.path().join("gateway.yaml"), &format!("{GATEWAY}---{}", route("one", service)));
    }
}

#[test]
fn nothing_is_served_while_a_file_cannot_be_read_at_the_start() {
    let good = folder(&[("gateway.yaml", GATEWAY)]);
    let absent = PathBuf::from("/nowhere/gateway.yaml");
    let (code, said) = ends(&[good.path(), &absent], own_address(), &[]);
    assert!(code == Some(2) && said.contains("/nowhere/gateway.yaml cannot be read"), "{code:?} {said}");
    let policy = "apiVersion: sallyport.dev/v1alpha1\nkind: ApiPolicy\n";
    for bad in [&b"a: ["[..], b"a: \xff", b"kind: ApiPolicy\n", policy.as_bytes()] {
        let bad = [bad].map(|text| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("bad.yaml"), text).unwrap();
            folder
        });
        let (code, said) = ends(&[good.path(), bad[0].path()], own_address(), &[]);
        assert!(
            code == Some(2) && said.contains("bad.yaml cannot be read, and what it holds may guard"),
            "{code:?} {said}"
        );
    }
}

#[test]
fn it_serves_with_the_offset_answers_probes_and_finishes_what_is_under_way_before_it_ends() {
    let (address, arrivals) = service();
    let root = folder(&[("a.yaml", &format!("{GATEWAY}---{}", route("one", address)))]);
    for signal in ["TERM", "INT"] {
        let mut gateway = Gateway::start(&[root.path()]);
        let admin = (gateway.ip, 9090);
        assert_eq!([status(admin, "/livez"), status(admin, "/readyz"), status(admin, "/metrics")], [200, 200, 200]);
        assert_eq!(status((gateway.ip, PORT), "/one"), 0, "nothing listens without the offset");
        let ip = gateway.ip;
        let caller = thread::spawn(move || status((ip, PORT + OFFSET), "/one"));
        let under_way = arrivals.recv_timeout(PATIENCE).unwrap();
        gateway.signal(signal);
        gateway.until_said("draining");
        answer(under_way);
        assert_eq!(caller.join().unwrap(), 200);
        assert_eq!(gateway.ended().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_port_that_is_taken_is_said_with_its_listener_and_the_others_serve() {
    let service = prompt_service();
    let listeners = "[{name: http, port: 80, protocol: HTTP}, {name: side, port: 81, protocol: HTTP}]";
    let two = GATEWAY.replace("[{name: http, port: 80, protocol: HTTP}]", listeners);
    let root = folder(&[("a.yaml", &format!("{two}---{}", route("one", service)))]);
    let ip = own_address();
    let _taken = TcpListener::bind((ip, 81 + OFFSET)).unwrap();
    let mut gateway = Gateway::spawn(&[root.path()], ip, &[]);
    let said = gateway.until_said("rejected a part of the configuration");
    let address = format!("{ip}:{}", 81 + OFFSET);
    assert!(said.contains("side") && said.contains(&address), "{said}");
    gateway.until_answered("/one", 200);
}

#[test]
fn an_administration_address_that_is_taken_ends_it_with_2() {
    let root = folder(&[("a.yaml", GATEWAY)]);
    let ip = own_address();
    let _taken = TcpListener::bind((ip, 9090)).unwrap();
    let (code, said) = ends(&[root.path()], ip, &[]);
    assert!(code == Some(2) && said.contains(&format!("cannot start with --admin {ip}:9090")), "{code:?} {said}");
}

#[test]
fn lines_are_written_for_a_gateway_that_asks_for_them_and_for_no_other() {
    let service = prompt_service();
    let class = "controllerName: sallyport.dev/gateway-controller";
    let asking = GATEWAY.replace(
        class,
        &format!(
            "{class}, parametersRef: {{group: sallyport.dev, kind: GatewayParameters, name: ours, namespace: shop}}"
        ),
    ) + "---
apiVersion: sallyport.dev/v1alpha1
kind: GatewayParameters
metadata: {name: ours, namespace: shop}
spec: {accessLog: {enabled: true}}
";
    for (manifest, lines) in [(GATEWAY, 0), (&*asking, 1)] {
        let root = folder(&[("a.yaml", &format!("{manifest}---{}", route("one", service)))]);
        let (logs, ip) = (TempDir::new().unwrap(), own_address());
        let log = logs.path().join("out");
        let child = command(&[root.path()], ip, &[]).stdout(fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut gateway = Gateway { child, ip, said: channel().1, heard: vec![] };
        gateway.until_answered("/one", 200);
        gateway.signal("TERM");
        assert_eq!(gateway.ended().code(), Some(0));
        // It may have been asked before it was ready.
        let told = fs::read_to_string(&log).unwrap();
        let is_of_answer = |line: &&str| line.contains("\"path\":\"/one\"") && line.contains("\"status\":200");
        assert_eq!(told.lines().filter(is_of_answer).count(), lines, "{told}");
    }
}

#[test]
fn a_collector_may_be_named_and_is_not_needed() {
    let service = prompt_service();
    let root = folder(&[("a.yaml", &format!("{GATEWAY}---{}", route("one", service)))]);
    let mut gateway =
        Gateway::spawn(&[root.path()], own_address(), &["--otlp-endpoint", "http://127.0.0.1:1", "--access-log"]);
    gateway.until_said("ready");
    gateway.until_answered("/one", 200);
    gateway.signal("TERM");
    assert_eq!(gateway.ended().code(), Some(0));
    let (code, said) = ends(&[root.path()], own_address(), &["--otlp-endpoint", "not an address"]);
    assert!(code == Some(2) && said.contains("no spans can be exported to not an address"), "{code:?} {said}");
}
