//! Entries, as the server sends them.

use ldap3::ResultEntry;
use ldap3::asn1::StructureTag;

use crate::name::{Name, Rdn};

/// An entry: its name, and attributes with values that may be anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) dn: String,
    pub(crate) attributes: Vec<(String, Vec<Vec<u8>>)>,
}

/// Part of the values of an attribute, as Active Directory sends large ones: `member;range=0-1499`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ranged {
    pub(crate) attribute: String,
    /// The next value to ask for.
    pub(crate) next: u32,
}

impl Entry {
    #[cfg(test)]
    pub(crate) fn new<'a>(dn: &str, attributes: impl IntoIterator<Item = (&'a str, Vec<&'a str>)>) -> Self {
        let values = |values: Vec<&str>| values.into_iter().map(|value| value.as_bytes().to_vec()).collect();
        Self {
            dn: dn.to_owned(),
            attributes: attributes.into_iter().map(|(name, of)| (name.to_owned(), values(of))).collect(),
        }
    }

    /// Reads a `SearchResultEntry` (RFC 4511, 4.5.2); `None` if it is none.
    pub(crate) fn read(result: ResultEntry) -> Option<Self> {
        let mut parts = result.0.match_id(4)?.expect_constructed()?.into_iter();
        let dn = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
        let mut attributes = Vec::new();
        for attribute in parts.next()?.expect_constructed()? {
            let mut parts = attribute.expect_constructed()?.into_iter();
            let name = String::from_utf8(parts.next()?.expect_primitive()?).ok()?;
            let values = parts.next()?.expect_constructed()?.into_iter();
            let values: Option<Vec<_>> = values.map(StructureTag::expect_primitive).collect();
            attributes.push((name, values?));
        }
        Some(Self { dn, attributes })
    }

    /// The values of an attribute; options such as `;binary` do not matter.
    pub(crate) fn values(&self, attribute: &str) -> &[Vec<u8>] {
        let plain =
            |name: &str| name.split(';').next().is_some_and(|name| name.eq_ignore_ascii_case(attribute));
        let found = self.attributes.iter().find(|(name, values)| plain(name) && !values.is_empty());
        found.map_or(&[], |(_, values)| values)
    }

    /// The values of an attribute as text; `None` for one that is none.
    pub(crate) fn texts<'a>(&'a self, attribute: &str) -> impl Iterator<Item = Option<&'a str>> {
        self.values(attribute).iter().map(|value| std::str::from_utf8(value).ok())
    }

    /// The name, taken apart.
    pub(crate) fn name(&self) -> Option<Name> {
        Name::parse(&self.dn).ok()
    }

    /// The part of the name that is the entry's own.
    pub(crate) fn rdn(&self) -> Option<Rdn> {
        self.name()?.rdns.into_iter().next()
    }

    /// The one value of an attribute that stands for the account: what names the entry, else the first.
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

    /// Which attribute came in part, if any.
    pub(crate) fn ranged(&self) -> Option<Ranged> {
        self.attributes.iter().find_map(|(name, _)| Ranged::read(name))
    }

    /// Adds the values of the same entry, read further, to an attribute that came in part.
    pub(crate) fn continue_range(&mut self, more: Self) -> Option<()> {
        let position = self.attributes.iter().position(|(name, _)| Ranged::read(name).is_some())?;
        let ranged = Ranged::read(&self.attributes[position].0)?;
        let (name, mut values) = more.attributes.into_iter().find(|(name, _)| {
            name.split(';').next().is_some_and(|name| name.eq_ignore_ascii_case(&ranged.attribute))
        })?;
        self.attributes[position].1.append(&mut values);
        self.attributes[position].0 = match Ranged::read(&name) {
            Some(_) => name,
            None => ranged.attribute,
        };
        Some(())
    }
}

impl Ranged {
    /// Reads the name of an attribute; `None` if it has no range, or the range goes to the end.
    fn read(name: &str) -> Option<Self> {
        let mut parts = name.split(';');
        let attribute = parts.next()?;
        let range =
            parts.find_map(|option| option.strip_prefix("range=").or(option.strip_prefix("Range=")))?;
        let (_, last) = range.split_once('-')?;
        let last: u32 = last.parse().ok()?;
        Some(Self { attribute: attribute.to_owned(), next: last.checked_add(1)? })
    }

    /// The name to ask for the values that are missing.
    pub(crate) fn further(&self) -> String {
        format!("{};range={}-*", self.attribute, self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_in_ranges_are_put_together() {
        let mut entry =
            Entry::new("cn=g,dc=test", [("member", vec![]), ("member;range=0-1", vec!["a", "b"])]);
        let ranged = entry.ranged().unwrap();
        assert_eq!(ranged.further(), "member;range=2-*");
        entry.continue_range(Entry::new("cn=g,dc=test", [("member;range=2-3", vec!["c", "d"])])).unwrap();
        assert_eq!(entry.ranged().unwrap().further(), "member;range=4-*");
        entry.continue_range(Entry::new("cn=g,dc=test", [("member;range=4-*", vec!["e"])])).unwrap();
        assert_eq!(entry.ranged(), None);
        let members: Vec<_> = entry.texts("member").flatten().collect();
        assert_eq!(members, ["a", "b", "c", "d", "e"]);
    }

    #[test]
    fn a_range_that_goes_nowhere_is_noticed() {
        let mut entry = Entry::new("cn=g,dc=test", [("member;range=0-1", vec!["a", "b"])]);
        assert_eq!(entry.continue_range(Entry::new("cn=g,dc=test", [])), None);
    }

    #[test]
    fn of_several_values_the_one_that_names_the_entry_counts() {
        let entry =
            Entry::new("uid=ann,dc=test", [("uid", vec!["old", "Ann"]), ("mail", vec!["x@y", "z@y"])]);
        assert_eq!(entry.main_value("uid"), Some(&b"Ann"[..]));
        assert_eq!(entry.main_value("MAIL"), Some(&b"x@y"[..]));
        assert_eq!(entry.main_value("sn"), None);
    }
}
