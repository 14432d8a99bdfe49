//! Values that are texts in the configuration and something else in the program.
//!
//! A field names the form it has in the file: `#[serde(with = "As::<BaseUrl>")]`. serde reads it so, schemars describes it so, and the
//! default that the documentation shows is written so.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

/// Stands in the words of a [`Leaf`] for the example of the key: its default, or what the schema names.
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

/// How a field stands in the file.
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
        let text = deserializer.deserialize_str(Text)?;
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

/// Takes a text, and sees without a complaint that something else stands there: the leaf has better words for that.
struct Text;

impl<'de> Visitor<'de> for Text {
    type Value = Option<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Some(text.to_owned()))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_seq(items).map(|_| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<Self::Value, A::Error> {
        IgnoredAny.visit_map(entries).map(|_| None)
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
