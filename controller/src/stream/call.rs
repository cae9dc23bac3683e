//! gRPC's framing of a request and its response: messages in, messages out.

use std::sync::Arc;

use futures_util::stream::poll_fn;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use parking_lot::Mutex;
use prost::Message;
use sallyport_snapshot::pieces;
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::codec::{Codec as _, EncodeBody, SingleMessageCompressionOverride};
use tonic::{Status, Streaming};
use tonic_prost::ProstCodec;

/// Messages that wait for the connection: the one that is written, and none else.
const QUEUE: usize = 1;
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");

/// Where the messages of a response go. Dropped, it ends the response.
pub(super) struct Outgoing<O> {
    queue: mpsc::Sender<O>,
    /// Why it ends, if not regularly. Beside the queue: there may be no room in that, where nobody reads.
    verdict: Arc<Mutex<Option<Status>>>,
}

impl<O> Outgoing<O> {
    /// Waits for room; whether the other side still takes messages.
    pub(super) async fn send(&self, message: O) -> bool {
        self.queue.send(message).await.is_ok()
    }

    /// Ends when the other side takes no more messages.
    pub(super) async fn closed(&self) {
        self.queue.closed().await;
    }

    /// Ends the response with `status`, after what was sent before.
    pub(super) fn end_with(self, status: Status) {
        *self.verdict.lock() = Some(status);
    }
}

/// Takes a request apart into its messages, and makes the response with what is sent.
pub(super) fn open<I, O>(request: Request<Incoming>) -> (Streaming<I>, Outgoing<O>, Response<Body>)
where
    I: Message + Default + 'static,
    O: Message + 'static,
{
    let mut codec = ProstCodec::<O, I>::default();
    let incoming = Streaming::new_request(codec.decoder(), request.into_body(), None, Some(pieces::MAX_PIECE_BYTES));
    let (outgoing, mut queue) = mpsc::channel(QUEUE);
    let verdict = Arc::<Mutex<Option<Status>>>::default();
    let end = Arc::clone(&verdict);
    let messages =
        poll_fn(move |cx| queue.poll_recv(cx).map(|message| message.map(Ok).or_else(|| end.lock().take().map(Err))));
    let as_it_is = SingleMessageCompressionOverride::default();
    let mut response =
        Response::new(Body::new(EncodeBody::new_server(codec.encoder(), messages, None, as_it_is, None)));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    (incoming, Outgoing { queue: outgoing, verdict }, response)
}
