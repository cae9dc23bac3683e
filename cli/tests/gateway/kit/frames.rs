//! HTTP/2 by hand: frames as a caller likes to send them, and what becomes of them.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const WITH_PRIORITY: u8 = 0x20;

/// What is not there by then does not come.
const PATIENCE: Duration = Duration::from_secs(5);
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const FRAME_HEAD: usize = 9;

/// One frame (RFC 9113, 4.1).
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A head as literals without an index (RFC 7541, 6.2.2): nothing is checked, and nothing is compressed.
pub fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(&mut block, text.len());
            block.extend(text.as_bytes());
        }
    }
    block
}

/// An integer behind a prefix of seven bits (RFC 7541, 5.1).
fn integer(block: &mut Vec<u8>, value: usize) {
    let Some(mut rest) = value.checked_sub(127) else { return block.push(u8::try_from(value).unwrap()) };
    block.push(127);
    while rest >= 128 {
        block.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    block.push(u8::try_from(rest).unwrap());
}

/// An index into the table of fields, as a whole field (RFC 7541, 6.1): 62 is the first that a connection has added.
pub fn indexed(index: u8) -> u8 {
    0x80 | index
}

/// A field that is added to the table of its connection (RFC 7541, 6.2.1).
pub fn remembered(name: &str, value: &str) -> Vec<u8> {
    let mut field = head(&[(name, value)]);
    field[0] = 0x40;
    field
}

/// What becomes of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Answer(u16),
    /// The stream ends, with this code (RFC 9113, 7).
    Reset(u32),
    /// The connection ends, with this code.
    Goodbye(u32),
    /// The connection ends without a word.
    Closed,
    Silence,
}

/// A connection on which everything is sent by hand.
pub struct Frames {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Frames {
    /// Begins a connection with these settings, by number.
    pub async fn open(gateway: SocketAddr, settings: &[(u16, u32)]) -> Self {
        let mut stream = TcpStream::connect(gateway).await.unwrap();
        let settings: Vec<u8> = settings
            .iter()
            .flat_map(|(name, value)| name.to_be_bytes().into_iter().chain(value.to_be_bytes()))
            .collect();
        stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, &settings)].concat()).await.unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// False if the gateway has closed.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).await.is_ok()
    }

    /// Waits for what becomes of `stream`.
    pub async fn outcome(&mut self, stream: u32) -> Outcome {
        tokio::time::timeout(PATIENCE, self.awaited(stream)).await.unwrap_or(Outcome::Silence)
    }

    /// Waits until the gateway says that the connection ends, and with which code; it may go on saying other things.
    pub async fn goodbye(&mut self) -> Option<u32> {
        let said = async {
            while let Some((kind, _, payload)) = self.next().await {
                if kind == GOAWAY {
                    return Some(code(&payload[4..]));
                }
            }
            None
        };
        tokio::time::timeout(PATIENCE, said).await.ok().flatten()
    }

    async fn awaited(&mut self, stream: u32) -> Outcome {
        loop {
            let Some((kind, of, payload)) = self.next().await else { return Outcome::Closed };
            match kind {
                HEADERS if of == stream => return Outcome::Answer(status(&payload)),
                RST_STREAM if of == stream => return Outcome::Reset(code(&payload)),
                GOAWAY if code(&payload[4..]) != 0 => return Outcome::Goodbye(code(&payload[4..])),
                _ => {}
            }
        }
    }

    /// Sends what `make` gives, again and again, and reads whatever comes; whether the gateway ends the connection.
    pub async fn flood(self, make: impl Fn(u32) -> Vec<u8>, count: u32) -> bool {
        let (mut reader, mut writer) = self.stream.into_split();
        let drained = tokio::spawn(async move {
            let mut bytes = vec![0; 65_536];
            while reader.read(&mut bytes).await.is_ok_and(|count| count > 0) {}
        });
        for number in 0..count {
            if writer.write_all(&make(number)).await.is_err() {
                break;
            }
        }
        tokio::time::timeout(Duration::from_secs(1), drained).await.is_ok()
    }

    /// The same of a caller that reads nothing: it sends as much as is taken from it.
    pub async fn flood_unread(&mut self, make: impl Fn(u32) -> Vec<u8>, count: u32) {
        for number in 0..count {
            let sent = tokio::time::timeout(Duration::from_millis(500), self.stream.write_all(&make(number))).await;
            if !matches!(sent, Ok(Ok(()))) {
                break;
            }
        }
    }

    /// Kind, stream and payload of the next frame; `None` at the end.
    async fn next(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        loop {
            if let Some(whole) = self.taken() {
                return Some(whole);
            }
            if !matches!(self.stream.read_buf(&mut self.buffer).await, Ok(1..)) {
                return None;
            }
        }
    }

    fn taken(&mut self) -> Option<(u8, u32, Vec<u8>)> {
        let head: [u8; FRAME_HEAD] = self.buffer.get(..FRAME_HEAD)?.try_into().ok()?;
        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
        let payload = self.buffer.get(FRAME_HEAD..FRAME_HEAD + length)?.to_vec();
        self.buffer.drain(..FRAME_HEAD + length);
        Some((head[3], u32::from_be_bytes([head[5], head[6], head[7], head[8]]), payload))
    }
}

fn code(payload: &[u8]) -> u32 {
    u32::from_be_bytes(payload[..4].try_into().unwrap())
}

/// The status at the beginning of a response's head, the first of its connection: indexed, or a literal in Huffman's code.
fn status(block: &[u8]) -> u16 {
    match *block {
        [first @ 0x88..=0x8e, ..] => [200, 204, 206, 304, 400, 404, 500][usize::from(first - 0x88)],
        [0x48 | 0x08 | 0x18, length, ref rest @ ..] if length & 0x80 != 0 => {
            huffman_digits(&rest[..usize::from(length & 0x7f)])
        }
        [0x48 | 0x08 | 0x18, 3, a, b, c, ..] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => panic!("no status: {block:x?}"),
    }
}

/// Three digits (RFC 7541, Appendix B): `0` to `2` have five bits, the others six.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let (mut at, mut value) = (0, 0);
    for _ in 0..3 {
        let five = bits[at..at + 5].iter().fold(0, |number, bit| number << 1 | u16::from(*bit));
        let (digit, length) = if five <= 2 { (five, 5) } else { ((five << 1 | u16::from(bits[at + 5])) - 0x19 + 3, 6) };
        value = value * 10 + digit;
        at += length;
    }
    value
}
