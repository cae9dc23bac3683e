//! Secrets with subscription keys that are being written: one at a time for each Subscription, some at once. The one place where keys
//! come into being.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout};

use crate::cluster::{ClusterState, ObjectName, Stored};
use crate::keys::form::Key;
use crate::keys::{Order, Work, secret};
use crate::write::FIELD_MANAGER;

/// Writes that are under way at the same time.
const AT_ONCE: usize = 8;
/// A Subscription's Secret is written no more often: by then its watch has told what became of the write before, and an API server that
/// refuses is not asked all the time.
const PAUSE: Duration = Duration::from_secs(2);
/// After each failure the pause is twice as long, up to this: a quota is not raised by asking, and others wait in the same queue.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A write that takes longer has failed: it holds one of the places.
const LONGEST: Duration = Duration::from_secs(30);

/// What is being written, and what became of it.
pub(super) struct Keyring {
    client: Client,
    places: Arc<Semaphore>,
    writing: JoinSet<(ObjectName, Result<(), String>)>,
    /// By Subscription: those whose orders stand.
    begun: BTreeMap<ObjectName, Begun>,
    /// Why a Secret could not be written, by Subscription.
    unwritten: BTreeMap<ObjectName, String>,
    /// How long whoever could not be written for waits, where it is longer than [`PAUSE`].
    pauses: BTreeMap<ObjectName, Duration>,
}

struct Begun {
    work: Work,
    at: Instant,
    task: Id,
    is_done: bool,
}

impl Keyring {
    pub(super) fn new(client: Client) -> Self {
        Self {
            client,
            places: Arc::new(Semaphore::new(AT_ONCE)),
            writing: JoinSet::new(),
            begun: BTreeMap::new(),
            unwritten: BTreeMap::new(),
            pauses: BTreeMap::new(),
        }
    }

    /// Why Secrets could not be written, by Subscription.
    pub(super) fn unwritten(&self) -> &BTreeMap<ObjectName, String> {
        &self.unwritten
    }

    /// Carries out what of `orders` is not under way; when it has to be looked at them again, if anything waits.
    pub(super) fn carry_out(&mut self, orders: Vec<Order>, state: &ClusterState, now_s: i64) -> Option<Instant> {
        let wanted: BTreeMap<_, _> = orders.into_iter().map(|order| (order.owner.clone(), order)).collect();
        self.begun.retain(|owner, begun| !begun.is_done || wanted.contains_key(owner));
        self.unwritten.retain(|owner, _| wanted.contains_key(owner));
        self.pauses.retain(|owner, _| wanted.contains_key(owner));
        let now = Instant::now();
        let mut again: Option<Instant> = None;
        for (owner, order) in wanted {
            let pause = self.pauses.get(&owner).copied().unwrap_or(PAUSE);
            match self.begun.get(&owner) {
                Some(begun) if !begun.is_done => continue,
                Some(begun) if begun.work == order.work && now < begun.at + pause => {
                    let at = begun.at + pause;
                    again = Some(again.map_or(at, |before| before.min(at)));
                }
                _ => self.begin(order, state, now_s),
            }
        }
        again
    }

    fn begin(&mut self, order: Order, state: &ClusterState, now_s: i64) {
        let stored = match state.secrets.get(&order.secret) {
            Some(Stored::Decoded(secret)) => Some(Arc::clone(secret)),
            _ => None,
        };
        let api = Api::<Secret>::namespaced(self.client.clone(), &order.secret.namespace);
        let places = Arc::clone(&self.places);
        let (owner, work) = (order.owner.clone(), order.work.clone());
        let task = self.writing.spawn(async move {
            let _place = places.acquire_owned().await;
            let written = timeout(LONGEST, write(&api, &order, stored.as_deref(), now_s)).await;
            (order.owner, written.unwrap_or_else(|_| Err("the API server does not answer".to_owned())))
        });
        self.begun.insert(owner, Begun { work, at: Instant::now(), task: task.id(), is_done: false });
    }

    /// The next write that is done; never where none is under way.
    pub(super) async fn settled(&mut self) -> (ObjectName, Result<(), String>) {
        loop {
            match self.writing.join_next_with_id().await {
                Some(Ok((_, settled))) => return settled,
                // Without an outcome it would count as under way for good.
                Some(Err(error)) => match self.owner_of(error.id()) {
                    Some(owner) => return (owner, Err(format!("the write has ended without an outcome: {error}"))),
                    None => {
                        tracing::error!(%error, "a write of keys that nobody waits for has ended without an outcome")
                    }
                },
                None => std::future::pending().await,
            }
        }
    }

