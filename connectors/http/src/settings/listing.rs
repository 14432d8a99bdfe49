//! Settings for listings and look-ups, and for reading records from responses.

use std::collections::BTreeMap;

use bridgehead_sdk::schemars;
use serde::Deserialize;
use serde_json::Value;

use super::Statuses;
use super::request::request_settings;

/// The accounts.
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
    /// How to list them.
    pub list: ListSettings,
    /// Follow-up requests for more data of each record, in listings and look-ups alike.
    #[serde(default)]
    pub follow_ups: Vec<FollowUpSettings>,
    /// How many records of a page have their follow-ups requested at the same time, 1 to 64.
    #[serde(default = "eight")]
    pub follow_ups_at_once: u8,
    /// What to read from each record.
    pub record: AccountRecordSettings,
}

fn account() -> String {
    "account".to_owned()
}

fn account_name() -> String {
    "Account".to_owned()
}

fn eight() -> u8 {
    8
}

/// A type of groups or licenses: listed by a request, or fixed.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct EntitySettings {
    /// The slug of the resource type.
    pub slug: String,
    /// The display name.
    pub name: String,
    /// How to list them. Either this or `fixed`.
    pub list: Option<ListSettings>,
    /// What to read from each record; required with `list`.
    pub record: Option<EntityRecordSettings>,
    /// Groups or licenses that always exist in the target, such as its roles.
    pub fixed: Option<Vec<FixedRecord>>,
    /// Looks up one by its identifier, `ref`. Absent: the whole list is read to check whether a group exists.
    pub find: Option<LookupSettings>,
    /// Lists the accounts that belong to one of them, `group`: for targets whose accounts do not show their memberships. Requires
    /// one request per group instead of one per account.
    pub members: Option<MembersSettings>,
}

/// A group or license that always exists in the target.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct FixedRecord {
    /// Its identifier.
    pub id: String,
    /// The display name.
    pub name: String,
}

request_settings! {
    /// A request for a list.
    pub struct ListSettings {
        /// An expression that returns the records of a response, such as `"answer.items"`; `"answer"` when absent.
        pub records: Option<String>,
        /// How to request the rest. Absent: one response contains everything.
        pub paging: Option<PagingSettings>,
        /// An expression; a `record` for which it is false is excluded from listings and look-ups.
        pub filter: Option<String>,
        /// Members of the response and headers that usually indicate more records or an error, but mean something else here, such
        /// as `["total"]` or `["errors"]`. All others end the listing with an error.
        #[serde(default)]
        pub allow: Vec<String>,
    }
}

request_settings! {
    /// A request for the accounts that belong to a group or have a license.
    pub struct MembersSettings {
        /// An expression that returns the members of a response, such as `"answer.members"`; `"answer"` when absent.
        pub records: Option<String>,
        /// How to request the rest. Absent: one response contains everything.
        pub paging: Option<PagingSettings>,
        /// An expression that returns the identifier of an account from a member, `record`; `"record.id"` when absent.
        pub account: Option<String>,
        /// Like `allow` of a list.
        #[serde(default)]
        pub allow: Vec<String>,
    }
}

request_settings! {
    /// A follow-up request for more data of a record.
    pub struct FollowUpSettings {
        /// Its name; the record's expressions use its result as `follow.NAME`.
        pub name: String,
        /// An expression that returns the wanted part of the response; `"answer"` when absent.
        pub value: Option<String>,
    }
}

request_settings! {
    /// A request that looks up one record.
    pub struct LookupSettings {
        /// An expression that returns the record of a response; `"answer"` when absent.
        pub record: Option<String>,
        /// For a search: an expression that returns a list of records, from which the matching one is used. Either this
        /// or `record`.
        pub records: Option<String>,
        /// How to request the rest of a search's results.
        pub paging: Option<PagingSettings>,
        /// Which response means that there is no match, such as `{ status = 404 }`. Absent: every response that is not
        /// expected is an error.
        pub absent: Option<AbsentSettings>,
        /// Further responses with the same meaning, where a target has several.
        #[serde(default)]
        pub absent_also: Vec<AbsentSettings>,
        /// For a search: like `allow` of a list.
        #[serde(default)]
        pub allow: Vec<String>,
    }
}

