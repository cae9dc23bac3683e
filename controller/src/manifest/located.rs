//! YAML with the place of every field.

use std::collections::BTreeMap;

use saphyr::{LoadableYamlNode, MarkedYaml, Scalar, YamlData};
use serde_json::{Map, Value};

/// The largest file: an API server takes objects of 1.5 MB.
const MAX_FILE_BYTES: usize = 16 * 1024 * 1024;
/// Nesting beyond this is no manifest.
const MAX_DEPTH: usize = 64;

/// Line and column, both from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) line: usize,
    pub(super) column: usize,
}

/// One document, or one item of a list.
pub(super) struct Document {
    pub(super) value: Value,
    /// By field path.
    pub(super) places: BTreeMap<String, Place>,
    pub(super) start: Place,
}

/// The documents of a file, or where and why it is no YAML.
pub(super) fn documents(text: &str) -> Result<Vec<Document>, (Place, String)> {
    let at_start = Place { line: 1, column: 1 };
    if text.len() > MAX_FILE_BYTES {
        return Err((at_start, format!("the file is larger than {MAX_FILE_BYTES} bytes; split it")));
    }
    let nodes = MarkedYaml::load_from_str(text).map_err(|error| {
        let place = Place { line: error.marker().line(), column: error.marker().col() + 1 };
        (place, format!("this is no YAML: {}", error.info()))
    })?;
    nodes.iter().map(document).collect()
}

/// The items of a `kind: List`, or the document itself.
pub(super) fn items(document: Document) -> Vec<Document> {
    let is_list = document.value["kind"] == "List" && document.value["apiVersion"] == "v1";
    let Some(items) = document.value.get("items").and_then(Value::as_array).filter(|_| is_list) else {
        return vec![document];
    };
    let item = |(at, value): (usize, &Value)| {
        let prefix = format!("items[{at}]");
        let start = document.places.get(&prefix).copied().unwrap_or(document.start);
        let inside = document
            .places
            .iter()
            .filter_map(|(path, place)| Some((path.strip_prefix(&prefix)?.strip_prefix('.')?.to_owned(), *place)));
        Document { value: value.clone(), places: inside.collect(), start }
    };
    items.iter().enumerate().map(item).collect()
}

fn document(node: &MarkedYaml<'_>) -> Result<Document, (Place, String)> {
    let mut places = BTreeMap::new();
    let start = place(node);
    let value = convert(node, "", 0, &mut places)?;
    Ok(Document { value, places, start })
}

fn convert(
    node: &MarkedYaml<'_>,
    path: &str,
    depth: usize,
    places: &mut BTreeMap<String, Place>,
) -> Result<Value, (Place, String)> {
    let refuse = |message: &str| Err((place(node), message.to_owned()));
    if depth > MAX_DEPTH {
        return refuse("this nests too deeply");
    }
    places.entry(path.to_owned()).or_insert_with(|| place(node));
    match &node.data {
        YamlData::Value(scalar) => Ok(scalar_value(scalar)),
        YamlData::Sequence(items) => {
            let items =
                items.iter().enumerate().map(|(at, item)| convert(item, &format!("{path}[{at}]"), depth + 1, places));
            Ok(Value::Array(items.collect::<Result<_, _>>()?))
        }
        YamlData::Mapping(members) => {
            let mut object = Map::new();
            for (key, member) in members {
                let YamlData::Value(key_scalar) = &key.data else { return refuse("a key is no plain text") };
                let name = key_text(key_scalar);
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                places.insert(path.clone(), place(key));
                object.insert(name, convert(member, &path, depth + 1, places)?);
            }
            Ok(Value::Object(object))
        }
        YamlData::Tagged(_, inner) => convert(inner, path, depth + 1, places),
        YamlData::Representation(text, ..) => Ok(Value::from(text.as_ref())),
        YamlData::Alias(_) | YamlData::BadValue => refuse("this cannot be read; write the value out"),
    }
}

fn scalar_value(scalar: &Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => Value::from(*value),
        Scalar::Integer(value) => Value::from(*value),
        Scalar::FloatingPoint(value) => Value::from(value.into_inner()),
        Scalar::String(text) => Value::from(text.as_ref()),
    }
}

fn key_text(scalar: &Scalar<'_>) -> String {
    match scalar {
        Scalar::String(text) => text.to_string(),
        other => scalar_value(other).to_string(),
    }
}

fn place(node: &MarkedYaml<'_>) -> Place {
    Place { line: node.span.start.line(), column: node.span.start.col() + 1 }
}
