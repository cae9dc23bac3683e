//! What usually is the matter with a token of Microsoft Entra ID that is refused: for the operator's log alone.

use serde_json::Value;

use super::issuer::Issuer;
use super::{Content, Rules, TokenFault};

/// Who asks Graph for a token gets one that nobody else can verify.
const FOR_GRAPH: &str = "it is for Microsoft Graph, which alone can verify it; have the client ask for a scope of this API, or for its .default";
const ID_TOKEN: &str =
    "it looks like an ID token, which is for the client alone; have the client send the access token";
const VERSION_1: &str = "it is of version 1.0; set requestedAccessTokenVersion to 2 in the registration of the API, or add V1 to versions where the cloud has it";
const VERSION_2: &str = "it is of version 2.0; add V2 to versions";
const TWO_TENANTS: &str = "its iss and its tid name different tenants";
const OTHER_CLOUD: &str = "it is of another cloud; state cloud, or authority";
const B2C: &str = "it is of Azure AD B2C, whose issuers have other names; state it as jwt";
const AUDIENCE_IS_ID: &str = "its audience is the id of an application, as in all tokens of version 2.0; if that is this API, list the id as well";
const AUDIENCE_IS_URI: &str =
    "its audience is an application ID URI, as tokens of version 1.0 may have it; if that is this API, list it as well";
const NO_SCOPES: &str =
    "it is an application's own token, in which scopes never are; ask for its roles by a rule in claims";
const TOO_MANY_GROUPS: &str =
    "have the registration put in only groups that are assigned to the application, or go by roles";

/// The audiences of Microsoft Graph.
const GRAPH: [&str; 2] = ["00000003-0000-0000-c000-000000000000", "https://graph.microsoft."];
/// What the issuers of all clouds begin with.
const CLOUDS: [&str; 5] = [
    "https://sts.windows.net/",
    "https://sts.chinacloudapi.cn/",
    "https://login.microsoftonline.com/",
    "https://login.microsoftonline.us/",
    "https://login.partner.microsoftonline.cn/",
];

/// What is to be done about `fault`, if the token looks like a usual mistake. Nothing of it is believed.
pub fn hint(token: &str, rules: &Rules, fault: &TokenFault) -> Option<&'static str> {
    let Issuer::EntraId(entra) = &rules.issuer else { return None };
    let token = Content::read(token)?;
    let text = |name: &str| token.claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let audience = text("aud");
    let is_for_graph = token.header.contains_key("nonce") || GRAPH.iter().any(|graph| audience.starts_with(graph));
    match fault {
        TokenFault::Signature | TokenFault::UnknownKey | TokenFault::Audience if is_for_graph => Some(FOR_GRAPH),
        TokenFault::Version => match text("ver") {
            "1.0" => Some(VERSION_1),
            "2.0" => Some(VERSION_2),
            _ => None,
        },
        TokenFault::Issuer if text("iss").contains(".b2clogin.com/") => Some(B2C),
        TokenFault::Issuer if entra.is_of_cloud(text("iss")) => Some(TWO_TENANTS),
        TokenFault::Issuer => CLOUDS.iter().any(|cloud| text("iss").starts_with(cloud)).then_some(OTHER_CLOUD),
        TokenFault::ClaimForm(_) if text("azp").is_empty() && text("appid").is_empty() => Some(ID_TOKEN),
        TokenFault::Audience => misnamed(audience, &rules.claims.audiences),
        TokenFault::InsufficientScope { .. } if text("scp").is_empty() => Some(NO_SCOPES),
        TokenFault::LeftOut => Some(TOO_MANY_GROUPS),
        _ => None,
    }
}

/// An API has two names; tokens of each version have their own.
fn misnamed(audience: &str, listed: &[String]) -> Option<&'static str> {
    let is_uri = |name: &str| name.contains("://");
    match (is_uri(audience), audience.is_empty()) {
        (_, true) => None,
        (false, _) => listed.iter().all(|one| is_uri(one)).then_some(AUDIENCE_IS_ID),
        (true, _) => listed.iter().all(|one| !is_uri(one)).then_some(AUDIENCE_IS_URI),
    }
}
