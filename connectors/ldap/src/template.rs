//! Values built from an account's fields: `{username}@example.com`, or `{display_name|username}` for the first field that has a value.

use bridgehead_sdk::nearest;

/// A string with placeholders for fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// The first of these that has a value.
    Fields(Vec<String>),
}

impl Template {
    /// Parses a template whose fields are among `known`; otherwise the error says what is wrong.
    pub(crate) fn parse<'a>(
        text: &str,
        known: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let (before, after) = rest.split_at(open);
            let Some(close) = after.find('}') else {
                return Err("has a '{' without a '}'".to_owned());
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let fields: Vec<String> = after[1..close].split('|').map(|name| name.trim().to_owned()).collect();
            for field in &fields {
                if !known.clone().any(|name| name == field) {
                    let near = nearest(field, known.clone());
                    let hint = near.map_or_else(
                        || format!("known fields are {}", known.clone().collect::<Vec<_>>().join(", ")),
                        |near| format!("did you mean '{near}'?"),
                    );
                    return Err(format!("uses the field '{field}', which accounts do not have; {hint}"));
                }
            }
            parts.push(Part::Fields(fields));
            rest = &after[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self { parts })
    }

    /// The value, or `None` if a required field has no value.
    pub(crate) fn render(&self, field: impl Fn(&str) -> Option<String>) -> Option<String> {
        let mut value = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => value.push_str(text),
                Part::Fields(names) => value.push_str(&names.iter().find_map(|name| field(name))?),
            }
        }
        Some(value).filter(|value| !value.is_empty())
    }

    /// Whether the value is the same for all accounts.
    pub(crate) fn is_constant(&self) -> bool {
        !self.parts.iter().any(|part| matches!(part, Part::Fields(_)))
    }

    /// Whether the value depends on a field.
    pub(crate) fn mentions(&self, field: &str) -> bool {
        self.parts
            .iter()
            .any(|part| matches!(part, Part::Fields(names) if names.iter().any(|name| name == field)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["username", "display_name", "domain"];

    fn parse(text: &str) -> Result<Template, String> {
        Template::parse(text, &KNOWN.into_iter())
    }

    #[test]
    fn template_fields_are_substituted() {
        let field = |name: &str| match name {
            "username" => Some("ann".to_owned()),
            "domain" => Some("example.com".to_owned()),
            _ => None,
        };
        assert_eq!(parse("{username}@{domain}").unwrap().render(field).unwrap(), "ann@example.com");
        assert_eq!(parse("{display_name|username}").unwrap().render(field).unwrap(), "ann");
        assert_eq!(parse("x {display_name}").unwrap().render(field), None);
        assert_eq!(parse("staff").unwrap().render(field).unwrap(), "staff");
    }

    #[test]
    fn unknown_field_suggests_the_nearest_name() {
        let error = parse("{user_name}").unwrap_err();
        assert_eq!(error, "uses the field 'user_name', which accounts do not have; did you mean 'username'?");
        assert!(parse("{username").is_err());
    }
}
