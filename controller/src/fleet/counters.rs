//! What has happened on the streams, for whoever shows metrics.

use std::sync::atomic::{AtomicU64, Ordering};

use prost::Message as _;
use sallyport_snapshot::v1;

/// Why a stream is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamRefusal {
    /// It shows no token, or more than one.
    NoToken,
    /// The API server does not know the token, or it is of nobody that may have a stream.
    TokenRefused,
    /// Nobody can say now whose the token is.
    TokenNotVerified,
    /// The stream is not for this caller.
    NotForCaller,
    NoSuchMethod,
}

impl StreamRefusal {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] =
        [Self::NoToken, Self::TokenRefused, Self::TokenNotVerified, Self::NotForCaller, Self::NoSuchMethod];

    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoToken => "no-token",
            Self::TokenRefused => "token-refused",
            Self::TokenNotVerified => "token-not-verified",
            Self::NotForCaller => "not-for-caller",
            Self::NoSuchMethod => "no-such-method",
        }
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// Counts up, by whoever is at it.
        #[derive(Default)]
        pub struct Counts {
            $($name: AtomicU64,)*
            refused: [AtomicU64; StreamRefusal::ALL.len()],
        }

        /// The counts of one moment.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counters {
            /// Data planes that are connected here now.
            pub connected: u64,
            $($(#[doc = $doc])* pub $name: u64,)*
            /// Streams that were refused, in the order of [`StreamRefusal::ALL`].
            pub refused: [u64; StreamRefusal::ALL.len()],
        }

        impl Counts {
            pub(super) fn read(&self, connected: usize) -> Counters {
                Counters {
                    connected: u64::try_from(connected).unwrap_or(u64::MAX),
                    $($name: self.$name.load(Ordering::Relaxed),)*
                    refused: self.refused.each_ref().map(|count| count.load(Ordering::Relaxed)),
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
    /// Resources that acknowledgements say are not in force as they were sent.
    rejections,
    /// Reports about what is not the data plane's to tell of.
    foreign_reports,
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

    pub(super) fn acknowledged(&self, ack: &v1::Ack) {
        count(&self.acknowledgements, 1);
        count(&self.rejections, ack.rejected.len());
    }

    pub(crate) fn foreign_report(&self) {
        count(&self.foreign_reports, 1);
    }

    pub(crate) fn refused_stream(&self, why: StreamRefusal) {
        if let Some(counter) = self.refused.get(why as usize) {
            count(counter, 1);
        }
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

impl Counters {
    /// Streams that were refused for this.
    pub fn refused_streams(&self, why: StreamRefusal) -> u64 {
        self.refused.get(why as usize).copied().unwrap_or_default()
    }
}
