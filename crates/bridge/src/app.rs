//! Apps.

use jiff::Timestamp;
use serde_json::{Map, Value};

use super::{AppId, task};

/// An app as Iden knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct App {
    /// Its identifier.
    pub id: AppId,
    /// The display name; empty if it is missing.
    pub name: String,
    /// The setup state in Iden; `NEW` and `CHECKING_CONFIGURATION` have been observed.
    pub configuration_status: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When the last sync was completed.
    pub last_synced_at: Option<Timestamp>,
    /// All other fields, unchanged.
    pub extra: Map<String, Value>,
}

/// An app to create.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApp {
    /// The display name; 1 to 255 characters.
    pub name: String,
    /// The app whose resource types the new app shares.
    pub clone_from: Option<AppId>,
}

impl App {
    pub(super) fn from_json(value: Value) -> Result<Self, String> {
        let Value::Object(mut fields) = value else {
            return Err("an app is not an object".to_owned());
        };
        let id = fields.shift_remove("id");
        let id = id.as_ref().and_then(Value::as_str).and_then(|id| id.parse().ok());
        let text = |value: Option<Value>| value.as_ref().and_then(Value::as_str).map(str::to_owned);
        let time = |value: Option<Value>| value.as_ref().and_then(task::time);
        Ok(Self {
            id: id.ok_or("an app has no id, or its id is not a UUID")?,
            name: text(fields.shift_remove("name")).unwrap_or_default(),
            configuration_status: text(fields.shift_remove("configuration_status")),
            created_at: time(fields.shift_remove("created_at")),
            last_synced_at: time(fields.shift_remove("last_synced_at")),
            extra: fields,
        })
    }
}

impl NewApp {
    pub(super) fn to_json(&self) -> Value {
        serde_json::json!({ "name": self.name, "clone_from": self.clone_from })
    }
}
