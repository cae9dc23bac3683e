//! What an expression works with.

use std::borrow::Cow;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use crate::tree::Constant;

/// A value. What stands in the request or in the program is borrowed from there.
#[derive(Clone, Debug)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `bool`
    Bool(bool),
    /// `int`
    Int(i64),
    /// `uint`
    Uint(u64),
    /// `double`
    Double(f64),
    /// `string`
    Text(Cow<'a, str>),
    /// `bytes`
    Bytes(Cow<'a, [u8]>),
    /// `google.protobuf.Timestamp`
    Timestamp(Timestamp),
    /// `google.protobuf.Duration`
    Duration(SignedDuration),
    /// `list(T)`
    List(List<'a>),
    /// `map(K, V)`
    Map(Map<'a>),
    /// `optional_type(T)`
    Optional(Option<Rc<Value<'a>>>),
}

/// Items in their order.
#[derive(Clone, Debug)]
pub enum List<'a> {
    /// Made by an expression, or for one.
    Made(Rc<Vec<Value<'a>>>),
    /// As JSON has it.
    Json(&'a [Json]),
}

/// Values by their keys.
#[derive(Clone, Debug)]
pub enum Map<'a> {
    /// Made by an expression.
    Made(Rc<Vec<(Value<'a>, Value<'a>)>>),
    /// As JSON has it.
    Json(&'a serde_json::Map<String, Json>),
    /// Something that is looked up where it is.
    Table(&'a dyn Table),
}

/// Lists of texts by names, which are looked up where they are.
pub trait Table {
    /// The texts of this name; empty where it is not there.
    fn find(&self, name: &str) -> Vec<Cow<'_, str>>;

    /// The names, each once.
    fn names(&self) -> Vec<Cow<'_, str>>;

    /// Bytes that are read to find one.
    fn bytes_read(&self) -> usize;
}

impl std::fmt::Debug for dyn Table + '_ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Table")
    }
}

impl<'a> Value<'a> {
    /// A text.
    pub fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::Text(text.into())
    }

    /// A list.
    pub fn list(items: Vec<Self>) -> Self {
        Self::List(List::Made(Rc::new(items)))
    }

    /// Present or not.
    pub fn optional(value: Option<Self>) -> Self {
        Self::Optional(value.map(Rc::new))
    }

    /// The value of a JSON document: numbers are doubles, as in `google.protobuf.Value`.
    pub fn json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(one) => Self::Bool(*one),
            Json::Number(number) => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(items) => Self::List(List::Json(items)),
            Json::Object(members) => Self::Map(Map::Json(members)),
        }
    }

    /// Bytes that are copied with it.
    pub(crate) fn owned_bytes(&self) -> usize {
        match self {
            Self::Text(Cow::Owned(text)) => text.len(),
            Self::Bytes(Cow::Owned(bytes)) => bytes.len(),
            _ => 0,
        }
    }

    /// A literal.
    pub(crate) fn constant(constant: &'a Constant) -> Self {
        match constant {
            Constant::Null => Self::Null,
            Constant::Bool(one) => Self::Bool(*one),
            Constant::Int(number) => Self::Int(*number),
            Constant::Uint(number) => Self::Uint(*number),
            Constant::Double(number) => Self::Double(*number),
            Constant::Text(text) => Self::text(text.as_str()),
            Constant::Bytes(bytes) => Self::Bytes(bytes.as_slice().into()),
        }
    }
}

impl<'a> List<'a> {
    /// How many items there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Made(items) => items.len(),
            Self::Json(items) => items.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The item at this place, counted from 0.
    pub fn at(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::Made(items) => items.get(at).cloned(),
            Self::Json(items) => items.get(at).map(Value::json),
        }
    }

    /// All of them, in order.
    pub fn items(&self) -> impl Iterator<Item = Value<'a>> + '_ {
        (0..self.len()).filter_map(|at| self.at(at))
    }
}

impl<'a> Map<'a> {
    /// The keys, each once.
    pub fn keys(&self) -> Vec<Value<'a>> {
        match self {
            Self::Made(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Json(members) => members.keys().map(|name| Value::text(name.as_str())).collect(),
            Self::Table(table) => table.names().into_iter().map(Value::Text).collect(),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Made(entries) => entries.len(),
            Self::Json(members) => members.len(),
            Self::Table(table) => table.names().len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that are read to find something.
    pub(crate) fn bytes_read(&self) -> usize {
        match self {
            Self::Table(table) => table.bytes_read(),
            // Gone through, one after the other.
            Self::Made(entries) => entries.len() * crate::evaluate::BYTES_A_STEP,
            Self::Json(_) => 0,
        }
    }

    /// What stands there under a name.
    pub fn named(&self, name: &str) -> Option<Value<'a>> {
        match self {
            Self::Made(entries) => {
                let is_it = |key: &Value<'_>| matches!(key, Value::Text(text) if text == name);
                entries.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.clone())
            }
            Self::Json(members) => members.get(name).map(Value::json),
            Self::Table(table) => {
                let found = table.find(name);
                (!found.is_empty()).then(|| Value::list(found.into_iter().map(Value::Text).collect()))
            }
        }
    }
}
