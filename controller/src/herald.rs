//! Kubernetes Events (`events.k8s.io/v1`): what has become of an object, where `kubectl describe` shows it.
//!
//! They are for people who look, and nothing depends on them: what cannot be told in time is not told. An object that goes to and fro
//! costs little. The same words are told once and then counted up, an object has a budget, and so have all together.

mod budget;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use sallyport_api::CONTROLLER_NAME;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::clock::Clock;
use crate::cluster::{ObjectKind, ObjectName};
use crate::metrics::{Metrics, Told};
use crate::status::News;
use crate::write::FIELD_MANAGER;
use budget::Budget;

/// Events that wait to be told. 1,000: those of a change that goes wrong for many.
const MAX_WAITING: usize = 1000;
/// Between two of them: 50 a second leave the API server to others.
const BETWEEN: Duration = Duration::from_millis(20);
/// The same words within this time are the same Event. As long as other controllers have it (client-go), and less than Events are kept.
const SERIES: Duration = Duration::from_secs(6 * 60);
/// The longest note that an API server takes.
const MAX_NOTE_BYTES: usize = 1024;
/// Of the object's name, in that of an Event: with the time behind it, it is a name still.
const MAX_NAME_BYTES: usize = 220;

/// The object that Events are about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    pub kind: ObjectKind,
    pub name: ObjectName,
    pub uid: String,
}

/// Where news are handed in. Cheap to clone.
#[derive(Clone)]
pub struct Herald {
    queue: mpsc::Sender<(Arc<Subject>, News)>,
    metrics: Metrics,
}

impl Herald {
    /// `pod` is who tells, in each Event.
    pub fn start(client: Client, clock: Clock, pod: String, metrics: Metrics) -> Self {
        let (queue, waiting) = mpsc::channel(MAX_WAITING);
        let teller = Teller { client, clock, pod, metrics: metrics.clone(), series: BTreeMap::new() };
        tokio::spawn(teller.run(waiting));
        Self { queue, metrics }
    }

    /// Takes news in, and waits for nothing.
    pub fn tell(&self, subject: Subject, news: Vec<News>) {
        let subject = Arc::new(subject);
        for one in news {
            if self.queue.try_send((Arc::clone(&subject), one)).is_err() {
                self.metrics.event(Told::HeldBack);
            }
        }
    }
}

struct Teller {
    client: Client,
    clock: Clock,
    pod: String,
    metrics: Metrics,
    series: BTreeMap<Words, Series>,
}

/// What makes two Events the same: object, condition, reason and note.
type Words = (String, &'static str, &'static str, String);

/// An Event that has been told.
struct Series {
    event: String,
    count: i32,
    last: Instant,
}

impl Teller {
    async fn run(mut self, mut waiting: mpsc::Receiver<(Arc<Subject>, News)>) {
        let mut budget = Budget::default();
        while let Some((subject, news)) = waiting.recv().await {
            let now = Instant::now();
            if !budget.spend(&subject.uid, now) {
                self.metrics.event(Told::HeldBack);
                continue;
            }
            self.series.retain(|_, series| now < series.last + SERIES);
            let told = match self.tell(&subject, &news, now).await {
                Ok(told) => told,
                Err(error) => {
                    tracing::debug!(name = %subject.name, %error, "an Event cannot be written, and is left out");
                    Told::Failed
                }
            };
            self.metrics.event(told);
            sleep(BETWEEN).await;
        }
    }

    async fn tell(&mut self, subject: &Subject, news: &News, now: Instant) -> kube::Result<Told> {
        let words = (subject.uid.clone(), news.condition, news.reason, news.note.clone());
        let api = Api::<Event>::namespaced(self.client.clone(), namespace(subject));
        if let Some(series) = self.series.get_mut(&words) {
            (series.count, series.last) = (series.count.saturating_add(1), now);
            let series_now = json!({ "count": series.count, "lastObservedTime": MicroTime(self.clock.now()) });
            let parameters = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
            let patch = Patch::Merge(json!({ "series": series_now }));
            match api.patch(&series.event, &parameters, &patch).await {
                Ok(_) => return Ok(Told::Repeated),
                // It was kept for as long as Events are: another one is told.
                Err(kube::Error::Api(status)) if status.code == 404 => drop(self.series.remove(&words)),
                Err(error) => return Err(error),
            }
        }
        let event = self.event(subject, news);
        let name = event.metadata.name.clone().unwrap_or_default();
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        api.create(&parameters, &event).await?;
        self.series.insert(words, Series { event: name, count: 1, last: now });
        Ok(Told::New)
    }

    fn event(&self, subject: &Subject, news: &News) -> Event {
        let now = self.clock.now();
        let name = format!("{}.{:x}", cut(&subject.name.name, MAX_NAME_BYTES), now.as_nanosecond());
        let is_namespaced = !subject.name.namespace.is_empty();
        let regarding = ObjectReference {
            api_version: Some(subject.kind.api_version().to_owned()),
            kind: Some(subject.kind.as_str().to_owned()),
            name: Some(subject.name.name.clone()),
            namespace: is_namespaced.then(|| subject.name.namespace.clone()),
            uid: Some(subject.uid.clone()),
            ..ObjectReference::default()
        };
        let namespace = Some(namespace(subject).to_owned());
        Event {
            metadata: ObjectMeta { name: Some(name), namespace, ..ObjectMeta::default() },
            event_time: Some(MicroTime(now)),
            type_: Some(if news.is_good { "Normal" } else { "Warning" }.to_owned()),
            reason: Some(news.reason.to_owned()),
            action: Some(news.condition.to_owned()),
            note: Some(cut(&news.note, MAX_NOTE_BYTES)),
            regarding: Some(regarding),
            reporting_controller: Some(CONTROLLER_NAME.to_owned()),
            reporting_instance: Some(self.pod.clone()),
            ..Event::default()
        }
    }
}

/// Where the Events of an object are: beside it, and in `default` where it is in no namespace.
fn namespace(subject: &Subject) -> &str {
    if subject.name.namespace.is_empty() { "default" } else { &subject.name.namespace }
}

fn cut(text: &str, most: usize) -> String {
    text.get(..text.floor_char_boundary(most)).unwrap_or_default().to_owned()
}
