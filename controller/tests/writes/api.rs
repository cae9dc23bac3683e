//! An API server as far as a controller sees one: objects with versions, lists, watches, and the four ways to write. It notes each write
//! and judges none: what is right stands in the tests.

// The tests of the command line take this file in by its path as well: their modules are where it is.
#[path = "api/apply.rs"]
mod apply;
#[path = "api/place.rs"]
mod place;
#[path = "api/right.rs"]
mod right;
#[path = "api/serve.rs"]
mod serve;
#[path = "api/written.rs"]
mod written;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

pub use place::Place;
pub use right::Right;
pub use written::Written;

/// Cheap to clone: each clone is the same server.
#[derive(Clone)]
pub struct Api {
    store: Arc<Mutex<Store>>,
    /// Version of the last change.
    version: watch::Sender<u64>,
    pub address: SocketAddr,
}

#[derive(Default)]
struct Store {
    version: u64,
    objects: BTreeMap<Place, Value>,
    /// All that has happened, for watches.
    history: Vec<Happened>,
    written: Vec<Written>,
    /// What each manager has applied, by object and subresource.
    applied: BTreeMap<(Place, String, String), Value>,
    /// Collections whose lists are not answered.
    held_back: BTreeSet<String>,
    /// What nobody may list or watch.
    forbidden: BTreeMap<Read, u16>,
    /// How often all watches of a collection have been ended.
    ended: BTreeMap<String, u64>,
    /// What was listed or watched.
    read: BTreeSet<Read>,
    /// Rights that what was asked for takes.
    used: BTreeSet<Right>,
    /// How often somebody else writes to an object just before the controller does.
    contended: BTreeMap<Place, usize>,
    /// Answers in place of what would have become of the next writes to an object.
    refused: BTreeMap<Place, Vec<u16>>,
    /// What is answered at paths where no objects are, such as `/version`.
    said: BTreeMap<String, Value>,
    /// Resources that nobody may create, by their plural.
    denied: BTreeSet<String>,
    times: u32,
}

/// A collection as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Read {
    pub collection: String,
    /// Empty for all.
    pub namespace: String,
    /// The one object that was asked for; empty for all.
    pub name: String,
}

impl Read {
    fn new(collection: &str, namespace: &str, name: &str) -> Self {
        Self { collection: collection.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }
}

#[derive(Clone)]
struct Happened {
    version: u64,
    kind: &'static str,
    place: Place,
    object: Value,
}

impl Api {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let api = Self { store: Arc::default(), version: watch::Sender::new(0), address };
        tokio::spawn(serve::serve(listener, api.clone()));
        api
    }

    /// Somebody else's `kubectl apply` of one object.
    pub fn put(&self, manifest: &str) {
        let object: Value = serde_saphyr::from_str(manifest).unwrap();
        let place = Place::of(&object);
        self.change(|store| {
            let mut object = object;
            if let Some(before) = store.objects.get(&place) {
                if object["status"].is_null() && !before["status"].is_null() {
                    object["status"] = before["status"].clone();
                }
                let metadata = before["metadata"].as_object().unwrap().clone();
                let stated = object["metadata"].as_object_mut().unwrap();
                for (name, value) in metadata {
                    stated.entry(name).or_insert(value);
                }
            }
            store.set(&place, object);
        });
    }

    /// Somebody else's change of an object that is there.
    pub fn edit(&self, place: &Place, edit: impl FnOnce(&mut Value)) {
        self.change(|store| {
            let mut object = store.objects.get(place).unwrap_or_else(|| panic!("there is no {place}")).clone();
            edit(&mut object);
            store.set(place, object);
        });
    }

    pub fn delete(&self, place: &Place) {
        self.change(|store| assert!(store.remove(place).is_some(), "there is no {place}"));
    }

    pub fn get(&self, place: &Place) -> Option<Value> {
        self.store.lock().objects.get(place).cloned()
    }

    /// Places of all objects in a collection.
    pub fn all(&self, collection: &str) -> Vec<Place> {
        self.store.lock().objects.keys().filter(|place| place.collection == collection).cloned().collect()
    }

    /// Lists of `collection` are answered only once they are let go.
    pub fn hold_back(&self, collection: &str) {
        self.store.lock().held_back.insert(collection.to_owned());
    }

    pub fn let_go(&self, collection: &str) {
        self.change(|store| assert!(store.held_back.remove(collection), "{collection} is not held back"));
    }

    /// Answers 403 to whoever lists or watches the collection in this namespace, or in all by an empty one.
    pub fn forbid(&self, collection: &str, namespace: &str) {
        self.forbid_one(collection, namespace, "");
    }

