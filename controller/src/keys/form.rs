//! What a key looks like: `spk_`, 43 letters and digits that hold 256 random bits, and 6 that check them. Scanners find keys that have
//! leaked by the prefix, and tell them from what only looks so by the checksum. Nothing else looks at the form: any text that is long
//! enough is a key, if its digest is known.

/// Of every key that the controller makes.
pub const PREFIX: &str = "spk_";
/// Random bits.
pub const RANDOM_BYTES: usize = 32;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// So many digits of base 62 hold 256 bits.
const BODY_DIGITS: usize = 43;
/// So many hold 32.
const CHECK_DIGITS: usize = 6;

/// A key as it stands in a Secret. It has no `Debug`.
pub struct Key(String);

impl Key {
    /// The key that these bits make.
    pub fn of(random: [u8; RANDOM_BYTES]) -> Self {
        let body = base62(&random, BODY_DIGITS);
        let check = base62(&crc32(body.as_bytes()).to_be_bytes(), CHECK_DIGITS);
        Self(format!("{PREFIX}{body}{check}"))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number, its most significant byte first, in so many digits of base 62.
fn base62(number: &[u8], digits: usize) -> String {
    let mut rest = number.to_vec();
    let mut text = vec![b'0'; digits];
    for digit in text.iter_mut().rev() {
        let mut remainder = 0_usize;
        for byte in &mut rest {
            let value = remainder * 256 + usize::from(*byte);
            *byte = u8::try_from(value / 62).expect("a remainder of 62 makes a quotient of one byte");
            remainder = value % 62;
        }
        *digit = ALPHABET.get(remainder).copied().expect("a remainder of 62 is within the alphabet");
    }
    text.into_iter().map(char::from).collect()
}

/// CRC-32 as in ISO 3309 and zip.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1));
    !bytes.iter().fold(!0_u32, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> Option<u128> {
        text.bytes().try_fold(0_u128, |value, byte| {
            let digit = ALPHABET.iter().position(|letter| *letter == byte)?;
            value.checked_mul(62)?.checked_add(u128::try_from(digit).ok()?)
        })
    }

    #[test]
    fn the_checksum_is_that_of_zip() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!(crc32(b""), 0);
    }

    #[test]
    fn numbers_are_written_in_base_62() {
        for (number, digits, text) in [
            (&[0_u8][..], 3, "000"),
            (&[61], 1, "z"),
            (&[62], 2, "10"),
            (&[1, 0], 2, "48"),
            (&[0xff, 0xff, 0xff, 0xff], 6, "4gfFC3"),
        ] {
            assert_eq!(base62(number, digits), text);
        }
    }

    #[test]
    fn a_key_has_a_form_that_scanners_find() {
        let form = regex::Regex::new("^spk_[0-9A-Za-z]{49}$").unwrap();
        for random in [[0; 32], [0xff; 32], [0x5a; 32]] {
            assert!(form.is_match(Key::of(random).as_str()));
        }
        // As others would compute them: secret scanners have to.
        assert_eq!(Key::of([0; 32]).as_str(), "spk_00000000000000000000000000000000000000000002CZclj");
    }

    proptest! {
        #[test]
        fn every_bit_makes_another_key(random: [u8; 32], bit in 0_usize..256) {
            let mut other = random;
            other[bit / 8] ^= 1 << (bit % 8);
            let (one, another) = (Key::of(random), Key::of(other));
            prop_assert_ne!(one.as_str(), another.as_str());
        }

        #[test]
        fn the_checksum_follows_from_the_rest(random: [u8; 32]) {
            let key = Key::of(random);
            let (body, check) = key.as_str()[PREFIX.len()..].split_at(BODY_DIGITS);
            prop_assert_eq!(value(check), Some(u128::from(crc32(body.as_bytes()))));
        }
    }
}
