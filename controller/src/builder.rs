//! What runs each Gateway, brought about and kept: the objects of [`crate::infra`], applied where they differ from what is there, and
//! whenever somebody else has changed one of them; taken away where no Gateway of ours has a use for them any more.

mod standing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, Preconditions};
use kube::{Api, Client};
use serde_json::Value;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::cluster::ObjectName;
use crate::cluster::reach::Reach;
use crate::metrics::Metrics;
use crate::watch as watched;
use crate::write::FIELD_MANAGER;
use standing::{KINDS, Owned, Place, Standing, Told, owned};

/// A pause after something could not be applied.
const PAUSE: Duration = Duration::from_secs(2);
/// After each failure the pause is twice as long, up to this: other Gateways wait behind one that is refused.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Somebody who puts a field back all the time is answered no more often.
const BETWEEN_REPAIRS: Duration = Duration::from_millis(500);

/// What is to run Gateways.
#[derive(Clone, Default, PartialEq)]
pub struct Plans {
    /// The objects of each Gateway, in the order in which they are applied.
    pub wanted: BTreeMap<ObjectName, Arc<Vec<Value>>>,
    /// `metadata.uid` of Gateways that are there, and of no class of ours: nothing of ours runs them. One that is in neither list keeps
    /// what it has.
    pub disowned: BTreeSet<String>,
}

/// Why a Gateway does not get what it asks for, by Gateway.
pub type Refusals = BTreeMap<ObjectName, String>;

/// Applies what is planned for as long as this controller leads.
pub struct Builder {
    client: Client,
    plans: watch::Receiver<Plans>,
    leads: watch::Receiver<bool>,
    refusals: watch::Sender<Refusals>,
    metrics: Metrics,
    /// Objects that are there as they were applied.
    applied: BTreeMap<Place, Applied>,
    /// All that runs Gateways, as the API server tells.
    standing: BTreeMap<Place, Standing>,
    told: mpsc::UnboundedReceiver<(Place, Told)>,
    /// Gateways whose objects could not be applied.
    failed: BTreeMap<ObjectName, Failed>,
}

/// What could not be applied, and is not tried again before a time: others wait behind it.
struct Failed {
    objects: Arc<Vec<Value>>,
    why: String,
    pause: Duration,
    until: Instant,
}

impl Failed {
    fn new(objects: Arc<Vec<Value>>, why: String, before: Option<&Self>) -> Self {
        let pause = before.filter(|before| before.objects == objects).map_or(PAUSE, |before| before.pause * 2);
        let pause = pause.min(LONGEST_PAUSE);
        Self { objects, why, pause, until: Instant::now() + pause }
    }

    /// Why the objects are not tried now; nothing if they are.
    fn waits(&self, objects: &Arc<Vec<Value>>) -> Option<&str> {
        (self.objects == *objects && Instant::now() < self.until).then_some(&self.why)
    }
}

struct Applied {
    object: Value,
    /// Its fields that were ours then.
    owned: Owned,
}

impl Builder {
    pub fn new(
        client: Client,
        reach: &Reach,
        (plans, leads): (watch::Receiver<Plans>, watch::Receiver<bool>),
        refusals: watch::Sender<Refusals>,
        metrics: Metrics,
    ) -> Self {
        let (teller, told) = mpsc::unbounded_channel();
        for kind in KINDS {
            for source in watched::Place::all(reach.of_gateways()) {
                tokio::spawn(standing::follow(client.clone(), kind, source, metrics.clone(), teller.clone()));
            }
        }
        let (applied, standing, failed) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { client, plans, leads, refusals, metrics, applied, standing, told, failed }
    }

    pub async fn run(mut self) {
        loop {
            let is_done = self.build().await;
            let pause = async { if is_done { std::future::pending().await } else { tokio::time::sleep(PAUSE).await } };
            tokio::select! {
                changed = self.plans.changed() => if changed.is_err() { return },
                Ok(()) = self.leads.changed() => {
                    self.applied.clear();
                    self.failed.clear();
                }
                Some((place, told)) = self.told.recv() => {
                    if self.take(place, told) {
                        tokio::time::sleep(BETWEEN_REPAIRS).await;
                    }
                }
                () = pause => {}
            }
            while let Ok((place, told)) = self.told.try_recv() {
                self.take(place, told);
            }
        }
    }

    /// Takes in what an object is now; whether somebody else has changed it, so that it has to be applied again.
    fn take(&mut self, place: Place, told: Told) -> bool {
        let left = self.applied.get(&place);
        let is_drifted = left.is_some_and(|left| told.as_ref().map(|found| &found.owned) != Some(&left.owned));
        if is_drifted {
            self.applied.remove(&place);
        }
        match told {
            Some(found) => drop(self.standing.insert(place, found)),
            None => drop(self.standing.remove(&place)),
        }
        is_drifted
    }

