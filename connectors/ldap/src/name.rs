//! Distinguished names (RFC 4514): parsing, comparing and writing them.

use crate::escape;

/// A distinguished name, from the entry to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) rdns: Vec<Rdn>,
}

/// One level of a name. It only has more than one part if an entry is named by several attributes (`cn=a+uid=b`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rdn {
    pub(crate) parts: Vec<Part>,
}

/// An attribute and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) attribute: String,
    /// The value without escapes.
    pub(crate) value: Vec<u8>,
}

/// The error for a string that is not a distinguished name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a distinguished name, such as \"ou=people,dc=example,dc=com\"")]
pub(crate) struct Malformed;

impl Name {
    /// Parses a name. The empty string is the name of the root.
    pub(crate) fn parse(text: &str) -> Result<Self, Malformed> {
        let mut rdns = Vec::new();
        if text.trim().is_empty() {
            return Ok(Self { rdns });
        }
        let mut rest = text.as_bytes();
        loop {
            let (rdn, end) = Rdn::parse(rest)?;
            rdns.push(rdn);
            match rest.get(end) {
                None => return Ok(Self { rdns }),
                Some(_) => rest = &rest[end + 1..],
            }
        }
    }

    /// A string that is equal for two names if they are equal ignoring case, escapes, and the order of the parts of a level. It is for
    /// comparing, never for sending.
    pub(crate) fn folded(&self) -> String {
        self.folded_by(&standard_name)
    }

    /// Like [`folded`](Self::folded), with a function that returns the canonical name of an attribute.
    pub(crate) fn folded_by(&self, name_of: &dyn Fn(&str) -> String) -> String {
        let levels = self.rdns.iter().map(|rdn| rdn.folded(name_of));
        levels.collect::<Vec<_>>().join(",")
    }

    /// The name one level up.
    pub(crate) fn parent(&self) -> Self {
        Self { rdns: self.rdns.iter().skip(1).cloned().collect() }
    }

    /// Whether this is `base`, or below it.
    pub(crate) fn is_within(&self, base: &Self) -> bool {
        let Some(above) = self.rdns.len().checked_sub(base.rdns.len()) else { return false };
        let own = Self { rdns: self.rdns[above..].to_vec() };
        own.folded() == base.folded()
    }

    /// The DNS name that the `dc` parts form: `example.com` for `ou=people,dc=example,dc=com`.
    pub(crate) fn domain(&self) -> String {
        let parts = self.rdns.iter().flat_map(|rdn| &rdn.parts);
        let labels = parts.filter(|part| standard_name(&part.attribute) == "dc");
        labels.map(|part| String::from_utf8_lossy(&part.value).into_owned()).collect::<Vec<_>>().join(".")
    }
}

impl Rdn {
    /// A level with one part.
    pub(crate) fn new(attribute: &str, value: &str) -> Self {
        Self { parts: vec![Part { attribute: attribute.to_owned(), value: value.as_bytes().to_vec() }] }
    }

    /// The value of an attribute that names the entry.
    pub(crate) fn value_of(&self, attribute: &str) -> Option<&[u8]> {
        let part = self.parts.iter().find(|part| is_same_attribute(&part.attribute, attribute));
        part.map(|part| part.value.as_slice())
    }

    /// The same level with another value of one attribute.
    pub(crate) fn with(&self, attribute: &str, value: &str) -> Self {
        let mut changed = self.clone();
        for part in &mut changed.parts {
            if is_same_attribute(&part.attribute, attribute) {
                part.value = value.as_bytes().to_vec();
            }
        }
        changed
    }

    fn folded(&self, name_of: &dyn Fn(&str) -> String) -> String {
        let fold = |part: &Part| {
            let Ok(value) = std::str::from_utf8(&part.value) else {
                return format!("{}={}", name_of(&part.attribute), escape::octets(&part.value));
            };
            // Servers prepare values before they compare them (RFC 4518): a letter can have several encodings.
            let prepared = stringprep::saslprep(value).unwrap_or(value.into());
            let value = prepared.to_lowercase();
            let words: Vec<_> = value.split(' ').filter(|word| !word.is_empty()).collect();
            format!("{}={}", name_of(&part.attribute), escape::name_value(&words.join(" ")))
        };
        let mut parts: Vec<_> = self.parts.iter().map(fold).collect();
        parts.sort();
        parts.join("+")
    }

