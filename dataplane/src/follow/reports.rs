//! What the data plane has to tell, kept while nobody listens: the last of each thing.

use std::collections::BTreeMap;
use std::time::Duration;

use sallyport_snapshot::QUESTIONS;
use sallyport_snapshot::v1::{self, report::Report};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};

/// Of questions to issuers, how many are kept before they are forgotten: no more than a controller keeps.
const MAX_QUESTIONS: usize = 1000;

/// A controller that has just come knows nothing of issuers: it is told how each of them is.
pub(super) struct Reports {
    incoming: mpsc::UnboundedReceiver<v1::Report>,
    /// By KeySet.
    last: BTreeMap<String, v1::Report>,
    is_over: bool,
}

impl Reports {
    pub(super) fn new(incoming: mpsc::UnboundedReceiver<v1::Report>) -> Self {
        Self { incoming, last: BTreeMap::new(), is_over: false }
    }

    /// The next; never, once nobody reports any more. Nothing is lost if this is dropped.
    pub(super) async fn next(&mut self) -> v1::Report {
        if !self.is_over {
            if let Some(report) = self.incoming.recv().await {
                self.keep(&report);
                return report;
            }
            self.is_over = true;
        }
        std::future::pending().await
    }

    /// Takes in what comes for so long.
    pub(super) async fn gather_for(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while timeout_at(until, self.next()).await.is_ok() {}
    }

    /// The last of each, for KeySets that are held.
    pub(super) fn last(&mut self, is_held: impl Fn(&str) -> bool) -> Vec<v1::Report> {
        while let Ok(report) = self.incoming.try_recv() {
            self.keep(&report);
        }
        self.last.retain(|key_set, _| is_held(key_set));
        self.last.values().cloned().collect()
    }

    fn keep(&mut self, report: &v1::Report) {
        if let Some(Report::Issuer(health)) = &report.report {
            // Of those no resource says that they are gone: what is told of again is what there is.
            let questions = self.last.keys().filter(|name| name.starts_with(QUESTIONS));
            if health.key_set.starts_with(QUESTIONS) && questions.count() >= MAX_QUESTIONS {
                self.last.retain(|name, _| !name.starts_with(QUESTIONS));
            }
            self.last.insert(health.key_set.clone(), report.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(key_set: &str, state: i32) -> v1::Report {
        let health = v1::IssuerHealth { key_set: key_set.into(), state, message: String::new() };
        v1::Report { report: Some(Report::Issuer(health)) }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_of_each_is_kept() {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut reports = Reports::new(receiver);
        for one in [report("a", 1), report("b", 1), report("a", 2), report("gone", 1), v1::Report::default()] {
            sender.send(one).unwrap();
        }
        reports.gather_for(Duration::from_secs(1)).await;
        sender.send(report("b", 3)).unwrap();
        assert_eq!(reports.last(|key_set| key_set != "gone"), [report("a", 2), report("b", 3)]);
        assert_eq!(reports.last(|_| true).len(), 2, "what was not held is forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_reports_any_more() {
        let (sender, receiver) = mpsc::unbounded_channel();
        drop(sender);
        let mut reports = Reports::new(receiver);
        let began = Instant::now();
        reports.gather_for(Duration::from_secs(1)).await;
        assert!(began.elapsed() >= Duration::from_secs(1), "it waits all the same");
    }
}
