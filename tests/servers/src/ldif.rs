//! LDIF in the format of a directory's command-line tools (RFC 2849).

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// One entry of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub dn: String,
    /// Values by attribute; names are in lower case, values in the server's order. Invalid UTF-8 is replaced with replacement characters.
    pub attributes: BTreeMap<String, Vec<String>>,
}

impl Entry {
    /// All values of an attribute, whose name is case-insensitive; empty if it has none.
    pub fn all(&self, attribute: &str) -> &[String] {
        self.attributes.get(&attribute.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    /// The first value of an attribute.
    pub fn first(&self, attribute: &str) -> Option<&str> {
        self.all(attribute).first().map(String::as_str)
    }
}

/// Parses entries, whose lines must not be folded (`-o ldif-wrap=no`).
///
/// # Panics
/// If the input is not LDIF.
pub(crate) fn entries(text: &str) -> Vec<Entry> {
    let mut entries: Vec<Entry> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no LDIF: {line}"));
        let value = match value.strip_prefix(':') {
            Some(encoded) => {
                let bytes = STANDARD.decode(encoded.trim()).expect("the tools write valid base64");
                String::from_utf8_lossy(&bytes).into_owned()
            }
            None => value.trim_start().to_owned(),
        };
        if name == "dn" {
            entries.push(Entry { dn: value, attributes: BTreeMap::new() });
        } else if let Some(entry) = entries.last_mut() {
            entry.attributes.entry(name.to_lowercase()).or_default().push(value);
        } else {
            panic!("no LDIF: {line} comes before any entry");
        }
    }
    entries
}
