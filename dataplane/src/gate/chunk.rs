//! The chunked coding (RFC 9112, 7.1), followed byte by byte.

/// Bytes of chunk extensions in one chunk: none that is in use comes near.
const MAX_EXTENSION_BYTES: usize = 256;
/// Bytes of a trailer section.
const MAX_TRAILER_BYTES: usize = 8 * 1024;
/// Hexadecimal digits of a size: 16 would overflow with the next.
const MAX_SIZE_DIGITS: u8 = 15;
/// Fields that would change who asks, or how the message is read (RFC 9110, 6.5.1).
const FORBIDDEN_TRAILERS: [&str; 11] = [
    "authorization",
    "host",
    "content-length",
    "transfer-encoding",
    "cookie",
    "connection",
    "te",
    "trailer",
    "expect",
    "upgrade",
    "proxy-authorization",
];

/// Where in a chunked body the next byte falls.
#[derive(Debug)]
pub(super) struct Chunks {
    state: State,
    line: Vec<u8>,
    trailer_bytes: usize,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Size { value: u64, digits: u8 },
    Extension { value: u64, bytes: usize },
    SizeEnd { value: u64 },
    Data(u64),
    DataCr,
    DataLf,
    Trailer,
    TrailerEnd,
}

/// What is wrong with a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChunkFault {
    #[error("a chunk size is not a short hexadecimal number")]
    Size,
    #[error("a chunk extension is too long or holds a control character")]
    Extension,
    #[error("a line of the chunked body does not end in CR LF")]
    LineEnd,
    #[error("the trailer section is too long")]
    TrailerLength,
    #[error("a trailer field is malformed, or not allowed in a trailer section")]
    Trailer,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { state: State::Size { value: 0, digits: 0 }, line: Vec::new(), trailer_bytes: 0 }
    }
}

impl Chunks {
    /// Follows `bytes`: how many of them belong to the body, and whether it has ended.
    pub(super) fn advance(&mut self, bytes: &[u8]) -> Result<(usize, bool), ChunkFault> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if let State::Data(left) = self.state {
                let taken = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len() - at);
                let left = left - taken as u64;
                self.state = if left == 0 { State::DataCr } else { State::Data(left) };
                at += taken;
                continue;
            }
            at += 1;
            if self.step(byte)? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// One byte outside data; whether it was the last of the body.
    fn step(&mut self, byte: u8) -> Result<bool, ChunkFault> {
        self.state = match (self.state, byte) {
            (State::Size { value, digits }, _) => size(value, digits, byte)?,
            (State::Extension { value, .. }, b'\r') => State::SizeEnd { value },
            (State::Extension { value, bytes }, b'\t' | 0x20..=0x7e) if bytes < MAX_EXTENSION_BYTES => {
                State::Extension { value, bytes: bytes + 1 }
            }
            (State::Extension { .. }, _) => return Err(ChunkFault::Extension),
            (State::SizeEnd { value: 0 }, b'\n') => State::Trailer,
            (State::SizeEnd { value }, b'\n') => State::Data(value),
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => State::Size { value: 0, digits: 0 },
            (State::Trailer, b'\r') => State::TrailerEnd,
            (State::Trailer, _) => return self.trailer_byte(byte).map(|()| false),
            (State::TrailerEnd, b'\n') if self.line.is_empty() => return Ok(true),
            (State::TrailerEnd, b'\n') => self.end_trailer()?,
            _ => return Err(ChunkFault::LineEnd),
        };
        Ok(false)
    }

    fn trailer_byte(&mut self, byte: u8) -> Result<(), ChunkFault> {
        self.trailer_bytes += 1;
        if self.trailer_bytes > MAX_TRAILER_BYTES {
            return Err(ChunkFault::TrailerLength);
        }
        if !super::head::is_field_byte(byte) {
            return Err(ChunkFault::Trailer);
        }
        self.line.push(byte);
        Ok(())
    }

    fn end_trailer(&mut self) -> Result<State, ChunkFault> {
        let colon = self.line.iter().position(|byte| *byte == b':').ok_or(ChunkFault::Trailer)?;
        let name = self.line.get(..colon).unwrap_or_default();
        let forbidden = FORBIDDEN_TRAILERS.iter().any(|field| field.as_bytes().eq_ignore_ascii_case(name));
        if forbidden || name.is_empty() || !name.iter().all(|byte| super::head::is_token_byte(*byte)) {
            return Err(ChunkFault::Trailer);
        }
        self.line.clear();
        Ok(State::Trailer)
    }
}

