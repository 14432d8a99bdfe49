//! Identifiers that Iden assigns.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// The identifier of an app in Iden: a UUID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
pub struct AppId(#[schemars(with = "String", extend("format" = "uuid"))] Uuid);

/// A string that is not the identifier of an app.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an app id: it must be a UUID, such as 11111111-1111-4111-8111-111111111111")]
pub struct InvalidAppId(String);

impl AppId {
    /// Wraps a UUID.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// The UUID.
    pub const fn as_uuid(self) -> Uuid {
        self.0
    }
}

impl std::fmt::Display for AppId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

impl std::fmt::Debug for AppId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AppId({self})")
    }
}

impl std::str::FromStr for AppId {
    type Err = InvalidAppId;

    fn from_str(text: &str) -> Result<Self, InvalidAppId> {
        text.parse().map(Self).map_err(|_| InvalidAppId(text.to_owned()))
    }
}

impl From<Uuid> for AppId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

/// The identifier of a sync session.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SyncId(String);

impl SyncId {
    /// Wraps an identifier without checking it.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The identifier as a string.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for SyncId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "11111111-1111-4111-8111-111111111111";

    #[test]
    fn app_id_round_trips() {
        let id: AppId = TEXT.parse().unwrap();
        assert_eq!(id.to_string(), TEXT);
        assert_eq!(serde_json::to_value(id).unwrap(), TEXT);
        assert_eq!(serde_json::from_value::<AppId>(TEXT.into()).unwrap(), id);
    }

    #[test]
    fn invalid_uuid_is_named_in_the_error() {
        let error = "acme-hr".parse::<AppId>().unwrap_err();
        assert!(error.to_string().contains("'acme-hr' is not an app id"), "{error}");
    }

    #[test]
    fn schema_format_is_uuid() {
        let schema = schemars::schema_for!(AppId).to_value();
        assert_eq!((&schema["type"], &schema["format"]), (&"string".into(), &"uuid".into()));
    }
}
