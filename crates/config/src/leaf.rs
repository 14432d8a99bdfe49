//! Values that are strings in the configuration and other types in the program.
//!
//! A field declares its format in the file: `#[serde(with = "As::<BaseUrl>")]`. serde parses it in that format, schemars describes it, and
//! the documentation shows its default in it.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// The placeholder for the key's example in the messages of a [`Leaf`]: its default, or an example from the schema.
pub(super) const EXAMPLE: &str = "{example}";

/// A value that is parsed from a string.
pub(super) trait Leaf {
    /// The type in the program.
    type Value;

    /// Parses the string; `None` if the value is not a string. The error says what is expected, and never quotes the value.
    fn read(text: Option<&str>) -> Result<Self::Value, String>;

    /// Formats the value as people write it, for types that have a default.
    fn write(_: &Self::Value) -> Option<String> {
        None
    }

    /// The schema.
    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// The format of a field in the file.
pub(super) trait Form {
    /// The type of the field.
    type Value;

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error>;

    fn serialize<S: Serializer>(value: &Self::Value, serializer: S) -> Result<S::Ok, S::Error>;
}

/// A string.
pub(super) struct As<L>(PhantomData<L>);
/// A list of strings.
pub(super) struct List<L>(PhantomData<L>);
/// An optional key. serde calls this only if the key is present.
pub(super) struct Opt<F>(PhantomData<F>);

impl<L: Leaf> Form for As<L> {
    type Value = L::Value;

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<L::Value, D::Error> {
        // If the value is not a string, the leaf has the better error message.
        let text = String::deserialize(deserializer).ok();
        L::read(text.as_deref()).map_err(D::Error::custom)
    }

    fn serialize<S: Serializer>(value: &L::Value, serializer: S) -> Result<S::Ok, S::Error> {
        L::write(value).serialize(serializer)
    }
}

impl<L: Leaf> Form for List<L> {
    type Value = Vec<L::Value>;

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        let items: Vec<Item<L>> = Deserialize::deserialize(deserializer)?;
        Ok(items.into_iter().map(|item| item.0).collect())
    }

    fn serialize<S: Serializer>(value: &Self::Value, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(value.iter().map(L::write))
    }
}

impl<F: Form> Form for Opt<F> {
    type Value = Option<F::Value>;

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error> {
        F::deserialize(deserializer).map(Some)
    }

    fn serialize<S: Serializer>(value: &Self::Value, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => F::serialize(value, serializer),
            None => serializer.serialize_none(),
        }
    }
}

/// An item of a list.
struct Item<L: Leaf>(L::Value);

impl<'de, L: Leaf> Deserialize<'de> for Item<L> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        As::<L>::deserialize(deserializer).map(Self)
    }
}

impl<L: Leaf> JsonSchema for As<L> {
    fn schema_name() -> Cow<'static, str> {
        "Text".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        L::schema()
    }
}

impl<L: Leaf> JsonSchema for List<L> {
    fn schema_name() -> Cow<'static, str> {
        "List".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "array", "items": L::schema() })
    }
}

impl<F: JsonSchema> JsonSchema for Opt<F> {
    fn schema_name() -> Cow<'static, str> {
        F::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        F::json_schema(generator)
    }
}

/// Writes an integral number as operators do: `10`, not `10.0`.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
#[expect(
    clippy::cast_possible_truncation,
    reason = "percentages have no fraction here, and are far from the bounds"
)]
pub(super) fn plain<S: Serializer>(number: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        serializer.serialize_i64(*number as i64)
    } else {
        serializer.serialize_f64(*number)
    }
}
