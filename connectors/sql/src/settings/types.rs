//! The types of groups and licenses.

use bridgehead_sdk::schemars;
use serde::Deserialize;

use super::{Fields, IdType, Paging, StepSettings, accounts::page_size};

/// A type of groups or licenses.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct TypeSettings {
    /// The slug of the resource type.
    pub slug: String,
    /// The display name. When absent, the slug.
    #[serde(default)]
    pub name: Option<String>,
    /// Which column contains which field; `id` and `name` are required.
    pub fields: Fields,
    /// The type of the identifiers: `text`, `integer` or `uuid`.
    #[serde(default)]
    pub id_type: IdType,
    /// How a listing is paged: `key`, `offset` or `none`.
    #[serde(default)]
    pub paging: Paging,
    /// How many records a page contains, from 1 to 10000.
    #[serde(default = "page_size")]
    pub page_size: u32,
    /// Lists the records of the type, in the order of their identifiers. Use `:after` and `:limit`, or what `paging` requires.
    pub list: String,
    /// Counts the records that `list` should return, as one number. When absent, the rows of `list` itself are counted.
    #[serde(default)]
    pub count: Option<String>,
    /// Returns a row if a record with the identifier `:ref` exists. If it returns none, the task fails with "not found" before
    /// anything is changed.
    #[serde(default)]
    pub find: Option<String>,
    /// Where to read the members: a column of the accounts, or a statement. When absent, accounts are listed without them.
    #[serde(default)]
    pub members: Option<MemberSettings>,
    /// Adds the account `:id` to the group `:ref`; run for each membership that is added. Requires `members` and `remove`.
    #[serde(default)]
    pub add: Vec<StepSettings>,
    /// Removes the account `:id` from the group `:ref`; run for each membership that is removed.
    #[serde(default)]
    pub remove: Vec<StepSettings>,
}

/// Where to read the members of a type. Either `column`, or `list` with `account` and `ref`.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct MemberSettings {
    /// A column of the accounts that contains identifiers: a database array, a JSON list, or text with a `separator`.
    #[serde(default)]
    pub column: Option<String>,
    /// The separator of identifiers in a text column, such as `,`.
    #[serde(default)]
    pub separator: Option<String>,
    /// A statement that returns the pairs of account and group for all accounts of a page; `:ids` is the list of their
    /// identifiers in JSON.
    #[serde(default)]
    pub list: Option<String>,
    /// The column of `list` with the account's identifier.
    #[serde(default)]
    pub account: Option<String>,
    /// The column of `list` with the identifier of the group or license.
    #[serde(default, rename = "ref")]
    pub reference: Option<String>,
}