    fn owner_of(&self, task: Id) -> Option<ObjectName> {
        self.begun.iter().find(|(_, begun)| begun.task == task).map(|(owner, _)| owner.clone())
    }

    /// Takes an outcome in.
    pub(super) fn file(&mut self, (owner, done): (ObjectName, Result<(), String>)) {
        if let Some(begun) = self.begun.get_mut(&owner) {
            begun.is_done = true;
        }
        match done {
            Ok(()) => {
                self.unwritten.remove(&owner);
                self.pauses.remove(&owner);
            }
            Err(error) => {
                let pause = self.pauses.entry(owner.clone());
                pause.and_modify(|pause| *pause = LONGEST_PAUSE.min(*pause * 2)).or_insert(PAUSE);
                tracing::warn!(subscription = %owner, error, "keys cannot be written; it is tried again");
                self.unwritten.insert(owner, error);
            }
        }
    }
}

/// Whoever was faster has won: a Secret that is there now, or has changed, is looked at again once its watch has told of it.
async fn write(api: &Api<Secret>, order: &Order, stored: Option<&Secret>, now_s: i64) -> Result<(), String> {
    let manager = Some(FIELD_MANAGER.to_owned());
    let name = &order.secret.name;
    let written = match (&order.work, stored) {
        (Work::Make { request }, _) => {
            let made = secret::made(order, [fresh()?, fresh()?], request.as_deref(), now_s);
            api.create(&PostParams { field_manager: manager, ..PostParams::default() }, &made).await
        }
        (Work::Renew { version, renewal }, Some(stored)) => {
            let change = secret::renewed(stored, version, renewal, &fresh()?, now_s);
            let parameters = PatchParams { field_manager: manager, ..PatchParams::default() };
            api.patch(name, &parameters, &Patch::Merge(change)).await
        }
        (Work::Renew { .. }, None) => return Ok(()),
    };
    match written {
        Ok(_) => {
            tracing::info!(subscription = %order.owner, secret = name, "subscription keys written");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 404 && stored.is_some() => Ok(()),
        Err(kube::Error::Api(status)) => Err(status.message.clone()),
        Err(error) => Err(error.to_string()),
    }
}

/// A key that nobody has seen.
fn fresh() -> Result<Key, String> {
    let mut random = [0; crate::keys::form::RANDOM_BYTES];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| "the machine gives no random bits".to_owned())?;
    Ok(Key::of(random))
}

#[cfg(test)]
mod tests {
    use http::{Request, Response};
    use kube::client::Body;

    use super::*;

    fn order() -> Order {
        Order {
            owner: ObjectName::new("shop", "acme"),
            uid: "u1".into(),
            secret: ObjectName::new("shop", "keys"),
            work: Work::Make { request: None },
        }
    }

    fn keyring(answer: fn() -> Response<Body>) -> Keyring {
        let service = tower::service_fn(move |_: Request<Body>| async move { Ok::<_, std::io::Error>(answer()) });
        Keyring::new(Client::new(service, "shop"))
    }

    fn refused() -> Response<Body> {
        let status =
            br#"{"kind":"Status","apiVersion":"v1","status":"Failure","message":"no","reason":"Forbidden","code":403}"#;
        Response::builder().status(403).body(Body::from(status.to_vec())).expect("a response")
    }

    async fn is_tried_again(mut keyring: Keyring, expected: &str) {
        let (state, owner) = (ClusterState::default(), order().owner);
        assert_eq!(keyring.carry_out(vec![order()], &state, 0), None);
        let outcome = keyring.settled().await;
        keyring.file(outcome);
        assert!(keyring.unwritten()[&owner].contains(expected), "{:?}", keyring.unwritten());
        // Not at once, but after the pause.
        assert!(keyring.carry_out(vec![order()], &state, 0).is_some());
        assert!(keyring.writing.is_empty());
        keyring.begun.get_mut(&owner).expect("it has begun").at -= PAUSE;
        assert_eq!(keyring.carry_out(vec![order()], &state, 0), None);
        assert_eq!(keyring.writing.len(), 1);
        let outcome = keyring.settled().await;
        keyring.file(outcome);
        keyring.begun.get_mut(&owner).expect("it has begun").at -= PAUSE;
        assert!(keyring.carry_out(vec![order()], &state, 0).is_some(), "the second time it waits for longer");
        assert!(keyring.writing.is_empty());
    }

    #[tokio::test]
    async fn a_write_that_is_refused_is_tried_again() {
        is_tried_again(keyring(refused), "no").await;
    }

    #[tokio::test]
    async fn a_write_that_panics_is_tried_again() {
        is_tried_again(keyring(|| panic!("on purpose")), "without an outcome").await;
    }
}
