//! The server's schema: its attributes, their other names, and how their values compare.
//!
//! A server accepts any name of an attribute, and its OID, but returns only one of them. So the names in the settings are converted once
//! with the schema (see `layout`), and so are the names in entries (see `session`).

use std::collections::HashMap;

use crate::entry::Entry;
use crate::memberships::folded;
use crate::name::standard_name;

/// The known attributes of a server. Empty if the server does not show its schema.
#[derive(Clone, Debug, Default)]
pub(crate) struct Schema {
    attributes: Vec<Attribute>,
    /// By lowercase name or OID.
    by_name: HashMap<String, usize>,
}

#[derive(Clone, Debug, Default)]
struct Attribute {
    name: String,
    parent: Option<String>,
    equality: Option<String>,
    syntax: Option<String>,
    /// Whether the attribute is operational: maintained by the server, not part of the user data.
    operational: bool,
    /// Whether only the server can set it.
    fixed: bool,
}

/// How two values of an attribute compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Ignoring case and the number of consecutive spaces.
    IgnoringCase,
    /// Case-sensitive, ignoring the number of consecutive spaces.
    Exactly,
    /// Ignoring case, spaces and hyphens: telephone numbers.
    Telephone,
    /// As distinguished names.
    Name,
}

impl Schema {
    /// Reads the attribute types (RFC 4512, 4.1.2) of the entry with the schema. Unreadable definitions are left out.
    pub(crate) fn read(entry: &Entry) -> Self {
        let mut schema = Self::default();
        for text in entry.texts("attributeTypes").flatten() {
            schema.add(text);
        }
        schema
    }

    fn add(&mut self, text: &str) {
        let words = words(text);
        let Some(number) = words.get(1) else { return };
        let mut names = Vec::new();
        let mut attribute = Attribute::default();
        let mut at = 2;
        while let Some(word) = words.get(at) {
            let next = || words.get(at + 1).map(|word| word.trim_matches('\'').to_owned());
            match word.to_ascii_uppercase().as_str() {
                "NAME" if words.get(at + 1).map(String::as_str) == Some("(") => {
                    let rest = words[at + 2..].iter().take_while(|word| *word != ")");
                    names.extend(rest.map(|name| name.trim_matches('\'').to_owned()));
                    at += names.len() + 2;
                }
                "NAME" => names.extend(next()),
                "SUP" => attribute.parent = next(),
                "EQUALITY" => attribute.equality = next(),
                "SYNTAX" => attribute.syntax = next(),
                "USAGE" => attribute.operational = next().is_some_and(|usage| usage != "userApplications"),
                "NO-USER-MODIFICATION" => attribute.fixed = true,
                _ => {}
            }
            at += 1;
        }
        attribute.name.clone_from(names.first().unwrap_or(number));
        for name in names.iter().chain([number]) {
            self.by_name.insert(name.to_lowercase(), self.attributes.len());
        }
        self.attributes.push(attribute);
    }

    /// Whether the server shows its schema.
    pub(crate) fn is_known(&self) -> bool {
        !self.attributes.is_empty()
    }

    /// Whether the server has an attribute with this name; options such as `;lang-ja` are ignored.
    pub(crate) fn has(&self, attribute: &str) -> bool {
        self.attribute(attribute).is_some()
    }

    /// The canonical name of an attribute, given any of its names; options are kept.
    pub(crate) fn canonical(&self, attribute: &str) -> String {
        let (base, options) =
            attribute.split_once(';').map_or((attribute, None), |(base, of)| (base, Some(of)));
        let known = self.attribute(base).map(|known| known.name.clone());
        // Without a schema, the standard names are used.
        let name = known.unwrap_or_else(|| {
            let standard = standard_name(base);
            if standard.eq_ignore_ascii_case(base) { base.to_owned() } else { standard }
        });
        match options {
            Some(options) => format!("{name};{options}"),
            None => name,
        }
    }

    /// The known name closest to a mistyped one.
    pub(crate) fn nearest(&self, attribute: &str) -> Option<String> {
        let base = attribute.split(';').next().unwrap_or(attribute);
        bridgehead_sdk::nearest(base, self.attributes.iter().map(|known| known.name.as_str()))
            .map(str::to_owned)
    }

    /// How values of an attribute compare. If the schema does not say, ignoring case, as for most attributes.
    pub(crate) fn rule(&self, attribute: &str) -> Rule {
        let mut known = self.attribute(attribute);
        // A type inherits what it does not define from its supertype.
        for _ in 0..8 {
            let Some(attribute) = known else { break };
            if let Some(rule) = &attribute.equality {
                // By name, or by OID (RFC 4517), which 389 Directory Server may use.
                return match rule.to_ascii_lowercase().as_str() {
                    "telephonenumbermatch" | "2.5.13.20" => Rule::Telephone,
                    "distinguishednamematch" | "2.5.13.1" => Rule::Name,
                    "2.5.13.5" | "2.5.13.17" | "1.3.6.1.4.1.1466.109.114.1" => Rule::Exactly,
                    name if name.starts_with("caseexact") || name.starts_with("octetstring") => Rule::Exactly,
                    _ => Rule::IgnoringCase,
                };
            }
            known = attribute.parent.as_ref().and_then(|parent| self.attribute(parent));
        }
        // Active Directory names no rules; this is its syntax for case-sensitive strings.
        match self.attribute(attribute).and_then(|known| known.syntax.as_deref()) {
            Some(syntax) if syntax.starts_with("1.2.840.113556.1.4.1362") => Rule::Exactly,
            _ => Rule::IgnoringCase,
        }
    }

