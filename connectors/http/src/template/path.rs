//! The path of a URL, with every value percent-encoded.

use bridgehead_sdk::SettingsError;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::{Expression, Fault, Reason, Scope, Vars};

/// All but the unreserved characters of RFC 3986, section 2.3, so that any value is a single segment.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A path of literal text and values.
#[derive(Debug)]
pub(crate) struct Path {
    key: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Literal(String),
    Value(Expression),
}

impl Path {
    /// Checks the path at `key`. Values are in `{{ }}`; statements are not allowed in a path.
    pub(crate) fn new(key: &str, source: &str, scope: &Scope) -> Result<Self, SettingsError> {
        let error = |message: &str| SettingsError::new(key, message);
        if !source.starts_with('/') {
            return Err(error("must start with '/'; it is appended to base_url"));
        }
        let mut parts = Vec::new();
        let mut rest = source;
        while let Some(begin) = rest.find("{{") {
            parts.push(Part::Literal(rest[..begin].to_owned()));
            let inside = &rest[begin + 2..];
            let end = inside.find("}}").ok_or_else(|| error("has a '{{' without its '}}'"))?;
            parts.push(Part::Value(Expression::new(key, inside[..end].trim(), scope)?));
            rest = &inside[end + 2..];
        }
        parts.push(Part::Literal(rest.to_owned()));
        for part in &parts {
            let Part::Literal(text) = part else { continue };
            if text.contains(['?', '#']) {
                return Err(error("must not contain '?' or '#'; put parameters into `query`"));
            }
            if text.contains("{%")
                || text.contains(|c: char| c.is_whitespace() || c.is_control() || "{}\\".contains(c))
            {
                return Err(error(
                    "may contain values in {{ }}, and otherwise only characters that are \
                                  allowed in a URL",
                ));
            }
        }
        let literal: String = parts
            .iter()
            .map(|part| match part {
                Part::Literal(text) => text.as_str(),
                Part::Value(_) => "x",
            })
            .collect();
        if literal.split('/').any(is_dots) || literal.contains("//") {
            return Err(error("must not contain '//', '/./' or '/../'"));
        }
        Ok(Self { key: key.to_owned(), parts })
    }

    /// The variables in use.
    pub(crate) fn uses(&self) -> impl Iterator<Item = &String> {
        self.expressions().flat_map(Expression::uses)
    }

    fn expressions(&self) -> impl Iterator<Item = &Expression> {
        self.parts.iter().filter_map(|part| match part {
            Part::Literal(_) => None,
            Part::Value(expression) => Some(expression),
        })
    }

    /// Renders the path. A value that is empty, or that would be read as `.` or `..`, is a fault: `/users/` does not mean a user without a
    /// name.
    pub(crate) fn write(&self, vars: &Vars) -> Result<String, Fault> {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Value(expression) => {
                    let text = expression.text(vars)?;
                    if text.is_empty() {
                        return Err(Fault::new(&self.key, Reason::Path));
                    }
                    path.extend(utf8_percent_encode(&text, RESERVED));
                }
            }
        }
        if path.split('/').any(is_dots) {
            return Err(Fault::new(&self.key, Reason::Path));
        }
        Ok(path)
    }
}

/// Whether URL parsers read a segment as `.` or `..`, encoded or not.
fn is_dots(segment: &str) -> bool {
    matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(source: &str, value: &str) -> Result<String, Fault> {
        let scope = Scope::default().any("name");
        Path::new("path", source, &scope).unwrap().write(&Vars::default().with("name", value))
    }

    fn refused(source: &str) -> String {
        Path::new("path", source, &Scope::default().any("name")).unwrap_err().to_string()
    }

    #[test]
    fn any_value_is_encoded_as_one_path_segment() {
        for (name, encoded) in [
            ("ann", "ann"),
            ("../admin", "..%2Fadmin"),
            ("a b?c#d", "a%20b%3Fc%23d"),
            ("a%2Fb", "a%252Fb"),
            ("naïve😀", "na%C3%AFve%F0%9F%98%80"),
            ("a\r\nb\0", "a%0D%0Ab%00"),
        ] {
            assert_eq!(write("/users/{{ name }}/x", name).unwrap(), format!("/users/{encoded}/x"));
        }
    }

    #[test]
    fn value_that_would_change_the_path_is_refused() {
        for name in ["", ".", ".."] {
            assert_eq!(write("/users/{{ name }}", name).unwrap_err().reason, Reason::Path, "{name:?}");
        }
        assert_eq!(write("/users/.{{ name }}", ".").unwrap_err().reason, Reason::Path);
        assert_eq!(write("/users/{{ name }}.json", ".").unwrap(), "/users/..json");
    }

    #[test]
    fn invalid_path_template_is_refused_at_load() {
        for source in [
            "users",
            "/a?b=c",
            "/a#b",
            "/a b",
            "/{% if x %}",
            "/a/../b",
            "/a//b",
            "/%2e%2E/x",
            "/{{ name",
            "/{{ nam }}",
        ] {
            assert!(refused(source).starts_with("path: "), "{source}");
        }
        assert!(refused("/{{ nam }}").contains("did you mean 'name'"));
    }
}