    /// Applies all that is not applied, and takes away what has no use any more; whether nothing is left to do.
    async fn build(&mut self) -> bool {
        if !*self.leads.borrow_and_update() {
            return true;
        }
        let plans = self.plans.borrow_and_update().clone();
        let wanted: BTreeSet<_> = plans.wanted.values().flat_map(|objects| objects.iter().map(place_of)).collect();
        self.applied.retain(|place, _| wanted.contains(place));
        let mut refusals = Refusals::new();
        let mut settled = BTreeSet::new();
        self.failed.retain(|gateway, _| plans.wanted.contains_key(gateway));
        for (gateway, objects) in &plans.wanted {
            if let Some(why) = self.failed.get(gateway).and_then(|failed| failed.waits(objects)) {
                refusals.insert(gateway.clone(), why.to_owned());
                continue;
            }
            match self.apply(objects).await {
                Ok(()) => {
                    self.failed.remove(gateway);
                    settled.extend(objects.iter().find_map(owner_of));
                }
                Err(error) => {
                    tracing::warn!(%gateway, %error, "what runs the Gateway cannot be applied; it is tried again");
                    let failed = Failed::new(Arc::clone(objects), error.to_string(), self.failed.get(gateway));
                    refusals.insert(gateway.clone(), failed.why.clone());
                    self.failed.insert(gateway.clone(), failed);
                }
            }
        }
        settled.extend(plans.disowned.iter().map(String::as_str));
        let is_cleared = self.clear_away(&wanted, &settled).await;
        let is_done = is_cleared && refusals.is_empty();
        self.refusals.send_if_modified(|before| std::mem::replace(before, refusals.clone()) != refusals);
        is_done
    }

    async fn apply(&mut self, objects: &[Value]) -> kube::Result<()> {
        for object in objects {
            let place = place_of(object);
            // One that is not known may be as it is to be: a controller that starts finds what another one has left.
            let is_done = match self.applied.get(&place) {
                Some(applied) => applied.object == *object,
                None => self.is_there(&place, object).await?,
            };
            if is_done {
                continue;
            }
            let parameters = PatchParams::apply(FIELD_MANAGER).force();
            let done = self.api(&place).patch(&place.name.name, &parameters, &Patch::Apply(object)).await;
            self.metrics.applied(place.kind, &done);
            let applied = Applied { object: object.clone(), owned: owned(&done?.metadata) };
            self.applied.insert(place, applied);
        }
        Ok(())
    }

    /// Whether the object is there as it is to be, with nothing of ours beside.
    async fn is_there(&mut self, place: &Place, object: &Value) -> kube::Result<bool> {
        let Some(found) = self.api(place).get_opt(&place.name.name).await? else { return Ok(false) };
        let owned = owned(&found.metadata);
        let found = serde_json::to_value(&found).unwrap_or_default();
        let is_there = standing::is_as_planned(object, &found, &owned);
        if is_there {
            self.applied.insert(place.clone(), Applied { object: object.clone(), owned });
        }
        Ok(is_there)
    }

    /// Takes away what is not wanted and is owned by a Gateway whose other objects are `settled`: what a former class or name has left,
    /// and all of a Gateway that is not ours any more. Whether it is gone.
    async fn clear_away(&mut self, wanted: &BTreeSet<Place>, settled: &BTreeSet<&str>) -> bool {
        let has_no_use =
            |(place, found): &(&Place, &Standing)| settled.contains(&*found.owner) && !wanted.contains(*place);
        let mut leaving: Vec<_> =
            self.standing.iter().filter(has_no_use).map(|(place, found)| (place.clone(), found.uid.clone())).collect();
        // Those that came last go first: the pods before what they are called by.
        leaving.sort_by_key(|(place, _)| std::cmp::Reverse(standing::rank(place.kind)));
        let mut is_done = true;
        for (place, uid) in leaving {
            let preconditions = Some(Preconditions { uid: Some(uid), resource_version: None });
            let parameters = DeleteParams { preconditions, ..DeleteParams::background() };
            let done = self.api(&place).delete(&place.name.name, &parameters).await.map(drop);
            self.metrics.deleted(place.kind, &done);
            match done {
                // The watch tells of it as it is now.
                Ok(()) => drop(self.standing.remove(&place)),
                Err(kube::Error::Api(status)) if [404, 409].contains(&status.code) => {
                    drop(self.standing.remove(&place))
                }
                Err(error) => {
                    tracing::warn!(kind = place.kind, name = %place.name, %error, "what nobody has a use for cannot be deleted; it is tried again");
                    is_done = false;
                }
            }
        }
        is_done
    }

    fn api(&self, place: &Place) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &place.name.namespace, &standing::resource(place.kind))
    }
}

fn place_of(object: &Value) -> Place {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let (kind, metadata) = (text(&object["kind"]), &object["metadata"]);
    let name = ObjectName::new(text(&metadata["namespace"]), text(&metadata["name"]));
    Place { kind: standing::kind(&kind), name }
}

/// `metadata.uid` of the Gateway that an object is planned for.
fn owner_of(object: &Value) -> Option<&str> {
    object["metadata"]["ownerReferences"][0]["uid"].as_str()
}
