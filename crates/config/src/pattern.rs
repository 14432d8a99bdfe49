//! Patterns for accounts that tasks must not touch.

use bridgehead_sdk::{folded, is_invisible};

use super::leaf::{EXAMPLE, Leaf};
use super::values::text;

/// A pattern in which `*` matches any text, including the empty one. It must match the whole text and ignores case.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// The lower-case strings between the stars; at least one.
    parts: Vec<String>,
    /// The parts without a change of their Unicode form.
    plain_parts: Vec<String>,
}

/// Why a string is not a valid pattern: it would silently protect no account. The operator must change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// It is empty.
    #[error("must not be empty")]
    Empty,
    /// It has leading or trailing whitespace, which no account name has.
    #[error("starts or ends with a space, which no account name does; remove it")]
    Blank,
    /// It contains invisible characters, probably from pasting.
    #[error("contains an invisible character, which no account name does; type it instead of pasting it")]
    Invisible,
    /// It is written in a different pattern language.
    #[error(
        "looks like a regular expression, or a shell or SQL pattern, and would match nothing: only '*' is \
         special and stands for any text, as in \"svc-*\"; the pattern matches the whole name without '^' \
         and '$'"
    )]
    Expression,
}

impl Pattern {
    /// Accepts any string that can be an account name with stars in it.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        if text.trim().is_empty() {
            return Err(PatternError::Empty);
        }
        if text.trim() != text {
            return Err(PatternError::Blank);
        }
        if text.contains(is_invisible) {
            return Err(PatternError::Invisible);
        }
        if is_expression(text) {
            return Err(PatternError::Expression);
        }
        let parts = |text: &str| text.split('*').map(str::to_owned).collect();
        Ok(Self {
            text: text.to_owned(),
            parts: parts(&folded(text)),
            plain_parts: parts(&text.to_lowercase()),
        })
    }

    /// Whether the pattern matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        // In one Unicode form, `é` is not `e` followed by anything, but the operator may have meant it.
        [(&self.parts, folded(text)), (&self.plain_parts, text.to_lowercase())]
            .iter()
            .any(|(parts, text)| Self::is_made_of(parts, text))
    }

    fn is_made_of(parts: &[String], text: &str) -> bool {
        let [first, middle @ .., last] = parts else {
            return parts.first().is_some_and(|only| only == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
        else {
            return false;
        };
        // The parts between stars may be anywhere, in order; taking the first match leaves most room for the rest.
        let mut rest = Some(rest);
        for part in middle {
            rest = rest.and_then(|rest| rest.split_once(part.as_str()).map(|(_, after)| after));
        }
        rest.is_some()
    }

    /// The pattern as the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// One or more accounts, selected by a pattern.
pub(super) struct Accounts;

impl Leaf for Accounts {
    type Value = Pattern;

    fn read(given: Option<&str>) -> Result<Pattern, String> {
        Pattern::new(text(given, EXAMPLE)?).map_err(|error| error.to_string())
    }

    fn write(pattern: &Pattern) -> Option<String> {
        Some(pattern.text.clone())
    }
}

/// Whether a string is written for a different kind of matching: a regular expression, a shell, SQL. A trailing dollar alone is allowed:
/// names of machine accounts end with one.
fn is_expression(text: &str) -> bool {
    text.starts_with('^')
        || text.ends_with(".*$")
        || text.starts_with('/') && text.ends_with('/')
        || text.starts_with('%')
        || text.ends_with('%')
        || [r"\.", ".+"].iter().any(|of| text.contains(of))
        || text.contains(['?', '[', ']', '{', '}', '|'])
}

impl std::fmt::Debug for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn matches(pattern: &str, text: &str) -> bool {
        Pattern::new(pattern).unwrap().matches(text)
    }

    #[test]
    fn pattern_without_a_star_matches_whole_text_ignoring_case() {
        assert!(matches("admin", "Admin") && matches("ÄRZTE", "ärzte"));
        assert!(!matches("admin", "admins") && !matches("admin", "sysadmin") && !matches("admin", ""));
    }

    #[test]
    fn pattern_matches_names_in_either_unicode_form() {
        assert!(matches("Jos\u{e9}", "jose\u{301}") && matches("JOSE\u{301}", "jos\u{e9}"));
        assert!(matches("jos\u{e9}*", "Jose\u{301}-admin") && matches("*\u{e9}", "jose\u{301}"));
        assert!(matches("jose*", "jose\u{301}"), "a protected name stays protected");
        assert!(!matches("jose", "jos\u{e9}") && !matches("jose", "jose\u{301}"));
    }

    #[test]
    fn star_matches_any_text() {
        assert!(matches("svc-*", "svc-backup") && matches("svc-*", "SVC-") && matches("*", ""));
        assert!(matches("*@acme.example", "root@acme.example") && matches("a*b*c", "a-b-b-c"));
        assert!(!matches("svc-*", "my-svc-1") && !matches("a*b*c", "a-c") && !matches("a**b", "a"));
        assert!(!matches("ab*ba", "aba"), "the two ends must not overlap");
        assert!(matches("a.c", "a.c") && !matches("a.c", "abc"), "only the star is special");
    }

    #[test]
    fn pattern_that_can_never_match_is_refused() {
        for (text, why) in [
            ("", PatternError::Empty),
            ("  ", PatternError::Empty),
            (" admin", PatternError::Blank),
            ("admin\t", PatternError::Blank),
            ("admin\u{a0}", PatternError::Blank),
            ("ad\nmin", PatternError::Invisible),
            ("admin\u{200b}", PatternError::Invisible),
            ("\u{202e}admin", PatternError::Invisible),
            ("^admin.*$", PatternError::Expression),
            ("^admin", PatternError::Expression),
            ("admin.*$", PatternError::Expression),
            ("/admin/", PatternError::Expression),
            ("%admin%", PatternError::Expression),
            ("svc-%", PatternError::Expression),
            (r"svc\.backup", PatternError::Expression),
            ("svc.+", PatternError::Expression),
            ("svc-[0-9]*", PatternError::Expression),
            ("(admin|root)", PatternError::Expression),
            ("svc-??", PatternError::Expression),
            ("{admin,root}", PatternError::Expression),
        ] {
            assert_eq!(Pattern::new(text), Err(why), "{text:?}");
        }
        for text in [
            "admin",
            "svc.*",
            "*$",
            "web01$",
            r"ACME\svc-*",
            "a.b+c@acme.example",
            "Jean Luc",
            "o'neil (old)",
        ] {
            assert!(Pattern::new(text).is_ok(), "{text}");
        }
    }

    /// The definition itself: slow, but obviously correct.
    fn slowly(pattern: &[char], text: &[char]) -> bool {
        match (pattern.split_first(), text.split_first()) {
            (None, None) => true,
            (Some(('*', rest)), _) => {
                slowly(rest, text) || text.split_first().is_some_and(|(_, text)| slowly(pattern, text))
            }
            (Some((one, pattern)), Some((other, text))) => one == other && slowly(pattern, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matching_agrees_with_a_naive_implementation(pattern in "[ab*]{1,6}", text in "[ab]{0,8}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), slowly(&characters(&pattern), &characters(&text)));
        }
    }
}
