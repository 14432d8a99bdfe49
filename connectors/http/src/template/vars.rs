//! The variables of a request.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::Value;
use minijinja::value::Object;

/// Variables by name. Cloning is cheap; `Debug` only shows the names.
#[derive(Clone, Default)]
pub(crate) struct Vars(BTreeMap<&'static str, Value>);

impl Vars {
    /// The same variables with one added or replaced.
    pub(crate) fn with(&self, name: &'static str, value: impl Into<Value>) -> Self {
        let mut more = self.clone();
        more.set(name, value);
        more
    }

    /// Adds or replaces a variable.
    pub(crate) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.insert(name, value.into());
    }

    /// The value of a variable.
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(super) fn context(&self) -> Value {
        Value::from_object(self.clone())
    }

    /// Which of these paths, such as `account.email`, do not exist.
    pub(super) fn missing<'a>(&self, paths: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        let leads_nowhere = |path: &&String| {
            let mut value = self.context();
            path.split('.').any(|name| {
                value = value.get_attr(name).unwrap_or_default();
                value.is_undefined()
            })
        };
        paths.into_iter().filter(leads_nowhere).cloned().collect()
    }
}

impl Object for Vars {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_str()?).cloned()
    }
}

impl std::fmt::Debug for Vars {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
