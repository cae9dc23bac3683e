//! A document as it grows out of the parser's events. Nothing here calls itself for a level of nesting before it has been counted.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use saphyr::Scalar;
use saphyr_parser::{Event, ScalarStyle, Tag};
use serde_json::{Map, Value};

use super::places::Growing;
use super::{Document, MAX_FILE_BYTES, Place, Refusal};

/// Nesting beyond this is no manifest.
const MAX_DEPTH: usize = 64;
/// What anchors and aliases may add to a file: as much as the largest file holds.
const MAX_COPIED_BYTES: usize = MAX_FILE_BYTES;
/// The fields and entries of one document: a list of 100,000 objects has fewer.
const MAX_NODES: usize = 2_000_000;
/// The longest key: names are much shorter, and YAML takes no longer ones outside of braces.
const MAX_KEY_BYTES: usize = 1024;
/// What a node takes besides its text.
const NODE_BYTES: usize = 64;

/// The document that is being read.
#[derive(Default)]
pub(super) struct Tree {
    open: Vec<Open>,
    places: Growing,
    /// Names of fields: few are used many times.
    names: BTreeSet<Arc<str>>,
    start: Option<Place>,
    root: Option<Value>,
    anchors: BTreeMap<usize, Anchored>,
    copied_bytes: usize,
}

/// A list or an object that has not ended.
struct Open {
    node: Node,
    anchor: usize,
    /// Where it is among the places.
    at: usize,
}

enum Node {
    Sequence(Vec<Value>),
    Mapping { members: Map<String, Value>, key: Option<(Key, Place)>, merged: Vec<Value> },
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
            places: std::mem::take(&mut self.places).grown(),
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
        if style == ScalarStyle::Plain && tag.is_none() && is_octal_for_others(&text) {
            let message = "kubectl reads digits behind a 0 in base 8; leave the 0 out, or write a text in quotes";
            return Err(refusal(place, message));
        }
        let value = Scalar::parse_from_cow_and_metadata(text, style, tag.as_ref()).and_then(json);
        let value = value.ok_or_else(|| refusal(place, "this cannot be read; write the value as text in quotes"))?;
        if self.awaits_key() {
            return self.key(if is_merge { Key::Merge } else { Key::Named(text_of(value)) }, place);
        }
        let at = self.step_in(place)?;
        self.close(value, anchor, at, place)
    }

    fn awaits_key(&self) -> bool {
        matches!(self.open.last(), Some(Open { node: Node::Mapping { key: None, .. }, .. }))
    }

    fn key(&mut self, name: Key, place: Place) -> Result<(), Refusal> {
        let Some(Open { node: Node::Mapping { members, key, merged }, .. }) = self.open.last_mut() else {
            return Ok(());
        };
        let text = key_text(&name);
        if text.len() > MAX_KEY_BYTES {
            return Err(refusal(place, &format!("a key is longer than {MAX_KEY_BYTES} bytes; no name is")));
        }
        let is_second = match &name {
            Key::Named(name) => members.contains_key(name),
            Key::Merge => !merged.is_empty(),
        };
        if is_second {
            return Err(refusal(place, &format!("duplicated key {text:?} in mapping; remove one of the two")));
        }
        *key = Some((name, place));
        Ok(())
    }

    /// Goes to the node that begins; where it is among the places.
    fn step_in(&mut self, place: Place) -> Result<usize, Refusal> {
        if self.places.len() >= MAX_NODES {
            return Err(refusal(place, &format!("this is more than {MAX_NODES} fields and entries; split it")));
        }
        self.start.get_or_insert(place);
        // A member stands where its name stands.
        let Some(Open { node: Node::Mapping { key: Some((key, place)), .. }, .. }) = self.open.last() else {
            return Ok(self.places.open(None, place));
        };
        let name = match self.names.get(key_text(key)) {
            Some(name) => Arc::clone(name),
            None => Arc::from(key_text(key)),
        };
        self.names.insert(Arc::clone(&name));
        Ok(self.places.open(Some(name), *place))
    }

    fn begin(&mut self, node: Node, anchor: usize, place: Place) -> Result<(), Refusal> {
        if self.awaits_key() {
            return Err(refusal(place, "a key is no plain text"));
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(refusal(place, &format!("this nests deeper than {MAX_DEPTH} levels; no manifest does")));
        }
        let at = self.step_in(place)?;
        self.open.push(Open { node, anchor, at });
        Ok(())
    }

    fn end(&mut self, place: Place) -> Result<(), Refusal> {
        let Some(Open { node, anchor, at }) = self.open.pop() else { return Ok(()) };
        let value = match node {
            Node::Sequence(items) => Value::Array(items),
            Node::Mapping { mut members, merged, .. } => {
                for (name, value) in merged.into_iter().flat_map(members_of) {
                    members.entry(name).or_insert(value);
                }
                Value::Object(members)
            }
        };
        self.close(value, anchor, at, place)
    }

    /// Hands a whole node to the one around it.
    fn close(&mut self, value: Value, anchor: usize, at: usize, place: Place) -> Result<(), Refusal> {
        // Zero where there is no anchor.
        if anchor > 0 {
            let (bytes, depth) = (bytes(&value), depth(&value));
            self.copy(bytes, place)?;
            self.anchors.insert(anchor, Anchored { value: value.clone(), bytes, depth });
        }
        self.places.close(at);
        match self.open.last_mut().map(|open| &mut open.node) {
            Some(Node::Sequence(items)) => items.push(value),
            Some(Node::Mapping { members, key, merged }) => match key.take().map(|(key, _)| key) {
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
        let at = self.step_in(place)?;
        self.close(value, 0, at, place)
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

fn key_text(key: &Key) -> &str {
    match key {
        Key::Named(name) => name,
        Key::Merge => "<<",
    }
}

/// Whether it is a number of base 8 by YAML 1.1, as kubectl reads it, and one of base 10 by YAML 1.2.
fn is_octal_for_others(text: &str) -> bool {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|byte| byte.is_ascii_digit())
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

fn text_of(scalar: Value) -> String {
    match scalar {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_has_no_more_nodes_than_are_held() {
        let mut tree = Tree::default();
        let hear = |tree: &mut Tree| tree.hear(Event::SequenceStart(0, None), Place::default());
        assert!(hear(&mut tree).is_ok());
        for _ in 2..MAX_NODES {
            tree.places.open(None, Place::default());
        }
        assert!(hear(&mut tree).is_ok());
        let Err(refusal) = hear(&mut tree) else { panic!("one more is taken") };
        assert_eq!(refusal.message, "this is more than 2000000 fields and entries; split it");
    }
}
