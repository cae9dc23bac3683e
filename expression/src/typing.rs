//! Types, as CEL names them.

use std::fmt;

use crate::declared::Object;

/// The type of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Type {
    /// Known only when it is evaluated: what JSON holds.
    Dyn,
    /// `null_type`
    Null,
    /// `bool`
    Bool,
    /// `int`, of 64 bits
    Int,
    /// `uint`, of 64 bits
    Uint,
    /// `double`
    Double,
    /// `string`
    Text,
    /// `bytes`
    Bytes,
    /// `google.protobuf.Timestamp`
    Timestamp,
    /// `google.protobuf.Duration`
    Duration,
    /// `list(T)`
    List(Box<Type>),
    /// `map(K, V)`
    Map(Box<Type>, Box<Type>),
    /// `optional_type(T)`
    Optional(Box<Type>),
    /// Something with fields, which is no value by itself.
    Object(Object),
    /// In the signature of a function: any type, the same wherever it stands.
    Any(u8),
}

impl Type {
    /// A list of `item`.
    pub fn list(item: Self) -> Self {
        Self::List(Box::new(item))
    }

    /// A map from text to `value`.
    pub fn table(value: Self) -> Self {
        Self::Map(Box::new(Self::Text), Box::new(value))
    }

    /// What may be absent.
    pub fn optional(of: Self) -> Self {
        Self::Optional(Box::new(of))
    }

    /// Whether a value of this type may be one of `other` as well.
    pub fn may_be(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Dyn | Self::Any(_), _) | (_, Self::Dyn | Self::Any(_)) => true,
            (Self::List(one), Self::List(other)) | (Self::Optional(one), Self::Optional(other)) => one.may_be(other),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                key.may_be(other_key) && value.may_be(other_value)
            }
            _ => self == other,
        }
    }

    /// What holds for values of either type.
    pub fn or(self, other: &Self) -> Self {
        match (self, other) {
            (one, other) if one == *other => one,
            (Self::Any(_), other) => other.clone(),
            (one, Self::Any(_)) => one,
            (Self::List(one), Self::List(other)) => Self::list(one.or(other)),
            (Self::Optional(one), Self::Optional(other)) => Self::optional(one.or(other)),
            (Self::Map(key, value), Self::Map(other_key, other_value)) => {
                Self::Map(Box::new(key.or(other_key)), Box::new(value.or(other_value)))
            }
            _ => Self::Dyn,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Dyn | Self::Any(_) => "dyn",
            Self::Null => "null",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Uint => "uint",
            Self::Double => "double",
            Self::Text => "string",
            Self::Bytes => "bytes",
            Self::Timestamp => "timestamp",
            Self::Duration => "duration",
            Self::List(item) => return write!(f, "list({item})"),
            Self::Map(key, value) => return write!(f, "map({key}, {value})"),
            Self::Optional(of) => return write!(f, "optional({of})"),
            Self::Object(object) => object.name(),
        };
        f.write_str(name)
    }
}
