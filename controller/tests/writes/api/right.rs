//! The rights that requests take, as Kubernetes' RBAC names them.

use http::Method;
use serde_json::Value;

use super::place::Asked;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Right {
    pub verb: &'static str,
    pub group: String,
    /// With a subresource, if one is asked for: `gateways/status`.
    pub resource: String,
    /// Empty for all, and for what belongs to none.
    pub namespace: String,
    /// Empty for all, and where it is only known after.
    pub name: String,
}

impl Right {
    pub(super) fn to_read(asked: &Asked, is_watch: bool, field_selector: &str) -> Self {
        let verb = match (is_watch, asked.place.name.is_empty()) {
            (true, _) => "watch",
            (false, true) => "list",
            (false, false) => "get",
        };
        let selected = field_selector.strip_prefix("metadata.name=").unwrap_or_default();
        let name = if asked.place.name.is_empty() { selected } else { &asked.place.name };
        Self { name: name.to_owned(), ..Self::of(verb, asked) }
    }

    /// Who applies what is not there makes it; and who lets an object keep its owner from going changes what keeps the owner.
    pub(super) fn to_write(method: &Method, asked: &Asked, is_there: bool, body: &Value) -> Vec<Self> {
        let verb = match *method {
            Method::POST => "create",
            Method::PUT => "update",
            Method::DELETE => "delete",
            _ => "patch",
        };
        let create = (verb == "patch" && !is_there && asked.subresource.is_empty()).then(|| Self::of("create", asked));
        let owners = body["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let is_kept = owners.into_iter().any(|owner| owner["blockOwnerDeletion"] == true && owner["kind"] == "Gateway");
        let finalizers = is_kept.then(|| Self {
            verb: "update",
            group: "gateway.networking.k8s.io".into(),
            resource: "gateways/finalizers".into(),
            name: String::new(),
            namespace: asked.place.namespace.clone(),
        });
        [Self::of(verb, asked)].into_iter().chain(create).chain(finalizers).collect()
    }

    fn of(verb: &'static str, asked: &Asked) -> Self {
        let parts: Vec<_> = asked.place.collection.split('/').collect();
        let group = if parts[0] == "api" { "" } else { parts[1] };
        let plural = parts[parts.len() - 1];
        let resource =
            if asked.subresource.is_empty() { plural.to_owned() } else { format!("{plural}/{}", asked.subresource) };
        // Of what is made, RBAC does not know the name.
        let name = if verb == "create" { String::new() } else { asked.place.name.clone() };
        Self { verb, group: group.to_owned(), resource, namespace: asked.place.namespace.clone(), name }
    }
}
