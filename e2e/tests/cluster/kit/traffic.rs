//! Callers that go on calling while something else happens.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::answer::ask;
use super::trust::{Caller, Trust};
use super::world::World;

/// Between two requests of one caller: the machine has other work.
const PAUSE: Duration = Duration::from_millis(4);
/// How often it is looked where replicas are.
const BETWEEN_LOOKS: Duration = Duration::from_millis(250);
/// Longer than so many answers take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often each verdict came; `broken ...` where none did.
pub type Tally = BTreeMap<String, u64>;

/// Callers, each with a client of its own; every second one makes a new connection for each request.
pub struct Traffic {
    callers: JoinSet<Tally>,
    going_on: watch::Sender<bool>,
    answers: Arc<AtomicU64>,
}

impl Traffic {
    /// Calls what is named at the time, in turns; nobody calls while nothing is.
    pub fn steady(
        callers: usize,
        trust: &Trust,
        urls: &watch::Receiver<Vec<String>>,
        headers: &[(&str, &str)],
    ) -> Self {
        let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let (going_on, _) = watch::channel(true);
        let answers = Arc::new(AtomicU64::new(0));
        let mut set = JoinSet::new();
        for number in 0..callers {
            let caller = if number.is_multiple_of(2) { trust.caller() } else { trust.caller_without_pool() };
            let call = Call { caller, urls: urls.clone(), headers: headers.clone(), answers: Arc::clone(&answers) };
            set.spawn(call.go_on(number, going_on.subscribe()));
        }
        Self { callers: set, going_on, answers }
    }

    /// Waits until so many requests have been made, from the start.
    pub async fn made(&self, requests: u64) {
        let began = Instant::now();
        while self.answers.load(Ordering::Relaxed) < requests {
            assert!(began.elapsed() < PATIENCE, "{} of {requests} requests", self.answers.load(Ordering::Relaxed));
            sleep(BETWEEN_LOOKS / 10).await;
        }
    }

    /// Waits until so many more have been made.
    pub async fn more(&self, requests: u64) {
        self.made(self.answers.load(Ordering::Relaxed) + requests).await;
    }

    pub async fn stop(self) -> Tally {
        self.going_on.send_replace(false);
        let mut total = Tally::new();
        for (verdict, count) in self.callers.join_all().await.into_iter().flatten() {
            *total.entry(verdict).or_default() += count;
        }
        total
    }
}

struct Call {
    caller: Caller,
    urls: watch::Receiver<Vec<String>>,
    headers: Vec<(String, String)>,
    answers: Arc<AtomicU64>,
}

impl Call {
    async fn go_on(self, number: usize, going_on: watch::Receiver<bool>) -> Tally {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let (mut tally, mut turn) = (Tally::new(), number);
        while *going_on.borrow() {
            sleep(PAUSE).await;
            turn += 1;
            let url = {
                let urls = self.urls.borrow();
                let Some(url) = urls.get(turn % urls.len().max(1)) else { continue };
                url.clone()
            };
            let verdict = match ask(&self.caller, &url, &headers).await {
                Ok(answer) => answer.verdict(),
                Err(error) => format!("broken {error}"),
            };
            *tally.entry(verdict).or_default() += 1;
            self.answers.fetch_add(1, Ordering::Relaxed);
        }
        tally
    }
}

/// Callers with a credential, at the address of the Gateway.
pub fn customers(address: &str, path: &str, headers: &[(&str, &str)]) -> Traffic {
    called(&Trust::nobody(), format!("http://{address}{path}"), headers)
}

/// The same over TLS.
pub fn secured_customers(trust: &Trust, address: &str, path: &str, headers: &[(&str, &str)]) -> Traffic {
    called(trust, format!("https://{address}{path}"), headers)
}

fn called(trust: &Trust, url: String, headers: &[(&str, &str)]) -> Traffic {
    let (_, urls) = watch::channel(vec![url]);
    Traffic::steady(8, trust, &urls, headers)
}

/// No request was lost: each was admitted and answered. How many there were.
pub fn none_is_lost(tally: &Tally) -> u64 {
    assert!(tally.keys().all(|verdict| verdict == "200"), "{tally:#?}");
    tally.values().sum()
}

/// Callers without a credential, at every replica there is, whether it is ready or not, and at the address of the Gateway.
pub struct Strangers {
    traffic: Traffic,
    looking: tokio::task::JoinHandle<()>,
}

impl Strangers {
    pub fn around(world: &World, gateway: &str, path: &str) -> Self {
        let (sender, urls) = watch::channel(vec![]);
        let (places, path) = (world.places(gateway), path.to_owned());
        let looking = tokio::spawn(async move {
            loop {
                if let Some(found) = places.look().await {
                    sender.send_replace(found.iter().map(|place| format!("http://{place}{path}")).collect());
                }
                sleep(BETWEEN_LOOKS).await;
            }
        });
        Self { traffic: Traffic::steady(4, &Trust::nobody(), &urls, &[]), looking }
    }

    /// Waits until they have asked some more.
    pub async fn go_on(&self) {
        self.traffic.more(40).await;
    }

    /// Ends them. The service has answered none.
    pub async fn none_came_in(self) -> Tally {
        self.go_on().await;
        self.looking.abort();
        let tally = self.traffic.stop().await;
        assert!(tally.keys().all(|verdict| !verdict.starts_with('2')), "{tally:#?}");
        assert!(tally.keys().any(|verdict| !verdict.starts_with("broken")), "nobody answered them: {tally:#?}");
        tally
    }
}