    /// Parses one level, and returns its end: the position of a comma, or the end of the text.
    fn parse(text: &[u8]) -> Result<(Self, usize), Malformed> {
        let mut parts = Vec::new();
        let mut at = 0;
        loop {
            let equals = text[at..].iter().position(|octet| *octet == b'=').ok_or(Malformed)?;
            let attribute = std::str::from_utf8(&text[at..at + equals]).map_err(|_| Malformed)?.trim();
            if !is_attribute(attribute) {
                return Err(Malformed);
            }
            let start = at + equals + 1;
            let (value, end) = parse_value(text, start)?;
            parts.push(Part { attribute: attribute.to_owned(), value });
            match text.get(end) {
                Some(b'+') => at = end + 1,
                _ => return Ok((Self { parts }, end)),
            }
        }
    }
}

/// Parses a value from `start` on, and returns its end.
fn parse_value(text: &[u8], start: usize) -> Result<(Vec<u8>, usize), Malformed> {
    let mut at = start;
    while text.get(at) == Some(&b' ') {
        at += 1;
    }
    if text.get(at) == Some(&b'#') {
        return parse_hex(text, at + 1);
    }
    let mut value = Vec::new();
    // Spaces at the end only belong to the value if they are escaped.
    let mut kept = 0;
    while let Some(&octet) = text.get(at) {
        match octet {
            b',' | b'+' | b';' => break,
            b'"' | b'<' | b'>' | 0 => return Err(Malformed),
            b'\\' => {
                let next = *text.get(at + 1).ok_or(Malformed)?;
                if let Some(octet) = hex(next, text.get(at + 2).copied()) {
                    value.push(octet);
                    at += 3;
                } else if matches!(next, b' ' | b'"' | b'#' | b'+' | b',' | b';' | b'<' | b'=' | b'>' | b'\\')
                {
                    value.push(next);
                    at += 2;
                } else {
                    return Err(Malformed);
                }
                kept = value.len();
                continue;
            }
            b' ' => value.push(octet),
            _ => {
                value.push(octet);
                kept = value.len();
            }
        }
        at += 1;
    }
    if text.get(at) == Some(&b';') {
        return Err(Malformed);
    }
    value.truncate(kept);
    Ok((value, at))
}

/// A value as BER octets, after the `#`. It keeps the BER header, because it is only ever compared.
fn parse_hex(text: &[u8], start: usize) -> Result<(Vec<u8>, usize), Malformed> {
    let mut at = start;
    let mut value = Vec::new();
    while let Some(&octet) = text.get(at) {
        if matches!(octet, b',' | b'+') {
            break;
        }
        value.push(hex(octet, text.get(at + 1).copied()).ok_or(Malformed)?);
        at += 2;
    }
    if value.is_empty() { Err(Malformed) } else { Ok((value, at)) }
}

fn hex(high: u8, low: Option<u8>) -> Option<u8> {
    let digit = |octet: u8| char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    Some((digit(high)? << 4) | digit(low?)?)
}

/// Attributes used in names, each with its other names and its OID (RFC 4519). A name may use any of them, and servers differ in which they
/// return.
const NAMING: [&[&str]; 14] = [
    &["cn", "commonname", "2.5.4.3"],
    &["ou", "organizationalunitname", "organizationalunit", "2.5.4.11"],
    &["o", "organizationname", "organization", "2.5.4.10"],
    &["dc", "domaincomponent", "0.9.2342.19200300.100.1.25"],
    &["uid", "userid", "0.9.2342.19200300.100.1.1"],
    &["c", "countryname", "2.5.4.6"],
    &["l", "localityname", "2.5.4.7"],
    &["st", "stateorprovincename", "2.5.4.8"],
    &["street", "streetaddress", "2.5.4.9"],
    &["sn", "surname", "2.5.4.4"],
    &["givenname", "gn", "2.5.4.42"],
    &["mail", "rfc822mailbox", "0.9.2342.19200300.100.1.3"],
    &["serialnumber", "2.5.4.5"],
    &["employeenumber", "2.16.840.1.113730.3.1.3"],
];

/// The name of an attribute for comparisons: in lowercase, and one name for those that RFC 4519 lists as equal.
pub(crate) fn standard_name(attribute: &str) -> String {
    let name = attribute.to_lowercase();
    let known = NAMING.iter().find(|names| names.contains(&name.as_str()));
    known.map_or(name, |names| names[0].to_owned())
}

