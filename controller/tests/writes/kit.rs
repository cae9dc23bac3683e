//! A controller, a data plane, and what was written between two moments.

pub mod controller;
pub mod manifest;
pub mod plane;

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::api::{Api, Place, Written};

/// Longer than anything takes that happens at all.
const PATIENCE: Duration = Duration::from_secs(40);
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// As long as nothing may be written any more before it is believed that nothing will be. What comes later is found in the chapter that
/// follows.
const QUIET: Duration = Duration::from_millis(300);
/// The same while a golden file is written: longer than any pause that the controller makes.
const LONG_QUIET: Duration = Duration::from_millis(2500);

pub const SITE: &str = "sallyport-system";

pub fn gateway(name: &str) -> Place {
    Place::new("apis/gateway.networking.k8s.io/v1/gateways", name)
}

pub fn ours(plural: &str, name: &str) -> Place {
    Place::new(&format!("apis/sallyport.dev/v1alpha1/{plural}"), name)
}

pub fn route(name: &str) -> Place {
    Place::new("apis/gateway.networking.k8s.io/v1/httproutes", name)
}

/// What `future` comes to, in time.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("{what} did not come"))
}

/// All that is written from now until nothing is any more; waits for `least` first.
pub async fn written(api: &Api, least: usize) -> Vec<Written> {
    let began = Instant::now();
    while api.count_written() < least && began.elapsed() < PATIENCE {
        sleep(BETWEEN_LOOKS).await;
    }
    let quiet = if is_updating() { LONG_QUIET } else { QUIET };
    let (mut last, mut quiet_since) = (api.count_written(), Instant::now());
    while quiet_since.elapsed() < quiet {
        sleep(BETWEEN_LOOKS).await;
        let now = api.count_written();
        if now != last {
            (last, quiet_since) = (now, Instant::now());
        }
    }
    api.take_written()
}

/// A golden file of what was written in each chapter of a story.
pub struct Story {
    file: PathBuf,
    /// Chapters that are expected, in order, each with how much is written in it.
    expected: Vec<(String, usize)>,
    told: String,
}

impl Story {
    pub fn open(name: &str) -> Self {
        let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("tests/writes/{name}.yaml"));
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let chapters = text.split("\n--- # ").skip(1).map(|chapter| {
            let title = chapter.lines().next().unwrap_or_default().to_owned();
            (title, chapter.matches("\n- ").count())
        });
        Self {
            file,
            expected: chapters.collect(),
            told: "# Everything that the controller writes; life.rs tells how it comes to that.\n".to_owned(),
        }
    }

    /// Ends a chapter: takes down what was written in it.
    pub async fn chapter(&mut self, title: &str, api: &Api) {
        let least = self.expected.iter().find(|(one, _)| one == title).map_or(0, |(_, count)| *count);
        let least = if is_updating() { 0 } else { least };
        let written = written(api, least).await;
        write!(self.told, "\n--- # {title}\n").unwrap();
        for one in in_order(written) {
            let text = serde_saphyr::to_string(&vec![one]).unwrap();
            writeln!(self.told, "{}", text.trim_end()).unwrap();
        }
        if is_updating() {
            std::fs::write(&self.file, &self.told).unwrap();
        }
    }

    pub fn end(self) {
        let expected = std::fs::read_to_string(&self.file).unwrap_or_default();
        assert!(expected == self.told, "{} differs:\n{}", self.file.display(), difference(&expected, &self.told));
    }
}

fn is_updating() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

/// What is written at the same time, to different objects, has no order: it gets one. What is written to one object, what is told of one,
/// and what runs one Gateway, keeps its own.
fn in_order(written: Vec<Written>) -> Vec<Value> {
    let is_infrastructure =
        |one: &Written| one.verb == "DELETE" || one.form == "apply" && !one.target.contains("/status");
    let key = |one: &Written| {
        let object = one.target.split('?').next().unwrap_or_default();
        match &one.body["regarding"] {
            _ if is_infrastructure(one) => String::new(),
            // One that is counted up does not say what it is about.
            Value::Null if object.contains("/events/") => format!("{object} {}", one.body),
            Value::Null => object.to_owned(),
            regarding => format!("{object} {}", regarding["kind"]),
        }
    };
    let mut written: Vec<_> = written.into_iter().map(|one| (key(&one), one)).collect();
    written.sort_by(|one, other| one.0.cmp(&other.0));
    written.into_iter().map(|(_, one)| one.to_value()).collect()
}

/// The lines around the first that differs.
fn difference(expected: &str, told: &str) -> String {
    let at = expected.lines().zip(told.lines()).take_while(|(one, other)| one == other).count();
    let part = |text: &str| text.lines().skip(at.saturating_sub(12)).take(60).collect::<Vec<_>>().join("\n");
    format!("from line {}, expected\n{}\n\nand written was\n{}", at + 1, part(expected), part(told))
}
