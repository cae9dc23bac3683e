//! What is told of requests.

use sallyport_api::observing::AccessLogSettings;
use sallyport_snapshot::v1;

/// Field by field the Gateway's own, else the class's. `None` where neither says anything.
pub fn access_log(own: Option<&AccessLogSettings>, of_class: Option<&AccessLogSettings>) -> Option<v1::AccessLog> {
    let stated = [own, of_class].into_iter().flatten();
    let message = v1::AccessLog {
        on: stated.clone().find_map(|one| one.enabled),
        sample_per_million: stated.clone().find_map(|one| one.sample_percent).map(per_million),
    };
    (message != v1::AccessLog::default()).then_some(message)
}

/// Of a hundred, as of a million: to the nearest of it.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is clamped to what fits")]
fn per_million(percent: f64) -> u32 {
    (percent * 10_000.0).round().clamp(0.0, 1_000_000.0) as u32
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(0.0, 0)]
    #[case(0.000_04, 0)]
    #[case(0.000_06, 1)]
    #[case(0.1, 1_000)]
    #[case(12.34, 123_400)]
    #[case(100.0, 1_000_000)]
    #[case(101.0, 1_000_000)]
    #[case(-1.0, 0)]
    #[case(f64::INFINITY, 1_000_000)]
    fn a_share_is_one_of_a_million(#[case] percent: f64, #[case] share: u32) {
        assert_eq!(per_million(percent), share);
    }
}
