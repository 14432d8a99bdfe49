//! HTTP statuses: one, or a list.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bridgehead_sdk::schemars;
use serde::{Deserialize, Deserializer};

/// One status, such as `404`, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statuses(pub BTreeSet<u16>);

impl<'de> Deserialize<'de> for Statuses {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let values = match value {
            serde_json::Value::Array(values) => values,
            one => vec![one],
        };
        let status = |value: &serde_json::Value| {
            value
                .as_u64()
                .and_then(|status| u16::try_from(status).ok())
                .filter(|status| (200..600).contains(status))
        };
        let statuses: Option<BTreeSet<u16>> = values.iter().map(status).collect();
        // serde's own message would repeat the value.
        statuses
            .filter(|statuses| !statuses.is_empty() && statuses.len() == values.len())
            .map(Self)
            .ok_or_else(|| {
                serde::de::Error::custom(
                    "must be a status from 200 to 599, or a list of such statuses \
                                          without duplicates",
                )
            })
    }
}

impl schemars::JsonSchema for Statuses {
    fn schema_name() -> Cow<'static, str> {
        "Statuses".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let one = serde_json::json!({ "type": "integer", "minimum": 200, "maximum": 599 });
        schemars::json_schema!({ "anyOf": [one, { "type": "array", "items": one }] })
    }
}
