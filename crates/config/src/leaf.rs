//! Values that are texts in the configuration and something else in the program.
//!
//! A field names the form it has in the file: `#[serde(with = "As::<BaseUrl>")]`. serde reads it so, schemars describes it so, and the
//! default that the documentation shows is written so.

use std::borrow::Cow;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// The placeholder in the words of a [`Leaf`] for the example of the key: its default, or what the schema names.
pub(super) const EXAMPLE: &str = "{example}";

/// One kind of text.
pub(super) trait Leaf {
    /// What it is in the program.
    type Value;

    /// Reads the text; `None` if something else than a text stands there. The error says what is expected, and never what stands there.
    fn read(text: Option<&str>) -> Result<Self::Value, String>;

    /// Writes it as people do, for those that have a default.
    fn write(_: &Self::Value) -> Option<String> {
        None
    }

    /// What the schema says.
    fn schema() -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// How a field is written in the file.
pub(super) trait Form {
    /// The type of the field.
    type Value;

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Self::Value, D::Error>;

    fn serialize<S: Serializer>(value: &Self::Value, serializer: S) -> Result<S::Ok, S::Error>;
}

/// A text.
pub(super) struct As<L>(PhantomData<L>);
/// A list of texts.
pub(super) struct List<L>(PhantomData<L>);
/// A key that may be missing. serde reads it only if it is there.
pub(super) struct Opt<F>(PhantomData<F>);

impl<L: Leaf> Form for As<L> {
    type Value = L::Value;

    fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<L::Value, D::Error> {
        // What else stands there, the leaf has better words for.
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

/// Writes a number without a fraction as operators do: `10`, not `10.0`.
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
