//! The one place where a controller thinks: it takes in what happens, builds everything anew from time to time, hands it to the fleet, and
//! where it leads says of each object what has become of it.
//!
//! Nothing is published before every list is whole, those of the Secrets included that the objects name: a controller that starts takes
//! nothing away from data planes that serve.

mod built;
mod desk;
mod keyring;
mod latency;
mod peers;
mod planes;
mod watches;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::builder::{Plans, Refusals};
use crate::clock::Clock;
use crate::cluster::reach::Reach;
use crate::cluster::{ObjectKind, ObjectName};
use crate::fleet::Fleet;
use crate::graph::gateway::GatewayNode;
use crate::graph::{Environment, Graph};
use crate::herald::Herald;
use crate::infra::{self, Owner, Site};
use crate::keys;
use crate::metrics::Metrics;
use crate::seed::Seed;
use crate::status::{self, ObjectStatus, View};
use crate::watch::{Change, Head, Source, World};
use built::Built;
use desk::{Desk, Planned};
use keyring::Keyring;
use latency::Latency;
pub use peers::Peers;
pub use planes::Identity;
use planes::Planes;
use watches::Watches;

/// What comes within this time after something is taken in with it.
const QUIET: Duration = Duration::from_millis(5);
/// A batch is built after this time, however much goes on coming.
const LONGEST_BATCH: Duration = Duration::from_millis(50);
/// Changes that wait to be taken in; who tells more waits.
const MAX_WAITING: usize = 10_000;
/// How long Secrets that are named for the first time are waited for: an object that now names another one that is there has it.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// The same of a controller that has just started: data planes serve with what it does not know yet.
const LONGEST_FIRST_WAIT: Duration = Duration::from_secs(60);
/// Answers of data planes come one after the other: statuses are planned once for those that come within this time.
const BETWEEN_PLANS: Duration = Duration::from_millis(20);
/// How often it is looked whether all data planes have told by now what they have.
const BETWEEN_QUESTIONS: Duration = Duration::from_millis(200);

/// How often it shows that it lives while nothing happens.
pub const HEARTBEAT: Duration = Duration::from_secs(5);

/// What a brain is connected to.
pub struct Surroundings {
    pub client: Client,
    pub reach: Reach,
    pub fleet: Fleet,
    pub clock: Clock,
    /// Whether this controller is the one that writes.
    pub leads: watch::Receiver<bool>,
    /// Which ServiceAccounts are data planes of which Gateway, for whoever lets data planes in.
    pub identities: watch::Sender<BTreeMap<Identity, ObjectName>>,
    /// Told once everything has been published for the first time.
    pub ready: watch::Sender<bool>,
    /// Told which rights are missing, each as a sentence.
    pub refused: watch::Sender<Vec<String>>,
    /// Told again and again, for as long as it goes on.
    pub alive: watch::Sender<Instant>,
    /// What the objects that run Gateways are made of besides.
    pub site: watch::Receiver<Site>,
    pub seed: watch::Receiver<Seed>,
    pub plans: watch::Sender<Plans>,
    pub refusals: watch::Receiver<Refusals>,
    pub peers: Peers,
    pub herald: Herald,
    pub metrics: Metrics,
}

/// A running controller's state.
pub struct Brain {
    fleet: Fleet,
    clock: Clock,
    leads: watch::Receiver<bool>,
    identities: watch::Sender<BTreeMap<Identity, ObjectName>>,
    ready: watch::Sender<bool>,
    refused: watch::Sender<Vec<String>>,
    alive: watch::Sender<Instant>,
    metrics: Metrics,
    site: watch::Receiver<Site>,
    seed: watch::Receiver<Seed>,
    plans: watch::Sender<Plans>,
    refusals: watch::Receiver<Refusals>,
    peers: Peers,
    changes: mpsc::Receiver<Change>,
    world: World,
    watches: Watches,
    desk: Desk,
    keyring: Keyring,
    planes: Planes,
    built: Option<Built>,
    plan: Option<Plan>,
    latency: Latency,
    /// When the oldest change was taken in that nothing has been built from.
    changed: Option<Instant>,
    /// Until when Secrets are waited for that have just been named.
    patience: Option<Instant>,
    /// When it is looked next at what is to be said, if anything asks for it.
    say_at: Option<Instant>,
}

impl Brain {
    pub fn new(surroundings: Surroundings) -> Self {
        let Surroundings {
            client,
            fleet,
            clock,
            leads,
            identities,
            ready,
            refused,
            alive,
            site,
            seed,
            plans,
            refusals,
            peers,
            ..
        } = surroundings;
        let (herald, metrics) = (surroundings.herald, surroundings.metrics);
        let (sender, changes) = mpsc::channel(MAX_WAITING);
        let standing = Source::standing(&surroundings.reach);
        let watches = Watches::start(client.clone(), metrics.clone(), sender, standing);
        let world = World::within(surroundings.reach);
        let (desk, keyring) = (Desk::new(client.clone(), herald, metrics.clone()), Keyring::new(client));
        let planes = Planes::new(Instant::now());
        Self {
            fleet,
            clock,
            leads,
            identities,
            ready,
            refused,
            alive,
            metrics,
            site,
            seed,
            plans,
            refusals,
            peers,
            changes,
            world,
            watches,
            desk,
            keyring,
            planes,
            built: None,
            plan: None,
            latency: Latency::default(),
            changed: None,
            patience: None,
            say_at: None,
        }
    }

