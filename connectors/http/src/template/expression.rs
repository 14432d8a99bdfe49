//! An expression, such as `answer.items`.

use std::collections::BTreeSet;

use bridgehead_sdk::SettingsError;
use minijinja::Value;
use minijinja::value::ValueKind;

use super::engine::ENGINE;
use super::{Fault, Reason, Scope, Vars, names};

/// A compiled and checked expression.
pub(crate) struct Expression {
    key: String,
    compiled: minijinja::Expression<'static, 'static>,
    uses: BTreeSet<String>,
}

impl Expression {
    /// Compiles the expression at `key`; every variable in it must be known.
    pub(crate) fn new(key: &str, source: &str, scope: &Scope) -> Result<Self, SettingsError> {
        let error = |message: String| SettingsError::new(key, message);
        let compiled = ENGINE
            .compile_expression_owned(source.to_owned())
            .map_err(|fault| error(format!("is not a valid expression: {}", syntax(&fault))))?;
        let uses: BTreeSet<String> = compiled.undeclared_variables(true).into_iter().collect();
        scope.check(&uses).map_err(error)?;
        match names::unknown_in_expression(source) {
            Some(unknown) => Err(error(unknown)),
            None => Ok(Self { key: key.to_owned(), compiled, uses }),
        }
    }

    /// Whether a string is a valid expression, regardless of its variables.
    pub(super) fn is_one(source: &str) -> bool {
        ENGINE.compile_expression_owned(source.to_owned()).is_ok()
    }

    /// Its place in `target`.
    pub(crate) fn key(&self) -> &str {
        &self.key
    }

    /// The variables in use, such as `account.email`.
    pub(crate) fn uses(&self) -> &BTreeSet<String> {
        &self.uses
    }

    /// Its value. A missing value is a fault; `none` is a value.
    pub(crate) fn value(&self, vars: &Vars) -> Result<Value, Fault> {
        let missing = || vars.missing(&self.uses);
        let value =
            self.compiled.eval(vars.context()).map_err(|error| Fault::of(&self.key, &error, missing))?;
        if value.is_undefined() {
            return Err(Fault::new(&self.key, Reason::Missing(missing())));
        }
        Ok(value)
    }

    /// Its value, which must be a boolean.
    pub(crate) fn truth(&self, vars: &Vars) -> Result<bool, Fault> {
        let value = self.value(vars)?;
        match value.kind() {
            ValueKind::Bool => Ok(value.is_true()),
            _ => Err(self.not_a("true or false")),
        }
    }

    /// Its value, which must be a list.
    pub(crate) fn list(&self, vars: &Vars) -> Result<Vec<Value>, Fault> {
        let value = self.value(vars)?;
        match value.kind() {
            ValueKind::Seq | ValueKind::Iterable => value
                .try_iter()
                .map(Iterator::collect)
                .map_err(|error| Fault::of(&self.key, &error, Vec::new)),
            _ => Err(self.not_a("a list")),
        }
    }

    /// Its value, which must be a whole number, zero or above.
    pub(crate) fn count(&self, vars: &Vars) -> Result<u64, Fault> {
        let value = self.value(vars)?;
        u64::try_from(value).map_err(|_| self.not_a("a whole number"))
    }

    /// Its value as a string; it must be a string or a number.
    pub(crate) fn text(&self, vars: &Vars) -> Result<String, Fault> {
        super::engine::plain(&self.value(vars)?).map_err(|reason| Fault::new(&self.key, reason))
    }

    /// The fault for a value of the wrong type.
    pub(crate) fn not_a(&self, what: &'static str) -> Fault {
        Fault::new(&self.key, Reason::NotA(what))
    }
}

/// The message of a syntax error, without the surrounding template.
pub(super) fn syntax(error: &minijinja::Error) -> String {
    error.detail().map_or_else(|| error.kind().to_string(), str::to_owned)
}

impl std::fmt::Debug for Expression {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Expression").field("key", &self.key).finish_non_exhaustive()
    }
}
