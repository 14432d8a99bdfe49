//! Identifiers that survive a rename: conversion between the directory's values and strings.

use uuid::Uuid;

use crate::escape;

/// The attribute with the identifier of an entry.
#[derive(Clone, Debug)]
pub(crate) struct IdAttribute {
    pub(crate) name: String,
    form: Form,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// The value is a string.
    Text,
    /// The value is the sixteen octets of a GUID in Microsoft's order: the first three groups are little-endian ([MS-DTYP] 2.3.4).
    Guid,
}

impl IdAttribute {
    pub(crate) fn new(name: &str) -> Self {
        let form = if name.eq_ignore_ascii_case("objectGUID") { Form::Guid } else { Form::Text };
        Self { name: name.to_owned(), form }
    }

    /// The identifier as a string, or `None` if the value is not valid.
    pub(crate) fn text(&self, value: &[u8]) -> Option<String> {
        match self.form {
            Form::Text => String::from_utf8(value.to_vec()).ok().filter(|text| !text.is_empty()),
            Form::Guid => Some(Uuid::from_bytes_le(value.try_into().ok()?).to_string()),
        }
    }

    /// The identifier in its usual form, if it is a GUID.
    pub(crate) fn guid(&self, id: &str) -> Option<String> {
        if self.form == Form::Guid { Uuid::try_parse(id).ok().map(|guid| guid.to_string()) } else { None }
    }

    /// The filter that finds the entry with this identifier, or `None` if no entry can have it.
    pub(crate) fn filter(&self, id: &str) -> Option<String> {
        let value = match self.form {
            Form::Text if id.is_empty() => return None,
            Form::Text => escape::filter_value(id.as_bytes()),
            // In a filter, Active Directory only accepts this form of a GUID.
            Form::Guid => escape::octets(&Uuid::try_parse(id).ok()?.to_bytes_le()),
        };
        Some(format!("({}={value})", self.name))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn guid_uses_microsoft_byte_order() {
        let id = IdAttribute::new("objectGUID");
        let value =
            [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        assert_eq!(id.text(&value).unwrap(), "00112233-4455-6677-8899-aabbccddeeff");
        assert_eq!(
            id.filter("00112233-4455-6677-8899-aabbccddeeff").unwrap(),
            r"(objectGUID=\33\22\11\00\55\44\77\66\88\99\aa\bb\cc\dd\ee\ff)"
        );
    }

    #[test]
    fn invalid_guid_is_not_an_identifier() {
        let id = IdAttribute::new("objectguid");
        assert_eq!(id.text(b"short"), None);
        assert_eq!(id.filter("*"), None);
    }

    #[test]
    fn text_identifier_is_escaped_in_filters() {
        assert_eq!(IdAttribute::new("entryUUID").filter("*)(").unwrap(), r"(entryUUID=\2a\29\28)");
    }

    proptest! {
        #[test]
        fn guid_survives_a_round_trip(value in any::<[u8; 16]>()) {
            let id = IdAttribute::new("objectGUID");
            let text = id.text(&value).unwrap();
            let filter = id.filter(&text).unwrap();
            let octets = filter.trim_start_matches("(objectGUID=").trim_end_matches(')').split('\\').skip(1);
            let read: Vec<u8> = octets.map(|octet| u8::from_str_radix(octet, 16).unwrap()).collect();
            prop_assert_eq!(read, value);
        }
    }
}
