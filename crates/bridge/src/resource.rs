//! Resource types as the Bridge lists them.

use bridgehead_sdk::{ResourceKind, ResourceType};
use serde_json::Value;

/// The result of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Registration {
    /// It was created.
    Created,
    /// It already existed with the same kind: from an earlier run, or through another app of the clone group.
    Existed,
}

/// A resource type whose kind may be unknown to this version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) slug: String,
    pub(super) name: String,
    pub(super) kind: String,
}

impl Listed {
    pub(super) fn from_json(value: &Value) -> Option<Self> {
        let text = |name| value.get(name).and_then(Value::as_str).map(str::to_owned);
        Some(Self {
            slug: text("slug")?,
            name: text("name").unwrap_or_default(),
            kind: text("type").unwrap_or_default(),
        })
    }

    /// The resource type, if its kind is known.
    pub(super) fn known(self) -> Option<ResourceType> {
        let kind = kind(&self.kind)?;
        Some(ResourceType::new(self.slug, self.name, kind))
    }
}

/// Parses the name in the API.
pub(super) fn kind(name: &str) -> Option<ResourceKind> {
    [ResourceKind::Account, ResourceKind::Group, ResourceKind::License]
        .into_iter()
        .find(|kind| kind.as_str() == name)
}
