//! What is set on headers, and removed from them.

use http::header::{HeaderMap, HeaderName, HeaderValue};
use sallyport_snapshot::v1;
use smallvec::SmallVec;

use super::computed::ComputedHeader;

/// Prepared header changes.
#[derive(Default)]
pub struct HeaderChanges {
    pub set: Vec<(HeaderName, HeaderValue)>,
    pub computed: Vec<ComputedHeader>,
    pub remove: Vec<HeaderName>,
}

impl HeaderChanges {
    pub(super) fn build(
        (edit, computed): (Option<&v1::HeaderEdit>, &[v1::ComputedHeader]),
        section: &'static str,
    ) -> Result<Self, String> {
        let name = |name: &String| HeaderName::try_from(name).map_err(|_| format!("{section}: name {name:?}"));
        let set = |header: &v1::Header| {
            let value = HeaderValue::from_str(&header.value);
            Ok((name(&header.name)?, value.map_err(|_| format!("{section}.set[{}]: value", header.name))?))
        };
        Ok(Self {
            set: edit.into_iter().flat_map(|edit| &edit.set).map(set).collect::<Result<_, String>>()?,
            computed: ComputedHeader::all(computed, section)?,
            remove: edit.into_iter().flat_map(|edit| &edit.remove).map(name).collect::<Result<_, _>>()?,
        })
    }

    /// All that are set, whatever comes of it.
    pub fn names(&self) -> impl Iterator<Item = &HeaderName> + Clone {
        self.set.iter().map(|(name, _)| name).chain(self.computed.iter().map(|header| &header.name))
    }

    /// Changes `headers`, with what was computed.
    pub fn apply(&self, headers: &mut HeaderMap, computed: Computed) {
        for name in self.remove.iter().chain(self.computed.iter().map(|header| &header.name)) {
            headers.remove(name);
        }
        for (name, value) in &self.set {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in computed {
            headers.insert(name, value);
        }
    }
}

/// Headers that expressions have given values.
pub type Computed = SmallVec<[(HeaderName, HeaderValue); 1]>;
