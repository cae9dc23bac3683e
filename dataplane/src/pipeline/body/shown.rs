//! The body of a request, as it comes, or held because somebody is shown it before the service.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::pipeline::authorizers::{Desk, Room};
use crate::rejection::{Reason, Rejection};
use crate::server::pace::upload::{LeastRate, Progress, Upload};

/// What a caller sends.
pub(in crate::pipeline) enum CallersBody {
    Coming(Incoming),
    Held(Held),
    /// It broke off while it was read: the request is refused.
    Broken,
}

/// All of it.
pub(in crate::pipeline) struct Held {
    /// They count as long as anybody has them.
    pub(super) bytes: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

/// How a body is read that is to be held.
#[derive(Clone, Copy)]
pub(in crate::pipeline) struct Reading<'a> {
    pub(in crate::pipeline) most: u64,
    /// In which all of it has to come.
    pub(in crate::pipeline) within: Duration,
    /// Whose room it takes.
    pub(in crate::pipeline) namespace: &'a Arc<str>,
}

impl CallersBody {
    /// How long it is, where that is said.
    pub(in crate::pipeline) fn exact_bytes(&self) -> Option<u64> {
        match self {
            Self::Coming(body) => body.size_hint().exact(),
            Self::Held(held) => Some(held.bytes.len() as u64),
            Self::Broken => None,
        }
    }

    /// All of it, as far as that is known without reading.
    pub(in crate::pipeline) fn held(&self) -> Option<Bytes> {
        match self {
            Self::Held(held) => Some(held.bytes.clone()),
            Self::Coming(body) => body.is_end_stream().then(Bytes::new),
            Self::Broken => None,
        }
    }

    /// Reads it to its end, unless that has been done.
    pub(in crate::pipeline) async fn shown(&mut self, reading: Reading<'_>, desk: &Desk) -> Result<Bytes, Rejection> {
        if let Some(bytes) = self.held() {
            return Ok(bytes);
        }
        let Self::Coming(body) = std::mem::replace(self, Self::Broken) else {
            return Err(Rejection::plain(Reason::BodyBroken));
        };
        let late = "of the body, which is to be shown, not all came in bounds.bodyTimeout";
        let held = timeout(reading.within, read(body, reading, desk)).await;
        let held = held.unwrap_or_else(|_| Err(Rejection::because(Reason::BodyTooSlow, late)))?;
        let bytes = held.bytes.clone();
        *self = Self::Held(held);
        Ok(bytes)
    }
}

async fn read(body: Incoming, reading: Reading<'_>, desk: &Desk) -> Result<Held, Rejection> {
    let progress = Rc::<Progress>::default();
    let rate = LeastRate::of_bytes(reading.within);
    let mut upload = Upload::new(body, rate, Some(reading.most), &progress);
    let (mut room, mut bytes, mut trailers) = (desk.room(reading.namespace), BytesMut::new(), None);
    while let Some(frame) = upload.frame().await {
        let frame = frame.map_err(|_| progress.refusal().unwrap_or(Rejection::plain(Reason::BodyBroken)))?;
        match frame.into_data() {
            Ok(data) => {
                room.take(data.len())?;
                bytes.extend_from_slice(&data);
            }
            Err(other) => trailers = other.into_trailers().ok().or(trailers),
        }
    }
    Ok(Held { bytes: counted(bytes.freeze(), room), trailers })
}

/// `bytes`, which give `room` back when nobody has any of them any more.
pub(in crate::pipeline) fn counted(bytes: Bytes, room: Room) -> Bytes {
    Bytes::from_owner(Counted { bytes, _room: room })
}

struct Counted {
    bytes: Bytes,
    _room: Room,
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