    /// Whether an attribute is operational, so that entries can have it whatever their object classes are.
    pub(crate) fn is_operational(&self, attribute: &str) -> bool {
        self.attribute(attribute).is_some_and(|known| known.operational)
    }

    /// Whether only the server can set an attribute.
    pub(crate) fn is_fixed(&self, attribute: &str) -> bool {
        self.attribute(attribute).is_some_and(|known| known.fixed)
    }

    /// Whether the values of an attribute are distinguished names, or names with an identifier.
    pub(crate) fn holds_names(&self, attribute: &str) -> bool {
        self.syntax(attribute).is_some_and(|syntax| {
            ["1.3.6.1.4.1.1466.115.121.1.12", "1.3.6.1.4.1.1466.115.121.1.34"].contains(&syntax)
        })
    }

    /// Whether the values of an attribute are times.
    pub(crate) fn holds_times(&self, attribute: &str) -> bool {
        self.syntax(attribute) == Some("1.3.6.1.4.1.1466.115.121.1.24")
    }

    fn syntax(&self, attribute: &str) -> Option<&str> {
        let mut known = self.attribute(attribute);
        for _ in 0..8 {
            let attribute = known?;
            if let Some(syntax) = &attribute.syntax {
                return syntax.split('{').next();
            }
            known = attribute.parent.as_ref().and_then(|parent| self.attribute(parent));
        }
        None
    }

    fn attribute(&self, name: &str) -> Option<&Attribute> {
        let base = name.split(';').next().unwrap_or(name);
        self.by_name.get(&base.to_lowercase()).map(|position| &self.attributes[*position])
    }
}

impl Rule {
    /// Whether the server treats two values as equal.
    pub(crate) fn same(self, one: &[u8], other: &[u8]) -> bool {
        if one == other {
            return true;
        }
        let (Ok(one), Ok(other)) = (std::str::from_utf8(one), std::str::from_utf8(other)) else {
            return false;
        };
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        match self {
            Self::Exactly => words(one) == words(other),
            Self::IgnoringCase => words(&one.to_lowercase()) == words(&other.to_lowercase()),
            Self::Telephone => {
                let digits =
                    |text: &str| text.to_lowercase().replace(|c: char| c == '-' || c.is_whitespace(), "");
                digits(one) == digits(other)
            }
            Self::Name => folded(one) == folded(other),
        }
    }

    /// These values without duplicates: a server rejects values that it treats as equal (20).
    pub(crate) fn distinct(self, values: Vec<String>) -> Vec<String> {
        let mut distinct: Vec<String> = Vec::with_capacity(values.len());
        for value in values {
            if !distinct.iter().any(|known| self.same(known.as_bytes(), value.as_bytes())) {
                distinct.push(value);
            }
        }
        distinct
    }
}

/// The words of a definition; parentheses are separate words, and a quoted string is one word.
pub(crate) fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    for character in text.chars() {
        match character {
            '\'' => {
                quoted = !quoted;
                word.push(character);
            }
            '(' | ')' if !quoted => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                words.push(character.to_string());
            }
            _ if character.is_whitespace() && !quoted => {
                words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
            }
            _ => word.push(character),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Schema {
        Schema::read(&Entry::new(
            "cn=Subschema",
            [(
                "attributeTypes",
                vec![
                    "( 2.5.4.41 NAME 'name' EQUALITY caseIgnoreMatch SUBSTR caseIgnoreSubstringsMatch )",
                    "( 2.5.4.42 NAME ( 'givenName' 'gn' ) DESC 'RFC2256: first name(s) (of one)' SUP name )",
                    "( 1.3.6.1.1.1.1.12 NAME 'memberUid' EQUALITY caseExactIA5Match SYNTAX 1.3.6.1.4.1.1466.115.121.1.26 )",
                    "( 1.2.3 NAME 'adExact' SYNTAX '1.2.840.113556.1.4.1362' SINGLE-VALUE )",
                    "(",
                    "",
                ],
            )],
        ))
    }

    #[test]
    fn attribute_aliases_resolve_to_one_name() {
        let schema = schema();
        for name in ["givenName", "GN", "2.5.4.42", "givenname"] {
            assert_eq!(schema.canonical(name), "givenName");
        }
        assert_eq!(schema.canonical("gn;lang-ja"), "givenName;lang-ja");
        assert_eq!(schema.nearest("givenNam").as_deref(), Some("givenName"));
        assert!(!schema.has("givenNam"));
    }

    #[test]
    fn standard_attribute_names_are_known_without_a_schema() {
        let schema = Schema::default();
        assert_eq!(schema.canonical("userid"), "uid");
        assert_eq!(schema.canonical("givenName"), "givenName");
        assert_eq!(schema.canonical("0.9.2342.19200300.100.1.3"), "mail");
    }

    #[test]
    fn values_compare_by_their_matching_rule() {
        let schema = schema();
        assert_eq!(schema.rule("gn"), Rule::IgnoringCase, "from the type that it is derived from");
        assert_eq!(schema.rule("memberUid"), Rule::Exactly);
        assert_eq!(schema.rule("adExact"), Rule::Exactly);
        assert!(Rule::IgnoringCase.same(b"Ann  Lee", b"ann lee"));
        assert!(!Rule::Exactly.same(b"Ann", b"ann"));
        assert!(Rule::Telephone.same(b"+1 555-0", b"+15550"));
        assert!(Rule::Name.same(b"UID=Ann, dc=test", b"uid=ann,dc=test"));
        let distinct = Rule::IgnoringCase.distinct(["a", "B", "A", "b"].map(str::to_owned).into());
        assert_eq!(distinct, ["a", "B"]);
    }
}
