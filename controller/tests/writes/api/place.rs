//! Where an object is.

use std::fmt;

use serde_json::Value;

/// Collection (its path before any namespace, e.g. `apis/apps/v1/deployments`), namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub collection: String,
    pub namespace: String,
    pub name: String,
}

/// A place as a path names it, and what of it is asked for.
pub(super) struct Asked {
    /// Without a name it is a collection, without a namespace all of them.
    pub(super) place: Place,
    pub(super) subresource: String,
}

impl Place {
    /// E.g. `apis/apps/v1/deployments`, `shop/public`.
    pub fn new(collection: &str, name: &str) -> Self {
        let (namespace, name) = name.split_once('/').unwrap_or(("", name));
        Self { collection: collection.to_owned(), namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// That of a manifest.
    pub fn of(object: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (version, kind) = (text(&object["apiVersion"]), text(&object["kind"]));
        let root = if version.contains('/') { "apis" } else { "api" };
        let lower = kind.to_lowercase();
        let plural = match lower.strip_suffix('y') {
            Some(stem) if lower != "gateway" => format!("{stem}ies"),
            _ if lower.ends_with("ss") => format!("{lower}es"),
            _ if lower.ends_with('s') => lower,
            _ => format!("{lower}s"),
        };
        let metadata = &object["metadata"];
        let collection = format!("{root}/{version}/{plural}");
        Self { collection, namespace: text(&metadata["namespace"]), name: text(&metadata["name"]) }
    }

    /// Whether `other` is in the collection that this names.
    pub(super) fn holds(&self, other: &Self) -> bool {
        self.collection == other.collection && (self.namespace.is_empty() || self.namespace == other.namespace)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.collection, self.namespace, self.name)
    }
}

impl Asked {
    /// Reads e.g. `/apis/apps/v1/namespaces/shop/deployments/public/status`.
    pub(super) fn of(path: &str) -> Option<Self> {
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        let roots = if *parts.first()? == "api" { 2 } else { 3 };
        let (root, rest) = parts.split_at_checked(roots)?;
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let collection = format!("{}/{}", root.join("/"), rest.first()?);
        let name = rest.get(1).copied().unwrap_or_default().to_owned();
        let place = Place { collection, namespace: namespace.to_owned(), name };
        Some(Self { place, subresource: rest.get(2).copied().unwrap_or_default().to_owned() })
    }
}
