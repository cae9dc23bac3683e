//! How long loads and outages last: moments by `make e2e`; `make endure` asks for more, and for a record of what came of it.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::str::FromStr;
use std::time::Duration;

/// How often ten thousand requests go through what befalls them.
pub fn rounds() -> u8 {
    asked("SALLYPORT_E2E_ROUNDS").unwrap_or(1)
}

/// Otherwise longer than every time-out of the controller and of data planes but that of what they hold.
pub fn outage() -> Duration {
    Duration::from_secs(asked("SALLYPORT_E2E_OUTAGE_S").unwrap_or(90))
}

/// A number of the environment. One that is none is no reason to do less than was asked for.
fn asked<T: FromStr>(variable: &str) -> Option<T> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable} is {text}, which is not a number, or one out of bounds")))
}

/// Adds a paragraph to the page `SALLYPORT_FIGURES`, if there is to be one.
pub fn record(what: &str, text: &str) {
    let Some(page) = std::env::var_os("SALLYPORT_FIGURES") else { return };
    let mut page = OpenOptions::new().append(true).create(true).open(page).unwrap();
    writeln!(page, "\n## {what}\n\n{text}").unwrap();
}
