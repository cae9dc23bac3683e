//! User names and passwords of callers.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::token::Csrf;
use crate::reference::NAME_PATTERN;

/// A user name and a password in `Authorization: Basic` (RFC 7617), held against the hashes of a file as `htpasswd` writes it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct BasicAuthentication {
    /// The file: a line `user:hash` for each user; empty lines, and those that begin with `#`, are passed over. Hashes are bcrypt (`$2a$`, `$2b$`, `$2y$`, cost 4 to 13), argon2id (version
    /// 19, m 8192 to 65536, t 1 to 5, p 1 to 4) or SHA-crypt (`$5$`, `$6$`, 1000 to 200000 rounds). Users whose line holds another one, or who have two lines, never get in. At most 512 KiB and
    /// 5,000 users.
    pub secret_ref: HtpasswdReference,
    /// What callers are told that they are asked for (RFC 9110, 11.5). Default `sallyport`. 1 to 64 characters of visible ASCII, without quotes and backslashes.
    #[serde(default = "BasicAuthentication::default_realm")]
    #[schemars(length(min = 1, max = 64), regex(pattern = r"^[\x21\x23-\x5b\x5d-\x7e]+$"))]
    pub realm: String,
    /// Whether requests are refused (403) that another site has made a browser send: it keeps a login, and sends it along with them. Default: `Check`. Beside a token or a subscription key, which
    /// browsers do not send by themselves, nothing is asked; a cookie with a token says so itself.
    #[serde(default)]
    pub csrf: Csrf,
}

impl BasicAuthentication {
    fn default_realm() -> String {
        "sallyport".to_owned()
    }
}

/// An entry of a Secret that holds users with hashes of their passwords.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct HtpasswdReference {
    /// Name of a Secret in the same namespace.
    #[schemars(length(min = 1, max = 253), regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Which entry of its `data`. Default `htpasswd`.
    #[serde(default = "HtpasswdReference::default_key")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

impl HtpasswdReference {
    fn default_key() -> String {
        "htpasswd".to_owned()
    }
}
