//! gRPC's framing of a request and its response: messages in, messages out.

use futures_util::stream::poll_fn;
use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
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

/// Where the messages of a response go. Dropped, it ends the response; an error in it ends the response with that.
pub(super) type Outgoing<O> = mpsc::Sender<Result<O, Status>>;

/// Takes a request apart into its messages, and makes the response with what is sent.
pub(super) fn open<I, O>(request: Request<Incoming>) -> (Streaming<I>, Outgoing<O>, Response<Body>)
where
    I: Message + Default + 'static,
    O: Message + 'static,
{
    let mut codec = ProstCodec::<O, I>::default();
    let incoming = Streaming::new_request(codec.decoder(), request.into_body(), None, Some(pieces::MAX_PIECE_BYTES));
    let (outgoing, mut queue) = mpsc::channel(QUEUE);
    let messages = poll_fn(move |cx| queue.poll_recv(cx));
    let as_it_is = SingleMessageCompressionOverride::default();
    let mut response =
        Response::new(Body::new(EncodeBody::new_server(codec.encoder(), messages, None, as_it_is, None)));
    response.headers_mut().insert(header::CONTENT_TYPE, GRPC);
    (incoming, outgoing, response)
}
