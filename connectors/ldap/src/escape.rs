//! Escapes values in filters (RFC 4515) and names (RFC 4514), so that a value never becomes syntax.

/// A value in the syntax of a filter. Octets that are syntax, and all that are not printable ASCII, are written as `\xx`, so this also
/// works for binary values such as an `objectGUID`.
pub(crate) fn filter_value(value: &[u8]) -> String {
    let mut escaped = String::with_capacity(value.len());
    for &octet in value {
        match octet {
            b'*' | b'(' | b')' | b'\\' | 0..0x20 | 0x7f.. => push_hex(&mut escaped, octet),
            _ => escaped.push(char::from(octet)),
        }
    }
    escaped
}

/// The attributes that the conditions of a filter name, without options and matching rules.
pub(crate) fn attributes_in_filter(filter: &str) -> impl Iterator<Item = &str> {
    // Parentheses in values are escaped, so each one here starts a condition.
    filter.split('(').filter_map(|condition| {
        let (name, _) = condition.split_once(['=', '~', '<', '>', ':'])?;
        let name = name.split(';').next()?.trim();
        (!name.is_empty() && !name.starts_with(['&', '|', '!'])).then_some(name)
    })
}

/// A value in the syntax of a distinguished name.
pub(crate) fn name_value(value: &str) -> String {
    let mut escaped = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (position, character) in value.chars().enumerate() {
        match character {
            ' ' if position == 0 || position == last => escaped.push_str("\\20"),
            '#' if position == 0 => escaped.push_str("\\23"),
            '\0'..'\x20' | '\x7f' | '"' | '+' | ',' | ';' | '<' | '=' | '>' | '\\' => {
                push_hex(&mut escaped, character as u8);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Every octet as `\xx`.
pub(crate) fn octets(value: &[u8]) -> String {
    let mut text = String::with_capacity(3 * value.len());
    for octet in value {
        push_hex(&mut text, *octet);
    }
    text
}

/// An octet as `\xx`.
pub(crate) fn push_hex(escaped: &mut String, octet: u8) {
    const DIGITS: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'];
    escaped.push('\\');
    escaped.push(DIGITS[usize::from(octet >> 4)]);
    escaped.push(DIGITS[usize::from(octet & 0xf)]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::Name;

    #[test]
    fn filter_attributes_are_extracted() {
        let filter = r"(&(objectClass=person)(!(mail;lang-ja=*))(|(cn~=x)(uid:caseExactMatch:=a\28b)(:dn:2.5.13.2:=x)(a>=1)))";
        let found: Vec<_> = attributes_in_filter(filter).collect();
        assert_eq!(found, ["objectClass", "mail", "cn", "uid", "a"]);
    }

    #[test]
    fn filter_values_are_escaped() {
        assert_eq!(filter_value(b"*)(uid=*"), "\\2a\\29\\28uid=\\2a");
        assert_eq!(filter_value(b"a\\b\0"), "a\\5cb\\00");
        assert_eq!(filter_value("\u{e9}".as_bytes()), "\\c3\\a9");
        assert_eq!(filter_value(b"ann,bob"), "ann,bob");
    }

    #[test]
    fn dn_values_are_escaped() {
        assert_eq!(name_value(r#"Doe, "J" <x>;a=b+c\d"#), r"Doe\2c \22J\22 \3cx\3e\3ba\3db\2bc\5cd");
        assert_eq!(name_value(" a b "), "\\20a b\\20");
        assert_eq!(name_value(" "), "\\20");
        assert_eq!(name_value("#1#"), "\\231#");
        assert_eq!(name_value("a\0b"), "a\\00b");
        assert_eq!(name_value("مريم 😀"), "مريم 😀");
    }

    proptest! {
        #[test]
        fn dn_survives_a_round_trip(value in ".{1,40}", also in ".{1,40}") {
            let text = format!("cn={},ou={},dc=test", name_value(&value), name_value(&also));
            let name = Name::parse(&text).unwrap();
            let values: Vec<_> = name.rdns.iter().map(|rdn| rdn.parts[0].value.clone()).collect();
            prop_assert_eq!(values, vec![value.into_bytes(), also.into_bytes(), b"test".to_vec()]);
        }

        #[test]
        fn any_value_yields_a_single_equality_filter(value in proptest::collection::vec(any::<u8>(), 1..40)) {
            let plain = ldap3::parse_filter(format!("(uid={})", filter_value(&value)));
            let read = format!("{:?}", plain.unwrap());
            // An equality match (context tag 3) whose second part is the value, octet by octet.
            prop_assert!(read.contains("id: 3"), "{read}");
            prop_assert!(read.contains(&format!("{value:?}")), "{read}");
        }
    }
}
