//! Headers: those that reach the service, as it may read them.

use std::borrow::Cow;
use std::collections::BTreeSet;

use http::header::{self, HeaderName, HeaderValue};
use sallyport_expression::Fault;
use sallyport_expression::value::Table;

use crate::pipeline::authenticate::Caller;
use crate::pipeline::hygiene::{self, Peer, same_variable};
use crate::runtime::policy::Policy;

/// About what the name of a header is long.
const NAME_BYTES: usize = 16;

/// By their names in lower case; `x_team` is `x-team`, since services read both as one variable.
pub(super) struct Headers<'a> {
    pub(super) policy: &'a Policy,
    pub(super) caller: &'a Caller<'a>,
}

impl<'a> Headers<'a> {
    /// Headers that are told: not those in which credentials stand, nor those that are believed from nobody and reach no service.
    fn told(&self) -> impl Iterator<Item = &'a HeaderName> {
        let upgrade = self.caller.hop.upgrade.map(|_| &header::UPGRADE);
        self.caller.headers.keys().filter(|name| self.is_told(name)).chain(upgrade)
    }

    fn is_told(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        *name != header::HOST
            && !hygiene::is_never_forwarded(text)
            && (self.caller.hop.peer == Peer::TrustedProxy || !hygiene::tells_origin(text))
            && !self.policies().any(|policy| policy.credential_headers().any(|one| same_variable(text, one.as_str())))
    }

    fn policies(&self) -> impl Iterator<Item = &'a Policy> {
        std::iter::once(self.policy).chain(self.caller.beside)
    }

    fn lines(&self, name: &HeaderName) -> Vec<&'a HeaderValue> {
        let upgrade = self.caller.hop.upgrade.filter(|_| *name == header::UPGRADE);
        self.caller.headers.get_all(name).into_iter().chain(upgrade).collect()
    }
}

impl Table for Headers<'_> {
    fn find(&self, wanted: &str) -> Result<Vec<Cow<'_, str>>, Fault> {
        let wanted = wanted.to_ascii_lowercase();
        let names = self.told().filter(|name| same_variable(name.as_str(), &wanted));
        let lines = names.flat_map(|name| self.lines(name));
        let texts = lines.map(|line| std::str::from_utf8(line.as_bytes()).map(Cow::Borrowed));
        let texts: Vec<_> =
            texts.collect::<Result<_, _>>().map_err(|_| Fault::NoText(format!("a line of {wanted}").into()))?;
        // HTTP/2 may split it, and it is sent as one (RFC 9113, 8.2.3).
        let is_split = wanted == header::COOKIE.as_str() && texts.len() > 1;
        Ok(if is_split { vec![Cow::Owned(texts.join("; "))] } else { texts })
    }

    fn names(&self) -> Result<Vec<Cow<'_, str>>, Fault> {
        let names: BTreeSet<_> = self.told().map(|name| name.as_str().replace('_', "-")).collect();
        Ok(names.into_iter().map(Cow::Owned).collect())
    }

    fn bytes_read(&self) -> usize {
        self.caller.headers.keys_len() * NAME_BYTES
    }
}
