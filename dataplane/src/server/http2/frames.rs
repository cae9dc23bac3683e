//! The outline of HTTP/2's frames (RFC 9113, 4.1), as far as it tells whether a head is under way. What is no valid frame is
//! hyper's to refuse.

/// What the connection begins with (RFC 9113, 3.4).
const PREFACE_BYTES: usize = 24;
/// Length, type, flags and stream of a frame.
const HEADER_BYTES: usize = 9;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Where in its frames a connection is.
pub(super) struct Frames {
    /// Of the preface, or of the payload of the frame.
    left: usize,
    header: [u8; HEADER_BYTES],
    /// How much of `header` is there.
    filled: usize,
    /// What the payload that is left belongs to.
    part: Part,
    /// A head has begun in a frame before this one.
    in_head: bool,
    /// The preface has come.
    has_preface: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Other,
    Head,
    EndOfHead,
}

impl Default for Frames {
    fn default() -> Self {
        Self {
            left: PREFACE_BYTES,
            header: [0; HEADER_BYTES],
            filled: 0,
            part: Part::Other,
            in_head: false,
            has_preface: false,
        }
    }
}

impl Frames {
    /// Follows what has come; whether it ends within a head.
    pub(super) fn advance(&mut self, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let taken = if self.left > 0 { self.pass(bytes) } else { self.fill(bytes) };
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        self.in_head
    }

    /// Whether the preface has come.
    pub(super) fn is_open(&self) -> bool {
        self.has_preface
    }

    fn pass(&mut self, bytes: &[u8]) -> usize {
        let taken = self.left.min(bytes.len());
        self.left -= taken;
        self.end_payload();
        taken
    }

    fn fill(&mut self, bytes: &[u8]) -> usize {
        let taken = (HEADER_BYTES - self.filled).min(bytes.len());
        let room = self.header.iter_mut().skip(self.filled);
        room.zip(bytes).for_each(|(place, byte)| *place = *byte);
        self.filled += taken;
        if self.filled == HEADER_BYTES {
            self.begin_payload();
        }
        taken
    }

    fn begin_payload(&mut self) {
        let [high, middle, low, kind, flags, ..] = self.header;
        self.filled = 0;
        self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        self.part = match kind {
            HEADERS | CONTINUATION if flags & END_HEADERS != 0 => Part::EndOfHead,
            HEADERS | CONTINUATION => Part::Head,
            _ => Part::Other,
        };
        self.in_head |= self.part != Part::Other;
        self.end_payload();
    }

    fn end_payload(&mut self) {
        if self.left == 0 {
            self.has_preface = true;
            self.in_head &= self.part != Part::EndOfHead;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], &vec![b'x'; payload]].concat()
    }

    fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
        [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat()
    }

    const SETTINGS: u8 = 4;
    const DATA: u8 = 0;

    #[test]
    fn a_head_is_open_from_its_first_frame_to_the_end_of_its_last() {
        for (frames, is_open) in [
            (vec![], false),
            (vec![frame(SETTINGS, 0, 6)], false),
            (vec![frame(HEADERS, END_HEADERS, 30)], false),
            (vec![frame(HEADERS, END_HEADERS, 0)], false),
            (vec![frame(HEADERS, 0, 30)], true),
            (vec![frame(HEADERS, 0, 30), frame(CONTINUATION, 0, 1)], true),
            (vec![frame(HEADERS, 0, 0), frame(CONTINUATION, END_HEADERS, 1)], false),
            (vec![frame(HEADERS, END_HEADERS, 30), frame(DATA, END_HEADERS, 70_000)], false),
            (vec![frame(HEADERS, END_HEADERS, 9), frame(SETTINGS, 0, 0), frame(HEADERS, 1, 9)], true),
        ] {
            let bytes = connection(&frames);
            assert_eq!(Frames::default().advance(&bytes), is_open, "{frames:?}");
            let mut one_by_one = Frames::default();
            assert_eq!(bytes.iter().map(|byte| one_by_one.advance(&[*byte])).last(), Some(is_open), "{frames:?}");
        }
    }

    #[test]
    fn a_connection_is_open_once_its_preface_is_whole() {
        let mut frames = Frames::default();
        for (at, byte) in connection(&[frame(SETTINGS, 0, 6)]).into_iter().enumerate() {
            frames.advance(&[byte]);
            assert_eq!(frames.is_open(), at + 1 >= PREFACE_BYTES, "after {at} bytes");
        }
    }

    #[test]
    fn a_frame_of_a_head_that_stops_half_way_is_open() {
        let bytes = connection(&[frame(HEADERS, END_HEADERS, 30)]);
        let before = PREFACE_BYTES + HEADER_BYTES;
        for cut in 0..bytes.len() {
            let is_open = Frames::default().advance(&bytes[..cut]);
            assert_eq!(is_open, cut >= before, "cut at {cut}");
        }
    }
}
