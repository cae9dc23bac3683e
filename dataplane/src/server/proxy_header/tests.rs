use std::time::Duration;

use proptest::prelude::*;
use rstest::rstest;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::*;

const ADDRESSES: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0x01, 0xbb];

fn version_2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [v2::PROTOCOL_PREFIX, &[command, family], &length, rest].concat()
}

fn told(header: &[u8]) -> String {
    match parse(header) {
        Ok(Told::From(address)) => address.to_string(),
        Ok(other) => format!("{other:?}"),
        Err(fault) => fault.to_string(),
    }
}

/// With a checksum as a sender puts it in, at the end.
fn vouched(wrong_by: u8) -> Vec<u8> {
    let mut header = version_2(0x21, 0x11, &[&ADDRESSES[..], &[4, 0, 1, 9], &[CHECKSUM, 0, 4, 0, 0, 0, 0]].concat());
    let sum = crc32c(header.iter().copied()).to_be_bytes();
    let at = header.len() - 4;
    header[at..].copy_from_slice(&sum);
    header[at] ^= wrong_by;
    header
}

#[rstest]
#[case("PROXY TCP4 192.0.2.7 198.51.100.1 12345 443\r\n", "192.0.2.7")]
#[case("PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255")]
#[case("PROXY TCP6 2001:db8::7 2001:db8::1 12345 443\r\n", "2001:db8::7")]
#[case("PROXY TCP6 ::ffff:192.0.2.7 ::1 12345 443\r\n", "192.0.2.7")]
#[case("PROXY UNKNOWN\r\n", "Nobody")]
#[case("PROXY UNKNOWN 192.0.2.7 198.51.100.1 12345 443\r\n", "Nobody")]
#[case("PROXY TCP4 0.0.0.0 198.51.100.1 12345 443\r\n", "Nobody")]
fn version_1_is_read(#[case] header: &str, #[case] expected: &str) {
    assert_eq!(told(header.as_bytes()), expected);
}

#[rstest]
#[case::an_address_too_few("PROXY TCP4 192.0.2.7 12345 443\r\n")]
#[case::no_address("PROXY TCP4 client 198.51.100.1 12345 443\r\n")]
#[case::octal("PROXY TCP4 192.0.02.7 198.51.100.1 12345 443\r\n")]
#[case::the_other_family("PROXY TCP4 2001:db8::7 2001:db8::1 12345 443\r\n")]
#[case::and_the_reverse("PROXY TCP6 192.0.2.7 198.51.100.1 12345 443\r\n")]
#[case::no_port("PROXY TCP4 192.0.2.7 198.51.100.1 65536 443\r\n")]
#[case::a_signed_port("PROXY TCP4 192.0.2.7 198.51.100.1 -1 443\r\n")]
#[case::two_spaces("PROXY TCP4  192.0.2.7 198.51.100.1 12345 443\r\n")]
#[case::a_tab("PROXY TCP4\t192.0.2.7 198.51.100.1 12345 443\r\n")]
#[case::lower_case("PROXY tcp4 192.0.2.7 198.51.100.1 12345 443\r\n")]
#[case::udp("PROXY UDP4 192.0.2.7 198.51.100.1 12345 443\r\n")]
#[case::no_carriage_return("PROXY TCP4 192.0.2.7 198.51.100.1 12345 443\n")]
#[case::no_end("PROXY TCP4 192.0.2.7 198.51.100.1 12345 443")]
#[case::something_more("PROXY TCP4 192.0.2.7 198.51.100.1 12345 443 x\r\n")]
#[case::something_behind("PROXY TCP4 192.0.2.7 198.51.100.1 12345 443\r\nGET / HTTP/1.1\r\n")]
#[case::a_zone("PROXY TCP6 fe80::1%eth0 ::1 12345 443\r\n")]
fn what_is_nearly_version_1_is_not_read(#[case] header: &str) {
    assert_eq!(told(header.as_bytes()), Fault::Malformed.to_string());
}

#[test]
fn version_2_is_read() {
    let v6: Vec<_> = ["2001:db8::7", "2001:db8::1"]
        .iter()
        .flat_map(|text| text.parse::<std::net::Ipv6Addr>().unwrap().octets())
        .chain([0x30, 0x39, 1, 0xbb])
        .collect();
    assert_eq!(told(&version_2(0x21, 0x11, &ADDRESSES)), "192.0.2.7");
    assert_eq!(told(&version_2(0x21, 0x21, &v6)), "2001:db8::7");
    assert_eq!(told(&version_2(0x21, 0x11, &[&ADDRESSES[..], &[0xea, 0, 2, 1, 2]].concat())), "192.0.2.7", "a TLV");
    assert_eq!(told(&vouched(0)), "192.0.2.7");
    assert_eq!(told(&version_2(0x20, 0x00, &[])), "Itself");
    assert_eq!(told(&version_2(0x20, 0x11, &ADDRESSES)), "Itself", "what it says of addresses does not count");
    assert_eq!(told(&version_2(0x21, 0x00, &[])), "Nobody");
    assert_eq!(told(&version_2(0x21, 0x31, &[0; 216])), "Nobody");
}

