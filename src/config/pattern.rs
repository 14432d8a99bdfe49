//! Patterns for accounts that tasks must not touch.

/// A pattern in which `*` stands for any text, the empty one too. It matches whole texts, without regard to case.
#[derive(Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    /// The lower-case texts between the stars; at least one.
    parts: Vec<String>,
}

impl Pattern {
    /// Takes any text; `None` if there is nothing in it.
    pub fn new(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return None;
        }
        Some(Self {
            text: text.to_owned(),
            parts: text.to_lowercase().split('*').map(str::to_owned).collect(),
        })
    }

    /// Whether the pattern fits the whole text.
    pub fn matches(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        let [first, middle @ .., last] = self.parts.as_slice() else {
            return self.parts.first().is_some_and(|only| *only == text);
        };
        let Some(rest) = text.strip_prefix(first.as_str()).and_then(|rest| rest.strip_suffix(last.as_str()))
        else {
            return false;
        };
        // What stands between stars may come anywhere, in order; taking the first place leaves most room for the rest.
        let mut rest = Some(rest);
        for part in middle {
            rest = rest.and_then(|rest| rest.split_once(part.as_str()).map(|(_, after)| after));
        }
        rest.is_some()
    }

    /// As the operator wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
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
    fn a_pattern_without_a_star_matches_the_whole_text_in_any_case() {
        assert!(matches("admin", "Admin") && matches("ÄRZTE", "ärzte"));
        assert!(!matches("admin", "admins") && !matches("admin", "sysadmin") && !matches("admin", ""));
    }

    #[test]
    fn a_star_stands_for_any_text() {
        assert!(matches("svc-*", "svc-backup") && matches("svc-*", "SVC-") && matches("*", ""));
        assert!(matches("*@acme.example", "root@acme.example") && matches("a*b*c", "a-b-b-c"));
        assert!(!matches("svc-*", "my-svc-1") && !matches("a*b*c", "a-c") && !matches("a**b", "a"));
        assert!(!matches("ab*ba", "aba"), "the two ends must not overlap");
        assert!(matches("a.c", "a.c") && !matches("a.c", "abc"), "only the star is special");
    }

    #[test]
    fn an_empty_pattern_is_none() {
        assert_eq!(Pattern::new(""), None);
        assert_eq!(Pattern::new("  "), None);
    }

    /// The definition itself, slow and obvious.
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
        fn matching_agrees_with_the_definition(pattern in "[ab*]{1,6}", text in "[ab]{0,8}") {
            let characters = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), slowly(&characters(&pattern), &characters(&text)));
        }
    }
}