/// Whether entries are usually named by an attribute, given its standard name.
pub(crate) fn names_entries(standard: &str) -> bool {
    NAMING.iter().any(|names| names[0] == standard)
}

/// Whether two names mean the same attribute, according to the standards.
pub(crate) fn is_same_attribute(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other) || standard_name(one) == standard_name(other)
}

/// Whether a string can be the name of an attribute: letters, digits and `-`, or an OID.
pub(crate) fn is_attribute(text: &str) -> bool {
    let mut characters = text.chars();
    match characters.next() {
        Some(first) if first.is_ascii_alphabetic() => {
            characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | ';' | '_'))
        }
        Some(first) if first.is_ascii_digit() => {
            text.split('.').all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
        }
        _ => false,
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, rdn) in self.rdns.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            rdn.fmt(f)?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Rdn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, part) in self.parts.iter().enumerate() {
            if position > 0 {
                f.write_str("+")?;
            }
            match std::str::from_utf8(&part.value) {
                Ok(value) => write!(f, "{}={}", part.attribute, escape::name_value(value))?,
                // Octets that are not valid UTF-8 are escaped one by one, with the same meaning.
                Err(_) => write!(f, "{}={}", part.attribute, escape::octets(&part.value))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folded(text: &str) -> String {
        Name::parse(text).unwrap().folded()
    }

    #[test]
    fn dn_comparison_ignores_case_and_escapes() {
        assert_eq!(folded("UID=Ann, ou=People,dc=test"), folded("uid=ann,OU=people,DC=test"));
        assert_eq!(folded(r"cn=Doe\, J,dc=test"), folded(r"cn=doe\2C j,dc=test"));
        assert_eq!(folded("cn=a+uid=b,dc=test"), folded("uid=B+CN=a,dc=test"));
        assert_ne!(folded(r"cn=a\,dc\3dtest"), folded("cn=a,dc=test"));
        assert_eq!(folded("cn=Zoe\u{308},dc=test"), folded("cn=ZO\u{cb},dc=test"));
        assert_ne!(folded("cn=Strauß,dc=test"), folded("cn=Strauss,dc=test"));
    }

    #[test]
    fn dn_comparison_resolves_attribute_aliases() {
        assert_eq!(folded("organizationalUnitName=Groups,dc=test"), folded("2.5.4.11=groups,dc=test"));
        assert_eq!(
            folded("userid=ann,domainComponent=test"),
            folded("0.9.2342.19200300.100.1.1=ann,dc=test")
        );
        let name = Name::parse("cn=staff,ou=groups,dc=test").unwrap();
        assert!(name.is_within(&Name::parse("organizationalUnitName=groups,dc=test").unwrap()));
        assert_eq!(Name::parse("userid=ann,dc=test").unwrap().rdns[0].value_of("uid"), Some(&b"ann"[..]));
    }

    #[test]
    fn non_utf8_octets_in_a_dn_are_preserved() {
        let name = Name::parse(r"uid=a\ffb,dc=test").unwrap();
        assert_eq!(Name::parse(&name.to_string()).unwrap(), name);
        assert_ne!(name.folded(), folded(r"uid=a\feb,dc=test"));
    }

    #[test]
    fn malformed_dn_is_refused() {
        for text in
            ["people", "ou=people,", "=x", "ou=a\"b", "ou=a\\", "ou=a\\z", "ou=#1", "ou=a;dc=b", "1x=a"]
        {
            assert_eq!(Name::parse(text), Err(Malformed), "{text}");
        }
    }

    #[test]
    fn dn_is_within_its_base() {
        let name = Name::parse("uid=ann,ou=people,dc=test").unwrap();
        assert!(name.is_within(&Name::parse("OU=People,DC=test").unwrap()));
        assert!(name.is_within(&Name::parse("").unwrap()));
        assert!(!name.is_within(&Name::parse("ou=other,dc=test").unwrap()));
        assert_eq!(name.parent().to_string(), "ou=people,dc=test");
        assert_eq!(Name::parse("ou=x,dc=example,dc=com").unwrap().domain(), "example.com");
    }

    #[test]
    fn single_part_of_an_rdn_can_be_replaced() {
        let rdn = Name::parse("cn=Ann+uid=ann,dc=test").unwrap().rdns[0].clone();
        assert_eq!(rdn.with("UID", "a,b").to_string(), r"cn=Ann+uid=a\2cb");
        assert_eq!(rdn.value_of("uid"), Some(&b"ann"[..]));
    }
}
