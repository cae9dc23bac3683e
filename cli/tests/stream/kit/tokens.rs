//! Who is who, without Kubernetes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use sallyport_controller::fleet::Pod;
use sallyport_controller::stream::gatekeeper::{Admission, Bearer, Caller, Gatekeeper, Refusal};
use tokio::sync::watch;

/// What is known of tokens; a clone is the same.
#[derive(Clone)]
pub struct Tokens(Arc<State>);

struct State {
    known: Mutex<BTreeMap<String, Result<Admission, Refusal>>>,
    asked: watch::Sender<usize>,
}

/// A token that nobody ever hears of again.
pub const HANGS: &str = "hangs";

impl Tokens {
    pub fn new() -> Self {
        Self(Arc::new(State { known: Mutex::default(), asked: watch::Sender::new(0) }))
    }

    /// A data plane's, for as long as a stream lasts.
    pub fn admit(&self, token: &str, pod: &Pod) {
        self.answer(token, Ok(Admission { caller: Caller::DataPlane(pod.clone()), valid_for: None }));
    }

    pub fn admit_for(&self, token: &str, pod: &Pod, valid_for: Duration) {
        self.answer(token, Ok(Admission { caller: Caller::DataPlane(pod.clone()), valid_for: Some(valid_for) }));
    }

    /// Another controller's.
    pub fn admit_controller(&self, token: &str) {
        let caller = Caller::Controller { pod: "controller-2".into() };
        self.answer(token, Ok(Admission { caller, valid_for: None }));
    }

    pub fn answer(&self, token: &str, answer: Result<Admission, Refusal>) {
        self.0.known.lock().insert(token.to_owned(), answer);
    }

    pub fn forget(&self, token: &str) {
        self.0.known.lock().remove(token);
    }

    /// How often somebody was asked about.
    pub fn asked(&self) -> watch::Receiver<usize> {
        self.0.asked.subscribe()
    }
}

impl Gatekeeper for Tokens {
    fn admit<'a>(&'a self, token: Bearer<'a>) -> BoxFuture<'a, Result<Admission, Refusal>> {
        self.0.asked.send_modify(|asked| *asked += 1);
        if token.as_str() == HANGS {
            return std::future::pending().boxed();
        }
        let known = self.0.known.lock().get(token.as_str()).cloned();
        let unknown = || Err(Refusal::Refused("nobody has this token".to_owned()));
        std::future::ready(known.unwrap_or_else(unknown)).boxed()
    }
}
