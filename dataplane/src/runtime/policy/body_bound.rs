//! How large the body of a request may be.

use sallyport_snapshot::v1;

use crate::rejection::{Origin, Reason, Rejection};

/// The smallest bound of all that hold at a place.
#[derive(Debug)]
pub struct BodyBound {
    pub bytes: u64,
    origin: Origin,
}

impl BodyBound {
    /// `None` where the resource states no bound.
    pub(super) fn build(stated: &v1::RequestBounds) -> Option<Self> {
        let object = stated.object.as_str().into();
        let origin = Origin { object, section: "request", ..Origin::default() };
        Some(Self { bytes: stated.max_body_bytes?, origin })
    }

    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Whether a body of so many bytes passes; `None` of one whose length is not known, which is counted as it comes.
    pub fn admit(&self, length: Option<u64>) -> Result<(), Rejection> {
        match length {
            Some(length) if length > self.bytes => Err(self.rejection(&format!("the body has {length} bytes"))),
            _ => Ok(()),
        }
    }

    /// The refusal of a body of which so many bytes came.
    pub fn rejection(&self, found: &str) -> Rejection {
        let message = format!("{found}; maxBodyBytes is {}", self.bytes);
        Rejection::decided_by(self.origin.with_message(message), Reason::BodyTooLarge)
    }
}
