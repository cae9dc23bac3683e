//! The body of a request, as it comes, or held because somebody is shown it before the service.

use std::rc::Rc;

use bytes::{Bytes, BytesMut};
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;

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
    pub(super) bytes: Bytes,
    pub(super) trailers: Option<HeaderMap>,
    pub(super) progress: Rc<Progress>,
    pub(super) room: Room,
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

    /// What has been read of it.
    pub(in crate::pipeline) fn held(&self) -> Option<Bytes> {
        match self {
            Self::Held(held) => Some(held.bytes.clone()),
            Self::Coming(_) | Self::Broken => None,
        }
    }

    /// Reads it to its end, unless that has been done.
    pub(in crate::pipeline) async fn shown(
        &mut self,
        most: u64,
        rate: LeastRate,
        desk: &Desk,
    ) -> Result<Bytes, Rejection> {
        let body = match std::mem::replace(self, Self::Broken) {
            Self::Coming(body) => body,
            Self::Held(held) => {
                let bytes = held.bytes.clone();
                *self = Self::Held(held);
                return Ok(bytes);
            }
            Self::Broken => return Err(Rejection::plain(Reason::BodyBroken)),
        };
        let held = read(body, most, rate, desk).await?;
        let bytes = held.bytes.clone();
        *self = Self::Held(held);
        Ok(bytes)
    }
}

async fn read(body: Incoming, most: u64, rate: LeastRate, desk: &Desk) -> Result<Held, Rejection> {
    let progress = Rc::<Progress>::default();
    let mut upload = Upload::new(body, rate, Some(most), &progress);
    let (mut room, mut bytes, mut trailers) = (desk.room(), BytesMut::new(), None);
    while let Some(frame) = upload.frame().await {
        let frame = frame.map_err(|_| progress.refusal().unwrap_or(Rejection::plain(Reason::BodyBroken)))?;
        match frame.into_data() {
            Ok(data) if room.take(data.len()) => bytes.extend_from_slice(&data),
            Ok(_) => {
                let found = "bodies that authorisers are to be shown take as much memory as they may together";
                return Err(Rejection { retry_after_s: Some(1), ..Rejection::because(Reason::Overloaded, found) });
            }
            Err(other) => trailers = other.into_trailers().ok().or(trailers),
        }
    }
    Ok(Held { bytes: bytes.freeze(), trailers, progress, room })
}
