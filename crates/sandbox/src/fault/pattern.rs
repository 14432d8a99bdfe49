//! The path pattern of a fault.

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// A pattern for the whole path of a request, without its query.
///
/// As a string it is a glob: `*` matches anything within a segment, `**` anything, `?` one character. A string that begins with `^` is a
/// regular expression.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PathPattern {
    text: String,
    regex: Regex,
}

impl PathPattern {
    /// Parses a pattern. Any glob is valid; a regular expression may not be.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let regex = if text.starts_with('^') { Regex::new(text) } else { Regex::new(&expression_of(text)) };
        match regex {
            Ok(regex) => Ok(Self { text: text.to_owned(), regex }),
            Err(source) => Err(Error::Pattern { pattern: text.to_owned(), source }),
        }
    }

    pub(crate) fn admits(&self, path: &str) -> bool {
        self.regex.is_match(path)
    }
}

impl TryFrom<String> for PathPattern {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

impl From<PathPattern> for String {
    fn from(pattern: PathPattern) -> Self {
        pattern.text
    }
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

fn expression_of(glob: &str) -> String {
    let mut expression = String::from("^");
    let mut rest = glob.chars().peekable();
    while let Some(one) = rest.next() {
        match one {
            '*' if rest.peek() == Some(&'*') => {
                rest.next();
                expression.push_str(".*");
            }
            '*' => expression.push_str("[^/]*"),
            '?' => expression.push_str("[^/]"),
            literal => expression.push_str(&regex::escape(literal.encode_utf8(&mut [0; 4]))),
        }
    }
    expression.push('$');
    expression
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(pattern: &str, path: &str) -> bool {
        PathPattern::parse(pattern).unwrap().admits(path)
    }

    #[test]
    fn single_star_matches_one_segment_and_double_star_many() {
        assert!(admits("/apps/*/tasks/", "/apps/1/tasks/"));
        assert!(!admits("/apps/*/tasks/", "/apps/1/2/tasks/"));
        assert!(admits("**/tasks/", "/apps/1/2/tasks/"));
        assert!(!admits("**/tasks/", "/apps/1/tasks/7/"));
        assert!(admits("/a.c?", "/a.cd") && !admits("/a.c?", "/abcd"));
    }

    #[test]
    fn caret_starts_a_regular_expression() {
        assert!(admits("^.*/sync/[0-9a-f-]+/$", "/x/sync/0f-1/"));
        assert!(!admits("^.*/sync/[0-9a-f-]+/$", "/x/sync/team/"));
        let error = PathPattern::parse("^(").unwrap_err();
        assert!(error.to_string().contains("'^('"), "{error}");
    }
}
