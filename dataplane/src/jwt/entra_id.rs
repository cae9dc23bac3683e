//! Access tokens of Microsoft Entra ID: one cloud has an issuer for each tenant, and all of them sign with the same keys.

use sallyport_snapshot::v1;
use serde_json::{Map, Value};

use super::TokenFault;

/// What stands for a tenant in the names of issuers.
const TENANT: &str = "{tenantid}";
/// The claim that large memberships are left out of.
const GROUPS: &str = "groups";

type Members = Map<String, Value>;

/// Whose tokens are taken.
#[derive(Clone, Debug)]
pub(super) struct EntraId(v1::EntraId);

/// A token's own word on where it is from, which agrees with itself and with the rules.
pub(super) struct Provenance<'a> {
    tenant: &'a str,
    version: Version,
}

#[derive(Clone, Copy)]
enum Version {
    V1,
    V2,
}

impl EntraId {
    /// Parses the resource's word; what is not said takes nobody's tokens.
    pub(super) fn build(entra: &v1::EntraId) -> Result<Self, &'static str> {
        let names = [&entra.issuer_v1, &entra.issuer_v2];
        if entra.tenants.is_empty() != entra.any_tenant {
            return Err("list tenants, or leave the check out explicitly, not both");
        }
        if names.iter().all(|name| name.is_empty()) {
            return Err("tokens of no version are taken");
        }
        let named = names.into_iter().filter(|name| !name.is_empty()).chain([&entra.issuer_of_keys]);
        if named.into_iter().any(|name| !name.contains(TENANT)) {
            return Err("the name of an issuer has no place for the tenant");
        }
        Ok(Self(entra.clone()))
    }

    /// Whether an issuer is called as those of the cloud are, whatever the tenant.
    pub(super) fn is_of_cloud(&self, issuer: &str) -> bool {
        let names = [&self.0.issuer_v1, &self.0.issuer_v2].into_iter().filter_map(|name| name.split_once(TENANT));
        names.into_iter().any(|(before, after)| issuer.starts_with(before) && issuer.ends_with(after))
    }

    /// Whether `audience` can mean one application alone: URIs are unique within a tenant, ids everywhere.
    pub(super) fn tells_apart(&self, audience: &str) -> bool {
        let id = audience.strip_prefix("api://").unwrap_or(audience).to_ascii_lowercase();
        self.0.tenants.len() == 1 || is_id(&id)
    }

    /// Where the token is from. Whatever is taken from elsewhere is somebody else's.
    pub(super) fn provenance<'a>(&self, claims: &'a Members) -> Result<Provenance<'a>, TokenFault> {
        let (version, issuer) = match text(claims, "ver") {
            Some("1.0") => (Version::V1, &self.0.issuer_v1),
            Some("2.0") => (Version::V2, &self.0.issuer_v2),
            _ => return Err(TokenFault::Version),
        };
        if issuer.is_empty() {
            return Err(TokenFault::Version);
        }
        let tenant = text(claims, "tid").filter(|tid| is_id(tid)).ok_or(TokenFault::Tenant)?;
        if text(claims, "iss") != Some(&*issuer.replace(TENANT, tenant)) {
            return Err(TokenFault::Issuer);
        }
        let is_taken = self.0.any_tenant || self.0.tenants.iter().any(|one| one == tenant);
        if is_taken { Ok(Provenance { tenant, version }) } else { Err(TokenFault::Tenant) }
    }

    /// Whether a key that says it is of `stated` may sign for the tenant: for all tenants, or for that very one.
    pub(super) fn is_signed_by(&self, stated: &str, provenance: &Provenance<'_>) -> bool {
        let tenant = provenance.tenant;
        stated.replace(TENANT, tenant) == self.0.issuer_of_keys.replace(TENANT, tenant)
    }

    /// Judges what all these tokens have to say; whose they are, once the signature holds.
    pub(super) fn judge(&self, claims: &Members, provenance: &Provenance<'_>) -> Result<Box<str>, TokenFault> {
        let named = [text(claims, "appid"), text(claims, "azp")];
        let application = match (provenance.version, named) {
            (Version::V1, [Some(own), other]) | (Version::V2, [other, Some(own)])
                if other.is_none_or(|other| other == own) =>
            {
                own
            }
            _ => return Err(TokenFault::ClaimForm("azp, or appid,")),
        };
        let applications = &self.0.client_applications;
        if !applications.is_empty() && !applications.iter().any(|one| one == application) {
            return Err(TokenFault::ClientApplication);
        }
        let object = text(claims, "oid").filter(|oid| !oid.is_empty()).ok_or(TokenFault::ClaimForm("oid"))?;
        let tenant = provenance.tenant;
        Ok(format!("entra:{}:{tenant}:{object}", tenant.len()).into())
    }
}

/// Whether nobody can tell what `claim` would have held: it stands elsewhere (OpenID Connect Core, 5.6.2), or was left out because it was too long.
pub(super) fn is_left_out(claim: &str, claims: &Members) -> bool {
    let elsewhere = match claims.get("_claim_names") {
        None => false,
        Some(Value::Object(names)) => names.contains_key(claim),
        // Whatever it was to say.
        Some(_) => true,
    };
    elsewhere || claim == GROUPS && claims.get("hasgroups").is_some_and(|has| *has != Value::Bool(false))
}

fn text<'a>(claims: &'a Members, name: &str) -> Option<&'a str> {
    claims.get(name).and_then(Value::as_str)
}

/// As tokens spell ids: in lower case.
fn is_id(text: &str) -> bool {
    let is_right = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte),
    };
    text.len() == 36 && text.bytes().enumerate().all(is_right)
}

#[cfg(test)]
mod tests;
