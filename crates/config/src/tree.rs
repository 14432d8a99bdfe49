//! The configuration as a tree whose values each have their origin.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Error;
use super::origin::{Origin, Positions};

/// A value and its origin.
///
/// `Debug` does not show values: until the tree is checked, any of them may be a secret.
#[derive(Clone, PartialEq)]
pub(super) struct SourcedValue {
    pub(super) origin: Origin,
    pub(super) value: Value,
}

#[derive(Clone, PartialEq)]
pub(super) enum Value {
    Table(Table),
    Array(Vec<SourcedValue>),
    String(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    /// No key of bridgehead is a date; connectors get it as a string.
    Datetime(String),
}

pub(super) type Table = BTreeMap<String, Entry>;

/// A value of a table, with the location of its key.
#[derive(Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key_origin: Origin,
    pub(super) node: SourcedValue,
}

impl Default for SourcedValue {
    fn default() -> Self {
        Self::table(Origin::Default)
    }
}

/// The lines of a TOML document before the line of its first error; all of them if there is none.
pub(super) fn start(text: &str) -> &str {
    let (_, errors) = DeTable::parse_recoverable(text);
    let Some(error) = errors.iter().filter_map(toml::de::Error::span).map(|span| span.start).min() else {
        return text;
    };
    let line = text.get(..error).and_then(|before| before.rfind('\n')).map_or(0, |end| end + 1);
    &text[..line]
}

impl SourcedValue {
    pub(super) fn table(origin: Origin) -> Self {
        Self { origin, value: Value::Table(Table::new()) }
    }

    pub(super) fn as_table(&self) -> Option<&Table> {
        match &self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(super) fn as_table_mut(&mut self) -> Option<&mut Table> {
        match &mut self.value {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }

    pub(super) fn as_str(&self) -> Option<&str> {
        match &self.value {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn get(&self, name: &str) -> Option<&SourcedValue> {
        self.as_table()?.get(name).map(|entry| &entry.node)
    }

    /// Whether this is a reference to a secret: a table with exactly one key, `env`, `file` or `credential`, whose
    /// value is a string.
    pub(super) fn is_secret_reference(&self) -> bool {
        let Some(table) = self.as_table() else {
            return false;
        };
        let mut entries = table.iter();
        match (entries.next(), entries.next()) {
            (Some((name, entry)), None) => {
                super::secret::KINDS.contains(&name.as_str()) && entry.node.as_str().is_some()
            }
            _ => false,
        }
    }

    /// Parses a file. Syntax errors do not quote the file.
    pub(super) fn parse(path: &Path, text: &str) -> Result<Self, Vec<Error>> {
        let positions = Positions::new(path, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let mut syntax: Vec<Error> = Vec::new();
            for error in &errors {
                let at = positions.at(error.span().map_or(0, |span| span.start));
                // Other errors on the same line usually result from the first one.
                if !syntax.iter().any(|known| known.origin().is_some_and(|known| known.is_same_line(&at))) {
                    let problem = error.message().to_owned();
                    syntax.push(Error::Syntax { at, problem });
                }
            }
            return Err(syntax);
        }
        let place = |offset| positions.at(offset);
        let mut conversion = Conversion::new(&place);
        let node = Self { origin: Origin::start_of(path), value: conversion.table(table.get_ref()) };
        if conversion.errors.is_empty() { Ok(node) } else { Err(conversion.errors) }
    }

    /// Parses the value of an environment variable: as TOML if it is valid TOML, otherwise as a plain string.
    pub(super) fn from_variable(variable: &Arc<str>, text: &str) -> Self {
        let origin = Origin::Environment { variable: variable.clone() };
        let place = |_| origin.clone();
        let mut conversion = Conversion::new(&place);
        let value = match DeValue::parse(text) {
            Ok(parsed) => conversion.value(parsed.get_ref(), 0),
            Err(_) => Value::String(text.to_owned()),
        };
        // A value that happens to be a date, or a number that is out of range, is still a string.
        let value = match value {
            Value::Datetime(_) => Value::String(text.to_owned()),
            _ if !conversion.errors.is_empty() => Value::String(text.to_owned()),
            value => value,
        };
        Self { origin, value }
    }
}

/// Converts the parser's tree to ours: byte offsets become locations.
struct Conversion<'a> {
    place: &'a dyn Fn(usize) -> Origin,
    errors: Vec<Error>,
}

impl<'a> Conversion<'a> {
    fn new(place: &'a dyn Fn(usize) -> Origin) -> Self {
        Self { place, errors: Vec::new() }
    }

    fn table(&mut self, table: &DeTable<'_>) -> Value {
        let mut entries = Table::new();
        for (key, value) in table {
            let key_origin = (self.place)(key.span().start);
            let node = self.node(value);
            entries.insert(key.get_ref().to_string(), Entry { key_origin, node });
        }
        Value::Table(entries)
    }

    fn node(&mut self, value: &Spanned<DeValue<'_>>) -> SourcedValue {
        let start = value.span().start;
        SourcedValue { origin: (self.place)(start), value: self.value(value.get_ref(), start) }
    }

    fn value(&mut self, value: &DeValue<'_>, start: usize) -> Value {
        match value {
            DeValue::String(text) => Value::String(text.to_string()),
            DeValue::Boolean(truth) => Value::Boolean(*truth),
            DeValue::Datetime(time) => Value::Datetime(time.to_string()),
            DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
                Ok(number) => Value::Integer(number),
                Err(_) => self.out_of_range(start),
            },
            DeValue::Float(number) => match number.as_str().parse::<f64>() {
                Ok(number) if number.is_finite() => Value::Float(number),
                _ => self.out_of_range(start),
            },
            DeValue::Array(items) => Value::Array(items.iter().map(|item| self.node(item)).collect()),
            DeValue::Table(table) => self.table(table),
        }
    }

    fn out_of_range(&mut self, start: usize) -> Value {
        self.errors.push(Error::Syntax {
            at: (self.place)(start),
            problem: "the number is infinite, or larger than 64 bits".to_owned(),
        });
        Value::Boolean(false)
    }
}

/// The path of a key in a table, quoted if necessary.
pub(super) fn join(path: &str, name: &str) -> String {
    let name = quoted(name);
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// A key in TOML syntax.
pub(super) fn quoted(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) {
        return name.to_owned();
    }
    // JSON's escapes are valid in TOML, except for the one control character that JSON does not escape.
    serde_json::Value::from(name).to_string().replace('\u{7f}', "\\u007F")
}
