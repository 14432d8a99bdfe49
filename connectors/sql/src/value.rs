//! Values sent to the database.

use std::borrow::Cow;

use serde_json::Value;
use sqlx::types::Uuid;

use crate::plan::Kind;

/// A value for a placeholder. It has no `Debug`, because it may be a password.
#[derive(Clone, PartialEq)]
pub(crate) struct Bound {
    /// How to bind it, independent of the value, so that a statement always has the same types.
    pub(crate) kind: Kind,
    /// The value.
    pub(crate) value: Scalar,
}

/// The types of values that all databases share.
#[derive(Clone, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    Uuid(Given),
}

/// A UUID and its original spelling: a database that stores it as text compares it case-sensitively.
#[derive(Clone, PartialEq)]
pub(crate) struct Given {
    pub(crate) uuid: Uuid,
    pub(crate) given: String,
}

/// The value is not valid for its placeholder, such as a word where identifiers are numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Misfit(&'static str);

impl Bound {
    /// A JSON value, bound with this kind. Lists and objects are bound as JSON.
    pub(crate) fn new(kind: Kind, value: &Value) -> Result<Self, Misfit> {
        let value = match (kind, value) {
            (_, Value::Null) => Scalar::Null,
            (Kind::Integer, Value::String(text)) => {
                Scalar::Integer(whole(text).ok_or(Misfit("is not a whole number"))?)
            }
            (Kind::Integer, Value::Number(number)) => {
                Scalar::Integer(number.as_i64().ok_or(Misfit("is not a whole number of 64 bits"))?)
            }
            (Kind::Integer, _) => return Err(Misfit("is not a whole number")),
            (Kind::Uuid, Value::String(text)) => {
                let uuid = text.parse().map_err(|_| Misfit("is not a UUID"))?;
                Scalar::Uuid(Given { uuid, given: text.clone() })
            }
            (Kind::Uuid, _) => return Err(Misfit("is not a UUID")),
            (Kind::Natural, Value::String(text)) => Scalar::Text(text.clone()),
            (Kind::Natural, Value::Bool(yes)) => Scalar::Bool(*yes),
            (Kind::Natural, Value::Number(number)) => match (number.as_i64(), number.is_f64()) {
                (Some(number), _) => Scalar::Integer(number),
                (None, true) => Scalar::Float(number.as_f64().unwrap_or_default()),
                (None, false) => Scalar::Text(number.to_string()),
            },
            (Kind::Natural, json) => Scalar::Text(json.to_string()),
        };
        Ok(Self { kind, value })
    }

    /// The value in PostgreSQL's text format; `None` for NULL.
    pub(crate) fn text(&self) -> Option<Cow<'_, str>> {
        Some(match &self.value {
            Scalar::Null => return None,
            Scalar::Text(text) => Cow::Borrowed(text),
            Scalar::Integer(number) => Cow::Owned(number.to_string()),
            Scalar::Float(number) => Cow::Owned(number.to_string()),
            Scalar::Bool(yes) => Cow::Owned(yes.to_string()),
            Scalar::Uuid(uuid) => Cow::Borrowed(&uuid.given),
        })
    }

    /// Whether it contains a NUL character, which PostgreSQL cannot store.
    pub(crate) fn has_nul(&self) -> bool {
        matches!(&self.value, Scalar::Text(text) if text.contains('\0'))
    }
}

/// An integer in its canonical form: `7`, but neither `07` nor `+7`.
fn whole(text: &str) -> Option<i64> {
    text.parse().ok().filter(|number: &i64| number.to_string() == text)
}

/// A row's value as a string, for comparing and displaying identifiers and names. `None` for NULL and for values that are not scalars.
pub(crate) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(kind: Kind, value: &Value) -> Result<Option<String>, String> {
        Bound::new(kind, value)
            .map(|bound| bound.text().map(Cow::into_owned))
            .map_err(|misfit| misfit.to_string())
    }

    #[test]
    fn identifiers_are_bound_by_column_type_or_refused() {
        assert_eq!(text(Kind::Integer, &json!("17")), Ok(Some("17".into())));
        for other in ["17abc", "07", "+7", " 7", "", "9223372036854775808"] {
            assert_eq!(text(Kind::Integer, &json!(other)), Err("is not a whole number".into()), "{other}");
        }
        let uuid = "6f1c2a34-0000-4000-8000-000000000001";
        assert_eq!(text(Kind::Uuid, &json!(uuid)), Ok(Some(uuid.into())));
        assert!(text(Kind::Uuid, &json!("ann")).is_err());
        assert_eq!(text(Kind::Uuid, &Value::Null), Ok(None));
    }

    #[test]
    fn every_json_type_can_be_bound() {
        let forms = [
            (json!(true), "true"),
            (json!(-3), "-3"),
            (json!(1.5), "1.5"),
            (json!("x"), "x"),
            (json!([1, "a"]), r#"[1,"a"]"#),
            (json!({"a": null}), r#"{"a":null}"#),
            (json!(18_446_744_073_709_551_615_u64), "18446744073709551615"),
        ];
        for (value, form) in forms {
            assert_eq!(text(Kind::Natural, &value), Ok(Some(form.into())));
        }
    }
}