fn size(value: u64, digits: u8, byte: u8) -> Result<State, ChunkFault> {
    match (char::from(byte).to_digit(16), byte) {
        (Some(digit), _) if digits < MAX_SIZE_DIGITS => {
            Ok(State::Size { value: value * 16 + u64::from(digit), digits: digits + 1 })
        }
        (None, b'\r') if digits > 0 => Ok(State::SizeEnd { value }),
        (None, b';') if digits > 0 => Ok(State::Extension { value, bytes: 0 }),
        _ => Err(ChunkFault::Size),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(bytes: &[u8]) -> Result<(usize, bool), ChunkFault> {
        Chunks::default().advance(bytes)
    }

    #[test]
    fn a_body_ends_where_it_ends() {
        for body in [
            "0\r\n\r\n",
            "3\r\nabc\r\n0\r\n\r\n",
            "A;x=y\r\n0123456789\r\n000\r\n\r\n",
            "1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n",
        ] {
            let with_next = format!("{body}GET / HTTP/1.1");
            assert_eq!(follow(with_next.as_bytes()), Ok((body.len(), true)), "{body:?}");
        }
    }

    #[test]
    fn any_split_gives_the_same_end() {
        let body = b"3;a=b\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n";
        for split in 0..body.len() {
            let mut chunks = Chunks::default();
            let (first, second) = body.split_at(split);
            assert_eq!(chunks.advance(first), Ok((split, false)));
            assert_eq!(chunks.advance(second), Ok((second.len(), true)), "{split}");
        }
    }

    #[test]
    fn broken_framing_is_refused() {
        let long_extension = format!("1;{}\r\n", "x".repeat(300));
        let long_trailer = format!("0\r\nX: {}\r\n\r\n", "x".repeat(9000));
        for (body, fault) in [
            ("\r\n", ChunkFault::Size),
            ("x\r\n", ChunkFault::Size),
            ("-1\r\n", ChunkFault::Size),
            ("0x1\r\n", ChunkFault::Size),
            (" 1\r\n", ChunkFault::Size),
            ("1 \r\n", ChunkFault::Size),
            ("1\n", ChunkFault::Size),
            ("FFFFFFFFFFFFFFFF\r\n", ChunkFault::Size),
            ("1\r\r\n", ChunkFault::LineEnd),
            ("1\r\naXX", ChunkFault::LineEnd),
            ("1\r\na\n", ChunkFault::LineEnd),
            ("1\r\na\r\r", ChunkFault::LineEnd),
            ("1;a\nb\r\n", ChunkFault::Extension),
            (&long_extension, ChunkFault::Extension),
            ("1;a\0\r\n", ChunkFault::Extension),
            ("0\r\nAuthorization: x\r\n\r\n", ChunkFault::Trailer),
            ("0\r\nhost: x\r\n\r\n", ChunkFault::Trailer),
            ("0\r\nContent-Length: 1\r\n\r\n", ChunkFault::Trailer),
            ("0\r\nno colon\r\n\r\n", ChunkFault::Trailer),
            ("0\r\n: x\r\n\r\n", ChunkFault::Trailer),
            ("0\r\nX : y\r\n\r\n", ChunkFault::Trailer),
            ("0\r\nX: y\n\r\n", ChunkFault::Trailer),
            ("0\r\n folded\r\n\r\n", ChunkFault::Trailer),
            (&long_trailer, ChunkFault::TrailerLength),
            ("0\r\nX: y\r\r\n", ChunkFault::LineEnd),
        ] {
            assert_eq!(follow(body.as_bytes()), Err(fault), "{body:?}");
        }
    }
}
