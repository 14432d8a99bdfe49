//! Resource types: the kinds of records that a target has.

use serde::{Deserialize, Serialize};

use crate::Slug;

/// What the records of a resource type represent. The wire names are those of the Bridge API.
// Exhaustive on purpose: the kind determines whether a reference is a membership or an assignment, and separates
// accounts from groups and licenses. A kind handled by a catch-all arm would be written to the wrong place.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ResourceKind {
    /// Groups, teams, roles: what an account is a member of.
    Group,
    /// Licenses, seats, plans: what an account is assigned.
    License,
    /// The accounts themselves.
    Account,
}

impl ResourceKind {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::License => "license",
            Self::Account => "account",
        }
    }
}

impl std::fmt::Display for ResourceKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// A resource type as it is registered with Iden: `{"slug", "name", "type"}`.
///
/// ```
/// use bridgehead_sdk::{ResourceKind, ResourceType};
///
/// assert_eq!(ResourceType::group("team", "Team"), ResourceType::new("team", "Team", ResourceKind::Group));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ResourceType {
    /// Unique within the app; `memberships` and `assignments` refer to it.
    pub slug: Slug,
    /// The display name.
    pub name: String,
    /// What its records represent.
    #[serde(rename = "type")]
    pub kind: ResourceKind,
}

impl ResourceType {
    /// A type whose kind is only known at run time; otherwise use the constructor for the kind.
    pub fn new(slug: impl Into<Slug>, name: impl Into<String>, kind: ResourceKind) -> Self {
        Self { slug: slug.into(), name: name.into(), kind }
    }

    /// A type whose records are accounts.
    pub fn account(slug: impl Into<Slug>, name: impl Into<String>) -> Self {
        Self { slug: slug.into(), name: name.into(), kind: ResourceKind::Account }
    }

    /// A type whose records are groups.
    pub fn group(slug: impl Into<Slug>, name: impl Into<String>) -> Self {
        Self { slug: slug.into(), name: name.into(), kind: ResourceKind::Group }
    }

    /// A type whose records are licenses.
    pub fn license(slug: impl Into<Slug>, name: impl Into<String>) -> Self {
        Self { slug: slug.into(), name: name.into(), kind: ResourceKind::License }
    }
}
