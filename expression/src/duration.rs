//! Durations as texts: numbers with units, the greatest first or not (Go, `time.ParseDuration`).

use jiff::SignedDuration;

/// Nanoseconds of each unit. What ends as another does stands before it.
const UNITS: [(&str, i128); 7] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// Digits behind the point that can matter.
const MAX_DIGITS: usize = 18;

/// `1h30m`, `-1.5s`, `0`.
pub(crate) fn parse(text: &str) -> Option<SignedDuration> {
    let (is_negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    let mut nanoseconds = 0_i128;
    loop {
        let end = rest.find(|one: char| !one.is_ascii_digit() && one != '.')?;
        let (number, tail) = rest.split_at_checked(end)?;
        let end = tail.find(|one: char| one.is_ascii_digit() || one == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at_checked(end)?;
        let (_, unit) = UNITS.iter().find(|(name, _)| *name == unit)?;
        nanoseconds = nanoseconds.checked_add(scaled(number, *unit)?)?;
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    let nanoseconds = if is_negative { -nanoseconds } else { nanoseconds };
    let seconds = i64::try_from(nanoseconds / 1_000_000_000).ok()?;
    let left = i32::try_from(nanoseconds % 1_000_000_000).ok()?;
    Some(SignedDuration::new(seconds, left))
}

/// A number with or without a point, in nanoseconds.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, part) = number.split_once('.').unwrap_or((number, ""));
    let is_number = (!whole.is_empty() || !part.is_empty()) && !part.contains('.') && part.len() <= MAX_DIGITS;
    let digits = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let tenth = 10_i128.checked_pow(u32::try_from(part.len()).ok()?)?;
    let whole = digits(whole)?.checked_mul(unit)?;
    let part = digits(part)?.checked_mul(unit)? / tenth;
    is_number.then(|| whole.checked_add(part))?
}

/// Seconds, with a fraction where there is one: `90s`, `1.5s`.
pub(crate) fn text(length: SignedDuration) -> String {
    let (seconds, nanoseconds) = (length.as_secs(), length.subsec_nanos());
    let sign = if seconds < 0 || nanoseconds < 0 { "-" } else { "" };
    let (seconds, nanoseconds) = (seconds.unsigned_abs(), nanoseconds.unsigned_abs());
    if nanoseconds == 0 {
        return format!("{sign}{seconds}s");
    }
    let fraction = format!("{nanoseconds:09}");
    format!("{sign}{seconds}.{}s", fraction.trim_end_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_reads_them() {
        for (text, milliseconds) in [
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1h30m", Some(5_400_000)),
            ("1.5s", Some(1_500)),
            ("-2ms", Some(-2)),
            ("+.5s", Some(500)),
            ("1m1s1ms", Some(61_001)),
            ("1500000us", Some(1_500)),
            ("", None),
            ("1", None),
            ("s", None),
            ("1d", None),
            ("1.2.3s", None),
            (".s", None),
            ("1s ", None),
            ("--1s", None),
            ("99999999999999999999999999999999999999h", None),
        ] {
            assert_eq!(parse(text).map(|length| length.as_millis()), milliseconds, "{text:?}");
        }
    }

    #[test]
    fn durations_are_written_in_seconds() {
        for (length, written) in [("90m", "5400s"), ("1500ms", "1.5s"), ("-1ns", "-0.000000001s"), ("0", "0s")] {
            assert_eq!(text(parse(length).unwrap()), written);
        }
    }
}
