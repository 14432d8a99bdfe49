//! A template string with values, such as `Kit {{ account.username }}`.

use std::collections::BTreeSet;

use bridgehead_sdk::SettingsError;

use super::engine::ENGINE;
use super::expression::syntax;
use super::{Fault, Scope, Vars, names};

/// Tags that define macros or need other templates. A template here is a single string. Whether the engine itself rejects them depends on
/// features that other crates in the build enable.
const UNSUPPORTED: [&str; 7] = ["block", "call", "extends", "from", "import", "include", "macro"];

/// The first of those tags in a template.
fn unsupported(source: &str) -> Option<&'static str> {
    source.split("{%").skip(1).find_map(|tag| {
        let tag = tag.trim_start_matches(['-', '+']).trim_start();
        let word = tag.split(|one: char| !one.is_ascii_alphanumeric() && one != '_').next()?;
        UNSUPPORTED.into_iter().find(|known| *known == word)
    })
}

/// A checked template.
#[derive(Clone)]
pub(crate) struct Text {
    key: String,
    source: String,
    uses: BTreeSet<String>,
}

impl Text {
    /// Checks the template at `key`; every variable in it must be known.
    pub(crate) fn new(key: &str, source: &str, scope: &Scope) -> Result<Self, SettingsError> {
        let error = |message: String| SettingsError::new(key, message);
        if let Some(tag) = unsupported(source) {
            return Err(error(format!("is not a valid template: '{tag}' is not supported here")));
        }
        let template = ENGINE
            .template_from_str(source)
            .map_err(|fault| error(format!("is not a valid template: {}", syntax(&fault))))?;
        let uses: BTreeSet<String> = template.undeclared_variables(true).into_iter().collect();
        scope.check(&uses).map_err(error)?;
        match names::unknown_in_text(source) {
            Some(unknown) => Err(error(unknown)),
            None => Ok(Self { key: key.to_owned(), source: source.to_owned(), uses }),
        }
    }

    /// Its place in `target`.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The variables in use.
    pub(crate) fn uses(&self) -> &BTreeSet<String> {
        &self.uses
    }

    /// Renders the string.
    pub(crate) fn write(&self, vars: &Vars) -> Result<String, Fault> {
        ENGINE
            .render_str(&self.source, vars.context())
            .map_err(|error| Fault::of(&self.key, &error, || vars.missing(&self.uses)))
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Text").field("key", &self.key).finish_non_exhaustive()
    }
}
