//! Whoever has a token and says what it must not is cut off, and nothing is believed of it.

use bytes::Bytes;
use rstest::rstest;
use sallyport_snapshot::v1::{self, Kind, message::Message};
use tonic::Code;

use crate::kit::controller::Controller;
use crate::kit::raw::{FOLLOW, Raw, ask};
use crate::kit::{enforced, pod, publish, snapshot, standing, standings};

fn held(kind: i32, name: &str, hash: &[u8]) -> v1::Hello {
    let name = Some(v1::ResourceName { kind, name: name.into() });
    v1::Hello { held: vec![v1::HeldResource { name, hash: Bytes::copy_from_slice(hash) }], ..v1::Hello::default() }
}

fn ack(nonce: u64) -> Message {
    Message::Ack(v1::Ack { nonce, ..v1::Ack::default() })
}

async fn controller() -> Controller {
    let controller = Controller::start().await;
    publish(&controller.fleet, &[("public", &snapshot(&[("one", "1")]))]);
    controller.tokens.admit("a", &pod("public", "a"));
    controller
}

#[rstest]
#[case::an_ack_first(ack(1), Code::FailedPrecondition)]
#[case::a_report_first(Message::Report(v1::Report::default()), Code::FailedPrecondition)]
#[case::a_hash_that_is_none(Message::Hello(held(10, "a", b"short")), Code::InvalidArgument)]
#[case::no_hash(Message::Hello(held(10, "a", b"")), Code::InvalidArgument)]
#[case::an_empty_name(Message::Hello(held(10, "", &[0; 16])), Code::InvalidArgument)]
#[case::no_name(Message::Hello(v1::Hello { held: vec![v1::HeldResource::default()], ..v1::Hello::default() }), Code::InvalidArgument)]
#[tokio::test]
async fn what_comes_first_is_a_hello_that_can_be_read(#[case] first: Message, #[case] code: Code) {
    let controller = controller().await;
    let raw = Raw::open(&controller, "a").await;
    raw.say(first).await;
    assert_eq!(raw.end().await, code);
    let counters = controller.fleet.counters();
    assert_eq!((counters.updates, counters.connected, counters.cut_streams), (0, 0, 1));
}

#[tokio::test]
async fn nothing_first_is_no_hello() {
    let controller = controller().await;
    let raw = Raw::open(&controller, "a").await;
    raw.outgoing.send(v1::Message { message: None }).await.unwrap();
    assert_eq!(raw.end().await, Code::FailedPrecondition);
}

#[rstest]
#[case::another_nonce(vec![ack(2)])]
#[case::no_nonce(vec![ack(0)])]
#[case::twice(vec![ack(1), ack(1)])]
#[case::a_hello_again(vec![Message::Hello(v1::Hello::default())])]
#[case::a_hello_after_the_answer(vec![ack(1), Message::Hello(v1::Hello::default())])]
#[tokio::test]
async fn what_is_not_asked_for_ends_the_stream(#[case] messages: Vec<Message>) {
    let controller = controller().await;
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    assert_eq!(raw.update().await.nonce, 1);
    for message in messages {
        raw.say(message).await;
    }
    assert_eq!(raw.end().await, Code::FailedPrecondition);
    standings(&controller.fleet, "its end", sallyport_controller::fleet::Standings::is_empty).await;
}

#[tokio::test]
async fn pieces_of_two_answers_are_no_answer() {
    let controller = controller().await;
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    raw.update().await;
    raw.say(Message::Ack(v1::Ack { nonce: 1, more: true, ..v1::Ack::default() })).await;
    raw.say(ack(2)).await;
    assert_eq!(raw.end().await, Code::InvalidArgument);
}

#[tokio::test]
async fn an_answer_in_pieces_counts_with_its_last() {
    let controller = controller().await;
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    raw.update().await;
    raw.say(Message::Ack(v1::Ack { nonce: 1, more: true, ..v1::Ack::default() })).await;
    raw.say(ack(1)).await;
    enforced(&controller.fleet, &pod("public", "a"), &snapshot(&[("one", "1")])).await;
}

#[tokio::test]
async fn a_report_of_what_is_not_its_own_is_dropped() {
    let controller = controller().await;
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    raw.update().await;
    let health = v1::IssuerHealth { key_set: "of another".into(), ..v1::IssuerHealth::default() };
    raw.say(Message::Report(v1::Report { report: Some(v1::report::Report::Issuer(health)) })).await;
    raw.say(Message::Report(v1::Report { report: None })).await;
    raw.ack(1).await;
    let found = enforced(&controller.fleet, &pod("public", "a"), &snapshot(&[("one", "1")])).await;
    assert!(standing(&found, &pod("public", "a")).unwrap().issuer("of another").is_none());
    assert_eq!(controller.fleet.counters().foreign_reports, 2, "and the stream goes on");
}

#[tokio::test]
async fn nobody_rejects_what_was_never_sent_to_it() {
    let controller = controller().await;
    let mut raw = Raw::greeted(&controller, "a", v1::Hello::default()).await;
    raw.update().await;
    let name = Some(v1::ResourceName { kind: Kind::Product.into(), name: "of another".into() });
    let rejected = vec![v1::Rejected { name, why: "no".into() }, v1::Rejected::default()];
    raw.say(Message::Ack(v1::Ack { nonce: 1, rejected, more: false })).await;
    enforced(&controller.fleet, &pod("public", "a"), &snapshot(&[("one", "1")])).await;
}

/// A message that is encoded already, or is none.
#[derive(Clone, Debug, Default, PartialEq)]
struct Encoded(Vec<u8>);

impl prost::Message for Encoded {
    fn encode_raw(&self, buf: &mut impl bytes::BufMut) {
        buf.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _tag: u32,
        _wire_type: prost::encoding::WireType,
        _buf: &mut impl bytes::Buf,
        _ctx: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}

#[rstest]
#[case::garbage(vec![0xff; 100])]
#[case::a_length_without_content(vec![0x0a, 0xff, 0xff, 0xff, 0x7f])]
#[case::deep([0x0b; 5000].to_vec())]
#[case::more_than_a_piece(vec![0; 17 * 1024 * 1024])]
#[tokio::test]
async fn what_is_no_message_ends_the_stream(#[case] encoded: Vec<u8>) {
    let controller = controller().await;
    let (outgoing, messages) = tokio::sync::mpsc::channel(4);
    let response = ask(&controller, FOLLOW, &["Bearer a"], messages).await;
    outgoing.send(Encoded(encoded)).await.unwrap();
    standings(&controller.fleet, "nobody", sallyport_controller::fleet::Standings::is_empty).await;
    let body = http_body_util::BodyExt::collect(response.into_body());
    let ended = crate::kit::within("the end", body).await;
    let status = ended.ok().and_then(|body| body.trailers().and_then(tonic::Status::from_header_map));
    assert!(status.is_none_or(|status| status.code() != Code::Ok));
    assert_eq!(controller.fleet.counters().updates, 0);
}
