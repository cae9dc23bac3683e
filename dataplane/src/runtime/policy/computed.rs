//! Headers whose values expressions give.

use std::collections::BTreeMap;
use std::sync::Arc;

use http::header::HeaderName;
use sallyport_expression::typing::Type;
use sallyport_expression::{Budget, Program, check, wire};
use sallyport_snapshot::v1;

/// One of them.
pub struct ComputedHeader {
    pub name: HeaderName,
    /// The policy that says so.
    pub object: Arc<str>,
    /// It knows the caller by what its own object has found.
    pub is_floor: bool,
    /// Gives a text, or an optional one.
    pub value: Program,
}

impl ComputedHeader {
    /// All of a section, of whichever policies they are.
    pub(super) fn all(headers: &[v1::ComputedHeader], section: &str) -> Result<Vec<Self>, String> {
        let mut budgets = BTreeMap::<&str, Budget>::new();
        let mut all = Vec::with_capacity(headers.len());
        for header in headers {
            let built = Self::build(header, budgets.entry(&header.object).or_default());
            all.push(built.map_err(|why| format!("{} {section}.set[{}]: {why}", header.object, header.name))?);
        }
        Ok(all)
    }

    fn build(header: &v1::ComputedHeader, budget: &mut Budget) -> Result<Self, String> {
        let name = HeaderName::try_from(&header.name).map_err(|_| "no name of a header".to_owned())?;
        let stated = header.value.as_ref().ok_or_else(|| "it has no value".to_owned())?;
        let tree = wire::from_wire(stated).map_err(|why| why.to_string())?;
        let value = check(&tree, &[Type::Text, Type::optional(Type::Text)], budget).map_err(|why| why.to_string())?;
        Ok(Self { name, object: header.object.as_str().into(), is_floor: header.is_floor, value })
    }
}
