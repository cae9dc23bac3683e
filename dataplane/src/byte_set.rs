//! A set of bytes, asked with one look into a table.

/// Which bytes belong.
pub(crate) struct ByteSet(pub(crate) [bool; 256]);

impl ByteSet {
    /// Whether `byte` belongs.
    #[expect(clippy::indexing_slicing, reason = "there is an entry for every byte; with `get` the look has a branch")]
    pub(crate) const fn has(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }
}

/// The bytes for which a `const fn` says so, put down when the program is built.
macro_rules! byte_set {
    ($belongs:expr) => {{
        let mut table = [false; 256];
        let mut rest: &mut [bool] = &mut table;
        let mut byte = 0_u8;
        while let Some((entry, more)) = rest.split_first_mut() {
            *entry = $belongs(byte);
            rest = more;
            byte = byte.wrapping_add(1);
        }
        $crate::byte_set::ByteSet(table)
    }};
}
pub(crate) use byte_set;

#[cfg(test)]
mod tests {
    use super::ByteSet;

    const fn is_odd_or_last(byte: u8) -> bool {
        byte % 2 == 1 || byte == 254
    }

    #[test]
    fn a_set_has_what_its_function_says_and_nothing_else() {
        const SET: ByteSet = byte_set!(is_odd_or_last);
        for byte in 0..=u8::MAX {
            assert_eq!(SET.has(byte), is_odd_or_last(byte), "{byte}");
        }
    }
}
