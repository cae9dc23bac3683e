//! What is told of a cluster. As JSON it is stable: fields are added, and none is renamed or taken away.

use serde::Serialize;

use super::Unread;

/// Everything, in the order in which it is told.
#[derive(Serialize)]
pub(crate) struct Report {
    pub(crate) objects: Vec<Row>,
    /// Kinds of which nothing can be told.
    pub(crate) unread: Vec<Unread>,
}

/// How one object stands.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    pub(crate) kind: String,
    /// Empty for objects that belong to none.
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) ready: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) generation: Option<i64>,
    /// The oldest generation that anything in its status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) observed_generation: Option<i64>,
    /// Of Subscriptions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) phase: Option<String>,
    /// Where Gateways and Ingresses are reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) addresses: Vec<String>,
    /// The Gateways at which it is in force, or should be; of kinds that name none, one without a Gateway.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) places: Vec<Place>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) findings: Vec<Finding>,
}

/// Whether an object does its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum State {
    True,
    /// It will without a correction, if nothing else comes in between.
    Pending,
    False,
}

impl State {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::Pending => "Pending",
            Self::False => "False",
        }
    }
}

/// Where something is in force.
#[derive(Serialize)]
pub(crate) struct Place {
    /// `shop/public`, and the listener or port, if one is named.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) gateway: String,
    pub(crate) programmed: bool,
    /// What data planes have acknowledged.
    pub(crate) message: String,
}

/// Something that is wrong, or not finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    pub(crate) condition: String,
    /// What part of the object it is about, or which Gateway; empty for all.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) at: String,
    pub(crate) reason: String,
    pub(crate) message: String,
    pub(crate) cure: String,
}

/// What no condition says: the controller has not looked at the object as it is.
pub(crate) const NOT_SEEN: &str = "NotSeen";
/// An Ingress that is reached nowhere.
pub(crate) const NOT_REACHED: &str = "NotReached";
