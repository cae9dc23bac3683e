//! What a service is shown: one union for Backends and policies alike.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::reference::{SecretKeyReference, SecretReference};

/// Exactly one way in which the gateway authenticates itself, or lets the caller do so, to a service.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.passThrough), has(self.none), has(self.basic), has(self.header), has(self.queryParameter)].filter(x, x).size() == 1")
    .message("state exactly one of passThrough, none, basic, header, queryParameter"))]
pub struct Credential {
    /// The caller's `Authorization`, validated, byte for byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pass_through: Option<Empty>,
    /// Nothing: the caller's `Authorization` is removed as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub none: Option<Empty>,
    /// HTTP Basic authentication (RFC 7617).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub basic: Option<BasicCredential>,
    /// A secret in a header of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderCredential>,
    /// A secret in the query of the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query_parameter: Option<QueryParameterCredential>,
}

/// The one kind that a [`Credential`] states.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stated<'a> {
    /// [`Credential::pass_through`]
    PassThrough,
    /// [`Credential::none`]
    None,
    /// [`Credential::basic`]
    Basic(&'a BasicCredential),
    /// [`Credential::header`]
    Header(&'a HeaderCredential),
    /// [`Credential::query_parameter`]
    QueryParameter(&'a QueryParameterCredential),
}

impl Credential {
    /// The one kind that it states; absent where it states none, or several, which the schema refuses.
    pub fn stated(&self) -> Option<Stated<'_>> {
        // Taken apart by name: whoever adds a kind is led here.
        let Self { pass_through, none, basic, header, query_parameter } = self;
        let all = [
            pass_through.map(|_| Stated::PassThrough),
            none.map(|_| Stated::None),
            basic.as_ref().map(Stated::Basic),
            header.as_ref().map(Stated::Header),
            query_parameter.as_ref().map(Stated::QueryParameter),
        ];
        let mut stated = all.into_iter().flatten();
        stated.next().filter(|_| stated.next().is_none())
    }
}

/// A member of a union that takes no settings.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, schemars::JsonSchema, PartialEq, Eq)]
pub struct Empty {}

/// User name and password from a Secret.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BasicCredential {
    /// A Secret of the same namespace with the entries `username` (no colon) and `password`.
    pub secret_ref: SecretReference,
}

/// A header whose value is a secret.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HeaderCredential {
    /// Name of the header. The caller's own header of that name never reaches the service.
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$"))]
    #[x_kube(validation = Rule::new("!(self.lowerAscii() in ['host','connection','transfer-encoding','content-length','te','trailer','upgrade','keep-alive','expect','cdn-loop','traceparent','tracestate'])")
        .message("Host, Connection, Expect, CDN-Loop, trace and framing headers cannot carry a credential; name another header"))]
    pub name: String,
    /// Put in front of the secret, for example `"Bearer "`. Default: nothing.
    #[serde(default)]
    #[schemars(length(max = 64))]
    pub prefix: String,
    /// The entry of a Secret of the same namespace that holds the value.
    pub secret_ref: SecretKeyReference,
}

/// A query parameter whose value is a secret.
#[derive(Clone, Debug, Deserialize, Serialize, schemars::JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct QueryParameterCredential {
    /// Name of the parameter. The caller's own parameter of that name never reaches the service.
    #[schemars(length(min = 1, max = 256))]
    pub name: String,
    /// The entry of a Secret of the same namespace that holds the value.
    pub secret_ref: SecretKeyReference,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::schema::own_schema;

    #[test]
    fn what_states_several_kinds_states_none() {
        let read = |value: Value| serde_json::from_value::<Credential>(value).unwrap();
        let login = json!({ "secretRef": { "name": "login" } });
        assert_eq!(read(json!({})).stated(), None);
        assert_eq!(read(json!({ "none": {} })).stated(), Some(Stated::None));
        assert!(matches!(read(json!({ "basic": login })).stated(), Some(Stated::Basic(_))));
        assert_eq!(read(json!({ "none": {}, "basic": login })).stated(), None);
    }

    #[test]
    fn the_rule_and_its_cure_name_each_kind() {
        let schema = own_schema("Backend").unwrap();
        let union = &schema["properties"]["spec"]["properties"]["credential"];
        let rule = &union["x-kubernetes-validations"][0];
        let (rule, cure) = (rule["rule"].as_str().unwrap(), rule["message"].as_str().unwrap());
        let kinds: Vec<_> = union["properties"].as_object().unwrap().keys().collect();
        assert!(kinds.len() >= 5);
        for kind in kinds {
            assert!(rule.contains(&format!("has(self.{kind})")), "{kind} is missing in: {rule}");
            assert!(cure.split([' ', ',']).any(|word| word == kind), "{kind} is missing in: {cure}");
        }
    }
}
