//! Waiting, with a word on standard error about what for.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::connect::printable;
use crate::print;

/// Between two looks at the cluster.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);

/// What one look has found.
pub(crate) enum Look<T> {
    Done(T),
    /// Not yet, and what is awaited.
    Awaits(String),
}

/// Looks until it is done, or the time is over; then what was awaited last. Each thing that is awaited is said once, when it becomes so.
pub(crate) async fn until<T>(
    timeout: Duration,
    look: impl AsyncFn() -> anyhow::Result<Look<T>>,
) -> anyhow::Result<Result<T, String>> {
    let (began, mut said) = (Instant::now(), String::new());
    loop {
        match look().await? {
            Look::Done(found) => return Ok(Ok(found)),
            Look::Awaits(what) if began.elapsed() >= timeout => return Ok(Err(what)),
            Look::Awaits(what) if what != said => {
                print::aside(&printable(&format!("awaited: {what}")));
                said = what;
            }
            Look::Awaits(_) => {}
        }
        sleep(BETWEEN_LOOKS).await;
    }
}

/// A time-out as Gateway API writes durations.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    sallyport_api::duration::Duration(text.to_owned()).parse().map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_awaited_last_is_told_once_the_time_is_over() {
        let looks = Cell::new(0);
        let look = async || {
            looks.set(looks.get() + 1);
            let done = looks.get() == 5;
            Ok(if done { Look::Done(looks.get()) } else { Look::Awaits(format!("look {}", looks.get())) })
        };
        assert_eq!(until(Duration::from_secs(1), look).await.unwrap(), Err("look 3".to_owned()));
        assert_eq!(until(Duration::ZERO, look).await.unwrap(), Err("look 4".to_owned()));
        assert_eq!(until(Duration::ZERO, look).await.unwrap(), Ok(5));
        let failing = async || -> anyhow::Result<Look<()>> { anyhow::bail!("no way") };
        assert!(until(Duration::from_secs(1), failing).await.is_err());
    }

    #[test]
    fn durations_are_those_of_gateway_api() {
        assert_eq!(duration("1m30s"), Ok(Duration::from_secs(90)));
        for text in ["60", "-1s", "", "1.5s", "forever"] {
            assert!(duration(text).is_err() || text.is_empty(), "{text}");
        }
    }
}
