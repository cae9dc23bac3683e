//! A thread of its own for questions: handshakes and answers keep neither workers waiting nor whoever answers probes and hears of changes.

use std::sync::OnceLock;

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

use crate::egress::Egress;
use crate::issuer::Means;

/// Begins with the first question.
#[derive(Default)]
pub(super) struct Asker {
    handle: OnceLock<Option<Handle>>,
    egress: OnceLock<Egress>,
}

impl Asker {
    /// Has the thread do `work`; `None` where there is no thread.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<JoinHandle<T>> {
        self.handle.get_or_init(begun).as_ref().map(|handle| handle.spawn(work))
    }

    /// Under the same rules as all calls; names are looked up from this thread.
    pub(super) fn egress(&self, means: &Means) -> &Egress {
        self.egress.get_or_init(|| means.egress.apart())
    }
}

/// It ends with the process.
fn begun() -> Option<Handle> {
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    let run = move || match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => {
            // Somebody waits for it.
            let _sent = sender.send(runtime.handle().clone());
            runtime.block_on(std::future::pending::<()>());
        }
        Err(error) => tracing::error!(%error, "tokens cannot be asked about"),
    };
    let begun = std::thread::Builder::new().name("introspection".to_owned()).spawn(run);
    begun.inspect_err(|error| tracing::error!(%error, "tokens cannot be asked about")).ok()?;
    receiver.recv().ok()
}
