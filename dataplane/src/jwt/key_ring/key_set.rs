//! A JWK Set as it is written (RFC 7517), read in one pass: what is of no use here is never made a value of.
//!
//! An issuer's answer is small, and what a tree of values would make of it is not. So members that nobody asks for are read over,
//! whatever is in them, and reading stops at the first key that is too many.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{KeySetFault, MAX_KEYS};

/// The entries of the set in `json`.
pub(super) fn entries(json: &[u8]) -> Result<Vec<Entry>, KeySetFault> {
    let mut is_too_long = false;
    let mut json = serde_json::Deserializer::from_slice(json);
    let read = SetReader { is_too_long: &mut is_too_long }.deserialize(&mut json);
    match read.and_then(|entries| json.end().map(|()| entries)) {
        Ok(Some(entries)) => Ok(entries),
        Err(_) if is_too_long => Err(KeySetFault::TooMany),
        Ok(None) | Err(_) => Err(KeySetFault::Form),
    }
}

/// One entry of a set.
pub(super) enum Entry {
    Key(Members),
    /// It is no object.
    Other,
}

/// What of an entry is of use.
#[derive(Default)]
pub(super) struct Members {
    contents: BTreeMap<Name, Content>,
    /// Whether one of them stands twice.
    pub is_ambiguous: bool,
}

/// Members that are asked for (RFC 7517, 4; RFC 7518, 6; RFC 8037, 2), and `issuer`, by which Microsoft Entra ID says whom a key signs for.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, PartialOrd, Ord)]
#[serde(field_identifier, rename_all = "snake_case")]
pub(super) enum Name {
    Kty,
    Crv,
    Kid,
    Issuer,
    Use,
    Alg,
    KeyOps,
    N,
    E,
    X,
    Y,
    D,
    P,
    Q,
    Dp,
    Dq,
    Qi,
    Oth,
    #[serde(other)]
    Unknown,
}

/// As far as anybody has to know it.
pub(super) enum Content {
    Text(String),
    List {
        /// Whether it holds the text `verify`.
        verify: bool,
    },
    Other,
}

impl Members {
    pub(super) fn find(&self, name: Name) -> Option<&Content> {
        self.contents.get(&name)
    }

    /// The member, if it is a text.
    pub(super) fn text(&self, name: Name) -> Option<&str> {
        match self.find(name) {
            Some(Content::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// The methods of a visitor for what is neither text, list nor object: each gives `$other`.
macro_rules! scalars {
    ($other:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_u64<E>(self, _: u64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($other)
        }

        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($other)
        }
    };
}

/// Reads the object around the list of keys; `None` if it has no such list.
struct SetReader<'a> {
    is_too_long: &'a mut bool,
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "snake_case")]
enum SetMember {
    Keys,
    #[serde(other)]
    Unknown,
}

impl<'de> DeserializeSeed<'de> for SetReader<'_> {
    type Value = Option<Vec<Entry>>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for SetReader<'_> {
    type Value = Option<Vec<Entry>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with a list `keys`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut entries = None;
        while let Some(member) = members.next_key()? {
            match member {
                SetMember::Keys if entries.is_some() => return Err(A::Error::custom("a member stands twice")),
                SetMember::Keys => {
                    entries = Some(members.next_value_seed(ListReader { is_too_long: &mut *self.is_too_long })?);
                }
                SetMember::Unknown => drop(members.next_value::<IgnoredAny>()?),
            }
        }
        Ok(entries)
    }
}

/// Reads the list, as long as it is short enough.
struct ListReader<'a> {
    is_too_long: &'a mut bool,
}

impl<'de> DeserializeSeed<'de> for ListReader<'_> {
    type Value = Vec<Entry>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for ListReader<'_> {
    type Value = Vec<Entry>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of keys")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = items.next_element()? {
            if entries.len() == MAX_KEYS {
                *self.is_too_long = true;
                return Err(A::Error::custom("the list is too long"));
            }
            entries.push(entry);
        }
        Ok(entries)
    }
}

impl<'de> Deserialize<'de> for Entry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EntryReader)
    }
}

struct EntryReader;

impl<'de> Visitor<'de> for EntryReader {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    scalars!(Entry::Other);

    fn visit_str<E>(self, _: &str) -> Result<Entry, E> {
        Ok(Entry::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Entry, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Entry::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Entry, A::Error> {
        let mut read = Members::default();
        while let Some(name) = members.next_key()? {
            if name == Name::Unknown {
                members.next_value::<IgnoredAny>()?;
            } else {
                let content = members.next_value_seed(ContentReader::Member)?;
                read.is_ambiguous |= read.contents.insert(name, content).is_some();
            }
        }
        Ok(Entry::Key(read))
    }
}

/// Reads one member, or an item of a list that is one.
#[derive(Clone, Copy)]
enum ContentReader {
    Member,
    /// A list in it is no longer looked into.
    Item,
}

impl<'de> DeserializeSeed<'de> for ContentReader {
    type Value = Content;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Content, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContentReader {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a member of a key")
    }

    scalars!(Content::Other);

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content, A::Error> {
        let mut verify = false;
        match self {
            Self::Member => {
                while let Some(item) = items.next_element_seed(Self::Item)? {
                    verify |= matches!(item, Content::Text(text) if text == "verify");
                }
            }
            Self::Item => while items.next_element::<IgnoredAny>()?.is_some() {},
        }
        Ok(Content::List { verify })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Content, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Content::Other)
    }
}
