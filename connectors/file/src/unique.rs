//! Parses JSON objects without duplicate fields: common parsers keep the last of two fields and silently drop the first.
//!
//! Also rewrites an object without touching the fields that stay as they are: a parser rounds numbers with many digits, and a rewritten row
//! would keep the rounded ones.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// A value whose objects, at any depth, have no duplicate fields.
pub(crate) struct Unique(pub(crate) Value);

struct Reader;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader).map(Self)
    }
}

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some(name) = fields.next_key::<String>()? {
            let Unique(value) = fields.next_value()?;
            if all.insert(name, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(all))
    }
}

/// The error for a duplicate field. Its name may be anything, and is not repeated.
const TWICE: &str = "a field occurs twice";

/// Why a text is not a JSON object without duplicate fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoObject {
    /// A field occurs twice.
    Twice,
    /// It is not a JSON object.
    Other,
}

/// Parses one object.
pub(crate) fn object(text: &str) -> Result<Map<String, Value>, NoObject> {
    match serde_json::from_str(text) {
        Ok(Unique(Value::Object(fields))) => Ok(fields),
        // The common parser accepts it as JSON, so the only possible reason is a duplicate field.
        Err(_) if serde_json::from_str::<Map<String, Value>>(text).is_ok() => Err(NoObject::Twice),
        Ok(_) | Err(_) => Err(NoObject::Other),
    }
}

/// Encodes the fields of an object. A field that has not changed is copied from the text of the object as it was.
pub(crate) fn rewrite(before: &str, fields: &Map<String, Value>) -> Result<Vec<u8>, serde_json::Error> {
    let old = serde_json::from_str::<Map<String, Value>>(before).unwrap_or_default();
    let texts: BTreeMap<String, &RawValue> = serde_json::from_str(before).unwrap_or_default();
    let kept = |name: &String, value: &Value| {
        let is_same = old.get(name) == Some(value);
        texts.get(name).filter(|_| is_same).map(|text| text.get().as_bytes().to_vec())
    };
    let mut row = vec![b'{'];
    for (name, value) in fields {
        if row.len() > 1 {
            row.push(b',');
        }
        serde_json::to_writer(&mut row, name)?;
        row.push(b':');
        match kept(name, value) {
            Some(text) => row.extend(text),
            None => serde_json::to_writer(&mut row, value)?,
        }
    }
    row.push(b'}');
    Ok(row)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn duplicate_json_field_is_detected_at_any_depth() {
        for text in [r#"{"id":1,"id":2}"#, r#"{"id":1,"deep":[{"a":1,"a":1}]}"#] {
            assert_eq!(object(text), Err(NoObject::Twice), "{text}");
        }
        for text in ["[]", "", "{", "1"] {
            assert_eq!(object(text), Err(NoObject::Other), "{text}");
        }
    }

    #[test]
    fn valid_json_is_read_unchanged() {
        let value = json!({ "z": 1, "a": [null, true, -3, 0.1, u64::MAX, "é"], "deep": { "b": {} } });
        assert_eq!(Value::Object(object(&value.to_string()).unwrap()).to_string(), value.to_string());
    }
}
