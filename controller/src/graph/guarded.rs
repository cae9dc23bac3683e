//! What only the gateway may say to a service: it is taken out of whatever callers send there.

use std::collections::BTreeSet;

use sallyport_snapshot::v1;
use serde_json::Value;

use super::policy::Sections;

/// Where a policy that states no place reads subscription keys.
pub const KEY_HEADER: &str = "sallyport-key";

/// Names of headers, in lower case, and of query parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Guarded {
    /// Headers that a policy sets.
    pub identity: BTreeSet<String>,
    /// Headers in which a policy reads keys.
    pub key_headers: BTreeSet<String>,
    pub key_parameters: BTreeSet<String>,
}

impl Guarded {
    /// What these sections set and read.
    pub fn by(sections: &Sections) -> Self {
        let mut guarded = Self::default();
        let set = sections.request_headers.iter().flat_map(|changes| changes.set.keys());
        guarded.identity.extend(set.cloned());
        let answered = sections.external_authorization.iter().flat_map(|one| &one.message.headers_to_backend);
        guarded.identity.extend(answered.cloned());
        let alternatives = sections.authentication.iter().flat_map(|one| &one.alternatives);
        for key in alternatives.filter_map(|alternative| alternative.subscription_key.as_ref()) {
            guarded.key_headers.extend(key.headers.iter().cloned());
            guarded.key_parameters.extend(key.query_parameters.iter().cloned());
        }
        guarded
    }

    /// The keys alone: what a policy that only reports has to do with.
    pub fn keys_only(self) -> Self {
        Self { identity: BTreeSet::new(), ..self }
    }

    /// The same of a policy that cannot be decoded, as far as it can be read: its services still believe these headers.
    pub fn lenient(raw: &Value) -> Self {
        let texts = |list: &Value| -> Vec<String> {
            let entries = list.as_array().into_iter().flatten();
            entries.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let lower = |names: Vec<String>| names.into_iter().map(|name| name.to_ascii_lowercase());
        let mut guarded = Self::default();
        let set = raw["spec"]["requestHeaders"]["set"].as_array().into_iter().flatten();
        let mut names: Vec<_> = set.filter_map(|header| header["name"].as_str()).map(str::to_owned).collect();
        headers(&raw["spec"], &mut names);
        // Lists of names, but those that say nothing of what the service is sent: the one that does may be misspelt.
        let lists = raw["spec"]["externalAuthorization"].as_object().into_iter().flatten();
        let others = ["headersToAuthorizer", "headersToCaller"];
        names.extend(lists.filter(|(field, _)| !others.contains(&field.as_str())).flat_map(|(_, list)| texts(list)));
        guarded.identity.extend(lower(names));
        let alternatives = raw["spec"]["authentication"].as_array().into_iter().flatten();
        for key in alternatives.filter_map(|alternative| alternative.get("subscriptionKey")) {
            let (headers, parameters) = (texts(&key["headers"]), texts(&key["queryParameters"]));
            let unnamed = headers.is_empty() && parameters.is_empty();
            guarded.key_headers.extend(lower(headers).chain(unnamed.then(|| KEY_HEADER.to_owned())));
            guarded.key_parameters.extend(parameters);
        }
        guarded
    }

    /// Adds what `other` guards.
    pub fn join(&mut self, other: &Self) {
        self.identity.extend(other.identity.iter().cloned());
        self.key_headers.extend(other.key_headers.iter().cloned());
        self.key_parameters.extend(other.key_parameters.iter().cloned());
    }

    /// What its names take together.
    pub fn bytes(&self) -> usize {
        self.identity.iter().chain(&self.key_headers).chain(&self.key_parameters).map(String::len).sum()
    }

    /// `message` with these names in it.
    pub fn written_into(&self, message: v1::Backend) -> v1::Backend {
        let list = |names: &BTreeSet<String>| names.iter().cloned().collect();
        v1::Backend {
            identity_headers: list(&self.identity),
            key_headers: list(&self.key_headers),
            key_query_parameters: list(&self.key_parameters),
            ..message
        }
    }
}

/// Whatever has a name and a value, or an expression, looks like a header, also where the field around it is misspelt.
fn headers(value: &Value, names: &mut Vec<String>) {
    let says_what = [&value["value"], &value["expression"]].into_iter().any(Value::is_string);
    if let Some(name) = value["name"].as_str().filter(|_| says_what) {
        names.push(name.to_owned());
    }
    match value {
        Value::Object(members) => members.values().for_each(|member| headers(member, names)),
        Value::Array(items) => items.iter().for_each(|item| headers(item, names)),
        _ => {}
    }
}
