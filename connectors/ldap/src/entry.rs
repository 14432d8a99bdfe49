//! Entries, as the server sends them.

use ldap3::ResultEntry;
use ldap3::asn1::StructureTag;

use crate::name::{Name, Rdn};
use crate::usability;

/// An entry: its name, and attributes whose values may be arbitrary octets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
    /// Set if the name is not valid UTF-8: `dn` can then be displayed, but not sent.
    pub(crate) garbled: bool,
    /// Whether the account can log in, according to the server; `None` if the server does not report it.
    pub(crate) usable: Option<bool>,
}

/// A part of the values of an attribute, as Active Directory sends long lists: `member;range=0-1499`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranged {
    pub(crate) attribute: String,
    /// The index of the next value to request.
    pub(crate) next: u32,
}

impl Entry {
    #[cfg(test)]
    pub(crate) fn new<'a>(dn: &str, attributes: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> Self {
        let values = |values: Vec<&str>| values.into_iter().map(|value| value.as_bytes().to_vec()).collect();
        Self {
            attributes: attributes.into_iter().map(|(name, of)| (name.to_owned(), values(of))).collect(),
            ..Self::named(dn)
        }
    }

    /// An entry of which only the name is known.
    pub(crate) fn named(dn: &str) -> Self {
        Self { dn: dn.to_owned(), attributes: Vec::new(), garbled: false, usable: None }
    }

    /// Reads a `SearchResultEntry` (RFC 4511, 4.5.2); `None` if it is not valid.
    ///
    /// A name that is not valid UTF-8 makes only this entry an invalid record.
    pub(crate) fn read(result: ResultEntry) -> Option<Self> {
        let usable = result.1.iter().find_map(|control| usability::read(&control.1));
        let mut parts = result.0.match_id(4)?.expect_constructed()?.into_iter();
        let name = parts.next()?.expect_primitive()?;
        let (dn, garbled) = match String::from_utf8(name) {
            Ok(dn) => (dn, false),
            Err(error) => (shown(error.as_bytes()), true),
        };
        let mut attributes = Vec::new();
        for attribute in parts.next()?.expect_constructed()? {
            let mut parts = attribute.expect_constructed()?.into_iter();
            let name = String::from_utf8_lossy(&parts.next()?.expect_primitive()?).into_owned();
            let values = parts.next()?.expect_constructed()?.into_iter();
            let values: Option<Vec<_>> = values.map(StructureTag::expect_primitive).collect();
            attributes.push((name, values?));
        }
        Some(Self { dn, attributes, garbled, usable })
    }

    /// The values of an attribute: those under exactly this name, otherwise those with options such as `;binary` or `;lang-ja`.
    pub(crate) fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let plain = |name: &str| name.eq_ignore_ascii_case(attribute);
        let tagged = |name: &str| name.split(';').next().is_some_and(plain);
        let holding = || self.attributes.iter().filter(|(_, values)| !values.is_empty());
        let found =
            holding().find(|(name, _)| plain(name)).or_else(|| holding().find(|(name, _)| tagged(name)));
        found.map_or(&[], |(_, values)| values)
    }

    /// Renames every attribute with a function.
    pub(crate) fn rename_attributes(&mut self, name_of: impl Fn(&str) -> String) {
        for (name, _) in &mut self.attributes {
            *name = name_of(name);
        }
    }

    /// The values of an attribute as strings; `None` for a value that is not valid UTF-8.
    pub(crate) fn texts<'a>(&'a self, attribute: &str) -> impl Iterator<Item = Option<&'a str>> {
        self.values(attribute).iter().map(|value| std::str::from_utf8(value).ok())
    }

    /// The parsed name.
    pub(crate) fn name(&self) -> Option<Name> {
        Name::parse(&self.dn).ok()
    }

    /// The first level of the name.
    pub(crate) fn rdn(&self) -> Option<Rdn> {
        self.name()?.rdns.into_iter().next()
    }

    /// The value of an attribute that represents the account: the one that names the entry, otherwise the first.
    pub(crate) fn main_value(&self, attribute: &str) -> Option<&[u8]> {
        let values = self.values(attribute);
        let first = values.first().map(Vec::as_slice);
        if values.len() < 2 {
            return first;
        }
        let rdn = self.rdn();
        let naming = rdn.as_ref().and_then(|rdn| rdn.value_of(attribute));
        let same = |value: &&[u8]| naming.is_some_and(|naming| naming.eq_ignore_ascii_case(value));
        values.iter().map(Vec::as_slice).find(same).or(first)
    }

    /// The attribute with only a part of its values, if any.
    pub(crate) fn ranged(&self) -> Option<Ranged> {
        self.attributes.iter().find_map(|(name, _)| Ranged::read(name))
    }

    /// Sets all values of the attribute that had only a part of them.
    pub(crate) fn end_range(&mut self, values: Vec<Vec<u8>>) {
        let ranged = self.attributes.iter_mut().find_map(|of| Some((Ranged::read(&of.0)?, of)));
        if let Some((ranged, of)) = ranged {
            *of = (ranged.attribute, values);
        }
    }

    /// Removes and returns the values of an attribute, complete or not; `None` if there are none.
    pub(crate) fn take_values(&mut self, attribute: &str) -> Option<Vec<Vec<u8>>> {
        let is_it =
            |name: &str| name.split(';').next().is_some_and(|name| name.eq_ignore_ascii_case(attribute));
        let found = self.attributes.iter_mut().find(|(name, values)| is_it(name) && !values.is_empty());
        found.map(|(_, values)| std::mem::take(values))
    }
}