    /// Thinks until nobody tells anything any more.
    pub async fn run(mut self) {
        let mut standings = self.fleet.changes();
        let (mut leads, mut refusals, mut site) = (self.leads.clone(), self.refusals.clone(), self.site.clone());
        let mut seed = self.seed.clone();
        loop {
            let (say_at, patience) = (self.say_at, self.patience);
            self.alive.send_replace(Instant::now());
            tokio::select! {
                change = self.changes.recv() => match change {
                    Some(change) => match self.take_batch(change).await {
                        true => self.rebuild(),
                        false => self.say_soon(),
                    },
                    None => return,
                },
                () = at(patience) => self.rebuild(),
                () = at(say_at) => self.say(),
                Ok(()) = standings.changed() => {
                    self.latency.look(&self.fleet, &self.metrics, Instant::now());
                    self.plan_anew();
                }
                () = tokio::time::sleep(HEARTBEAT) => {}
                Ok(()) = refusals.changed() => self.plan_anew(),
                Ok(()) = site.changed() => self.plan_infrastructure(),
                Ok(()) = seed.changed() => self.rebuild(),
                Ok(()) = leads.changed() => {
                    self.planes.begin_anew(Instant::now());
                    self.follow_peers();
                    self.plan_anew();
                }
                outcome = self.desk.settled() => {
                    let pause = outcome.map_or(Some(Duration::ZERO), |outcome| self.desk.file(outcome, &mut self.world));
                    if let Some(pause) = pause {
                        self.say_within(pause.max(BETWEEN_PLANS));
                    }
                }
                outcome = self.keyring.settled() => {
                    self.keyring.file(outcome);
                    self.plan_anew();
                }
            }
        }
    }

    /// Takes in what comes close together; whether anything has to be built from it.
    async fn take_batch(&mut self, first: Change) -> bool {
        let began = Instant::now();
        let latest = began + LONGEST_BATCH;
        let mut matters = self.take(first);
        while let Ok(Some(change)) = timeout_at(latest.min(Instant::now() + QUIET), self.changes.recv()).await {
            matters |= self.take(change);
        }
        if matters {
            self.changed.get_or_insert(began);
        }
        let refused: Vec<_> = self.world.refused().map(ToString::to_string).collect();
        self.refused.send_if_modified(|before| std::mem::replace(before, refused.clone()) != refused);
        matters
    }

    fn take(&mut self, change: Change) -> bool {
        self.metrics.changed(change.source().kind());
        self.world.take(change)
    }

    /// Builds everything anew, unless something is still to come that it would lack.
    fn rebuild(&mut self) {
        self.lose_patience();
        if !self.world.is_complete() {
            return;
        }
        let began = Instant::now();
        self.world.state.seed = Some(*self.seed.borrow());
        let built = at_length(|| Built::of(&self.world.state));
        self.metrics.built(&self.world.state, began.elapsed());
        if self.watches.follow(&built.asked, &mut self.world) {
            let patience = if self.built.is_some() { LONGEST_WAIT } else { LONGEST_FIRST_WAIT };
            self.patience = Some(Instant::now() + patience);
            return;
        }
        self.patience = None;
        self.identities.send_replace(planes::identities(&built.graph));
        self.fleet.publish(built.parts.clone());
        let since = self.changed.take().unwrap_or(began);
        self.latency.published(self.built.as_ref().map(|built| &built.parts), &built.parts, since);
        self.built = Some(built);
        self.plan_infrastructure();
        self.follow_peers();
        self.ready.send_replace(true);
        self.plan_anew();
    }

    /// Says what is to run each Gateway. What cannot be told stays as it is.
    fn plan_infrastructure(&self) {
        let Some(built) = &self.built else { return };
        let site = self.site.borrow();
        let plan = |(name, node): (&ObjectName, &GatewayNode)| {
            let uid = &self.world.head(ObjectKind::Gateway, name)?.uid;
            Some((name.clone(), Arc::new(infra::objects(&site, Owner { name, uid }, node)?)))
        };
        let wanted = built.graph.gateways.iter().filter_map(plan).collect();
        let disowned = self.disowned(built).map(|(_, head)| head.uid.clone()).collect();
        let plans = Plans { wanted, disowned };
        self.plans.send_if_modified(|before| {
            let is_new = *before != plans;
            *before = plans;
            is_new
        });
    }

