//! Which pages of other sites may read answers: as policies say it, and as HTTPRoutes do (GEP-1767).

use sallyport_api::condition::Reason;
use sallyport_api::policy::{Cors, CorsMethod};
use sallyport_snapshot::v1;

use super::form::CorsForm;
use crate::problem::Problem;

/// How long browsers remember a preflight's answer if nobody says.
const MAX_AGE_S: u32 = 5;
/// Every site.
const ANY: &str = "*";
/// Ports that browsers leave out.
const PORTS: [(&str, &str); 2] = [("http://", ":80"), ("https://", ":443")];

/// What a policy says.
pub fn message(stated: &Cors) -> v1::Cors {
    v1::Cors {
        allow_origins: stated.allow_origins.iter().filter_map(|one| origin(one)).collect(),
        allow_methods: stated.allow_methods.iter().copied().map(CorsMethod::as_str).map(str::to_owned).collect(),
        allow_headers: lower(&stated.allow_headers),
        expose_headers: lower(&stated.expose_headers),
        allow_credentials: stated.allow_credentials.unwrap_or_default(),
        max_age_s: stated.max_age.unwrap_or(MAX_AGE_S),
    }
}

/// What the filter of a rule says. An origin that cannot be read is none that is allowed.
pub fn of_filter(form: &CorsForm, field: &str, problems: &mut Vec<Problem>) -> v1::Cors {
    let mut allow_origins = Vec::new();
    for (at, stated) in form.allow_origins.iter().enumerate() {
        match origin(stated) {
            Some(origin) => allow_origins.push(origin),
            None => {
                let message = format!(
                    "{stated} is no origin that is known here; write SCHEME://HOST or SCHEME://HOST:PORT, with one leading *. at most, or *"
                );
                problems.push(Problem::new(format!("{field}.allowOrigins[{at}]"), Reason::UnsupportedValue, message));
            }
        }
    }
    v1::Cors {
        allow_origins,
        allow_methods: form.allow_methods.clone(),
        allow_headers: lower(&form.allow_headers),
        expose_headers: lower(&form.expose_headers),
        allow_credentials: form.allow_credentials,
        max_age_s: form.max_age.unwrap_or(MAX_AGE_S),
    }
}

/// As browsers write it: in lower case, without the scheme's own port.
fn origin(stated: &str) -> Option<String> {
    if stated == ANY {
        return Some(ANY.to_owned());
    }
    let lower = stated.to_ascii_lowercase();
    let (scheme, authority) = lower.split_once("://")?;
    let host = authority.split_once(':').map_or(authority, |(host, _)| host);
    let plain = host.strip_prefix("*.").unwrap_or(host);
    let port = authority.split_once(':').map(|(_, port)| port);
    let is_port = port.is_none_or(|port| {
        !port.starts_with('0') && port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse::<u16>().is_ok()
    });
    let is_name = host == ANY
        || !plain.is_empty() && plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if scheme.is_empty() || !is_port || !is_name {
        return None;
    }
    let own = PORTS.iter().find(|(scheme, port)| lower.starts_with(scheme) && lower.ends_with(port));
    Some(own.and_then(|(_, port)| lower.strip_suffix(port)).unwrap_or(&lower).to_owned())
}

fn lower(names: &[String]) -> Vec<String> {
    names.iter().map(|name| name.to_ascii_lowercase()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_have_one_spelling() {
        for (stated, expected) in [
            ("*", Some("*")),
            ("https://Shop.Example.com", Some("https://shop.example.com")),
            ("https://shop.example.com:443", Some("https://shop.example.com")),
            ("http://shop.example.com:80", Some("http://shop.example.com")),
            ("https://shop.example.com:80", Some("https://shop.example.com:80")),
            ("https://*.example.com:8443", Some("https://*.example.com:8443")),
            ("app://localhost", Some("app://localhost")),
            ("null", None),
            ("https://", None),
            ("https://*", Some("https://*")),
            ("https://*.*", None),
            ("https://**", None),
            ("https://*.", None),
            ("https://a.*.example.com", None),
            ("https://shop.example.com/", None),
            ("https://shop.example.com/path", None),
            ("https://shop.example.com:", None),
            ("https://shop.example.com:0", None),
            ("https://shop.example.com:0443", None),
            ("https://shop.example.com:+443", None),
            ("https://shop.example.com:*", None),
            ("https://user@shop.example.com", None),
            ("https://shop.example.com:70000", None),
        ] {
            assert_eq!(origin(stated).as_deref(), expected, "{stated}");
        }
    }
}
