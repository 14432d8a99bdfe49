//! Reads the tree with serde, and reports every error at its location.
//!
//! serde stops at the first error. The invalid part is therefore reported and left out, and the type is read again until there are no more
//! errors: this finds each error once. The error type keeps serde's errors in structured form, through the functions of
//! [`serde::de::Error`], without the value; [`words`] creates the messages from the schema.

use std::cell::RefCell;
use std::collections::BTreeSet;

use bridgehead_sdk::nearest;
use serde::de::value::StrDeserializer;
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Value as Json;

use super::error::Diagnostics;
use super::keys::{Keys, Kind, unknown};
use super::origin::Origin;
use super::tree::{Entry, SourcedValue, Value, join};
use super::words;

/// The maximum number of errors that are reported together. Each requires another pass; more of them probably mean that it is the wrong
/// file.
pub(super) const MOST: usize = 500;

/// Reads parts of one tree.
pub(super) struct Reader<'a> {
    pub(super) problems: &'a Diagnostics,
    /// The keys that were reported, and the tables that cannot be read without them: all are left out.
    refused: RefCell<BTreeSet<String>>,
}

/// A location in the tree.
#[derive(Clone)]
pub(super) struct Place<'a> {
    pub(super) reader: &'a Reader<'a>,
    pub(super) node: &'a SourcedValue,
    /// Its schema, if it has one.
    pub(super) keys: Option<Keys<'a>>,
    pub(super) path: String,
    /// The location of errors about missing keys.
    pub(super) home: &'a Origin,
    /// A valid value.
    example: Option<&'a Json>,
}

/// What is wrong with a value. None of the variants contains the value: it may be a secret.
#[derive(Debug)]
pub(super) enum Fault {
    /// It has a different type from the schema's, or is out of bounds.
    Unfit,
    /// It is not one of the allowed strings.
    UnknownWord { what: &'static str, near: Option<&'static str>, known: &'static [&'static str] },
    /// The key is unknown.
    UnknownKey { known: &'static [&'static str] },
    /// A key of the table is missing.
    Missing { name: &'static str },
    /// A message from the type that was to be read.
    Said(String),
    /// It was already reported and is now left out: the path of the key or table.
    Reported(String),
}

impl<'a> Reader<'a> {
    pub(super) fn new(problems: &'a Diagnostics) -> Self {
        Self { problems, refused: RefCell::default() }
    }

    pub(super) fn root(&'a self, node: &'a SourcedValue, keys: Keys<'a>) -> Place<'a> {
        Place { reader: self, node, keys: Some(keys), path: String::new(), home: &node.origin, example: None }
    }

    fn is_refused(&self, path: &str) -> bool {
        self.refused.borrow().contains(path)
    }

    fn report(&self, at: &Origin, path: &str, problem: String) {
        self.problems.report(at, path, problem);
        self.refused.borrow_mut().insert(path.to_owned());
    }
}

impl<'a> Place<'a> {
    /// Reads a type; `None` if it cannot be read because of an error. All errors are reported.
    pub(super) fn read<T: DeserializeOwned>(&self) -> Option<T> {
        if self.reader.is_refused(&self.path) {
            return None;
        }
        // Each pass leaves out one more key than the previous one.
        let mut left_out = BTreeSet::new();
        loop {
            let path = match T::deserialize(self.clone()) {
                Ok(value) => return Some(value),
                Err(fault) => self.settle(fault),
            };
            if path == self.path || !left_out.insert(path) || left_out.len() == MOST {
                return None;
            }
        }
    }

    /// The location of a key in this table, if it exists.
    pub(super) fn below(&self, name: &str) -> Option<Self> {
        let (name, entry) = self.node.as_table()?.get_key_value(name)?;
        Some(self.entry(name, entry))
    }

    /// The locations of all keys in this table.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a String, &'a Entry, Self)> {
        let table = self.node.as_table();
        table.into_iter().flatten().map(|(name, entry)| (name, entry, self.entry(name, entry)))
    }

