//! Comparing names and identifiers as targets do.

use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The form in which a user name or an email address is compared: without the differences of case, and in one of the Unicode forms (NFC). Some
/// targets store `é` as one character, others as `e` with an accent; both are the same name.
///
/// It is for comparing, never for sending: a target may accept only the spelling that it shows.
///
/// ```
/// use bridgehead_sdk::folded;
///
/// assert_eq!(folded("Jose\u{301}@Example.org"), folded("JOS\u{c9}@example.org"));
/// assert_ne!(folded("Jose"), folded("Jos\u{e9}"));
/// ```
pub fn folded(name: &str) -> String {
    if name.is_ascii() {
        return name.to_ascii_lowercase();
    }
    // A letter in lowercase may have another composed form than the capital letter.
    name.nfd().collect::<String>().to_lowercase().nfc().collect()
}

/// A text in one of the Unicode forms (NFC), with its case: how values that are not names, such as a display name, are compared.
///
/// ```
/// use bridgehead_sdk::composed;
///
/// assert_eq!(composed("Jose\u{301}"), "Jos\u{e9}");
/// assert_ne!(composed("Jose\u{301}"), composed("JOSE\u{301}"));
/// ```
pub fn composed(text: &str) -> Cow<'_, str> {
    if text.is_ascii() || is_nfc_quick(text.chars()) == IsNormalized::Yes {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.nfc().collect())
}

/// Whether two user names or email addresses are the same, as [`folded`] compares them.
pub fn is_same_name(one: &str, other: &str) -> bool {
    one == other || folded(one) == folded(other)
}

/// The spellings of a name with which a target may be searched that compares character by character: as it is, and in the two Unicode forms.
///
/// ```
/// use bridgehead_sdk::spellings;
///
/// assert_eq!(spellings("ann"), ["ann"]);
/// assert_eq!(spellings("Jos\u{e9}"), ["Jos\u{e9}", "Jose\u{301}"]);
/// ```
pub fn spellings(name: &str) -> Vec<String> {
    let mut spellings = vec![name.to_owned()];
    if !name.is_ascii() {
        for other in [name.nfc().collect::<String>(), name.nfd().collect()] {
            if !spellings.contains(&other) {
                spellings.push(other);
            }
        }
    }
    spellings
}

/// The form in which an identifier is compared where other records of the target refer to it. Some targets write a UUID in a different case
/// there; other identifiers may be case-sensitive.
///
/// ```
/// use bridgehead_sdk::comparable_id;
///
/// let upper = "6F9619FF-8B86-D011-B42D-00CF4FC964FF";
/// assert_eq!(comparable_id(upper), upper.to_lowercase());
/// assert_eq!(comparable_id("aB1"), "aB1");
/// ```
pub fn comparable_id(id: &str) -> Cow<'_, str> {
    let digits = id.bytes().filter(|byte| *byte != b'-');
    let is_uuid = digits.clone().count() == 32 && digits.clone().all(|byte| byte.is_ascii_hexdigit());
    if is_uuid { Cow::Owned(id.to_ascii_lowercase()) } else { Cow::Borrowed(id) }
}

/// Whether two identifiers refer to the same record, as [`comparable_id`] compares them.
pub fn is_same_id(one: &str, other: &str) -> bool {
    comparable_id(one) == comparable_id(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_unicode_form() {
        for (one, other) in [
            ("Ann", "aNN"),
            ("Jos\u{e9}", "JOSE\u{301}"),
            ("\u{c5}sa", "a\u{30a}SA"),
            ("\u{212b}sa", "\u{e5}sa"),
            // Several accents, in either order, and a capital letter that has no composed form of its own.
            ("\u{1e69}", "S\u{307}\u{323}"),
            ("\u{1f0}", "J\u{30c}"),
            ("\u{d55c}", "\u{1112}\u{1161}\u{11ab}"),
            ("\u{130}", "I\u{307}"),
        ] {
            assert!(is_same_name(one, other), "{one} {other}");
            assert!(is_same_name(other, one), "{other} {one}");
        }
        for (one, other) in [
            ("jose", "jos\u{e9}"),
            ("strasse", "stra\u{df}e"),
            ("i", "\u{131}"),
            // Letters that only look alike, or are alike only if formatting is ignored, are different.
            ("ann", "\u{430}nn"),
            ("ann", "\u{ff41}nn"),
            ("fin", "\u{fb01}n"),
        ] {
            assert!(!is_same_name(one, other), "{one} {other}");
        }
    }

    #[test]
    fn each_spelling_is_the_same_name() {
        for name in ["ann", "Jos\u{e9}", "Jose\u{301}", "\u{212b}sa", "s\u{307}\u{323}"] {
            let spellings = spellings(name);
            assert_eq!(spellings[0], name);
            assert!(spellings.iter().all(|one| is_same_name(one, name) && composed(one) == composed(name)));
        }
        assert_eq!(spellings("\u{212b}sa").len(), 3);
    }
}
