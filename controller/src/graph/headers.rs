//! Headers that policies set and remove, on the way to the service and back.

use std::collections::BTreeMap;

use prost::Message as _;
use sallyport_api::policy::{RequestHeaders, ResponseHeaders, SetHeader};
use sallyport_expression::Budget;
use sallyport_expression::typing::Type;
use sallyport_snapshot::v1;

use super::authorization::{Author, expression};
use crate::problem::Problem;

/// What is set and removed. Names are in lower case.
#[derive(Clone, Default)]
pub struct HeaderChanges {
    pub set: BTreeMap<String, Set>,
    pub remove: Vec<String>,
}

/// What a header is set to.
#[derive(Clone)]
pub enum Set {
    Fixed(String),
    Computed(v1::ComputedHeader),
}

/// What a data plane is told of changes.
#[derive(Default)]
pub struct Told {
    pub edit: Option<v1::HeaderEdit>,
    pub computed: Vec<v1::ComputedHeader>,
}

/// Changes to the request.
pub fn of_request(author: Author<'_>, stated: &RequestHeaders) -> Result<HeaderChanges, Problem> {
    changes(author, &stated.set, &stated.remove, "spec.requestHeaders")
}

/// Changes to the response.
pub fn of_response(author: Author<'_>, stated: &ResponseHeaders) -> Result<HeaderChanges, Problem> {
    changes(author, &stated.set, &stated.remove, "spec.responseHeaders")
}

fn changes(author: Author<'_>, set: &[SetHeader], remove: &[String], field: &str) -> Result<HeaderChanges, Problem> {
    let mut budget = Budget::default();
    let set = set.iter().enumerate().map(|(at, header)| {
        let name = header.name.to_ascii_lowercase();
        let value = match &header.expression {
            None => Set::Fixed(header.value.clone().unwrap_or_default()),
            Some(text) => {
                let wanted = [Type::Text, Type::optional(Type::Text)];
                let value = expression(author, text, &wanted, &format!("{field}.set[{at}].expression"), &mut budget)?;
                let (object, is_floor) = (author.label.to_owned(), author.is_floor);
                Set::Computed(v1::ComputedHeader { name: name.clone(), value: Some(value), object, is_floor })
            }
        };
        Ok((name, value))
    });
    let remove = remove.iter().map(|name| name.to_ascii_lowercase()).collect();
    Ok(HeaderChanges { set: set.collect::<Result<_, _>>()?, remove })
}

impl HeaderChanges {
    /// How many bytes they take in a message.
    pub fn bytes(&self) -> usize {
        let set = self.set.iter().map(|(name, set)| match set {
            Set::Fixed(value) => name.len() + value.len(),
            Set::Computed(header) => header.encoded_len(),
        });
        set.chain(self.remove.iter().map(String::len)).sum()
    }

    /// As data planes are told them, each name once and in order.
    pub fn told(mut self) -> Told {
        self.remove.sort();
        self.remove.dedup();
        let mut told = Told::default();
        let mut set = Vec::new();
        for (name, value) in self.set {
            match value {
                Set::Fixed(value) => set.push(v1::Header { name, value }),
                Set::Computed(header) => told.computed.push(header),
            }
        }
        if !set.is_empty() || !self.remove.is_empty() {
            told.edit = Some(v1::HeaderEdit { set, add: vec![], remove: self.remove });
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUTHOR: Author<'_> = Author { label: "ApiPolicy shop/orders", is_floor: false, authenticates: false };

    fn stated(set: &[(&str, Option<&str>, Option<&str>)]) -> RequestHeaders {
        let header = |(name, value, expression): &(&str, Option<&str>, Option<&str>)| SetHeader {
            name: (*name).to_owned(),
            value: value.map(str::to_owned),
            expression: expression.map(str::to_owned),
        };
        RequestHeaders { set: set.iter().map(header).collect(), remove: vec!["X-B".into(), "x-a".into(), "x-b".into()] }
    }

    #[test]
    fn what_is_fixed_and_what_is_computed_are_told_apart() {
        let changes = stated(&[("X-User", None, Some("auth.identity")), ("X-Edge", Some("public"), None)]);
        let told = of_request(AUTHOR, &changes).unwrap().told();
        let edit = told.edit.unwrap();
        assert_eq!(edit.set, [v1::Header { name: "x-edge".into(), value: "public".into() }]);
        assert_eq!(edit.remove, ["x-a", "x-b"]);
        let [computed] = told.computed.try_into().unwrap();
        assert_eq!(
            (computed.name.as_str(), computed.object.as_str(), computed.is_floor),
            ("x-user", AUTHOR.label, false)
        );
    }

    #[test]
    fn an_expression_that_gives_no_text_is_refused_where_it_stands() {
        for (expression, message) in [
            ("auth.jwt.scopes", "it gives list(string), and has to give string or optional(string)"),
            ("size(request.path)", "it gives int"),
            ("auth.user", "auth has no field user"),
            ("", "it is no expression"),
        ] {
            let stated = stated(&[("X-Edge", Some("a"), None), ("X-User", None, Some(expression))]);
            let problem = of_request(AUTHOR, &stated).err().unwrap();
            assert_eq!(problem.field, "spec.requestHeaders.set[1].expression");
            assert!(problem.message.contains(message), "{}", problem.message);
        }
        let floor = Author { is_floor: true, ..AUTHOR };
        assert!(of_request(floor, &stated(&[("X-User", None, Some("auth.identity"))])).is_err(), "it knows nobody");
    }
}
