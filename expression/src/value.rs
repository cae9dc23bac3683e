//! What an expression works with.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value as Json;

use crate::evaluate::{BYTES_A_STEP, Steps};
use crate::fault::Fault;
use crate::tree::Constant;

/// All whole numbers up to it are doubles.
const MAX_EXACT: u64 = 1 << 53;

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
    Text(Text<'a>),
    /// `bytes`
    Bytes(Bytes<'a>),
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

/// What is borrowed, or was made once and is shared: a copy of a value copies no bytes.
pub enum Shared<'a, T: ?Sized> {
    /// It stands in the request, or in the program.
    Borrowed(&'a T),
    /// An expression has made it.
    Made(Rc<T>),
}

/// A text.
pub type Text<'a> = Shared<'a, str>;
/// Bytes.
pub type Bytes<'a> = Shared<'a, [u8]>;

impl<T: ?Sized> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Borrowed(one) => Self::Borrowed(one),
            Self::Made(one) => Self::Made(Rc::clone(one)),
        }
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Shared<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized> Deref for Shared<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Borrowed(one) => one,
            Self::Made(one) => one,
        }
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self::Borrowed(text)
    }
}

impl From<String> for Text<'_> {
    fn from(text: String) -> Self {
        Self::Made(text.into())
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::Borrowed(text),
            Cow::Owned(text) => text.into(),
        }
    }
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
    ///
    /// # Errors
    ///
    /// Where what is there is no text: whoever asks for it is told neither that it is there nor that it is not.
    fn find(&self, name: &str) -> Result<Vec<Cow<'_, str>>, Fault>;

    /// The names, each once.
    ///
    /// # Errors
    ///
    /// Where one is no text.
    fn names(&self) -> Result<Vec<Cow<'_, str>>, Fault>;

    /// Bytes that are read to find one, or all.
    fn bytes_read(&self) -> usize;
}

impl fmt::Debug for dyn Table + '_ {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

impl<'a> Value<'a> {
    /// A text.
    pub fn text(text: impl Into<Text<'a>>) -> Self {
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

    /// The value of a JSON document: numbers are doubles, as in `google.protobuf.Value`; a whole one that no double holds exactly is an
    /// `int` or a `uint`, so that no two ids are taken for one.
    pub fn json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(one) => Self::Bool(*one),
            Json::Number(number) => Self::number(number),
            Json::String(text) => Self::text(text.as_str()),
            Json::Array(items) => Self::List(List::Json(items)),
            Json::Object(members) => Self::Map(Map::Json(members)),
        }
    }

    fn number(number: &serde_json::Number) -> Self {
        match (number.as_i64(), number.as_u64()) {
            (Some(whole), _) if whole.unsigned_abs() > MAX_EXACT => Self::Int(whole),
            (None, Some(whole)) => Self::Uint(whole),
            _ => Self::Double(number.as_f64().unwrap_or(f64::NAN)),
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
            Constant::Bytes(bytes) => Self::Bytes(Bytes::Borrowed(bytes)),
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
    pub(crate) fn keys(&self, steps: &mut Steps) -> Result<Vec<Value<'a>>, Fault> {
        steps.spend_bytes(self.bytes_read())?;
        let keys: Vec<_> = match self {
            Self::Made(entries) => entries.iter().map(|(key, _)| key.clone()).collect(),
            Self::Json(members) => members.keys().map(|name| Value::text(name.as_str())).collect(),
            Self::Table(table) => table.names()?.into_iter().map(Value::text).collect(),
        };
        steps.spend(keys.len())?;
        Ok(keys)
    }

    /// How many there are.
    pub(crate) fn len(&self, steps: &mut Steps) -> Result<usize, Fault> {
        match self {
            Self::Made(entries) => Ok(entries.len()),
            Self::Json(members) => Ok(members.len()),
            Self::Table(table) => {
                steps.spend_bytes(table.bytes_read())?;
                Ok(table.names()?.len())
            }
        }
    }

    /// Bytes that are read to find something, or all.
    fn bytes_read(&self) -> usize {
        match self {
            Self::Table(table) => table.bytes_read(),
            // Gone through, one after the other.
            Self::Made(entries) => entries.len() * BYTES_A_STEP,
            Self::Json(_) => 0,
        }
    }

    /// What stands there under a name.
    pub(crate) fn named(&self, name: &str, steps: &mut Steps) -> Result<Option<Value<'a>>, Fault> {
        steps.spend_bytes(name.len() + self.bytes_read())?;
        match self {
            Self::Made(entries) => {
                let is_it = |key: &Value<'_>| matches!(key, Value::Text(text) if **text == *name);
                Ok(entries.iter().find(|(key, _)| is_it(key)).map(|(_, value)| value.clone()))
            }
            Self::Json(members) => Ok(members.get(name).map(Value::json)),
            Self::Table(table) => {
                let found = table.find(name)?;
                steps.spend(found.len())?;
                steps.spend_bytes(found.iter().map(|one| one.len()).sum())?;
                Ok((!found.is_empty()).then(|| Value::list(found.into_iter().map(Value::text).collect())))
            }
        }
    }
}
