//! Microsoft Entra ID: what its issuers are called, and where its metadata is.

use sallyport_api::policy::{EntraCloud, EntraId, EntraVersion};
use sallyport_snapshot::v1;

/// What stands for a tenant, in the metadata of a cloud as in messages.
const TENANT: &str = "{tenantid}";
/// Where the metadata of all tenants is.
const ALL_TENANTS: &str = "common";

/// What data planes judge a token of `entra` by.
pub fn message(entra: &EntraId) -> v1::EntraId {
    let origins = Origins::of(entra);
    let (of_v1, of_v2) = (format!("{}/{TENANT}/", origins.of_v1), issuer(origins.authority, TENANT));
    let taken = |version, issuer: &str| if takes(entra, version) { issuer.to_owned() } else { String::new() };
    v1::EntraId {
        tenants: lower(&entra.tenants),
        any_tenant: entra.tenant_check.is_some(),
        client_applications: lower(&entra.client_applications),
        issuer_v1: taken(EntraVersion::V1, &of_v1),
        issuer_v2: taken(EntraVersion::V2, &of_v2),
        issuer_of_keys: of_v2,
    }
}

/// Whose tokens there are, of whatever version and tenant: each ends in an asterisk.
pub fn issuers(entra: &EntraId) -> Vec<String> {
    let origins = Origins::of(entra);
    [origins.authority, origins.of_v1]
        .iter()
        .filter(|origin| !origin.is_empty())
        .map(|origin| format!("{origin}/*"))
        .collect()
}

/// How the metadata with the keys calls its issuer, and where it is: the tenant's own, or where there are several that of all.
pub fn metadata(entra: &EntraId) -> (String, String) {
    let authority = Origins::of(entra).authority;
    let (called, below) = match lower(&entra.tenants).as_slice() {
        [tenant] => (issuer(authority, tenant), tenant.clone()),
        _ => (issuer(authority, TENANT), ALL_TENANTS.to_owned()),
    };
    (called, format!("{}/.well-known/openid-configuration", issuer(authority, &below)))
}

/// What the issuers of a cloud begin with.
struct Origins<'a> {
    /// Of tokens of version 2.0, and of the metadata.
    authority: &'a str,
    /// Of tokens of version 1.0.
    of_v1: &'a str,
}

impl<'a> Origins<'a> {
    fn of(entra: &'a EntraId) -> Self {
        let (authority, of_v1) = match (&entra.authority, entra.cloud.unwrap_or_default()) {
            (Some(authority), _) => (authority.as_str(), ""),
            (None, EntraCloud::Public) => ("https://login.microsoftonline.com", "https://sts.windows.net"),
            (None, EntraCloud::USGovernment) => ("https://login.microsoftonline.us", "https://sts.windows.net"),
            (None, EntraCloud::China) => ("https://login.partner.microsoftonline.cn", "https://sts.chinacloudapi.cn"),
        };
        Self { authority, of_v1 }
    }
}

fn issuer(authority: &str, tenant: &str) -> String {
    format!("{authority}/{tenant}/v2.0")
}

fn takes(entra: &EntraId, version: EntraVersion) -> bool {
    match (entra.versions.as_slice(), &entra.authority, version) {
        (_, Some(_), EntraVersion::V1) => false,
        ([], ..) => true,
        (stated, ..) => stated.contains(&version),
    }
}

/// Tokens have their ids in lower case.
fn lower(ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| id.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const ONE: &str = "11111111-2222-3333-4444-555555555555";
    const OTHER: &str = "AAAAAAAA-2222-3333-4444-555555555555";

    fn entra(more: Value) -> EntraId {
        let mut stated = json!({ "tenants": [ONE], "audiences": ["api://orders"] });
        stated.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        serde_json::from_value(stated).unwrap()
    }

    #[test]
    fn each_cloud_calls_its_issuers_in_its_own_way() {
        for (more, of_v1, of_v2) in [
            (json!({}), "https://sts.windows.net/{tenantid}/", "https://login.microsoftonline.com/{tenantid}/v2.0"),
            (
                json!({ "cloud": "USGovernment" }),
                "https://sts.windows.net/{tenantid}/",
                "https://login.microsoftonline.us/{tenantid}/v2.0",
            ),
            (
                json!({ "cloud": "China" }),
                "https://sts.chinacloudapi.cn/{tenantid}/",
                "https://login.partner.microsoftonline.cn/{tenantid}/v2.0",
            ),
            (json!({ "authority": "https://a.ciamlogin.com" }), "", "https://a.ciamlogin.com/{tenantid}/v2.0"),
            (json!({ "versions": ["V1"] }), "https://sts.windows.net/{tenantid}/", ""),
            (json!({ "versions": ["V2"] }), "", "https://login.microsoftonline.com/{tenantid}/v2.0"),
            (
                json!({ "versions": ["V2", "V1"] }),
                "https://sts.windows.net/{tenantid}/",
                "https://login.microsoftonline.com/{tenantid}/v2.0",
            ),
        ] {
            let found = message(&entra(more.clone()));
            assert_eq!((&*found.issuer_v1, &*found.issuer_v2), (of_v1, of_v2), "{more}");
        }
    }

    #[test]
    fn keys_are_those_of_the_tenant_or_where_there_are_several_of_all() {
        let cloud = "https://login.microsoftonline.com";
        let found = |more| metadata(&entra(more));
        let below = |tenant: &str| format!("{cloud}/{tenant}/v2.0/.well-known/openid-configuration");
        let all = (format!("{cloud}/{{tenantid}}/v2.0"), below("common"));
        assert_eq!(found(json!({})), (format!("{cloud}/{ONE}/v2.0"), below(ONE)));
        assert_eq!(found(json!({ "tenants": [OTHER] })).1, below(&OTHER.to_ascii_lowercase()));
        assert_eq!(found(json!({ "tenants": [ONE, OTHER] })), all);
        assert_eq!(found(json!({ "tenants": [], "tenantCheck": "None" })), all);
        assert_eq!(message(&entra(json!({ "versions": ["V1"] }))).issuer_of_keys, all.0, "of whichever version");
    }

    #[test]
    fn ids_have_one_spelling() {
        let found = message(&entra(json!({ "tenants": [OTHER], "clientApplications": [OTHER] })));
        assert_eq!([found.tenants, found.client_applications].concat(), vec![OTHER.to_ascii_lowercase(); 2]);
    }
}
