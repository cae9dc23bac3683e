//! A document as it grows out of the parser's events. Nothing here calls itself for a level of nesting before it has been counted.

use std::borrow::Cow;
use std::collections::BTreeMap;

use saphyr::Scalar;
use saphyr_parser::{Event, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::{Document, MAX_FILE_BYTES, Place, Places, Refusal};

/// Nesting beyond this is no manifest.
const MAX_DEPTH: usize = 64;
/// What anchors and aliases may add to a file: as much as the largest file holds.
const MAX_COPIED_BYTES: usize = MAX_FILE_BYTES;
/// What a node takes besides its text.
const NODE_BYTES: usize = 64;

/// The document that is being read.
#[derive(Default)]
pub(super) struct Tree {
    open: Vec<Open>,
    /// The field that is being read.
    path: String,
    places: Places,
    start: Option<Place>,
    root: Option<Value>,
    anchors: BTreeMap<usize, Anchored>,
    copied_bytes: usize,
}

/// A list or an object that has not ended.
struct Open {
    node: Node,
    anchor: usize,
    /// How long the path is outside it.
    outside: usize,
}

enum Node {
    Sequence(Vec<Value>),
    Mapping { members: Map<String, Value>, key: Option<Key>, merged: Vec<Value> },
}

enum Key {
    Named(String),
    /// `<<`: members that the object does not state itself.
    Merge,
}

/// What an alias stands for.
struct Anchored {
    value: Value,
    bytes: usize,
    depth: usize,
}

impl Tree {
    /// Takes an event in; the document if it is whole now.
    pub(super) fn hear(&mut self, event: Event<'_>, place: Place) -> Result<Option<Document>, Refusal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => self.scalar(text, style, anchor, tag, place)?,
            Event::SequenceStart(anchor, _) => self.begin(Node::Sequence(Vec::new()), anchor, place)?,
            Event::MappingStart(anchor, _) => {
                self.begin(Node::Mapping { members: Map::new(), key: None, merged: Vec::new() }, anchor, place)?
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(place)?,
            Event::Alias(anchor) => self.alias(anchor, place)?,
            Event::DocumentEnd => return Ok(Some(self.document(place))),
            Event::DocumentStart(_) | Event::StreamStart | Event::StreamEnd | Event::Nothing => {}
        }
        Ok(None)
    }

    fn document(&mut self, place: Place) -> Document {
        self.anchors.clear();
        Document {
            value: self.root.take().unwrap_or_default(),
            places: std::mem::take(&mut self.places),
            start: self.start.take().unwrap_or(place),
        }
    }

    fn scalar(
        &mut self,
        text: Cow<'_, str>,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        place: Place,
    ) -> Result<(), Refusal> {
        let is_merge = style == ScalarStyle::Plain && text == "<<";
        let value = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref()).and_then(json);
        let value = value.ok_or_else(|| refusal(place, "this cannot be read; write the value as text in quotes"))?;
        if self.awaits_key() {
            return self.key(if is_merge { Key::Merge } else { Key::Named(key_text(value)) }, place);
        }
        let outside = self.step_in(place);
        self.close(value, anchor, outside, place)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { node: Node::Mapping { key: None, .. }, .. }))
    }

    fn key(&mut self, name: Key, place: Place) -> Result<(), Refusal> {
        let Some(Open { node: Node::Mapping { members, key, merged }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        let text = key_path(&name);
        let is_second = match &name {
            Key::Named(name) => members.contains_key(name),
            Key::Merge => !merged.is_empty(),
        };
        if is_second {
            return Err(refusal(place, &format!("duplicated key {text:?} in mapping; remove one of the two")));
        }
        let dot = if self.path.is_empty() { "" } else { "." };
        self.places.insert(format!("{}{dot}{text}", self.path), place);
        *key = Some(name);
        Ok(())
    }

    /// Goes to the field of the node that begins; how long the path was before.
    fn step_in(&mut self, place: Place) -> usize {
        let outside = self.path.len();
        match self.open.last() {
            Some(Open { node: Node::Sequence(items), .. }) => self.path += &format!("[{}]", items.len()),
            Some(Open { node: Node::Mapping { key: Some(key), .. }, .. }) => {
                if outside > 0 {
                    self.path.push('.');
                }
                self.path += key_path(key);
            }
            Some(Open { node: Node::Mapping { key: None, .. }, .. }) | None => {}
        }
        self.start.get_or_insert(place);
        // A member stands where its name stands.
        if !self.places.contains_key(&self.path) {
            self.places.insert(self.path.clone(), place);
        }
        outside
    }

    fn begin(&mut self, node: Node, anchor: usize, place: Place) -> Result<(), Refusal> {
        if self.awaits_key() {
            return Err(refusal(place, "a key is no plain text"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(refusal(place, &format!("this nests deeper than {MAX_DEPTH} levels; no manifest does")));
        }
        let outside = self.step_in(place);
        self.open.push(Open { node, anchor, outside });
        Ok(())
    }

    fn end(&mut self, place: Place) -> Result<(), Refusal> {
        let Some(Open { node, anchor, outside }) = self.open.pop() else { return Ok(()) };
        let value = match node {
            Node::Sequence(items) => Value::Array(items),
            Node::Mapping { mut members, merged, .. } => {
                for (name, value) in merged.into_iter().flat_map(members_of) {
                    members.entry(name).or_insert(value);
                }
                Value::Object(members)
            }
        };
        self.close(value, anchor, outside, place)
    }

    /// Hands a whole node to the one around it.
    fn close(&mut self, value: Value, anchor: usize, outside: usize, place: Place) -> Result<(), Refusal> {
        // Zero where there is no anchor.
        if anchor > 0 {
            let (bytes, depth) = (bytes(&value), depth(&value));
            self.copy(bytes, place)?;
            self.anchors.insert(anchor, Anchored { value: value.clone(), bytes, depth });
        }
        self.path.truncate(outside);
        match self.open.last_mut().map(|open| &mut open.node) {
            Some(Node::Sequence(items)) => items.push(value),
            Some(Node::Mapping { members, key, merged }) => match key.take() {
                Some(Key::Named(name)) => drop(members.insert(name, value)),
                Some(Key::Merge) => *merged = mergeable(value, place)?,
                None => {}
            },
            None => self.root = Some(value),
        }
        Ok(())
    }

    fn alias(&mut self, anchor: usize, place: Place) -> Result<(), Refusal> {
        if self.awaits_key() {
            return Err(refusal(place, "a key is no plain text"));
        }
        let Some(anchored) = self.anchors.get(&anchor) else {
            return Err(refusal(place, "this refers to nothing that is whole before it; write the value out"));
        };
        if self.open.len() + anchored.depth > MAX_DEPTH {
            return Err(refusal(place, &format!("this nests deeper than {MAX_DEPTH} levels; no manifest does")));
        }
        let (value, bytes) = (anchored.value.clone(), anchored.bytes);
        self.copy(bytes, place)?;
        let outside = self.step_in(place);
        self.close(value, 0, outside, place)
    }

    fn copy(&mut self, bytes: usize, place: Place) -> Result<(), Refusal> {
        self.copied_bytes = self.copied_bytes.saturating_add(bytes);
        if self.copied_bytes > MAX_COPIED_BYTES {
            return Err(refusal(place, &format!("aliases add more than {MAX_COPIED_BYTES} bytes; write values out")));
        }
        Ok(())
    }
}

fn refusal(place: Place, message: &str) -> Refusal {
    Refusal { place, message: message.to_owned() }
}

fn key_path(key: &Key) -> &str {
    match key {
        Key::Named(name) => name,
        Key::Merge => "<<",
    }
}

/// `None` for numbers that JSON cannot hold.
fn json(scalar: Scalar<'_>) -> Option<Value> {
    Some(match scalar {
        Scalar::Null => Value::Null,
        Scalar::Boolean(value) => value.into(),
        Scalar::Integer(value) => value.into(),
        Scalar::FloatingPoint(value) => serde_json::Number::from_f64(value.into_inner())?.into(),
        Scalar::String(text) => text.into_owned().into(),
    })
}

fn key_text(key: Value) -> String {
    match key {
        Value::String(text) => text,
        other => other.to_string(),
    }
}

/// The objects behind `<<`; where two state a member, the first stands.
fn mergeable(value: Value, place: Place) -> Result<Vec<Value>, Refusal> {
    let objects = match value {
        Value::Array(items) => items,
        other => vec![other],
    };
    if objects.is_empty() || !objects.iter().all(Value::is_object) {
        return Err(refusal(place, "<< takes an object, or a list of objects"));
    }
    Ok(objects)
}

fn members_of(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn bytes(value: &Value) -> usize {
    let inside = match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(bytes).sum(),
        Value::Object(members) => members.iter().map(|(name, member)| name.len() + bytes(member)).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    };
    NODE_BYTES + inside
}

fn depth(value: &Value) -> usize {
    let inside = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => None,
    };
    match value {
        Value::Array(_) | Value::Object(_) => 1 + inside.unwrap_or_default(),
        _ => 0,
    }
}
