//! JSON with templates: each string of a table is a separate template, so no value can break out of its leaf.

use std::collections::BTreeSet;

use bridgehead_sdk::SettingsError;
use serde_json::{Map, Value};

use super::{Expression, Fault, Reason, Scope, Text, Vars, is_omitted};

/// JSON whose strings are templates.
#[derive(Debug)]
pub(crate) enum Tree {
    /// A part without templates.
    Constant(Value),
    /// A leaf that consists only of `{{ value }}`: the value keeps its type.
    Value(Expression),
    /// A leaf of literal text and values.
    Text(Text),
    /// A list.
    List(Vec<Tree>),
    /// A table.
    Table(Vec<(String, Tree)>),
}

impl Tree {
    /// Checks every leaf.
    pub(crate) fn new(key: &str, value: &Value, scope: &Scope) -> Result<Self, SettingsError> {
        Ok(match value {
            Value::String(source) if !is_template(source) => Self::Constant(value.clone()),
            Value::String(source) => match lone(source) {
                Some(expression) => Self::Value(Expression::new(key, expression, scope)?),
                None => Self::Text(Text::new(key, source, scope)?),
            },
            Value::Array(items) => {
                let item = |(at, item)| Self::new(&format!("{key}.{at}"), item, scope);
                Self::List(items.iter().enumerate().map(item).collect::<Result<_, _>>()?)
            }
            Value::Object(fields) => {
                let field = |(name, field): (&String, &Value)| {
                    let key = format!("{key}.{name}");
                    if is_template(name) {
                        return Err(SettingsError::new(key, "a key cannot be a template, only a value"));
                    }
                    Ok((name.clone(), Self::new(&key, field, scope)?))
                };
                Self::Table(fields.iter().map(field).collect::<Result<_, _>>()?)
            }
            constant => Self::Constant(constant.clone()),
        })
    }

    /// The variables in use.
    pub(crate) fn uses(&self) -> BTreeSet<String> {
        match self {
            Self::Constant(_) => BTreeSet::new(),
            Self::Value(expression) => expression.uses().clone(),
            Self::Text(text) => text.uses().clone(),
            Self::List(items) => items.iter().flat_map(Self::uses).collect(),
            Self::Table(fields) => fields.iter().flat_map(|(_, field)| field.uses()).collect(),
        }
    }

    /// Its place in `target`, if it contains a template; otherwise `name`.
    pub(crate) fn key(&self, name: &str) -> String {
        match self {
            Self::Value(expression) => expression.key().to_owned(),
            Self::Text(text) => text.key().to_owned(),
            Self::Constant(_) | Self::List(_) | Self::Table(_) => name.to_owned(),
        }
    }

    /// Builds the JSON; `None` if all of it is left out.
    pub(crate) fn build(&self, vars: &Vars) -> Result<Option<Value>, Fault> {
        Ok(Some(match self {
            Self::Constant(value) => value.clone(),
            Self::Text(text) => Value::from(text.write(vars)?),
            Self::Value(expression) => {
                let value = expression.value(vars)?;
                if is_omitted(&value) {
                    return Ok(None);
                }
                serde_json::to_value(&value)
                    .map_err(|_| Fault::new(expression.key(), Reason::NotA("JSON")))?
            }
            Self::List(items) => {
                let items = items.iter().filter_map(|item| item.build(vars).transpose());
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Table(fields) => {
                let fields = fields.iter().filter_map(|(name, field)| {
                    Some(field.build(vars).transpose()?.map(|value| (name.clone(), value)))
                });
                Value::Object(fields.collect::<Result<Map<_, _>, _>>()?)
            }
        }))
    }
}

fn is_template(text: &str) -> bool {
    ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark))
}

