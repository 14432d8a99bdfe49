//! A text with values in it, such as `Kit {{ account.username }}`.

use std::collections::BTreeSet;

use bridgehead_sdk::SettingsError;

use super::engine::ENGINE;
use super::expression::syntax;
use super::{Fault, Scope, Vars, names};

/// A template that was checked.
#[derive(Clone)]
pub(crate) struct Text {
    key: String,
    source: String,
    uses: BTreeSet<String>,
}

impl Text {
    /// Checks the template that stands at `key`; every variable it uses must be known.
    pub(crate) fn new(key: &str, source: &str, scope: &Scope) -> Result<Self, SettingsError> {
        let error = |message: String| SettingsError::new(key, message);
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

    /// The variables it uses.
    pub(crate) fn uses(&self) -> &BTreeSet<String> {
        &self.uses
    }

    /// The text.
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
