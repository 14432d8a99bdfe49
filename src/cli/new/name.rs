//! The name of a connector.

use super::super::failure::{Exit, Failure};
use bridgehead_config::Connectors;

/// The maximum length: the name is part of file names and the names of a crate and a unit.
const LONGEST: usize = 40;

/// A connector's name, and the identifiers derived from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(String);

impl Name {
    /// Accepts a name that is valid for a crate, a file and a key, and that no other connector has.
    pub(super) fn new(name: &str, connectors: &Connectors) -> Result<Self, Failure> {
        let refuse = |problem: String| Err(Failure::new(Exit::Usage, problem));
        let plain = |character: char| {
            character.is_ascii_lowercase() || character.is_ascii_digit() || character == '-'
        };
        let begins = name.starts_with(|first: char| first.is_ascii_lowercase());
        let whole = !name.ends_with('-') && !name.contains("--");
        if name.len() > LONGEST || !begins || !whole || !name.chars().all(plain) {
            let suggestion = suggestion(name).map_or_else(String::new, |better| format!("; try '{better}'"));
            return refuse(format!(
                "'{}' is not a valid connector name: it must have 1 to {LONGEST} lowercase letters, digits \
                 and single hyphens, and start with a letter{suggestion}",
                name.escape_debug()
            ));
        }
        if connectors.contains_key(name) {
            return refuse(format!(
                "a connector named '{name}' already exists; choose another name, such as 'my-{name}'"
            ));
        }
        Ok(Self(name.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as part of a Rust identifier.
    pub(super) fn identifier(&self) -> String {
        self.0.replace('-', "_")
    }

    /// The name as part of an environment variable.
    pub(super) fn variable(&self) -> String {
        self.identifier().to_uppercase()
    }
}

/// A valid name that is similar to an invalid one.
fn suggestion(name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let words =
        lower.split(|character: char| !character.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let joined = words.collect::<Vec<_>>().join("-");
    let better: String =
        joined.trim_start_matches(|first: char| !first.is_ascii_lowercase()).chars().take(LONGEST).collect();
    let better = better.trim_end_matches('-').to_owned();
    (!better.is_empty()).then_some(better)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(name: &str) -> String {
        let connectors = Connectors::from([("file".to_owned(), bridgehead_simulated::factory())]);
        Name::new(name, &connectors).unwrap_err().message().to_owned()
    }

    #[test]
    fn valid_name_works_for_crate_file_and_key() {
        for fine in ["jira", "a", "sap-hr2", &"x".repeat(40)] {
            assert_eq!(Name::new(fine, &Connectors::new()).unwrap().as_str(), fine);
        }
        let name = Name::new("sap-hr2", &Connectors::new()).unwrap();
        assert_eq!((name.identifier().as_str(), name.variable().as_str()), ("sap_hr2", "SAP_HR2"));
    }

    #[test]
    fn invalid_name_gets_an_explanation_and_a_suggestion() {
        let names = [
            "Jira",
            "SAP HR",
            "../../etc",
            "9lives",
            "a--b",
            "-a",
            "a_",
            "",
            "ü",
            "file",
            "a\u{1b}[31m",
            &"x".repeat(41),
        ];
        let told = names.map(refused).join("\n");
        insta::assert_snapshot!(told, @r"
        'Jira' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'jira'
        'SAP HR' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'sap-hr'
        '../../etc' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'etc'
        '9lives' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'lives'
        'a--b' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'a-b'
        '-a' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'a'
        'a_' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'a'
        '' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter
        'ü' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter
        a connector named 'file' already exists; choose another name, such as 'my-file'
        'a\u{1b}[31m' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'a-31m'
        'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' is not a valid connector name: it must have 1 to 40 lowercase letters, digits and single hyphens, and start with a letter; try 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'
        ");
    }
}
