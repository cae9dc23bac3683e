//! Numbers that callers have to put into proofs of possession (RFC 9449, 8 and 9), so that nobody makes proofs in advance. None is remembered: each
//! says when it was handed out, and a code that only the data planes of a Gateway can write vouches for it.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{HeaderName, HeaderValue};

use crate::clock::UnixMs;

/// In which a caller is told the next one.
pub const HEADER: HeaderName = HeaderName::from_static("dpop-nonce");
/// How long one may be used.
const MAX_AGE_S: i64 = 300;
/// Older ones are replaced, before they end.
const HALF_S: i64 = MAX_AGE_S / 2;
/// By how much the clocks of data planes may differ.
const MAX_AHEAD_S: i64 = 5;
const TIME_BYTES: usize = 8;
const CODE_BYTES: usize = 16;

/// What writes the codes.
pub struct Nonces(hmac::Key);

/// A key, and the Gateway that its numbers are of.
#[derive(Clone, Copy)]
pub struct OfGateway<'a> {
    pub nonces: &'a Nonces,
    pub gateway: &'a str,
}

/// What a caller's number is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Worth {
    Fresh,
    /// It holds, and the next is due.
    Ageing,
    Nothing,
}

impl Nonces {
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Known to this process alone.
    pub fn of_process() -> Self {
        Self::new(&rand::random::<[u8; 32]>())
    }
}

impl OfGateway<'_> {
    pub fn hand_out(self, now: UnixMs) -> Option<HeaderValue> {
        let time = now.seconds().to_be_bytes();
        let text = URL_SAFE_NO_PAD.encode([&time[..], &self.code(time)].concat());
        HeaderValue::try_from(text).ok()
    }

    pub fn judge(self, shown: &str, now: UnixMs) -> Worth {
        let Ok(bytes) = URL_SAFE_NO_PAD.decode(shown) else { return Worth::Nothing };
        let Some((time, code)) = bytes.split_first_chunk::<TIME_BYTES>() else { return Worth::Nothing };
        if verify_slices_are_equal(code, &self.code(*time)).is_err() {
            return Worth::Nothing;
        }
        match now.seconds().saturating_sub(i64::from_be_bytes(*time)) {
            age if (-MAX_AHEAD_S..=HALF_S).contains(&age) => Worth::Fresh,
            age if (HALF_S..=MAX_AGE_S).contains(&age) => Worth::Ageing,
            _ => Worth::Nothing,
        }
    }

    fn code(self, time: [u8; TIME_BYTES]) -> [u8; CODE_BYTES] {
        let mut context = hmac::Context::with_key(&self.nonces.0);
        context.update(&time);
        context.update(self.gateway.as_bytes());
        context.sign().as_ref().first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMs = UnixMs(1_800_000_000_000);

    fn later(s: i64) -> UnixMs {
        UnixMs(NOW.0 + s * 1000)
    }

    fn of<'a>(nonces: &'a Nonces, gateway: &'a str) -> OfGateway<'a> {
        OfGateway { nonces, gateway }
    }

    fn shown(nonces: &Nonces) -> String {
        of(nonces, "shop/public").hand_out(NOW).unwrap().to_str().unwrap().to_owned()
    }

    #[test]
    fn a_number_lasts_five_minutes_and_the_next_is_due_at_half_of_them() {
        let nonces = Nonces::new(b"key");
        let shown = shown(&nonces);
        for (after, worth) in [
            (-6, Worth::Nothing),
            (-5, Worth::Fresh),
            (0, Worth::Fresh),
            (150, Worth::Fresh),
            (151, Worth::Ageing),
            (300, Worth::Ageing),
            (301, Worth::Nothing),
            (86_400, Worth::Nothing),
        ] {
            assert_eq!(of(&nonces, "shop/public").judge(&shown, later(after)), worth, "{after}");
        }
    }

    #[test]
    fn whoever_has_the_key_knows_it_and_nobody_else() {
        let shown = shown(&Nonces::new(b"key"));
        assert_eq!(of(&Nonces::new(b"key"), "shop/public").judge(&shown, NOW), Worth::Fresh, "another replica");
        assert_eq!(of(&Nonces::new(b"key"), "shop/other").judge(&shown, NOW), Worth::Nothing, "another Gateway");
        assert_eq!(of(&Nonces::new(b"kex"), "shop/public").judge(&shown, NOW), Worth::Nothing);
        assert_eq!(of(&Nonces::of_process(), "shop/public").judge(&shown, NOW), Worth::Nothing);
        assert_ne!(self::shown(&Nonces::of_process()), self::shown(&Nonces::of_process()));
    }

    #[test]
    fn what_nobody_has_handed_out_is_worth_nothing() {
        let nonces = Nonces::new(b"key");
        let shown = shown(&nonces);
        let ones = of(&nonces, "shop/public");
        let mut younger = URL_SAFE_NO_PAD.decode(&shown).unwrap();
        younger[TIME_BYTES - 1] ^= 1;
        let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        for forged in [
            String::new(),
            "nonce".into(),
            text(&younger),
            text(&younger[..TIME_BYTES]),
            text(&[0; TIME_BYTES + CODE_BYTES]),
            format!("{shown}AA"),
            format!("{shown}="),
            shown[..30].to_owned(),
            shown.to_lowercase(),
        ] {
            assert_eq!(ones.judge(&forged, NOW), Worth::Nothing, "{forged}");
        }
    }
}
