//! Which namespaces a controller watches. Of what is in others it knows nothing, not even whether it is there.

use std::collections::BTreeSet;

use super::{ObjectKind, Scope};

/// Each namespace takes a watch a kind, which is a connection: for more, one of all is better.
pub const MAX_NAMESPACES: usize = 64;
/// What a controller has to know of its own namespace: its other replicas, and the parameters of its class.
const AT_HOME: [ObjectKind; 2] = [ObjectKind::EndpointSlice, ObjectKind::GatewayParameters];

/// Where a controller looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Reach {
    #[default]
    Everywhere,
    /// In these, and in its own for a few kinds; what belongs to no namespace is seen as well.
    Within { namespaces: BTreeSet<String>, home: String },
}

impl Reach {
    /// Some namespaces; all if none is named. At most [`MAX_NAMESPACES`], and each by a name that one can have (RFC 1123 label).
    pub fn within(namespaces: impl IntoIterator<Item = String>, home: &str) -> Result<Self, String> {
        let namespaces: BTreeSet<_> = namespaces.into_iter().collect();
        if let Some(wrong) = namespaces.iter().find(|name| !is_label(name)) {
            return Err(format!("{wrong:?} cannot be a namespace; correct it"));
        }
        match namespaces.len() {
            0 => Ok(Self::Everywhere),
            1..=MAX_NAMESPACES => Ok(Self::Within { namespaces, home: home.to_owned() }),
            many => Err(format!("{many} namespaces are more than {MAX_NAMESPACES}; name none, and all are watched")),
        }
    }

    /// Whether objects of the kind are seen there.
    pub fn sees(&self, kind: ObjectKind, namespace: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Within { .. } if kind.scope() == Scope::Cluster => true,
            Self::Within { namespaces, home } => {
                namespaces.contains(namespace) || home == namespace && AT_HOME.contains(&kind)
            }
        }
    }

    /// The namespaces in which objects of the kind are looked for one by one; `None` if in all of them at once.
    pub fn namespaces(&self, kind: ObjectKind) -> Option<BTreeSet<&str>> {
        let Self::Within { namespaces, home } = self else { return None };
        let home = AT_HOME.contains(&kind).then_some(home);
        (kind.scope() == Scope::Namespaced).then(|| namespaces.iter().chain(home).map(String::as_str).collect())
    }

    /// The namespaces in which Gateways are run; `None` if in all.
    pub fn of_gateways(&self) -> Option<BTreeSet<&str>> {
        self.namespaces(ObjectKind::Gateway)
    }
}

fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn within<const N: usize>(namespaces: [&str; N]) -> Result<Reach, String> {
        Reach::within(namespaces.map(str::to_owned), "home")
    }

    fn set<const N: usize>(names: [&str; N]) -> Option<BTreeSet<&str>> {
        Some(BTreeSet::from(names))
    }

    #[test]
    fn none_means_all() {
        assert_eq!(within([]), Ok(Reach::Everywhere));
        assert!(Reach::Everywhere.sees(ObjectKind::Secret, "anything"));
        assert_eq!(Reach::Everywhere.namespaces(ObjectKind::Secret), None);
    }

    #[test]
    fn what_is_not_named_is_not_seen_the_own_namespace_neither() {
        let reach = within(["shop", "acme", "shop"]).unwrap();
        assert!(reach.sees(ObjectKind::Secret, "shop") && reach.sees(ObjectKind::Gateway, "acme"));
        for other in ["home", "shop2", "sho", ""] {
            assert!(!reach.sees(ObjectKind::Secret, other), "{other}");
        }
        assert_eq!(reach.namespaces(ObjectKind::Gateway), set(["acme", "shop"]));
        assert_eq!(reach.namespaces(ObjectKind::Secret), set(["acme", "shop"]));
    }

    #[test]
    fn replicas_and_parameters_are_seen_at_home_and_what_belongs_to_no_namespace() {
        let reach = within(["shop"]).unwrap();
        for kind in [ObjectKind::EndpointSlice, ObjectKind::GatewayParameters] {
            assert_eq!(reach.namespaces(kind), set(["home", "shop"]));
            assert!(reach.sees(kind, "home") && !reach.sees(kind, "other"));
        }
        for kind in [ObjectKind::Namespace, ObjectKind::GatewayClass, ObjectKind::IngressClass] {
            assert_eq!((reach.namespaces(kind), reach.sees(kind, "")), (None, true));
        }
    }

    #[test]
    fn what_can_be_no_namespace_is_refused() {
        let long = "a".repeat(64);
        for wrong in ["", "Shop", "a.b", "-a", "a-", "a b", "*", "a/b", &long] {
            assert!(within([wrong]).unwrap_err().contains("cannot be a namespace"), "{wrong}");
        }
    }

    #[test]
    fn there_is_a_bound() {
        let names = |count: usize| (0..count).map(|at| format!("n{at}"));
        assert!(Reach::within(names(MAX_NAMESPACES), "home").is_ok());
        assert!(Reach::within(names(MAX_NAMESPACES + 1), "home").unwrap_err().contains("name none"));
    }
}