    fn entry(&self, name: &str, entry: &'a Entry) -> Self {
        let keys = self.keys.and_then(|keys| keys.child(name));
        let named = self.keys.is_some_and(|keys| keys.kind() == Kind::Map);
        Self {
            reader: self.reader,
            node: &entry.node,
            keys,
            path: join(&self.path, name),
            home: if named { &entry.key_origin } else { &entry.node.origin },
            example: keys.and_then(Keys::example),
        }
    }

    /// The path of a key in this table.
    pub(super) fn key(&self, name: &str) -> String {
        join(&self.path, name)
    }

    /// Whether this key exists and has no errors.
    pub(super) fn fits(&self, name: &str) -> bool {
        self.node.get(name).is_some() && !self.reader.is_refused(&self.key(name))
    }

    /// Reports a problem with a key: at the key's location if it exists, otherwise at the table's.
    pub(super) fn report(&self, name: &str, problem: impl Into<String>) {
        let at = self.node.get(name).map_or(self.home, |node| &node.origin);
        let example = self.keys.and_then(|keys| keys.child(name)?.example());
        self.reader.report(at, &self.key(name), words::with_example(&problem.into(), example));
    }

    /// Reports the error that serde stopped at, unless it was already reported. Returns the path to leave out.
    fn settle(&self, fault: Fault) -> String {
        let problem = match fault {
            Fault::Reported(path) => return path,
            Fault::Missing { name } => {
                self.report_missing_key(&self.path, name, self.keys);
                self.reader.refused.borrow_mut().insert(self.path.clone());
                return self.path.clone();
            }
            Fault::UnknownKey { known } => words::unknown_word("key", None, known),
            Fault::Unfit => words::expected(self.keys, &self.path, self.example),
            Fault::UnknownWord { what, near, known } => words::unknown_word(what, near, known),
            Fault::Said(said) => words::with_example(&said, self.example),
        };
        self.reader.report(&self.node.origin, &self.path, problem);
        self.path.clone()
    }

    /// Reports every missing required key of this table; serde reports only the first.
    fn report_missing(&self, keys: Keys<'_>, path: &str, node: &SourcedValue) {
        for name in keys.required().filter(|name| node.get(name).is_none()) {
            match keys.child(name) {
                // A missing table is reported by its own required keys.
                Some(child) if child.kind() == Kind::Table => {
                    let path = join(path, name);
                    self.report_missing(child, &path, &SourcedValue::default());
                    self.reader.refused.borrow_mut().insert(path);
                }
                _ => self.report_missing_key(path, name, Some(keys)),
            }
        }
    }

    /// Reports a missing key, unless it was already reported or left out.
    fn report_missing_key(&self, path: &str, name: &str, keys: Option<Keys<'_>>) {
        let path = join(path, name);
        if !self.reader.is_refused(&path) {
            let problem = words::missing(name, keys.and_then(|keys| keys.child(name)));
            self.reader.report(self.home, &path, problem);
        }
    }

    /// The entries of a table without those that are left out; the `known` ones come first, in their order.
    fn entries(&self, known: &[&str]) -> Vec<(&'a String, &'a Entry)> {
        let mut entries: Vec<_> = self.node.as_table().into_iter().flatten().collect();
        entries.retain(|(name, _)| !self.reader.is_refused(&self.key(name)));
        entries.sort_by_key(|(name, _)| known.iter().position(|known| known == name).unwrap_or(known.len()));
        entries
    }

    fn table<'de, V: Visitor<'de>>(self, known: &[&str], visitor: V) -> Result<V::Value, Fault> {
        let left = self.entries(known).into_iter();
        visitor.visit_map(Entries { table: self, left, current: None })
    }

    fn is_within_bounds(&self, number: f64) -> bool {
        let [least, most] =
            self.keys.map_or([None, None], Keys::bounds).map(|bound| bound.and_then(Json::as_f64));
        least.is_none_or(|least| number >= least) && most.is_none_or(|most| number <= most)
    }
}

