//! Names that Kubernetes takes: `<gateway>-<class>` (GEP-1762), and where that is none for a Service, or may be another Gateway's, one that is
//! as good.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use crate::cluster::ObjectName;

/// Of a Service's name, and of a label's value.
const MAX_LENGTH: usize = 63;
/// Hexadecimal digits that tell two names apart which were cut at one place.
const DIGITS: usize = 8;

/// The name of all objects of a Gateway.
pub(super) fn of_objects(gateway: &ObjectName, class: &str) -> String {
    let whole = format!("{}-{class}", gateway.name);
    let begins_well = whole.starts_with(|letter: char| letter.is_ascii_lowercase());
    // Of `a-b` and `c` is made what is made of `a` and `b-c`: where the class has no hyphen, it is what stands behind the last one.
    let is_its_own = !class.contains('-');
    if is_its_own && begins_well && !whole.contains('.') && whole.len() <= MAX_LENGTH {
        return whole;
    }
    let letter = if begins_well { "" } else { "gateway-" };
    with_digest(&format!("{letter}{}", whole.replace('.', "-")), &format!("{}/{class}", gateway.name))
}

/// The value of a label that says `name`.
pub(super) fn as_label(name: &str) -> String {
    if name.len() <= MAX_LENGTH { name.to_owned() } else { with_digest(name, name) }
}

/// As much of `text` as there is room for, and a digest of what is `whole`.
fn with_digest(text: &str, whole: &str) -> String {
    let kept: String = text.chars().take(MAX_LENGTH - DIGITS - 1).collect();
    let mut name = kept.trim_end_matches(['-', '.']).to_owned();
    name.push('-');
    for byte in Sha256::digest(whole).iter().take(DIGITS / 2) {
        let _ = write!(name, "{byte:02x}");
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(gateway: &str, class: &str) -> String {
        of_objects(&ObjectName::new("shop", gateway), class)
    }

    /// RFC 1035, as Services have it.
    fn is_service_name(name: &str) -> bool {
        let is_inner = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
        name.len() <= MAX_LENGTH
            && name.starts_with(|letter: char| letter.is_ascii_lowercase())
            && name.ends_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
            && name.chars().all(is_inner)
    }

    #[test]
    fn what_fits_is_as_gateway_api_suggests() {
        assert_eq!(name("public", "sallyport"), "public-sallyport");
        let longest = "a".repeat(MAX_LENGTH - "-sallyport".len());
        assert_eq!(name(&longest, "sallyport"), format!("{longest}-sallyport"));
    }

    #[test]
    fn whatever_a_gateway_is_called_its_service_can_be() {
        let long = "a".repeat(253);
        for (gateway, class) in [
            ("1st", "sallyport"),
            ("api.example.com", "sallyport"),
            ("public", "sallyport.internal"),
            (&*long, "sallyport"),
            ("public", &*long),
            (&*format!("{}-{}", "a".repeat(53), "b".repeat(53)), "c"),
            (&*format!("1{}", "a".repeat(61)), "c"),
        ] {
            let name = name(gateway, class);
            assert!(is_service_name(&name), "{gateway} {class}: {name}");
        }
    }

    #[test]
    fn what_is_changed_stays_apart_from_others() {
        let long = "a".repeat(100);
        assert_ne!(name("a.b", "c"), name("a-b", "c"));
        assert_ne!(name("public", "internal-sallyport"), name("public-internal", "sallyport"));
        assert_ne!(name("a.b", "c-d"), name("a.b-c", "d"));
        assert_ne!(name(&format!("{long}1"), "c"), name(&format!("{long}2"), "c"));
        assert_ne!(name("1", "c"), name("gateway-1", "c"));
        assert_ne!(as_label(&format!("{long}1")), as_label(&format!("{long}2")));
    }

    #[test]
    fn a_label_ends_as_labels_must() {
        let name = format!("{}.{}", "a".repeat(53), "b".repeat(53));
        let label = as_label(&name);
        assert!(label.len() <= MAX_LENGTH && !label.contains('.'), "{label}");
        assert_eq!(as_label("api.example.com"), "api.example.com");
    }
}