#[test]
fn what_is_nearly_version_2_is_not_read() {
    let malformed = Fault::Malformed.to_string();
    for (command, family, rest) in [
        (0x11, 0x11, &ADDRESSES[..]),
        (0x31, 0x11, &ADDRESSES),
        (0x22, 0x11, &ADDRESSES),
        (0x21, 0x41, &ADDRESSES),
        (0x21, 0x13, &ADDRESSES),
        (0x21, 0x11, &ADDRESSES[..11]),
        (0x21, 0x21, &ADDRESSES),
        (0x21, 0x11, &[&ADDRESSES[..], &[4, 0]].concat()),
        (0x21, 0x11, &[&ADDRESSES[..], &[4, 0, 2, 9]].concat()),
        (0x21, 0x11, &[&ADDRESSES[..], &[CHECKSUM, 0, 1, 9]].concat()),
    ] {
        assert_eq!(told(&version_2(command, family, rest)), malformed, "{command:x} {family:x} {rest:?}");
    }
    assert_eq!(told(&version_2(0x21, 0x12, &ADDRESSES)), Fault::NotTcp.to_string());
    assert_eq!(told(&vouched(1)), Fault::Checksum.to_string());
    let (whole, longer) = (version_2(0x21, 0x11, &ADDRESSES), [&version_2(0x21, 0x11, &ADDRESSES)[..], b"G"].concat());
    assert_eq!(told(&whole[..whole.len() - 1]), malformed);
    assert_eq!(told(&longer), malformed);
}

#[test]
fn a_checksum_is_the_one_of_the_rfc() {
    // RFC 3720, B.4, and the check value that every catalogue has.
    assert_eq!(crc32c([0; 32].into_iter()), 0x8a91_36aa);
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
}

/// What is read of `bytes`, and what is left for whoever comes next.
async fn heard(pieces: &[&[u8]]) -> (Result<Told, Fault>, Vec<u8>) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (far, accepted) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
    let (mut far, mut near) = (far.unwrap(), accepted.unwrap().0);
    far.set_nodelay(true).unwrap();
    let talk = async {
        for piece in pieces {
            far.write_all(piece).await.unwrap();
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        far.shutdown().await.unwrap();
    };
    let (told, ()) = tokio::join!(read(&mut near), talk);
    let mut rest = Vec::new();
    near.read_to_end(&mut rest).await.unwrap();
    (told, rest)
}

#[tokio::test]
async fn not_one_byte_behind_a_header_is_taken() {
    let behind = b"\x16\x03\x01\r\n\n and more";
    for header in [&b"PROXY TCP4 192.0.2.7 198.51.100.1 12345 443\r\n"[..], &version_2(0x21, 0x11, &ADDRESSES)] {
        let whole = [header, behind].concat();
        let single: Vec<_> = whole.chunks(1).collect();
        for pieces in [vec![&whole[..]], vec![header, behind], single] {
            let (told, rest) = heard(&pieces).await;
            assert_eq!(told.unwrap(), Told::From([192, 0, 2, 7].into()));
            assert_eq!(rest, behind);
        }
    }
}

#[tokio::test]
async fn a_header_has_a_longest() {
    let endless = [b"PROXY UNKNOWN ", &[b'x'; 4096][..]].concat();
    let (told, rest) = heard(&[&endless]).await;
    assert!(matches!(told, Err(Fault::TooLong)), "{told:?}");
    assert_eq!(rest.len(), endless.len() - MAX_TEXT_BYTES);
    let filled = |length: u16| {
        let value = length - 12 - 3;
        let addition = [&[4][..], &value.to_be_bytes(), &vec![0; value.into()]].concat();
        version_2(0x21, 0x11, &[&ADDRESSES[..], &addition].concat())
    };
    assert!(heard(&[&filled(MAX_BINARY_BYTES)]).await.0.is_ok());
    let (told, rest) = heard(&[&filled(MAX_BINARY_BYTES + 1)]).await;
    assert!(matches!(told, Err(Fault::TooLong)), "{told:?}");
    assert_eq!(rest.len(), usize::from(MAX_BINARY_BYTES) + 1, "nothing of it is read");
}

#[tokio::test]
async fn what_does_not_begin_or_end_like_one_is_none() {
    let whole = version_2(0x21, 0x11, &ADDRESSES);
    for part in [&b""[..], b"PROXY", b"PROXY TCP4 192.0.2.7", &whole[..12], &whole[..15], &whole[..whole.len() - 1]] {
        assert!(matches!(heard(&[part]).await.0, Err(Fault::Io(_))), "{part:?}");
    }
    for other in [
        &b"GET /orders HTTP/1.1\r\n"[..],
        b"PRI * HTTP/2.0\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\x00",
        b"PROXY\tTCP4 1.1.1.1",
    ] {
        assert!(matches!(heard(&[other]).await.0, Err(Fault::Absent)), "{other:?}");
    }
}

proptest! {
    #[test]
    fn no_bytes_are_read_in_two_ways(begin in 0usize..3, rest in prop::collection::vec(any::<u8>(), 0..300)) {
        let begin: &[u8] = [&b""[..], b"PROXY TCP4 ", v2::PROTOCOL_PREFIX][begin];
        let header = [begin, &rest].concat();
        if parse(&header).is_ok() {
            prop_assert!(parse(&header[..header.len() - 1]).is_err());
            prop_assert!(parse(&[&header[..], b"\n"].concat()).is_err());
        }
    }
}
