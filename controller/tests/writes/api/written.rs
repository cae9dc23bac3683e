//! A write as it came, in a form that is the same each time.

use serde_json::{Value, json};

/// Stored times are put back to before this, each to another one: what is written as of now is told from what is repeated.
const LONG_AGO: &str = "2001-01-01T";

/// One write.
#[derive(Clone, Debug)]
pub struct Written {
    pub verb: String,
    /// Path and query, its parameters in order.
    pub target: String,
    pub form: &'static str,
    pub body: Value,
    pub answer: u16,
}

impl Written {
    /// As golden files have it.
    pub fn to_value(&self) -> Value {
        let mut told = json!({ "answer": self.answer });
        if !self.form.is_empty() {
            told["form"] = self.form.into();
        }
        if !self.body.is_null() {
            told["body"] = self.body.clone();
        }
        json!({ format!("{} {}", self.verb, self.target): told })
    }
}

/// Every time of a stored object becomes one long ago, and no two the same.
pub(super) fn age(object: &mut Value, mut times: u32) -> u32 {
    match object {
        Value::Object(fields) => {
            for (name, value) in fields {
                let is_young = |text: &str| name == "lastTransitionTime" && !text.starts_with(LONG_AGO);
                if value.as_str().is_some_and(is_young) {
                    times += 1;
                    *value =
                        format!("{LONG_AGO}{:02}:{:02}:{:02}Z", times / 3600 % 24, times / 60 % 60, times % 60).into();
                }
                times = age(value, times);
            }
        }
        Value::Array(entries) => times = entries.iter_mut().fold(times, |times, entry| age(entry, times)),
        _ => {}
    }
    times
}

/// What differs from run to run, by what it is.
pub(super) fn normal(body: &Value, current: Option<&Value>) -> Value {
    let mut body = body.clone();
    if let Some(version) = body["metadata"]["resourceVersion"].as_str() {
        let is_current = current.is_some_and(|current| current["metadata"]["resourceVersion"] == version);
        body["metadata"]["resourceVersion"] = if is_current { "<current>" } else { "<outdated>" }.into();
    }
    if body["kind"] == "Secret" {
        body["data"].as_object_mut().into_iter().flatten().for_each(|(_, value)| *value = "<secret>".into());
    }
    if body["kind"] == "Event" {
        body["metadata"]["name"] = "<name>".into();
    }
    plain(&mut body);
    body
}

fn plain(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                if let Some(text) = value.as_str()
                    && let Some(told) = told(name, text)
                {
                    *value = told.into();
                }
                plain(value);
            }
        }
        Value::Array(entries) => entries.iter_mut().for_each(plain),
        _ => {}
    }
}

fn told(name: &str, text: &str) -> Option<String> {
    match name {
        _ if text.starts_with("-----BEGIN") => Some("<PEM>".to_owned()),
        "lastTransitionTime" if text.starts_with(LONG_AGO) => Some("<as before>".to_owned()),
        "lastTransitionTime" | "eventTime" | "lastObservedTime" => Some(match text.parse::<jiff::Timestamp>() {
            Ok(_) => "<now>".to_owned(),
            Err(error) => format!("{text}: {error}"),
        }),
        // Each run has another port.
        "value" if text.starts_with("https://sallyport-controller.") => {
            text.rsplit_once(':').map(|(host, _)| format!("{host}:<port>"))
        }
        // "uid-public-17"
        "uid" => text.rsplit_once('-').map(|(uid, _)| uid.to_owned()),
        _ => None,
    }
}
