//! Something wrong with an object: what a condition says, and what a diagnostic points at.

use std::borrow::Cow;

use sallyport_api::condition::{ConditionType, Reason};
use sallyport_snapshot::v1;

/// One thing to be corrected.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// E.g. `spec.authentication[0].jwt.keys`.
    pub field: String,
    pub reason: Reason,
    /// What is wrong, and the cure.
    pub message: String,
}

impl Problem {
    pub fn new(field: impl Into<String>, reason: Reason, message: impl Into<String>) -> Self {
        Self { field: field.into(), reason, message: message.into() }
    }

    /// Whether it is about something that the object refers to, rather than about the object itself: as the table of reasons says.
    pub fn is_reference(&self) -> bool {
        self.reason.conditions().contains(&ConditionType::ResolvedRefs)
    }
}

/// What denies because of a problem of `object`.
pub fn denial(object: &str, problem: &Problem) -> v1::Deny {
    v1::Deny {
        reason: v1::deny::Reason::Configuration.into(),
        object: object.to_owned(),
        section: problem.field.clone(),
        message: problem.message.clone(),
        since: 0,
    }
}

/// What denies at data planes alone that are older than `edition` of the contract: they would pass `field` of `object` over, and let in
/// whom it keeps out (ADR 10).
pub fn denial_by_older(object: &str, field: &str, edition: u32) -> v1::Deny {
    v1::Deny {
        reason: v1::deny::Reason::Older.into(),
        object: object.to_owned(),
        section: field.to_owned(),
        message: format!("this data plane is older than {field}; bring it up to date"),
        since: edition,
    }
}

/// Whether `deny` is such a word.
pub fn is_for_older(deny: &v1::Deny) -> bool {
    deny.reason() == v1::deny::Reason::Older
}

/// Of a value as somebody wrote it, no more characters than this are repeated.
pub const MAX_SHOWN: usize = 60;

/// A text, cut where it is longer than `most` characters.
pub fn cut(text: &str, most: usize) -> Cow<'_, str> {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()).into(),
        None => text.into(),
    }
}
