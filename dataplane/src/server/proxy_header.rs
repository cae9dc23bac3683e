//! What a trusted proxy says of a connection before its first byte: the PROXY protocol, versions 1 and 2.
//!
//! Nothing is guessed (section 5 of HAProxy's "The PROXY protocol, versions 1 & 2"): whether a header has to come is known before a
//! byte is read, and not one byte behind it is taken.

use std::io;
use std::net::IpAddr;

use ppp::{v1, v2};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

/// What tells the versions from each other, and from anything else: version 2 begins with so many bytes that are always the same, and
/// no header of version 1 is shorter.
const FIRST_BYTES: usize = 12;
const TEXT: &[u8] = b"PROXY ";
/// The longest header of version 1 (section 2.1).
const MAX_TEXT_BYTES: usize = 107;
/// Of version 2, up to its length and with it.
const FIXED_BYTES: usize = 16;
/// What follows, addresses and TLVs, is not more: HAProxy and nginx read 4 KiB; load balancers of clouds send less than 200 bytes.
const MAX_BINARY_BYTES: u16 = 4096;
/// The TLV in which a sender vouches for its header (section 2.2.3, `PP2_TYPE_CRC32C`).
const CHECKSUM: u8 = 3;
/// Kind and length of a TLV.
const TLV_HEAD_BYTES: usize = 3;

/// Whom a connection comes from, by the word of a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// From there.
    From(IpAddr),
    /// From somebody who has no address, or none that the proxy knows.
    Nobody,
    /// From the proxy itself, which looks after us.
    Itself,
}

/// Why what came first is no PROXY header.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("the connection ended")]
    Io(#[from] io::Error),
    #[error("it does not begin with a PROXY header")]
    Absent,
    #[error("the PROXY header is longer than is read")]
    TooLong,
    #[error("the PROXY header is malformed")]
    Malformed,
    #[error("the checksum of the PROXY header is not that of its bytes")]
    Checksum,
    #[error("the PROXY header speaks of something else than a TCP connection")]
    NotTcp,
}

/// Reads a header, and nothing behind it. The caller bounds the time.
pub(super) async fn read(stream: &mut TcpStream) -> Result<Told, Fault> {
    let mut first = [0; FIRST_BYTES];
    stream.read_exact(&mut first).await?;
    if first == v2::PROTOCOL_PREFIX {
        return binary(stream, first).await;
    }
    if first.starts_with(TEXT) {
        return text(stream, &first).await;
    }
    Err(Fault::Absent)
}

/// What a whole header says, and nothing else: neither less nor more than one.
pub fn parse(header: &[u8]) -> Result<Told, Fault> {
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        return of_binary(header);
    }
    if header.starts_with(TEXT) {
        return of_text(header);
    }
    Err(Fault::Absent)
}

async fn binary(stream: &mut TcpStream, first: [u8; FIRST_BYTES]) -> Result<Told, Fault> {
    let mut fixed = [0; FIXED_BYTES - FIRST_BYTES];
    stream.read_exact(&mut fixed).await?;
    let [_, _, high, low] = fixed;
    let length = u16::from_be_bytes([high, low]);
    if length > MAX_BINARY_BYTES {
        return Err(Fault::TooLong);
    }
    let mut header = Vec::with_capacity(FIXED_BYTES + usize::from(length));
    header.extend_from_slice(&first);
    header.extend_from_slice(&fixed);
    let rest = stream.take(length.into()).read_to_end(&mut header).await?;
    if rest < length.into() { Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()) } else { of_binary(&header) }
}

/// Up to the end of the line. What is there is looked at before it is taken: what follows the line is for others.
async fn text(stream: &mut TcpStream, first: &[u8]) -> Result<Told, Fault> {
    let mut line = Vec::with_capacity(MAX_TEXT_BYTES);
    line.extend_from_slice(first);
    while line.len() < MAX_TEXT_BYTES {
        let mut ahead = [0; MAX_TEXT_BYTES];
        let seen = stream.peek(&mut ahead).await?.min(MAX_TEXT_BYTES - line.len());
        if seen == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let end = ahead.iter().take(seen).position(|byte| *byte == b'\n');
        let taken = end.map_or(seen, |at| at + 1);
        (&mut *stream).take(u64::try_from(taken).unwrap_or(u64::MAX)).read_to_end(&mut line).await?;
        if end.is_some() {
            return of_text(&line);
        }
    }
    Err(Fault::TooLong)
}

fn of_text(line: &[u8]) -> Result<Told, Fault> {
    let header = v1::Header::try_from(line).map_err(|_| Fault::Malformed)?;
    if header.header.len() != line.len() {
        return Err(Fault::Malformed);
    }
    Ok(match header.addresses {
        v1::Addresses::Unknown => Told::Nobody,
        v1::Addresses::Tcp4(addresses) => from(addresses.source_address),
        v1::Addresses::Tcp6(addresses) => from(addresses.source_address),
    })
}

fn of_binary(bytes: &[u8]) -> Result<Told, Fault> {
    let header = v2::Header::try_from(bytes).map_err(|_| Fault::Malformed)?;
    if header.header.len() != bytes.len() {
        return Err(Fault::Malformed);
    }
    if header.command == v2::Command::Local {
        return Ok(Told::Itself);
    }
    let told = match header.addresses {
        v2::Addresses::IPv4(addresses) => from(addresses.source_address),
        v2::Addresses::IPv6(addresses) => from(addresses.source_address),
        v2::Addresses::Unspecified | v2::Addresses::Unix(_) => return Ok(Told::Nobody),
    };
    if header.protocol != v2::Protocol::Stream {
        return Err(Fault::NotTcp);
    }
    judge_additions(&header, bytes)?;
    Ok(told)
}

/// An address that names no single host is nobody's.
fn from(address: impl Into<IpAddr>) -> Told {
    let address = address.into().to_canonical();
    if address.is_unspecified() || address.is_multicast() { Told::Nobody } else { Told::From(address) }
}

/// TLVs are whole, and a checksum among them is right: whoever sends one wants it to be looked at.
fn judge_additions(header: &v2::Header<'_>, bytes: &[u8]) -> Result<(), Fault> {
    let mut at = bytes.len() - header.tlv_bytes().len();
    for addition in header.tlvs() {
        let addition = addition.map_err(|_| Fault::Malformed)?;
        let value = at + TLV_HEAD_BYTES;
        at = value + addition.value.len();
        if addition.kind == CHECKSUM {
            let stated: [u8; 4] = (*addition.value).try_into().map_err(|_| Fault::Malformed)?;
            let blanked =
                bytes.iter().enumerate().map(|(place, byte)| if (value..at).contains(&place) { 0 } else { *byte });
            if crc32c(blanked) != u32::from_be_bytes(stated) {
                return Err(Fault::Checksum);
            }
        }
    }
    Ok(())
}

/// RFC 9260, appendix A; at most 4 KiB, once for a connection.
fn crc32c(bytes: impl Iterator<Item = u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |rest: u32, _| (rest >> 1) ^ (POLYNOMIAL & (rest & 1).wrapping_neg());
    !bytes.fold(u32::MAX, |rest, byte| (0..8).fold(rest ^ u32::from(byte), step))
}

#[cfg(test)]
mod tests;
