//! What time it is: the one place that asks the machine.

use jiff::Timestamp;

/// The clock of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock;

impl Clock {
    #[allow(clippy::disallowed_methods, reason = "this is the controller's clock; everybody else asks here")]
    pub fn now(self) -> Timestamp {
        Timestamp::now()
    }

    /// Seconds since 1970 UTC.
    pub fn now_s(self) -> i64 {
        self.now().as_second()
    }

    /// RFC 3339, to the second, as Kubernetes has times.
    pub fn timestamp(self) -> String {
        Timestamp::from_second(self.now_s()).unwrap_or_default().to_string()
    }
}
