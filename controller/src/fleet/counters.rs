//! What has happened on the streams, for whoever shows metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message as _;
use sallyport_snapshot::v1;

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counts up, by whoever is at it.
        #[derive(Default)]
        pub struct Counts {
            $($name: AtomicU64,)*
        }

        /// The counts of one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            /// Data planes that are connected here now.
            pub connected: u64,
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Counters {
            /// As Prometheus reads them.
            pub fn text(&self) -> String {
                let mut text = format!("# TYPE sallyport_controller_connected gauge\nsallyport_controller_connected {}\n", self.connected);
                $(
                    let help = concat!($($doc,)*).trim();
                    let name = concat!("sallyport_controller_", stringify!($name), "_total");
                    text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} counter\n{name} {}\n", self.$name));
                )*
                text
            }
        }

        impl Counts {
            pub(super) fn read(&self, connected: usize) -> Counters {
                Counters {
                    connected: u64::try_from(connected).unwrap_or(u64::MAX),
                    $($name: self.$name.load(Ordering::Relaxed),)*
                }
            }
        }
    };
}

counters! {
    /// Updates that were sent.
    updates,
    /// Resources in them, changed and removed.
    resources,
    /// Bytes of them, before TLS.
    update_bytes,
    /// Updates that were acknowledged.
    acknowledgements,
    /// Reports about what is not the data plane's to tell of.
    foreign_reports,
    /// Streams that were refused: no token, a wrong one, or one that could not be verified.
    refused_streams,
    /// Streams that were cut off: for what the other side sent, or did not send in time.
    cut_streams,
    /// Connections that never became one: no TLS, another protocol, or too slow.
    failed_handshakes,
    /// Connections of strangers that were closed for newer ones.
    evicted_strangers,
}

fn count(counter: &AtomicU64, by: usize) {
    counter.fetch_add(u64::try_from(by).unwrap_or(u64::MAX), Ordering::Relaxed);
}

impl Counts {
    pub(super) fn updated(&self, update: &v1::Update) {
        count(&self.updates, 1);
        count(&self.resources, update.changed.len() + update.removed.len());
        count(&self.update_bytes, update.encoded_len());
    }

    pub(super) fn acknowledged(&self) {
        count(&self.acknowledgements, 1);
    }

    pub(crate) fn foreign_report(&self) {
        count(&self.foreign_reports, 1);
    }

    pub(crate) fn refused_stream(&self) {
        count(&self.refused_streams, 1);
    }

    pub(crate) fn cut_stream(&self) {
        count(&self.cut_streams, 1);
    }

    pub(crate) fn failed_handshake(&self) {
        count(&self.failed_handshakes, 1);
    }

    pub(crate) fn evicted_stranger(&self) {
        count(&self.evicted_strangers, 1);
    }
}
