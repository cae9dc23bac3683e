//! Gateway API's filters: prepared once, applied to headers and path.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use sallyport_snapshot::v1::{self, filter, path_edit::Edit};

/// A change to a request or a response.
pub enum Filter {
    RequestHeaders(HeaderEdit),
    ResponseHeaders(HeaderEdit),
    Redirect(Redirect),
    Rewrite(Rewrite),
}

/// Header changes; `set` before `add` before `remove`.
pub struct HeaderEdit {
    set: Vec<(HeaderName, HeaderValue)>,
    add: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
}

fn well_known(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// An answer that sends the caller elsewhere (GEP-726).
pub struct Redirect {
    scheme: Option<String>,
    hostname: Option<String>,
    port: Option<u16>,
    path: Option<PathEdit>,
    pub status: StatusCode,
}

/// Another host or path for the service.
pub struct Rewrite {
    pub hostname: Option<HeaderValue>,
    pub path: Option<PathEdit>,
}

/// A new path, or a new beginning of it.
pub enum PathEdit {
    Full(String),
    Prefix(String),
}

/// Where a request came in, for a redirect to start from.
pub struct Origin<'a> {
    pub scheme: &'a str,
    pub host: &'a str,
    /// The listener's port.
    pub port: u16,
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// Bytes of the path that the rule's prefix covers.
    pub matched: usize,
}

impl Filter {
    pub(super) fn prepare(filter: &v1::Filter) -> Result<Self, String> {
        Ok(match &filter.filter {
            Some(filter::Filter::RequestHeaders(edit)) => Self::RequestHeaders(HeaderEdit::prepare(edit)?),
            Some(filter::Filter::ResponseHeaders(edit)) => Self::ResponseHeaders(HeaderEdit::prepare(edit)?),
            Some(filter::Filter::Redirect(redirect)) => Self::Redirect(Redirect::prepare(redirect)?),
            Some(filter::Filter::Rewrite(rewrite)) => Self::Rewrite(Rewrite::prepare(rewrite)?),
            None => return Err("a filter of an unknown kind".to_owned()),
        })
    }
}

impl HeaderEdit {
    fn prepare(edit: &v1::HeaderEdit) -> Result<Self, String> {
        let name = |name: &str| {
            let parsed = name.parse::<HeaderName>().map_err(|_| format!("header name {name:?}"))?;
            if is_reserved(&parsed) {
                return Err(format!(
                    "header {parsed}, which belongs to the connection or to the routing of the request"
                ));
            }
            Ok(parsed)
        };
        let header = |header: &v1::Header| {
            let value = header.value.parse().map_err(|_| format!("value of the header {}", header.name))?;
            Ok::<_, String>((name(&header.name)?, value))
        };
        Ok(Self {
            set: edit.set.iter().map(header).collect::<Result<_, _>>()?,
            add: edit.add.iter().map(header).collect::<Result<_, _>>()?,
            remove: edit.remove.iter().map(|one| name(one)).collect::<Result<_, _>>()?,
        })
    }

    /// Changes `headers`.
    pub fn apply(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.set {
            headers.insert(name, value.clone());
        }
        for (name, value) in &self.add {
            headers.append(name, value.clone());
        }
        for name in &self.remove {
            headers.remove(name);
        }
    }
}

/// Fields that frame a message, belong to one connection (RFC 9110, 7.6.1) or say where a request goes: no filter speaks for them.
fn is_reserved(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("proxy-")
        || matches!(
            name,
            "connection"
                | "content-length"
                | "host"
                | "http2-settings"
                | "keep-alive"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        )
}

impl Redirect {
    fn prepare(redirect: &v1::Redirect) -> Result<Self, String> {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let status = u16::try_from(redirect.status).ok().and_then(|status| StatusCode::from_u16(status).ok());
        let status =
            status.filter(StatusCode::is_redirection).ok_or_else(|| format!("redirect status {}", redirect.status))?;
        Ok(Self {
            scheme: given(&redirect.scheme),
            hostname: given(&redirect.hostname),
            port: u16::try_from(redirect.port).ok().filter(|port| *port != 0),
            path: redirect.path.as_ref().and_then(PathEdit::prepare),
            status,
        })
    }

    /// The other host that it leads to from `host`, if it does.
    pub fn elsewhere(&self, host: &str) -> Option<&str> {
        self.hostname.as_deref().filter(|hostname| !hostname.eq_ignore_ascii_case(host))
    }

    /// Whether it leads to the port that was asked, or out of cleartext to the port of HTTPS.
    pub fn is_by_the_same_way(&self, scheme: &str, port: u16) -> bool {
        let to = self.way(scheme, port);
        to == (scheme, port) || (to == ("https", 443) && scheme == "http")
    }

    /// Scheme and port that it leads to, from these.
    fn way<'a>(&'a self, scheme: &'a str, port: u16) -> (&'a str, u16) {
        let to = self.scheme.as_deref().unwrap_or(scheme);
        (to, self.port.unwrap_or(if self.scheme.is_some() { well_known(to) } else { port }))
    }

    /// The `Location` for a request that came in at `origin`. A port that goes without saying is left out.
    pub fn location(&self, origin: &Origin<'_>) -> Option<HeaderValue> {
        let (scheme, port) = self.way(origin.scheme, origin.port);
        let port = if port == well_known(scheme) { String::new() } else { format!(":{port}") };
        let host = self.hostname.as_deref().unwrap_or(origin.host);
        let path =
            self.path.as_ref().map_or_else(|| origin.path.to_owned(), |edit| edit.apply(origin.path, origin.matched));
        let query = origin.query.map(|query| format!("?{query}")).unwrap_or_default();
        HeaderValue::try_from(format!("{scheme}://{host}{port}{path}{query}")).ok()
    }
}