/// A name that is not valid UTF-8, for display.
fn shown(name: &[u8]) -> String {
    let mut shown = String::new();
    for chunk in name.utf8_chunks() {
        shown.extend(chunk.valid().chars().map(|c| if c.is_control() { ' ' } else { c }));
        for octet in chunk.invalid() {
            crate::escape::push_hex(&mut shown, *octet);
        }
    }
    shown
}

impl Ranged {
    /// Parses the name of an attribute; `None` if it has no range, or the range is the last.
    fn read(name: &str) -> Option<Self> {
        let mut parts = name.split(';');
        let attribute = parts.next()?;
        let range =
            parts.find_map(|option| option.strip_prefix("range=").or(option.strip_prefix("Range=")))?;
        let (_, last) = range.split_once('-')?;
        let last: u32 = last.parse().ok()?;
        Some(Self { attribute: attribute.to_owned(), next: last.checked_add(1)? })
    }

    /// The name that requests the values from an index on.
    pub(crate) fn part(attribute: &str, from: u32) -> String {
        format!("{attribute};range={from}-*")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranged_attribute_has_a_next_range() {
        let mut entry =
            Entry::new("cn=g,dc=test", [("member", vec![]), ("member;range=0-1", vec!["a", "b"])]);
        let ranged = entry.ranged().unwrap();
        assert_eq!((ranged.attribute.as_str(), ranged.next), ("member", 2));
        assert_eq!(Ranged::part("member", 2), "member;range=2-*");
        assert_eq!(entry.clone().take_values("MEMBER"), Some(vec![b"a".to_vec(), b"b".to_vec()]));
        entry.end_range(vec![b"c".to_vec()]);
        assert_eq!(entry.ranged(), None);
        assert_eq!(entry.texts("member").flatten().collect::<Vec<_>>(), ["c"]);
        let mut last = Entry::new("cn=g,dc=test", [("member;range=4-*", vec!["e"])]);
        assert_eq!(last.ranged(), None);
        assert_eq!(last.take_values("member"), Some(vec![b"e".to_vec()]));
        assert_eq!(last.take_values("member"), None);
    }

    #[test]
    fn untagged_attribute_takes_precedence_over_tagged() {
        let entry = Entry::new(
            "uid=ann,dc=test",
            [("givenName;lang-ja", vec!["アン"]), ("givenName", vec!["Ann"]), ("sn;lang-ja", vec!["リー"])],
        );
        assert_eq!(entry.main_value("givenName"), Some(&b"Ann"[..]));
        assert_eq!(entry.main_value("givenName;lang-ja"), Some("アン".as_bytes()));
        assert_eq!(entry.main_value("sn"), Some("リー".as_bytes()));
    }

    #[test]
    fn non_utf8_dn_invalidates_only_its_entry() {
        use ldap3::asn1::{PL, TagClass};
        let primitive = |octets: &[u8]| StructureTag {
            class: TagClass::Universal,
            id: 4,
            payload: PL::P(octets.to_vec()),
        };
        let tag = StructureTag {
            class: TagClass::Application,
            id: 4,
            payload: PL::C(vec![
                primitive(b"uid=a\xffb,dc=test"),
                StructureTag { class: TagClass::Universal, id: 16, payload: PL::C(Vec::new()) },
            ]),
        };
        let entry = Entry::read(ResultEntry::new(tag)).unwrap();
        assert!(entry.garbled);
        assert_eq!(entry.dn, r"uid=a\ffb,dc=test");
    }

    #[test]
    fn rdn_value_is_preferred_among_several() {
        let entry =
            Entry::new("uid=ann,dc=test", [("uid", vec!["old", "Ann"]), ("mail", vec!["x@y", "z@y"])]);
        assert_eq!(entry.main_value("uid"), Some(&b"Ann"[..]));
        assert_eq!(entry.main_value("MAIL"), Some(&b"x@y"[..]));
        assert_eq!(entry.main_value("sn"), None);
    }
}