/// Which response means that there is no match.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct AbsentSettings {
    /// The status, or a list of statuses.
    pub status: Statuses,
    /// An expression that must also be true, such as `"answer.reason == 'no such user'"`. Without it, the status is
    /// only accepted if the `check` request succeeds, because a wrong address also returns 404.
    pub when: Option<String>,
}

/// How to request the rest of a list.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct PagingSettings {
    /// The type of paging.
    #[serde(rename = "type")]
    pub kind: PagingKind,
    /// `offset`, `page`: how many records to request, as `page.size`. `whole`: how many records a page contains. 100 when absent.
    pub size: Option<u32>,
    /// `page`: the number of the first page; 1 when absent.
    pub first: Option<u64>,
    /// `cursor`: an expression that returns the next cursor; `none`, `false` or an empty text ends the listing. `link`: an
    /// expression that returns the next URL, instead of the `Link` header.
    pub next: Option<String>,
    /// An expression that returns the total number of records. A listing that ends with fewer is an error.
    pub total: Option<String>,
    /// `page`: an expression that returns the number of pages.
    pub pages: Option<String>,
    /// `offset`, `page`: an expression that returns whether there are more records.
    pub more: Option<String>,
}

/// A type of paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "snake_case")]
pub enum PagingKind {
    /// By the number of records to skip: the request uses `page.offset`.
    Offset,
    /// By page number: the request uses `page.number`.
    Page,
    /// By a value from the last response: the request uses `page.cursor`, which is `omit` at first.
    Cursor,
    /// No paging: each response contains everything. It is still passed on in pages of `size`, each requested separately;
    /// for targets with many records and follow-ups, so that no page takes too long.
    Whole,
    /// By the URL from the last response, in the `Link` header (RFC 8288) or in its body. It must have the same origin.
    Link,
}

/// What to read from an account: expressions over `record` and `follow`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct AccountRecordSettings {
    /// The identifier: one that survives a rename, if there is one.
    pub id: String,
    /// The login name. This or `email` is required.
    pub username: Option<String>,
    /// The email address.
    pub email: Option<String>,
    /// The given name.
    pub first_name: Option<String>,
    /// The family name.
    pub last_name: Option<String>,
    /// The display name.
    pub display_name: Option<String>,
    /// Whether the account is active; every account is active when absent.
    pub status: Option<StatusSettings>,
    /// The groups and licenses of the account, by the slug of their type: expressions that return lists of identifiers.
    #[serde(default)]
    pub memberships: BTreeMap<String, String>,
    /// Other fields to send to Iden, by name. Do not include secrets.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
}

/// Whether an account is active.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct StatusSettings {
    /// An expression, such as `"record.locked"`. Without the lists below it returns `active`, `inactive` or `suspended`.
    pub value: String,
    /// The values that mean active, such as `[false]`. A value that is in none of the lists is an error.
    #[serde(default)]
    pub active: Vec<Value>,
    /// The values that mean inactive.
    #[serde(default)]
    pub inactive: Vec<Value>,
    /// The values that mean suspended.
    #[serde(default)]
    pub suspended: Vec<Value>,
}

/// What to read from a group or license: expressions over `record`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct EntityRecordSettings {
    /// The identifier.
    pub id: String,
    /// The display name.
    pub name: String,
    /// Other fields to send to Iden, by name. Do not include secrets.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
}

/// How to look up one account. The record found only counts if it is the requested account.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct FindSettings {
    /// By its identifier, `account.id`.
    pub by_id: Option<LookupSettings>,
    /// By its user name, `account.username`.
    pub by_username: Option<LookupSettings>,
    /// By its email, `account.email`.
    pub by_email: Option<LookupSettings>,
    /// Whether to read the whole list of accounts for a key without a request above. This is slow, but always correct.
    #[serde(default)]
    pub scan: bool,
}