    /// Gateways that are there, and of no class of ours.
    fn disowned<'a>(&'a self, built: &'a Built) -> impl Iterator<Item = (&'a ObjectName, &'a Head)> {
        self.world.heads(ObjectKind::Gateway).filter(|(name, _)| !built.graph.gateways.contains_key(*name))
    }

    /// Whoever writes hears from the other controllers what their data planes have.
    fn follow_peers(&mut self) {
        let leads = *self.leads.borrow();
        self.peers.follow(leads.then_some(&self.world.state), &self.fleet);
    }

    /// Of what somebody has named and the API server tells nothing of in time it is said so, and nobody else waits any longer.
    fn lose_patience(&mut self) {
        if self.patience.is_none_or(|until| until > Instant::now()) {
            return;
        }
        self.patience = None;
        if self.lacks_only_named() {
            self.world.give_up();
        } else {
            self.patience = Some(Instant::now() + LONGEST_WAIT);
        }
    }

    fn lacks_only_named(&self) -> bool {
        self.world.awaited().iter().all(|source| source.asked_for().is_some())
    }

    /// What has been planned does not hold any more.
    fn plan_anew(&mut self) {
        self.plan = None;
        self.say_soon();
    }

    fn say_soon(&mut self) {
        self.say_within(BETWEEN_PLANS);
    }

    /// What is to be said is looked at after this time, if not before.
    fn say_within(&mut self, time: Duration) {
        self.say_at(Instant::now() + time);
    }

    fn say_at(&mut self, at: Instant) {
        self.say_at = Some(self.say_at.map_or(at, |planned| planned.min(at)));
    }

    /// Says of each object what has become of it, where that is not said already.
    fn say(&mut self) {
        self.say_at = None;
        if !*self.leads.borrow() || self.built.is_none() {
            return;
        }
        let now_s = self.clock.now_s();
        self.make_keys(now_s);
        let Some(plan) = self.plan.take().filter(|plan| plan.holds(now_s)).or_else(|| self.plan(now_s)) else { return };
        if let Some(again) = self.desk.order(&plan.planned, &self.world, &self.clock.timestamp()) {
            self.say_at(again);
        }
        let Some(built) = &self.built else { return };
        let disowned: Vec<_> = self.disowned(built).map(|(name, head)| (name.clone(), head.clone())).collect();
        disowned.iter().for_each(|(name, head)| self.desk.withdraw(name, head));
        if let Some(until_s) = plan.until_s {
            let wait = u64::try_from(until_s - now_s).unwrap_or_default();
            // Far moments come nearer in between: clocks are set.
            self.say_at(Instant::now() + Duration::from_secs(wait.min(3_600)));
        }
        self.plan = Some(plan);
    }

    /// Only for Secrets that are known to be there or not.
    fn make_keys(&mut self, now_s: i64) {
        let Some(built) = self.built.as_ref().filter(|_| self.world.is_complete()) else { return };
        let orders = keys::plan(&built.graph.subscriptions, now_s);
        if let Some(again) = self.keyring.carry_out(orders, &self.world.state, now_s) {
            self.say_at(again);
        }
    }

    /// Plans what is to be said of all objects; nothing where not enough is known yet.
    fn plan(&mut self, now_s: i64) -> Option<Plan> {
        let built = self.built.as_ref()?;
        let standings = self.fleet.standings();
        if !self.planes.know_all(&self.world.state, &built.graph, &standings, Instant::now()) {
            self.say_within(BETWEEN_QUESTIONS);
            return None;
        }
        let refusals = self.refusals.borrow().clone();
        let unwritten = self.keyring.unwritten();
        let began = Instant::now();
        let statuses = at_length(|| statuses(built, &self.planes, &self.world, (&refusals, unwritten), now_s));
        let until_s = status::next_moment(&built.graph, now_s);
        self.metrics.said(&statuses, began.elapsed());
        Some(Plan { planned: self.desk.prepare(statuses), made_s: now_s, until_s })
    }
}

fn statuses(
    built: &Built,
    planes: &Planes,
    world: &World,
    (refusals, unwritten): (&Refusals, &BTreeMap<ObjectName, String>),
    now_s: i64,
) -> Vec<ObjectStatus> {
    let Built { graph, compiled, parts, .. } = built;
    let told = planes.told(&world.state, graph, parts);
    let addresses = planes::addresses(&world.state, graph, refusals);
    let view = View { graph, compiled, planes: &told, addresses: Some(&addresses), unwritten, now_s };
    status::plan(view)
}

/// What is to be said, for as long as nothing changes that it was planned from.
struct Plan {
    planned: Planned,
    made_s: i64,
    /// When something begins or ends by itself.
    until_s: Option<i64>,
}

impl Plan {
    /// Whether it is what would be planned now. Clocks are set back as well.
    fn holds(&self, now_s: i64) -> bool {
        self.made_s <= now_s && self.until_s.is_none_or(|until_s| now_s < until_s)
    }
}

/// Does what takes long; other tasks go on on other threads.
#[allow(clippy::disallowed_methods, reason = "a controller's runtime has several threads, unlike a worker's")]
fn at_length<T>(work: impl FnOnce() -> T) -> T {
    tokio::task::block_in_place(work)
}

/// That moment; never where there is none.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

/// What is enforced in a cluster.
pub(crate) fn graph_of(state: &crate::cluster::ClusterState) -> Graph {
    Graph::build(state, Environment::Cluster)
}
