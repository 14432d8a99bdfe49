//! The types of groups and licences.

use bridgehead_sdk::schemars;
use serde::Deserialize;

use super::{Fields, IdType, Paging, StepSettings, accounts::page_size};

/// A type of groups or licences.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct TypeSettings {
    /// The resource type's short name.
    pub slug: String,
    /// What people read. When absent, the slug.
    #[serde(default)]
    pub name: Option<String>,
    /// Which column holds which field; `id` and `name` are required.
    pub fields: Fields,
    /// What identifiers are: `text`, `integer` or `uuid`.
    #[serde(default)]
    pub id_type: IdType,
    /// How a listing is read page by page: `key`, `offset` or `none`.
    #[serde(default)]
    pub paging: Paging,
    /// How many records a page holds, from 1 to 10000.
    #[serde(default = "page_size")]
    pub page_size: u32,
    /// Lists the type, in the order of the identifiers. With `:after` and `:limit`, or as `paging` says.
    pub list: String,
    /// Counts what `list` is to give, as one number. When absent, the rows of `list` itself are counted.
    #[serde(default)]
    pub count: Option<String>,
    /// Gives a row if there is one with the identifier `:ref`. What has none is "not found" before anything is changed.
    #[serde(default)]
    pub find: Option<String>,
    /// Who is in it: a column of the accounts, or a statement. When absent, accounts are listed without it.
    #[serde(default)]
    pub members: Option<MemberSettings>,
    /// What puts the account `:id` into the group `:ref`; run for each that is added. Needs `members` and `remove`.
    #[serde(default)]
    pub add: Vec<StepSettings>,
    /// What takes the account `:id` out of the group `:ref`; run for each that is removed.
    #[serde(default)]
    pub remove: Vec<StepSettings>,
}

/// Where the members of a type are read. Either `column`, or `list` with `account` and `ref`.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct MemberSettings {
    /// A column of the accounts that holds identifiers: an array of the database, a list in JSON, or text with a `separator`.
    #[serde(default)]
    pub column: Option<String>,
    /// What separates identifiers in a column of text, such as `,`.
    #[serde(default)]
    pub separator: Option<String>,
    /// A statement that gives the pairs of account and group for all the accounts of a page; `:ids` is the list of their
    /// identifiers in JSON.
    #[serde(default)]
    pub list: Option<String>,
    /// The column of `list` that holds the account's identifier.
    #[serde(default)]
    pub account: Option<String>,
    /// The column of `list` that holds the identifier of the group or licence.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
}