/// The expression of a string that consists only of `{{ expression }}`.
fn lone(source: &str) -> Option<&str> {
    let inside = source.trim().strip_prefix("{{")?.strip_suffix("}}")?.trim();
    Expression::is_one(inside).then_some(inside)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scope() -> Scope {
        Scope::default().any("account")
    }

    fn build(template: &Value, account: Value) -> Result<Option<Value>, Fault> {
        let vars = Vars::default().with("account", minijinja::Value::from(minijinja::value::Serde(account)));
        Tree::new("json", template, &scope()).unwrap().build(&vars)
    }

    #[test]
    fn lone_template_value_keeps_its_type() {
        let template = json!({"a": "{{ account.n }}", "b": "n={{ account.n }}", "c": ["{{ account.l }}", 1, true, null],
            "d": "{{ account.n }}{{ account.n }}", "e": "plain"});
        let built = build(&template, json!({"n": 7, "l": [{"x": 1.5}, null]})).unwrap();
        assert_eq!(
            built,
            Some(
                json!({"a": 7, "b": "n=7", "c": [[{"x": 1.5}, null], 1, true, null], "d": "77", "e": "plain"})
            )
        );
    }

    #[test]
    fn values_cannot_escape_their_json_leaf() {
        let name = "\", \"admin\": true, \"x\": \"\\\u{0}\r\n{{ account.secret }}";
        let template = json!({"a": "{{ account.name }}", "b": "<{{ account.name }}>"});
        let built = build(&template, json!({"name": name, "secret": "hunter2"})).unwrap();
        assert_eq!(built, Some(json!({"a": name, "b": format!("<{name}>")})));
    }

    #[test]
    fn omit_drops_a_field_and_none_is_null() {
        let template =
            json!({"a": "{{ account.a | default(omit) }}", "b": "{{ none }}", "c": ["{{ omit }}", 1]});
        assert_eq!(build(&template, json!({})).unwrap(), Some(json!({"b": null, "c": [1]})));
        assert_eq!(build(&template, json!({"a": 1})).unwrap(), Some(json!({"a": 1, "b": null, "c": [1]})));
        assert_eq!(build(&json!("{{ omit }}"), json!({})).unwrap(), None);
    }

    #[test]
    fn missing_variable_is_named_without_values() {
        let fault = build(&json!({"a": "{{ account.email }}"}), json!({"name": "hunter2"})).unwrap_err();
        assert_eq!(fault.to_string(), "'json.a' needs account.email, which is missing");
        let fault = build(&json!("x{{ account.name }}"), json!({"name": null})).unwrap_err();
        assert_eq!(fault.reason, Reason::Nothing);
        let fault = build(&json!("x{{ account.name }}"), json!({"name": ["hunter2"]})).unwrap_err();
        assert_eq!(fault.reason, Reason::NoText);
        let fault = build(&json!("{{ account.name + 1 }}"), json!({"name": "hunter2"})).unwrap_err();
        assert!(!format!("{fault} {fault:?}").contains("hunter2"), "{fault}");
        let fault = build(
            &json!("{% for a in range(9999) %}{% for b in range(9999) %}x{% endfor %}{% endfor %}"),
            json!({}),
        );
        assert_eq!(fault.unwrap_err().reason, Reason::Fuel);
    }

    #[test]
    fn invalid_template_is_refused_at_load() {
        for (template, message) in [
            (json!({"a": "{{ acount.x }}"}), "json.a: unknown variable 'acount'; did you mean 'account'?"),
            (json!({"a": ["{{ account. }}"]}), "json.a.0: is not a valid template"),
            (json!({"{{ account }}": 1}), "json.{{ account }}: a key cannot be a template"),
            (json!("{% include 'x' %}"), "json: is not a valid template"),
            (json!("{% macro x() %}{% endmacro %}"), "json: is not a valid template"),
            (json!("{%- extends 'x' %}"), "json: is not a valid template: 'extends' is not supported here"),
            (json!("a{%import 'x' as y%}"), "json: is not a valid template: 'import' is not supported here"),
            (json!("{{ account.x | uper }}"), "json: unknown filter 'uper'"),
            (json!("{{ debug() }}"), "json: unknown variable 'debug'"),
        ] {
            let error = Tree::new("json", &template, &scope()).unwrap_err().to_string();
            assert!(error.starts_with(message), "{error}");
        }
    }
}
