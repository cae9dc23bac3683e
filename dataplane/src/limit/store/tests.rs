//! A real server that speaks the protocol of Redis; each test has its own.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};

use jiff::civil::date;
use redis::Value;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::*;
use crate::clock::{Clock, UnixMs};
use crate::egress::{AddressRules, Egress};
use crate::limit::{Share, UsedUp};
use crate::settings::Environment;

const PASSWORD: &str = "a password of this test";
/// Who may do no more than is needed, as the guide says.
const USER: &str = "sallyport";
const RIGHTS: [&str; 11] = [
    "+evalsha",
    "+script|load",
    "+time",
    "+hgetall",
    "+hget",
    "+hset",
    "+hincrby",
    "+hdel",
    "+hkeys",
    "+pexpire",
    "+pexpireat",
];
const NOW: UnixMs = UnixMs(1_800_000_000_000);
const PATIENCE: Duration = Duration::from_secs(10);

/// Ends with its test.
struct Server {
    port: u16,
    process: Child,
}

impl Server {
    fn start() -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        Self { port, process: Self::run(port) }
    }

    fn run(port: u16) -> Child {
        let server = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--requirepass", PASSWORD])
            .args(["--save", "", "--appendonly", "no"])
            .args(["--user", USER, "on", &format!(">{PASSWORD}"), "~sallyport:*", "-@all"])
            .args(RIGHTS)
            .stdout(Stdio::null())
            .spawn();
        let process =
            server.expect("redis-server is needed: `make test` installs it, or install Debian's package of that name");
        let began = Instant::now();
        while std::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
            assert!(began.elapsed() < PATIENCE, "redis-server does not listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        process
    }

    fn stop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// The same place, with nothing in it.
    fn start_again(&mut self) {
        self.process = Self::run(self.port);
    }

    fn stated(&self) -> v1::LimitStore {
        v1::LimitStore {
            object: "GatewayParameters shop/public".into(),
            addresses: vec![format!("127.0.0.1:{}", self.port)],
            password: Some(v1::Secret { value: PASSWORD.into() }),
            timeout_ms: 1_000,
            prefix: "sallyport".into(),
            ..v1::LimitStore::default()
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Data planes that share nothing but the server.
struct Replica {
    store: Arc<Store>,
    reports: mpsc::UnboundedReceiver<v1::Report>,
    _stores: Stores,
}

impl Replica {
    fn of(stated: &v1::LimitStore) -> Self {
        let (sender, reports) = mpsc::unbounded_channel();
        let means = Means {
            egress: Egress::new(AddressRules::of(Environment::Standalone)),
            runtime: Handle::current(),
            reports: sender,
            metrics: Metrics::default(),
            is_alone: false,
        };
        let mut stores = Stores::new(means);
        let (store, _) = stores.put(&"shop/public".into(), Some(stated));
        Self { store: store.unwrap(), reports, _stores: stores }
    }

    async fn connected(stated: &v1::LimitStore) -> Self {
        let replica = Self::of(stated);
        replica.is_reached().await;
        replica
    }

    async fn is_reached(&self) {
        let began = Instant::now();
        while self.store.link.ready_within(PATIENCE).await.is_err() {
            assert!(began.elapsed() < PATIENCE, "the server is not reached");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// What is told last of it.
    async fn told(&mut self) -> (i32, String) {
        let report = timeout(PATIENCE, self.reports.recv()).await.unwrap().unwrap();
        let Some(v1::report::Report::Issuer(health)) = report.report else { panic!("of an issuer's form") };
        assert_eq!(health.key_set, "limit-store:shop/public");
        (health.state, health.message)
    }

    async fn admits(&self, counters: &Counters, key: Option<&[u8]>, most: u32) -> bool {
        assert!(key.is_none_or(|key| counters.has_room(key, NOW)));
        let answers = self.store.take(&[Asked { counters, key, most }]).await.unwrap();
        answers[0].is_taken
    }
}

fn counters(amount: Amount) -> Arc<Counters> {
    Arc::new(Counters::new(amount, [7; 32], &Arc::default()))
}

/// Each amount by a name of its own, as limits have one.
fn counters_known_by(amount: Amount) -> Counters {
    let digest = match amount {
        Amount::Quota(Period::Day) => [1; 32],
        Amount::Quota(Period::Month) => [2; 32],
        Amount::Window(_) | Amount::AtOnce => [3; 32],
    };
    Counters::new(amount, digest, &Arc::default())
}

fn per_second(seconds: u64) -> Arc<Counters> {
    counters(Amount::Window(Duration::from_secs(seconds)))
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_have_one_number_together() {
    let server = Server::start();
    for amount in [Amount::Window(Duration::from_secs(60)), Amount::Quota(Period::Day), Amount::Quota(Period::Month)] {
        let mut admitted = 0;
        let replicas = [Replica::connected(&server.stated()).await, Replica::connected(&server.stated()).await];
        let counted = [counters(amount), counters(amount)];
        for _ in 0..10 {
            for (replica, counters) in replicas.iter().zip(&counted) {
                admitted += u32::from(replica.admits(counters, Some(b"ada"), 7).await);
            }
        }
        assert_eq!(admitted, 7, "{amount:?}");
        assert!(replicas[0].admits(&counted[0], Some(b"joe"), 7).await, "others have their own");
        assert!(replicas[0].admits(&counted[0], None, 7).await, "and so have all who have none");
        let other = Counters::new(amount, [8; 32], &Arc::default());
        assert!(replicas[0].admits(&other, Some(b"ada"), 7).await, "another limit counts by itself");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_at_once_as_one_after_the_other() {
    let server = Server::start();
    let (replica, counters) = (Replica::connected(&server.stated()).await, per_second(60));
    let asking = (0..200).map(|_| replica.admits(&counters, Some(b"ada"), 50));
    let admitted = futures_util::future::join_all(asking).await;
    assert_eq!(admitted.into_iter().filter(|is_taken| *is_taken).count(), 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_limit_refuses_counts_in_none() {
    let server = Server::start();
    let replica = Replica::connected(&server.stated()).await;
    let (narrow, wide) =
        (counters(Amount::Quota(Period::Day)), Counters::new(Amount::Quota(Period::Day), [9; 32], &Arc::default()));
    let both = [Asked { counters: &wide, key: None, most: 5 }, Asked { counters: &narrow, key: None, most: 1 }];
    let taken: Vec<_> = replica.store.take(&both).await.unwrap().iter().map(|answer| answer.is_taken).collect();
    assert_eq!(taken, [true, true]);
    for _ in 0..9 {
        let answers = replica.store.take(&both).await.unwrap();
        assert!(!answers[1].is_taken && answers[1].left == 0);
    }
    assert_eq!(replica.store.take(&both[..1]).await.unwrap()[0].left, 3, "one of the five was taken, and now one more");
    assert_eq!(wide.owed(None).used, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_slides() {
    let server = Server::start();
    let (replica, counters) = (Replica::connected(&server.stated()).await, per_second(1));
    let began = Instant::now();
    let mut admitted = Vec::new();
    while began.elapsed() < Duration::from_millis(3_500) {
        let asked = [Asked { counters: &counters, key: None, most: 3 }];
        let answer = replica.store.take(&asked).await.unwrap()[0];
        assert!(answer.until <= Duration::from_millis(1_040), "{answer:?}");
        if answer.is_taken {
            admitted.push(Instant::now());
        }
        sleep(Duration::from_millis(10)).await;
    }
    // By the clock of whoever asks, which the way there and back belongs to.
    let slack = Duration::from_millis(100);
    assert!(admitted.windows(4).all(|four| four[3] - four[0] + slack >= Duration::from_secs(1)), "{admitted:?}");
    assert!((7..=12).contains(&admitted.len()), "{}", admitted.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_is_away_each_has_its_share_and_owes_it() {
    let mut server = Server::start();
    let (mut replica, counters) = (Replica::connected(&server.stated()).await, per_second(600));
    assert_eq!(replica.told().await, (v1::issuer_health::State::Healthy.into(), String::new()));
    for _ in 0..2 {
        assert!(replica.admits(&counters, Some(b"ada"), 10).await);
    }
    server.stop();
    let asked = [Asked { counters: &counters, key: Some(b"ada"), most: 10 }];
    let Away(why) = replica.store.take(&asked).await.unwrap_err();
    assert!(!why.is_empty());
    // Of ten, this one of two replicas has five, of which two are used.
    let share = |most| counters.take_beside(Some(b"ada"), (most, 2), NOW).unwrap();
    let taken = (0..5).filter(|_| matches!(share(10), Ok(Share::Use { .. }))).count();
    assert_eq!(taken, 3);
    let (state, why) = replica.told().await;
    assert_eq!(state, i32::from(v1::issuer_health::State::Unreached));
    assert!(!why.contains(PASSWORD), "{why}");
    server.start_again();
    replica.is_reached().await;
    // The server has lost what it had; three are owed to it.
    let answer = replica.store.take(&asked).await.unwrap()[0];
    assert_eq!((answer.is_taken, answer.left), (true, 6));
    assert_eq!(counters.owed(Some(b"ada")).beside, 0, "nothing is owed twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_outlives_whoever_counts_it() {
    let mut server = Server::start();
    let (replica, counters) = (Replica::connected(&server.stated()).await, counters(Amount::Quota(Period::Month)));
    for _ in 0..6 {
        assert!(replica.admits(&counters, Some(b"ada"), 8).await);
    }
    server.stop();
    server.start_again();
    let began = Instant::now();
    let asked = [Asked { counters: &counters, key: Some(b"ada"), most: 8 }];
    let answer = loop {
        if let Ok(answers) = replica.store.take(&asked).await {
            break answers[0];
        }
        assert!(began.elapsed() < PATIENCE);
        sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((answer.is_taken, answer.left, answer.used), (true, 1, 7), "it is told what it had");
    // Another one that has seen nothing of it goes by the server.
    let (other, fresh) = (Replica::connected(&server.stated()).await, self::counters(Amount::Quota(Period::Month)));
    assert!(other.admits(&fresh, Some(b"ada"), 8).await && !other.admits(&fresh, Some(b"ada"), 8).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quota_that_nothing_is_known_of_is_not_begun_beside_the_store() {
    let mut server = Server::start();
    let (replica, counters) = (Replica::connected(&server.stated()).await, counters(Amount::Quota(Period::Day)));
    assert!(counters.has_room(b"ada", NOW) && counters.has_room(b"joe", NOW));
    let answer = replica.store.take(&[Asked { counters: &counters, key: Some(b"ada"), most: 4 }]).await.unwrap()[0];
    server.stop();
    let today = UnixMs::from_seconds(i64::try_from(answer.number * 86_400).unwrap());
    assert!(counters.take_beside(Some(b"joe"), (4, 1), today).is_none());
    let taken: Vec<_> = (0..4).map(|_| counters.take_beside(Some(b"ada"), (4, 1), today).unwrap().is_ok()).collect();
    assert_eq!(taken, [true, true, true, false]);
    let Some(Err(UsedUp { until: Some(until), .. })) = counters.take_beside(Some(b"ada"), (4, 1), today) else {
        panic!("used up until the day ends")
    };
    assert_eq!(until, Duration::from_secs(86_400));
    counters.give_back_beside(Some(b"ada"), 0);
    assert!(counters.take_beside(Some(b"ada"), (4, 1), today).unwrap().is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_let_in_says_so_without_the_password() {
    let server = Server::start();
    let wrong = v1::LimitStore { password: Some(v1::Secret { value: "another secret".into() }), ..server.stated() };
    let nobody = v1::LimitStore { password: None, ..server.stated() };
    let stranger = v1::LimitStore { username: Some(v1::Secret { value: "stranger".into() }), ..server.stated() };
    for stated in [wrong, nobody, stranger] {
        let mut replica = Replica::of(&stated);
        let (state, why) = loop {
            let (state, why) = replica.told().await;
            // It may only just have begun.
            if !why.contains("refused") {
                break (state, why);
            }
        };
        assert_eq!(state, i32::from(v1::issuer_health::State::Unreached));
        assert!(why.contains("127.0.0.1") && !why.contains("secret") && !why.contains(PASSWORD), "{why}");
        let counters = per_second(60);
        assert!(replica.store.take(&[Asked { counters: &counters, key: None, most: 1 }]).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_of_its_own_needs_no_more_rights_than_the_guide_says() {
    let server = Server::start();
    let user = Some(v1::Secret { value: USER.into() });
    let replica = Replica::connected(&v1::LimitStore { username: user, ..server.stated() }).await;
    for amount in [Amount::Window(Duration::from_millis(600)), Amount::Quota(Period::Day), Amount::Quota(Period::Month)]
    {
        let counters = counters_known_by(amount);
        assert!(replica.admits(&counters, Some(b"ada"), 3).await);
        // By then there is something in the window that goes.
        sleep(Duration::from_millis(700)).await;
        assert!(replica.admits(&counters, Some(b"ada"), 3).await);
    }
    assert_eq!(replica.store.is_first([1; 16], 1_000).await, Ok(true));
    let guide = include_str!("../../../../docs/guides/gateway-parameters.md");
    assert!(guide.contains(&format!("`~PREFIX:* -@all {}`", RIGHTS.join(" "))), "{}", RIGHTS.join(" "));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_store_is_away_and_is_waited_for_no_longer_than_is_said() {
    let listener = tokio::net::TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            use tokio::io::AsyncWriteExt as _;
            let _gone = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            held.push(stream);
        }
    });
    let stated = v1::LimitStore { addresses: vec![format!("127.0.0.1:{port}")], ..v1::LimitStore::default() };
    let mut replica = Replica::of(&stated);
    assert_eq!(replica.told().await.0, i32::from(v1::issuer_health::State::Unreached));
    let counters = per_second(60);
    let began = Instant::now();
    assert!(replica.store.take(&[Asked { counters: &counters, key: None, most: 1 }]).await.is_err());
    assert!(began.elapsed() < Duration::from_millis(500), "nobody is asked while it is away");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_place_that_answers_is_asked() {
    let server = Server::start();
    let mut stated = server.stated();
    stated.addresses.insert(0, "127.0.0.1:1".into());
    let replica = Replica::connected(&stated).await;
    assert!(replica.admits(&per_second(60), None, 1).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_in_the_store_name_nobody_and_end_by_themselves() {
    let server = Server::start();
    let replica = Replica::connected(&server.stated()).await;
    for amount in [Amount::Window(Duration::from_secs(60)), Amount::Quota(Period::Day)] {
        let digest = if amount == Amount::Quota(Period::Day) { [1; 32] } else { [2; 32] };
        let counters = Counters::new(amount, digest, &Arc::default());
        assert!(replica.admits(&counters, Some(b"ada@example.com"), 1).await);
    }
    let mut connection = replica.store.link.ready_within(PATIENCE).await.unwrap().connection.clone();
    let Value::Array(names) = connection.send_packed_command(redis::cmd("KEYS").arg("*")).await.unwrap() else {
        panic!("names")
    };
    let names: Vec<_> =
        names.into_iter().filter(|name| *name != Value::BulkString(b"sallyport:probe".to_vec())).collect();
    assert_eq!(names.len(), 2);
    for name in names {
        let Value::BulkString(name) = name else { panic!("a name") };
        let text = String::from_utf8(name.clone()).unwrap();
        assert!(text.starts_with("sallyport:") && text.len() == "sallyport:".len() + 32, "{text}");
        let lasts = connection.send_packed_command(redis::cmd("PTTL").arg(name)).await.unwrap();
        assert!(matches!(lasts, Value::Int(ms) if ms > 60_000), "{lasts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_replica_has_seen_all_have_seen_until_it_is_forgotten() {
    let server = Server::start();
    let (one, other) = (Replica::connected(&server.stated()).await, Replica::connected(&server.stated()).await);
    assert_eq!(one.store.is_first([1; 16], 400).await, Ok(true));
    for replica in [&one, &other, &one] {
        assert_eq!(replica.store.is_first([1; 16], 60_000).await, Ok(false));
    }
    assert_eq!(other.store.is_first([2; 16], 60_000).await, Ok(true));
    // Who sees it again makes it last no longer.
    sleep(Duration::from_millis(500)).await;
    assert_eq!(other.store.is_first([1; 16], 60_000).await, Ok(true));
    drop(server);
    assert!(one.store.is_first([3; 16], 60_000).await.is_err());
}

/// The script has a calendar of its own, for it goes by the clock of the server.
#[tokio::test(flavor = "multi_thread")]
async fn the_calendar_of_the_script_is_the_calendar() {
    let server = Server::start();
    let replica = Replica::connected(&server.stated()).await;
    let ready = replica.store.link.ready_within(PATIENCE).await.unwrap();
    let mut connection = ready.connection.clone();
    let calendar = include_str!("take.lua").split("local today").next().unwrap();
    let script = format!("{calendar} local y, m = civil(tonumber(ARGV[1])) return {{ y, m, first_day(y, m) }}");
    let epoch = date(1970, 1, 1);
    for day in (0..60_000_i64).step_by(13).chain([11_016, 11_017, 19_782, 19_783, 20_819, 20_820]) {
        let today = epoch.checked_add(jiff::Span::new().days(day)).unwrap();
        let first = today.first_of_month().since(epoch).unwrap().get_days();
        let command = redis::cmd("EVAL").arg(&script).arg(0).arg(day).clone();
        ready.expects_answer();
        let told = connection.send_packed_command(&command).await.unwrap();
        let expected = [i64::from(today.year()), i64::from(today.month()), i64::from(first)].map(Value::Int);
        assert_eq!(told, Value::Array(expected.to_vec()), "{today}");
    }
}

/// How many hold a connection to the server, itself left out.
async fn connections(watcher: &Replica) -> usize {
    let ready = watcher.store.link.ready_within(PATIENCE).await.unwrap();
    ready.expects_answer();
    let list = ready.connection.clone().send_packed_command(redis::cmd("CLIENT").arg("LIST")).await.unwrap();
    let Value::BulkString(list) = list else { panic!("a list") };
    String::from_utf8(list).unwrap().lines().count() - 1
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_nobody_asks_any_more_ends() {
    let server = Server::start();
    let watcher = Replica::connected(&server.stated()).await;
    let mut replica = Replica::connected(&server.stated()).await;
    assert_eq!(connections(&watcher).await, 1);
    let changed = v1::LimitStore { timeout_ms: 999, ..server.stated() };
    let (next, _) = replica._stores.put(&"shop/public".into(), Some(&changed));
    replica.store = next.unwrap();
    replica.is_reached().await;
    let began = Instant::now();
    while connections(&watcher).await != 1 {
        assert!(began.elapsed() < PATIENCE, "the one before is connected still");
        sleep(Duration::from_millis(10)).await;
    }
    replica._stores.put(&"shop/public".into(), None);
    drop(replica);
    let began = Instant::now();
    while connections(&watcher).await != 0 {
        assert!(began.elapsed() < PATIENCE, "it is connected still");
        sleep(Duration::from_millis(10)).await;
    }
}

/// The answer is lost, and the question asked again: what is owed counts once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_told_twice_counts_once() {
    let server = Server::start();
    for amount in [Amount::Window(Duration::from_secs(600)), Amount::Quota(Period::Month)] {
        let (replica, counters) = (Replica::connected(&server.stated()).await, Arc::new(counters_known_by(amount)));
        let now = Clock::default().now();
        assert!(replica.admits(&counters, Some(b"ada"), 100).await);
        for _ in 0..7 {
            assert!(counters.take_beside(Some(b"ada"), (100, 1), now).unwrap().is_ok());
        }
        let asked = [Asked { counters: &counters, key: Some(b"ada"), most: 100 }];
        let owed = [counters.owed(Some(b"ada"))];
        assert_eq!(owed[0].beside, 7);
        for left in [91, 90, 89] {
            let answers = replica.store.answered(&asked, &owed).await.unwrap();
            assert_eq!(answers[0].left, left, "{amount:?}");
        }
        assert_eq!(counters.owed(Some(b"ada")).beside, 7, "nobody has heard of it");
        assert_eq!(replica.store.take(&asked).await.unwrap()[0].left, 88);
        assert_eq!(counters.owed(Some(b"ada")).beside, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_only_reads_is_passed_over() {
    let (server, reader) = (Server::start(), Server::start());
    let watcher = Replica::connected(&reader.stated()).await;
    let ready = watcher.store.link.ready_within(PATIENCE).await.unwrap();
    let follow = redis::cmd("REPLICAOF").arg("127.0.0.1").arg(1).clone();
    ready.connection.clone().send_packed_command(&follow).await.unwrap();
    let mut stated = reader.stated();
    stated.addresses.extend(server.stated().addresses);
    let mut replica = Replica::connected(&stated).await;
    assert_eq!(replica.told().await.0, i32::from(v1::issuer_health::State::Healthy));
    assert!(replica.admits(&per_second(60), None, 1).await);
}

/// What is refused and owes nothing leaves nothing behind: invented keys fill no store.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_refused_leaves_nothing_behind() {
    let server = Server::start();
    let replica = Replica::connected(&server.stated()).await;
    let narrow = Counters::new(Amount::Window(Duration::from_secs(600)), [4; 32], &Arc::default());
    let monthly = counters_known_by(Amount::Quota(Period::Month));
    let ask = async |key: &str| {
        assert!(monthly.has_room(key.as_bytes(), NOW));
        let one = Asked { counters: &narrow, key: None, most: 1 };
        let other = Asked { counters: &monthly, key: Some(key.as_bytes()), most: 9 };
        replica.store.take(&[one, other]).await.unwrap()[0].is_taken
    };
    assert!(ask("first").await);
    for number in 0..20 {
        assert!(!ask(&format!("invented {number}")).await);
    }
    let ready = replica.store.link.ready_within(PATIENCE).await.unwrap();
    ready.expects_answer();
    let size = ready.connection.clone().send_packed_command(&redis::cmd("DBSIZE")).await.unwrap();
    assert_eq!(size, Value::Int(3), "the window, the first key, and what was tried when it was connected to");
}
