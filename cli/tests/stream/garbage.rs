//! Whatever comes to the port costs little, and data planes are served beside it.

use std::time::Duration;

use rstest::rstest;
use sallyport_controller::stream::Bounds;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::kit::controller::Controller;
use crate::kit::plane::Follower;
use crate::kit::raw::{connect, trusting};
use crate::kit::{enforced, pod, publish, snapshot, within};

/// Strangers are done with soon.
fn hasty() -> Bounds {
    Bounds { handshake: Duration::from_millis(500), idle: Duration::from_millis(500), ..Bounds::default() }
}

/// A data plane is served.
async fn serves(controller: &Controller) {
    let a = pod("public", "a");
    let wanted = snapshot(&[("one", "1")]);
    publish(&controller.fleet, &[("public", &wanted)]);
    let _follower = Follower::of(controller, &a);
    enforced(&controller.fleet, &a, &wanted).await;
}

/// Waits until the other side has closed; what it says meanwhile is of no interest.
async fn closed(mut stream: impl tokio::io::AsyncRead + Unpin) {
    let mut bytes = vec![0; 64 * 1024];
    within("the end of a connection", async { while stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {} })
        .await;
}

/// As random as needed: the same each time.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x2545_f491_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

#[rstest]
#[case::plain_http(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec())]
#[case::http2_without_tls(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec())]
#[case::noise(noise(4096))]
#[case::zeros(vec![0; 4096])]
#[case::a_record_of_no_end([&[0x16, 3, 1, 0x40, 0][..], &[1; 100]].concat())]
#[case::nothing(vec![])]
#[case::one_byte(vec![0x16])]
#[tokio::test]
async fn what_is_no_tls_is_closed(#[case] bytes: Vec<u8>) {
    let controller = Controller::within(hasty()).await;
    let mut stream = TcpStream::connect(controller.address).await.unwrap();
    // It may be closed before all of it is written.
    let _written = stream.write_all(&bytes).await;
    closed(&mut stream).await;
    serves(&controller).await;
    assert_eq!(controller.fleet.counters().failed_handshakes, 1);
}

#[rstest]
#[case::no_protocol(&[])]
#[case::http1(&["http/1.1"])]
#[case::unknown(&["postgresql"])]
#[tokio::test]
async fn another_protocol_is_not_spoken(#[case] alpn: &[&str]) {
    let controller = Controller::within(hasty()).await;
    match connect(controller.address, trusting(&controller.stored, alpn)).await {
        Ok(stream) => closed(stream).await,
        Err(_refused) => {}
    }
    serves(&controller).await;
    assert_eq!(controller.fleet.counters().failed_handshakes, 1);
}

/// The beginning of HTTP/2 as a client sends it, with no settings.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00";

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

#[rstest]
#[case::nothing(vec![])]
#[case::noise(noise(64 * 1024))]
#[case::http1(b"POST /sallyport.snapshot.v1.Updates/Follow HTTP/1.1\r\nHost: a\r\n\r\n".to_vec())]
#[case::the_preface_alone(PREFACE.to_vec())]
#[case::half_a_preface(PREFACE[..10].to_vec())]
#[case::a_frame_too_large([PREFACE, &[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1]].concat())]
#[case::headers_of_noise([PREFACE, &frame(1, 4, 1, &noise(2000))].concat())]
#[case::pings([PREFACE.to_vec(), frame(6, 0, 0, &[0; 8]).repeat(10_000)].concat())]
#[case::settings([PREFACE.to_vec(), frame(4, 0, 0, &[0, 3, 0, 0, 0, 1]).repeat(10_000)].concat())]
#[tokio::test]
async fn what_is_no_http2_is_closed(#[case] bytes: Vec<u8>) {
    let controller = Controller::within(hasty()).await;
    let stream = connect(controller.address, trusting(&controller.stored, &["h2"])).await.unwrap();
    let (reading, mut writing) = tokio::io::split(stream);
    let writes = async {
        let _written = writing.write_all(&bytes).await;
        let _flushed = writing.flush().await;
    };
    tokio::join!(writes, closed(reading));
    serves(&controller).await;
}

#[tokio::test]
async fn endless_headers_come_to_an_end() {
    let controller = Controller::within(hasty()).await;
    let stream = connect(controller.address, trusting(&controller.stored, &["h2"])).await.unwrap();
    let (reading, mut writing) = tokio::io::split(stream);
    // A literal field without indexing: its name and value are one byte each. No frame says that it is the last.
    let fields = [0x00, 0x01, b'a', 0x01, b'b'].repeat(3000);
    let writes = async {
        let _begun = writing.write_all(&[PREFACE, &frame(1, 0, 1, &fields)].concat()).await;
        while writing.write_all(&frame(9, 0, 1, &fields)).await.is_ok() {}
    };
    tokio::join!(within("the end of it", writes), closed(reading));
    serves(&controller).await;
}

#[tokio::test]
async fn thousands_of_idle_connections_take_no_place_from_a_data_plane() {
    let bounds = Bounds { strangers_per_address: 64, handshake: Duration::from_secs(600), ..Bounds::default() };
    let controller = Controller::within(bounds).await;
    let mut idle = Vec::new();
    for _ in 0..2000 {
        idle.push(TcpStream::connect(controller.address).await.unwrap());
        if idle.len() > 300 {
            // The oldest have been evicted: they are closed without having been timed out.
            closed(idle.remove(0)).await;
        }
    }
    serves(&controller).await;
    assert!(controller.fleet.counters().evicted_strangers >= 1500);
}

#[tokio::test]
async fn a_connection_that_has_no_stream_is_closed() {
    let controller = Controller::within(hasty()).await;
    let stream = connect(controller.address, trusting(&controller.stored, &["h2"])).await.unwrap();
    closed(stream).await;
}