impl<'de> Deserializer<'de> for Place<'_> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Boolean(truth) => visitor.visit_bool(*truth),
            Value::String(text) | Value::Datetime(text) => visitor.visit_str(text),
            Value::Integer(number) if self.is_within_bounds(*number as f64) => visitor.visit_i64(*number),
            Value::Float(number) if self.is_within_bounds(*number) => visitor.visit_f64(*number),
            Value::Integer(_) | Value::Float(_) => Err(Fault::Unfit),
            Value::Array(nodes) => visitor.visit_seq(Items { list: &self, nodes, next: 0 }),
            Value::Table(_) => self.table(&[], visitor),
        }
    }

    /// A date is accepted as a string only by types that accept anything.
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match &self.node.value {
            Value::Datetime(_) => Err(Fault::Unfit),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_some(self)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if self.node.as_table().is_none() {
            return Err(Fault::Unfit);
        }
        if let Some(keys) = self.keys {
            self.report_missing(keys, &self.path, self.node);
        }
        self.table(fields, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        let word = self.node.as_str().ok_or(Fault::Unfit)?;
        let read = visitor.visit_enum(StrDeserializer::new(word));
        read.map_err(|fault| match fault {
            Fault::UnknownWord { near, known, .. } => Fault::UnknownWord { what: name, near, known },
            fault => fault,
        })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char bytes byte_buf unit unit_struct newtype_struct seq tuple
        tuple_struct map identifier ignored_any
    }
}

/// Iterates over the entries of a table.
struct Entries<'a> {
    table: Place<'a>,
    left: std::vec::IntoIter<(&'a String, &'a Entry)>,
    current: Option<(&'a String, &'a Entry)>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Fault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Fault> {
        self.current = self.left.next();
        let Some((name, entry)) = self.current else {
            return Ok(None);
        };
        let key = seed.deserialize(StrDeserializer::<Fault>::new(name));
        key.map(Some).map_err(|fault| match fault {
            Fault::UnknownKey { known } => {
                let path = self.table.key(name);
                self.table.reader.report(&entry.key_origin, &path, unknown("key", name, known));
                Fault::Reported(path)
            }
            fault => fault,
        })
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Fault> {
        let (name, entry) =
            self.current.take().ok_or_else(|| Fault::custom("no key stands before the value"))?;
        let place = self.table.entry(name, entry);
        seed.deserialize(place.clone()).map_err(|fault| Fault::Reported(place.settle(fault)))
    }
}

/// Iterates over the items of a list.
struct Items<'a> {
    list: &'a Place<'a>,
    nodes: &'a [SourcedValue],
    next: usize,
}

impl<'de> SeqAccess<'de> for Items<'_> {
    type Error = Fault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Fault> {
        while let Some(node) = self.nodes.get(self.next) {
            let path = format!("{}[{}]", self.list.path, self.next);
            self.next += 1;
            if self.list.reader.is_refused(&path) {
                continue;
            }
            let (keys, example) =
                (self.list.keys.and_then(Keys::item), self.list.example.and_then(|all| all.get(0)));
            let place = Place { reader: self.list.reader, node, keys, path, home: &node.origin, example };
            return seed
                .deserialize(place.clone())
                .map(Some)
                .map_err(|fault| Fault::Reported(place.settle(fault)));
        }
        Ok(None)
    }
}

impl serde::de::Error for Fault {
    fn custom<T: std::fmt::Display>(said: T) -> Self {
        Self::Said(said.to_string())
    }

    fn invalid_type(_: Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Self::Unfit
    }

    fn invalid_value(_: Unexpected<'_>, _: &dyn serde::de::Expected) -> Self {
        Self::Unfit
    }

    fn invalid_length(_: usize, _: &dyn serde::de::Expected) -> Self {
        Self::Unfit
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownWord { what: "word", near: nearest(word, known.iter().copied()), known }
    }

    fn unknown_field(_: &str, known: &'static [&'static str]) -> Self {
        Self::UnknownKey { known }
    }

    fn missing_field(name: &'static str) -> Self {
        Self::Missing { name }
    }
}

impl std::fmt::Display for Fault {
    /// Never shown: [`words`] creates the messages for faults.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value does not fit")
    }
}

impl std::error::Error for Fault {}