impl Rewrite {
    fn prepare(rewrite: &v1::Rewrite) -> Result<Self, String> {
        let hostname = (!rewrite.hostname.is_empty()).then(|| rewrite.hostname.parse()).transpose();
        let hostname = hostname.map_err(|_| format!("hostname {:?}", rewrite.hostname))?;
        Ok(Self { hostname, path: rewrite.path.as_ref().and_then(PathEdit::prepare) })
    }
}

impl PathEdit {
    fn prepare(edit: &v1::PathEdit) -> Option<Self> {
        edit.edit.as_ref().map(|edit| match edit {
            Edit::ReplaceFull(path) => Self::Full(path.clone()),
            Edit::ReplacePrefix(prefix) => Self::Prefix(prefix.trim_end_matches('/').to_owned()),
        })
    }

    /// The new path for `path`, of which a prefix of `matched` bytes has matched.
    pub fn apply(&self, path: &str, matched: usize) -> String {
        let changed = match self {
            Self::Full(full) => full.clone(),
            Self::Prefix(prefix) => format!("{prefix}{}", path.get(matched..).unwrap_or_default()),
        };
        if changed.starts_with('/') { changed } else { format!("/{changed}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_port_or_scheme_is_another_way() {
        let redirect = |scheme: &str, port: u32| {
            let message = v1::Redirect { scheme: scheme.into(), port, status: 302, ..v1::Redirect::default() };
            Redirect::prepare(&message).unwrap()
        };
        for (scheme, port, is_same) in [
            ("", 0, true),
            ("https", 0, true),
            ("", 443, true),
            ("http", 0, false),
            ("", 8443, false),
            ("https", 80, false),
        ] {
            assert_eq!(redirect(scheme, port).is_by_the_same_way("https", 443), is_same, "{scheme} {port}");
        }
    }

    #[test]
    fn fields_of_the_connection_are_in_no_filter() {
        let header = |name: &str| v1::Header { name: name.into(), value: "1".into() };
        let edits = |name: &str| {
            [
                v1::HeaderEdit { set: vec![header(name)], ..Default::default() },
                v1::HeaderEdit { add: vec![header("x-fine"), header(name)], ..Default::default() },
                v1::HeaderEdit { remove: vec![name.into()], ..Default::default() },
            ]
        };
        for name in [
            "Content-Length",
            "transfer-encoding",
            "Connection",
            "HOST",
            "TE",
            "Upgrade",
            "Trailer",
            "Keep-Alive",
            "HTTP2-Settings",
            "Proxy-Authorization",
            "Proxy-Connection",
            "proxy-anything",
            "no name",
        ] {
            for edit in edits(name) {
                assert!(HeaderEdit::prepare(&edit).is_err(), "{name}: {edit:?}");
            }
        }
        for name in ["Authorization", "X-Host", "Content-Type", "X-Proxy-Id", "Via"] {
            assert!(edits(name).iter().all(|edit| HeaderEdit::prepare(edit).is_ok()), "{name}");
        }
    }

    #[test]
    fn prefixes_are_replaced_by_elements() {
        // GEP-726's table: prefix of the rule, replacement, path, result.
        for (matched, replacement, path, result) in [
            ("/foo", "/xyz", "/foo/bar", "/xyz/bar"),
            ("/foo", "/xyz/", "/foo/bar", "/xyz/bar"),
            ("/foo", "/xyz", "/foo", "/xyz"),
            ("/foo", "/xyz", "/foo/", "/xyz/"),
            ("/foo", "", "/foo/bar", "/bar"),
            ("/foo", "/", "/foo", "/"),
            ("/foo", "/", "/foo/", "/"),
            ("/foo", "", "/foo", "/"),
            ("", "/xyz", "/foo", "/xyz/foo"),
            ("", "/xyz", "/", "/xyz/"),
        ] {
            let edit =
                PathEdit::prepare(&v1::PathEdit { edit: Some(Edit::ReplacePrefix(replacement.into())) }).unwrap();
            assert_eq!(edit.apply(path, matched.len()), result, "{matched} -> {replacement} at {path}");
        }
    }

    #[test]
    fn a_location_names_a_port_only_where_it_has_to() {
        let origin =
            |scheme, port| Origin { scheme, host: "a.example.com", port, path: "/x", query: Some("q=1"), matched: 0 };
        let redirect = |scheme: &str, hostname: &str, port| {
            Redirect::prepare(&v1::Redirect {
                scheme: scheme.into(),
                hostname: hostname.into(),
                port,
                path: None,
                status: 302,
            })
            .unwrap()
        };
        for (redirect, origin, location) in [
            (redirect("", "b.example.com", 0), origin("http", 80), "http://b.example.com/x?q=1"),
            (redirect("https", "", 0), origin("http", 8080), "https://a.example.com/x?q=1"),
            (redirect("", "", 8443), origin("https", 443), "https://a.example.com:8443/x?q=1"),
            (redirect("", "", 0), origin("http", 8080), "http://a.example.com:8080/x?q=1"),
            (redirect("http", "A.example.com", 80), origin("https", 443), "http://A.example.com/x?q=1"),
            (redirect("http", "", 80), origin("https", 443), "http://a.example.com/x?q=1"),
        ] {
            assert_eq!(redirect.location(&origin).unwrap(), location);
            let elsewhere = location.starts_with("http://b.").then_some("b.example.com");
            assert_eq!(redirect.elsewhere(origin.host), elsewhere, "{location}");
        }
        assert!(Redirect::prepare(&v1::Redirect { status: 200, ..Default::default() }).is_err());
    }
}
