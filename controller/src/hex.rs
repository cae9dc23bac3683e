//! Bytes written as hexadecimal digits.

/// `None` where something else stands among the digits, or one is left over.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    let pair = |pair: &[u8]| match pair {
        [high, low] => Some(digit(*high)? << 4 | digit(*low)?),
        _ => None,
    };
    text.as_bytes().chunks(2).map(pair).collect()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_pairs_of_digits_are_bytes() {
        assert_eq!(bytes("00fFa1"), Some(vec![0, 255, 161]));
        assert_eq!(bytes(""), Some(vec![]));
        for text in ["0", "00f", "0g", "+1", "-1", " 1", "ü", "0x"] {
            assert_eq!(bytes(text), None, "{text}");
        }
    }
}
