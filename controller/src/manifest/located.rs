//! YAML with the place of every field.

mod places;
mod tree;

use saphyr_parser::{Parser, StrInput};
use serde_json::Value;

use crate::cluster::ObjectKind;

pub(super) use places::{Place, Places};
use tree::Tree;

/// The largest file: an API server takes objects of 1.5 MB.
pub(super) const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;

/// One document, or one item of a list.
pub(super) struct Document {
    pub(super) value: Value,
    pub(super) places: Places,
    pub(super) start: Place,
}

/// Where and why a file is no YAML, or none that could be a manifest.
pub(super) struct Refusal {
    pub(super) place: Place,
    pub(super) message: String,
}

/// The documents of a file one by one, so that no more than one is held; after a refusal there are no more.
pub(super) struct Documents<'text> {
    parser: Option<Parser<'text, StrInput<'text>>>,
    tree: Tree,
    too_large: bool,
}

pub(super) fn documents(text: &str) -> Documents<'_> {
    // Editors of some systems begin a file with a byte order mark; it says nothing about UTF-8.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let too_large = text.len() > MAX_FILE_BYTES;
    Documents { parser: Some(Parser::new_from_str(text)), tree: Tree::default(), too_large }
}

impl Iterator for Documents<'_> {
    type Item = Result<Document, Refusal>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.read();
        if !matches!(read, Some(Ok(_))) {
            self.parser = None;
        }
        read
    }
}

impl Documents<'_> {
    fn read(&mut self) -> Option<Result<Document, Refusal>> {
        let parser = self.parser.as_mut()?;
        if self.too_large {
            let message = format!("the file is larger than {MAX_FILE_BYTES} bytes; split it");
            return Some(Err(Refusal { place: Place { line: 1, column: 1 }, message }));
        }
        // The parser is asked for one event at a time: by itself it would call itself once for each level of nesting.
        while let Some(event) = parser.next_event() {
            let heard = match event {
                Ok((event, span)) => self.tree.hear(event, place(span.start)),
                Err(error) => {
                    let message = format!("this is no YAML: {}", error.info());
                    return Some(Err(Refusal { place: place(*error.marker()), message }));
                }
            };
            match heard {
                Ok(None) => {}
                Ok(Some(document)) => return Some(Ok(document)),
                Err(refusal) => return Some(Err(refusal)),
            }
        }
        None
    }
}

/// The items of a list, be it `kind: List` or the list of a kind that is read; or the document itself. Others may well call a kind of
/// theirs `AllowList`.
pub(super) fn items(mut document: Document) -> Result<Vec<Document>, Refusal> {
    let text = |field: &str| document.value[field].as_str().unwrap_or_default().to_owned();
    let (version, kind) = (text("apiVersion"), text("kind"));
    let is_list = |of: &&str| if of.is_empty() { version == "v1" } else { ObjectKind::find(&version, of).is_some() };
    let Some(item_kind) = kind.strip_suffix("List").filter(is_list) else { return Ok(vec![document]) };
    let Value::Array(items) = document.value["items"].take() else {
        let place = document.places.of_member("items").or(document.places.of_member("kind")).unwrap_or(document.start);
        let message = format!("{kind} has no list `items`; a list without objects says `items: []`");
        return Err(Refusal { place, message });
    };
    let around = document.places.of_member("items").unwrap_or(document.start);
    let mut places = document.places.of_entries("items");
    let mut found = Vec::new();
    for mut value in items {
        // Items of a list of one kind need not repeat what the list says.
        if !item_kind.is_empty() && value.is_object() && value["kind"].is_null() && value["apiVersion"].is_null() {
            value["apiVersion"] = version.clone().into();
            value["kind"] = item_kind.into();
        }
        // What an alias stands for has no places.
        let places = places.next().unwrap_or_default();
        let start = places.nearest("").unwrap_or(around);
        found.extend(self::items(Document { value, places, start })?);
    }
    Ok(found)
}

fn place(marker: saphyr_parser::Marker) -> Place {
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Place { line: count(marker.line()), column: count(marker.col() + 1) }
}
