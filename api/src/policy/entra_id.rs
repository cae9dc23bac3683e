//! Access tokens of Microsoft Entra ID.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::token::{AUDIENCES_CURE, AUDIENCES_STATED, PROVEN_FROM, PROVEN_FROM_CURE, TokenRules};

/// Ids of tenants and applications.
const ID: &str = "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$";

/// An access token of Microsoft Entra ID, version 1.0 or 2.0, of a user or of an application. Its keys are those that the cloud publishes.
#[derive(Clone, Debug, Deserialize, Serialize, KubeSchema, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new(AUDIENCES_STATED).message(AUDIENCES_CURE),
    validation = Rule::new(PROVEN_FROM).message(PROVEN_FROM_CURE),
    validation = Rule::new("(has(self.tenants) && self.tenants.size() > 0) != has(self.tenantCheck)")
        .message("list the tenants whose tokens are taken; or state tenantCheck: None if those of every organisation in the world, and of personal accounts, may pass"),
    validation = Rule::new("(has(self.tenants) && self.tenants.size() == 1) || !has(self.audiences) || self.audiences.all(a, a.matches('^(api://)?[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$'))")
        .message("another tenant can give an application of its own the same URI: with several tenants list audiences by the id of the application, alone or after api://"),
    validation = Rule::new("!has(self.authority) || !has(self.cloud)")
        .message("authority stands in place of a cloud; state one of the two"),
    validation = Rule::new("!has(self.authority) || !has(self.versions) || !('V1' in self.versions)")
        .message("an authority of its own has tokens of version 2.0 alone; leave V1 out of versions")
)]
pub struct EntraId {
    /// Tenants whose tokens are taken, by their ids: the claim `tid`, which `iss` has to agree with. At most 64. Names of domains are no ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(equal = 36), regex(pattern = ID)))]
    pub tenants: Vec<String>,
    /// `None`: tokens of any tenant pass, personal accounts among them. Only without `tenants`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_check: Option<TenantCheck>,
    /// Client applications that may call, by their ids: the claim `azp`, in tokens of version 1.0 `appid`. Default: any. At most 64.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(equal = 36), regex(pattern = ID)))]
    pub client_applications: Vec<String>,
    /// Versions of tokens that are taken: the claim `ver`. Which one an API gets, its own registration says
    /// (`requestedAccessTokenVersion`). Default: both; beside `authority`, V2.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    pub versions: Vec<EntraVersion>,
    /// The cloud that the tenants are in. Default: `Public`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud: Option<EntraCloud>,
    /// In place of a cloud: the https origin that `iss` begins with, and below which the metadata is, e.g. `https://TENANT-ID.ciamlogin.com`
    /// for External ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^https?://[A-Za-z0-9.\-\[\]:]+$"))]
    pub authority: Option<String>,
    /// What holds whoever the issuer is.
    #[serde(flatten)]
    pub rules: TokenRules,
}

/// Says that the tenant is not checked.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum TenantCheck {
    /// Tokens of any tenant pass.
    None,
}

/// Versions of Entra's access tokens.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum EntraVersion {
    /// `ver` is `1.0`.
    V1,
    /// `ver` is `2.0`.
    V2,
}

/// Clouds of Microsoft, which share no tenants.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
pub enum EntraCloud {
    /// `login.microsoftonline.com`.
    #[default]
    Public,
    /// `login.microsoftonline.us`.
    USGovernment,
    /// `login.partner.microsoftonline.cn`, operated by 21Vianet.
    China,
}
