//! How accounts are listed and found.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bridgehead_sdk::{AccountStatus, schemars};
use serde::{Deserialize, Serialize};

/// The accounts, and the statements that read them.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct AccountsSettings {
    /// The slug of the resource type.
    #[serde(default = "account")]
    pub slug: String,
    /// The display name.
    #[serde(default = "account_name")]
    pub name: String,
    /// Which column contains which field: `{ id = "user_id", username = "login", email = "mail" }`. `id` and one of `username`
    /// and `email` are required; only the fields named here are sent to Iden. `status` may have a table of values.
    pub fields: Fields,
    /// The type of the identifiers: `text`, `integer` or `uuid`. They are bound with that type, and a value of another type does
    /// not exist.
    #[serde(default)]
    pub id_type: IdType,
    /// How a listing is paged: `key` (with `:after` and `:limit`), `offset` (with `:offset` and `:limit`), or `none` (all records
    /// in one page).
    #[serde(default)]
    pub paging: Paging,
    /// How many accounts a page contains, from 1 to 10000.
    #[serde(default = "page_size")]
    pub page_size: u32,
    /// The start of the statements below, so that you write it only once. When absent, each statement is complete.
    #[serde(default)]
    pub select: Option<String>,
    /// Lists accounts in the order of their identifiers. For paging by key, use, for example, `WHERE id >
    /// COALESCE(:after, -9223372036854775808) ORDER BY id LIMIT :limit`; `:after` is NULL on the first page.
    pub list: String,
    /// Counts the accounts that `list` should return, as one number: `SELECT count(*) FROM users`. If a listing returns a
    /// different number in the same state of the database, that is an error. When absent, the rows of `list` itself are
    /// counted.
    #[serde(default)]
    pub count: Option<String>,
    /// Finds an account by `:id`.
    pub by_id: String,
    /// Finds an account by `:username`, in any case: `WHERE lower(login) = lower(:username)`. Required if `fields` has `username`.
    #[serde(default)]
    pub by_username: Option<String>,
    /// Finds an account by `:email`, in any case. Required if `fields` has `email`.
    #[serde(default)]
    pub by_email: Option<String>,
}

/// Fields, and the columns that hold them.
pub type Fields = BTreeMap<String, FieldSettings>;

/// Where a field is read from: the name of a column, or `{ column, values }`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldSettings {
    /// The column, as named in the statement.
    pub column: String,
    /// For `status`: the values of the column, and which status each means.
    pub values: Option<BTreeMap<String, AccountStatus>>,
}

#[derive(Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
struct FieldTable {
    /// The column, as named in the statement.
    column: String,
    /// For `status`: which text in the column means which status: `{ true = "active", false = "suspended" }`. A value that is not
    /// listed makes the record invalid.
    #[serde(default)]
    values: Option<BTreeMap<String, AccountStatus>>,
}

#[derive(schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars", untagged)]
#[expect(dead_code, reason = "it exists for the schema")]
enum FieldForm {
    Column(String),
    Table(FieldTable),
}

impl schemars::JsonSchema for FieldSettings {
    fn schema_name() -> Cow<'static, str> {
        "FieldSettings".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        FieldForm::json_schema(generator)
    }
}

impl<'de> Deserialize<'de> for FieldSettings {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = super::step::text_or_table(deserializer, "the name of a column, or a table with column")?;
        Ok(match table {
            Ok(column) => Self { column, values: None },
            Err(FieldTable { column, values }) => Self { column, values },
        })
    }
}

/// The type of the identifiers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum IdType {
    /// Any text.
    #[default]
    Text,
    /// A 64-bit whole number.
    Integer,
    /// A UUID.
    Uuid,
}

/// How a listing is paged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// Each page starts after the last identifier of the previous page. Concurrent changes do not shift the pages.
    #[default]
    Key,
    /// Each page starts at a row number. A listing that shifts during the read is detected, and read again.
    Offset,
    /// There is a single page with at most 10000 rows.
    None,
}

pub(super) fn page_size() -> u32 {
    500
}

fn account() -> String {
    "account".into()
}

fn account_name() -> String {
    "Account".into()
}
