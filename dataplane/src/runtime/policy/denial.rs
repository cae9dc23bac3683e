//! Refusals that were decided when the configuration was made.

use sallyport_snapshot::EDITION;
use sallyport_snapshot::v1::{self, deny};

use crate::rejection::{Origin, Reason, Rejection};

/// A refusal that was decided when the configuration was made.
#[derive(Clone)]
pub struct Denial {
    reason: Reason,
    origin: Origin,
}

impl Denial {
    /// Reads the resource's word.
    pub fn new(deny: &v1::Deny) -> Self {
        let reason = match deny.reason() {
            deny::Reason::Unprotected => Reason::Unprotected,
            deny::Reason::Configuration | deny::Reason::Unspecified | deny::Reason::Older => Reason::Configuration,
        };
        let origin = Origin {
            object: deny.object.as_str().into(),
            section: "",
            rule: deny.section.as_str().into(),
            message: deny.message.clone(),
        };
        Self { reason, origin }
    }

    /// A refusal because a part of the configuration is not there or does not parse.
    pub fn configuration(object: &str, message: impl Into<String>) -> Self {
        let origin = Origin { object: object.into(), message: message.into(), ..Origin::default() };
        Self { reason: Reason::Configuration, origin }
    }

    /// Whether it only says that no policy speaks about the route.
    pub fn is_unprotected(&self) -> bool {
        self.reason == Reason::Unprotected
    }

    /// The refusal of one request.
    pub fn rejection(&self) -> Rejection {
        Rejection::decided_by(self.origin.clone(), self.reason)
    }
}

/// Absent if it is meant for data planes that do not know what this one knows.
pub(crate) fn in_force(deny: Option<&v1::Deny>) -> Option<&v1::Deny> {
    deny.filter(|deny| deny.reason() != deny::Reason::Older || deny.since > EDITION)
}