    /// The same to whoever asks for this one object by its name.
    pub fn forbid_one(&self, collection: &str, namespace: &str, name: &str) {
        self.fail_one(collection, namespace, name, 403);
    }

    /// Answers so whoever asks for this one object by its name.
    pub fn fail_one(&self, collection: &str, namespace: &str, name: &str, code: u16) {
        self.store.lock().forbidden.insert(Read::new(collection, namespace, name), code);
    }

    pub fn permit(&self, collection: &str, namespace: &str) {
        self.permit_one(collection, namespace, "");
    }

    pub fn permit_one(&self, collection: &str, namespace: &str, name: &str) {
        let forbidden = Read::new(collection, namespace, name);
        assert!(self.store.lock().forbidden.remove(&forbidden).is_some(), "{collection} is not forbidden");
    }

    /// Ends all watches of a collection that are open.
    pub fn end_watches(&self, collection: &str) {
        self.change(|store| *store.ended.entry(collection.to_owned()).or_default() += 1);
    }

    /// What was listed or watched until now.
    pub fn read(&self) -> BTreeSet<Read> {
        self.store.lock().read.clone()
    }

    /// Rights that were needed until now.
    pub fn used(&self) -> BTreeSet<Right> {
        self.store.lock().used.clone()
    }

    /// Before each of the next `times` writes of the controller to this object, somebody else writes to it.
    pub fn contend(&self, place: &Place, times: usize) {
        self.store.lock().contended.insert(place.clone(), times);
    }

    /// Answers the next writes to this object with these codes.
    pub fn refuse(&self, place: &Place, codes: &[u16]) {
        self.store.lock().refused.insert(place.clone(), codes.to_vec());
    }

    /// Answers a path where no objects are.
    #[allow(dead_code, reason = "tests of the command line call it")]
    pub fn say(&self, path: &str, answer: Value) {
        self.store.lock().said.insert(path.to_owned(), answer);
    }

    /// Whoever asks whether he may create these is told no.
    #[allow(dead_code, reason = "tests of the command line call it")]
    pub fn deny(&self, plural: &str) {
        self.store.lock().denied.insert(plural.to_owned());
    }

    /// Everything that was written since this was asked last.
    pub fn take_written(&self) -> Vec<Written> {
        std::mem::take(&mut self.store.lock().written)
    }

    pub fn count_written(&self) -> usize {
        self.store.lock().written.len()
    }

    fn change(&self, change: impl FnOnce(&mut Store)) {
        let mut store = self.store.lock();
        change(&mut store);
        let version = store.version;
        drop(store);
        self.version.send_modify(|told| *told = version.max(*told + 1));
    }
}

impl Store {
    /// Puts an object there as it is now; one that is the same stays.
    fn set(&mut self, place: &Place, mut object: Value) -> Value {
        let before = self.objects.get(place);
        self.version += 1;
        let version = self.version;
        let metadata = &mut object["metadata"];
        let is_new = before.is_none();
        match before {
            Some(before) => {
                metadata["uid"] = before["metadata"]["uid"].clone();
                metadata["creationTimestamp"] = before["metadata"]["creationTimestamp"].clone();
                metadata["resourceVersion"] = before["metadata"]["resourceVersion"].clone();
                metadata["generation"] = before["metadata"]["generation"].clone();
            }
            None => {
                metadata["uid"] = format!("uid-{}-{version}", place.name).into();
                metadata["creationTimestamp"] = "2026-01-01T00:00:00Z".into();
                metadata["generation"] = 1.into();
            }
        }
        self.times = written::age(&mut object, self.times);
        if self.objects.get(place) == Some(&object) {
            self.version -= 1;
            return object;
        }
        if let Some(before) = self.objects.get(place)
            && before["spec"] != object["spec"]
        {
            object["metadata"]["generation"] = (before["metadata"]["generation"].as_i64().unwrap() + 1).into();
        }
        object["metadata"]["resourceVersion"] = version.to_string().into();
        self.objects.insert(place.clone(), object.clone());
        let kind = if is_new { "ADDED" } else { "MODIFIED" };
        self.history.push(Happened { version, kind, place: place.clone(), object: object.clone() });
        object
    }

    fn remove(&mut self, place: &Place) -> Option<Value> {
        let mut object = self.objects.remove(place)?;
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        self.applied.retain(|(applied, _, _), _| applied != place);
        let happened =
            Happened { version: self.version, kind: "DELETED", place: place.clone(), object: object.clone() };
        self.history.push(happened);
        Some(object)
    }
}

/// What an API server answers where it does nothing.
fn status(code: u16) -> Value {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        403 => "Forbidden",
        _ => "InternalError",
    };
    json!({ "apiVersion": "v1", "kind": "Status", "status": "Failure", "reason": reason, "message": reason, "code": code })
}
