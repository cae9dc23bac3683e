//! Parameters of the query.

use std::borrow::Cow;
use std::collections::BTreeSet;

use sallyport_expression::Fault;
use sallyport_expression::value::Table;

use crate::path::Query;
use crate::runtime::policy::Policy;

/// By their names, decoded; those in which credentials stand are not told.
pub(super) struct Parameters<'a> {
    pub(super) policy: &'a Policy,
    /// In force, where the other is only reported.
    pub(super) beside: Option<&'a Policy>,
    pub(super) query: Query<'a>,
}

impl Parameters<'_> {
    fn is_told(&self, name: &[u8]) -> bool {
        let policies = std::iter::once(self.policy).chain(self.beside);
        !policies.flat_map(Policy::key_parameters).any(|one| one.as_bytes() == name)
    }
}

impl Table for Parameters<'_> {
    fn find(&self, wanted: &str) -> Result<Vec<Cow<'_, str>>, Fault> {
        let values = self.query.decoded().filter(|(name, _)| **name == *wanted.as_bytes() && self.is_told(name));
        values
            .map(|(_, value)| text(value).ok_or_else(|| Fault::NoText(format!("a value of {wanted}").into())))
            .collect()
    }

    fn names(&self) -> Result<Vec<Cow<'_, str>>, Fault> {
        let names = self.query.decoded().map(|(name, _)| name).filter(|name| self.is_told(name));
        let names = names.map(|name| text(name).ok_or(Fault::NoText("the name of a parameter".into())));
        let names: BTreeSet<_> = names.collect::<Result<_, _>>()?;
        Ok(names.into_iter().collect())
    }

    fn bytes_read(&self) -> usize {
        self.query.0.map_or(0, str::len)
    }
}

fn text(bytes: Cow<'_, [u8]>) -> Option<Cow<'_, str>> {
    match bytes {
        Cow::Borrowed(bytes) => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
        Cow::Owned(bytes) => String::from_utf8(bytes).ok().map(Cow::Owned),
    }
}
