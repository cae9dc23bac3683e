//! What is told of keys. Pure, and without a key.

use std::fmt;

use sallyport_api::rotation::ROTATE_ANNOTATION;
use serde::Serialize;
use serde_json::Value;

use crate::cluster::connect::printable;
use crate::cluster::object::{name, namespace, text};
use crate::cluster::status::Output;
use crate::cluster::table::{or_dash, table as columns};

/// The keys of one Subscription. As JSON it is stable, as the report of `status` is.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Row {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) phase: String,
    pub(super) origin: Origin,
    /// The Secret that holds them, or will.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) primary_made: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secondary_made: Option<String>,
    /// When `secondary`, which was `primary` before, ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secondary_ends: Option<String>,
    /// The last request for a new key that was carried out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) rotated: Option<String>,
    /// One that has not been carried out yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) requested: Option<String>,
}

/// Where keys come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Origin {
    /// The controller made them, and makes them anew.
    Controller,
    /// Somebody has stored them in a Secret, which is never written.
    Secret,
    /// They are kept elsewhere; only their digests are stated.
    Digests,
    /// They are not there yet.
    Awaited,
}

impl Origin {
    fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "Controller",
            Self::Secret => "Secret",
            Self::Digests => "Digests",
            Self::Awaited => "Awaited",
        }
    }
}

impl Row {
    pub(super) fn of(subscription: &Value) -> Self {
        let of = |pointer: &str| Some(text(subscription, pointer).to_owned()).filter(|text| !text.is_empty());
        let keys = &subscription["status"]["keys"];
        let secret = of("/spec/keys/secretName");
        let origin = match (&secret, keys.is_object(), of("/status/secretRef/name")) {
            (None, ..) => Origin::Digests,
            (Some(_), true, _) => Origin::Controller,
            (Some(_), false, Some(_)) => Origin::Secret,
            (Some(_), false, None) => Origin::Awaited,
        };
        let rotated = of("/status/keys/rotated");
        let annotation = subscription["metadata"]["annotations"][ROTATE_ANNOTATION].as_str().map(str::to_owned);
        Self {
            namespace: namespace(subscription).to_owned(),
            name: name(subscription).to_owned(),
            phase: text(subscription, "/status/phase").to_owned(),
            origin,
            secret,
            primary_made: of("/status/keys/primaryMade"),
            secondary_made: of("/status/keys/secondaryMade"),
            secondary_ends: of("/status/keys/secondaryEnds"),
            requested: annotation.filter(|text| rotated.as_ref() != Some(text)),
            rotated,
        }
    }

    /// Why there is no Secret, for people.
    pub(super) fn whereabouts(&self) -> &'static str {
        match self.origin {
            Origin::Awaited => "the keys are not made yet; `sallyport status` says what is awaited",
            _ => "it has gone since; the controller makes keys anew where it made those before",
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscription {}/{}", self.namespace, self.name)
    }
}

pub(super) fn table(rows: &[Row], output: Output) -> String {
    let is_wide = output == Output::Wide;
    let titles = ["NAMESPACE", "SUBSCRIPTION", "PHASE", "KEYS", "SECRET", "PRIMARY MADE", "SECONDARY MADE"];
    let wide = ["SECONDARY ENDS", "ROTATED", "REQUESTED"];
    let titles: Vec<_> = titles.into_iter().chain(wide.into_iter().filter(|_| is_wide)).collect();
    let cells = |row: &Row| {
        let or_none = |text: &Option<String>| or_dash(text.as_deref().unwrap_or_default());
        let narrow = [
            or_dash(&row.namespace),
            row.name.clone(),
            or_dash(&row.phase),
            row.origin.as_str().to_owned(),
            or_none(&row.secret),
            or_none(&row.primary_made),
            or_none(&row.secondary_made),
        ];
        let wide = [&row.secondary_ends, &row.rotated, &row.requested].map(or_none).into_iter().filter(|_| is_wide);
        narrow.into_iter().chain(wide).map(|cell| printable(&cell)).collect::<Vec<_>>()
    };
    columns(&titles, &rows.iter().map(cells).collect::<Vec<_>>())
}
