//! Which pages of other sites may read answers.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which pages of other sites may call from a browser, and read what is answered (CORS, as the Fetch standard has it). Stated empty: none. It refuses nobody: it guards the users of
/// browsers, and not the API.
#[derive(Clone, Debug, Default, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.allowCredentials) || !self.allowCredentials || !has(self.allowOrigins) || !('*' in self.allowOrigins)")
    .message("with credentials every site could act for whoever is signed in; list the origins"))]
#[x_kube(validation = Rule::new("!has(self.allowOrigins) || !('*' in self.allowOrigins) || self.allowOrigins.size() == 1")
    .message("* is all origins; list it alone, or not at all"))]
pub struct Cors {
    /// Origins, e.g. `https://shop.example.com`, with a port where it is not the scheme's own; one leading `*.` stands for one label or more; or `*` alone. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(
            length(min = 1, max = 255),
            regex(
                pattern = r"^(\*|[a-z][a-z0-9+.-]*://(\*\.)?[A-Za-z0-9._-]+(:([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]))?)$"
            )
        )
    )]
    pub allow_origins: Vec<String>,
    /// Methods, or `*`; GET, HEAD and POST need not be listed. At most 9.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 9))]
    pub allow_methods: Vec<CorsMethod>,
    /// Headers that pages may set, or `*`, which does not stand for `Authorization`. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")))]
    pub allow_headers: Vec<String>,
    /// Headers of the answer that pages may read, or `*`: with credentials those that the answer has. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 256), regex(pattern = r"^[A-Za-z0-9!#$%&'*+\-.^_|~]+$")))]
    pub expose_headers: Vec<String>,
    /// Whether browsers send cookies, certificates and logins along. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_credentials: Option<bool>,
    /// How long browsers may remember what a preflight was answered, in seconds. Default: 5.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub max_age: Option<u32>,
}

/// Methods that pages may use.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum CorsMethod {
    /// All.
    #[serde(rename = "*")]
    Any,
    /// RFC 9110, 9.3.1.
    GET,
    /// RFC 9110, 9.3.2.
    HEAD,
    /// RFC 9110, 9.3.3.
    POST,
    /// RFC 9110, 9.3.4.
    PUT,
    /// RFC 9110, 9.3.5.
    DELETE,
    /// RFC 5789.
    PATCH,
    /// RFC 9110, 9.3.7.
    OPTIONS,
}

impl CorsMethod {
    /// As it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Any => "*",
            Self::GET => "GET",
            Self::HEAD => "HEAD",
            Self::POST => "POST",
            Self::PUT => "PUT",
            Self::DELETE => "DELETE",
            Self::PATCH => "PATCH",
            Self::OPTIONS => "OPTIONS",
        }
    }
}
