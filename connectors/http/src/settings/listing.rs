//! What is listed and looked up, and how answers become records.

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
    /// What people read.
    #[serde(default = "account_name")]
    pub name: String,
    /// How they are listed.
    pub list: ListSettings,
    /// Requests for more of each record, in listings and look-ups alike.
    #[serde(default)]
    pub follow_ups: Vec<FollowUpSettings>,
    /// For how many records of a page follow-ups run at a time, 1 to 64.
    #[serde(default = "eight")]
    pub follow_ups_at_once: u8,
    /// What is read from each.
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

/// A type of groups or licences: listed by a request, or fixed.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct EntitySettings {
    /// The slug of the resource type.
    pub slug: String,
    /// What people read.
    pub name: String,
    /// How they are listed. Either this or `fixed`.
    pub list: Option<ListSettings>,
    /// What is read from each; needed with `list`.
    pub record: Option<EntityRecordSettings>,
    /// Groups or licences that the target has by its nature, such as its roles.
    pub fixed: Option<Vec<FixedRecord>>,
    /// Looks one up by its identifier, `ref`. Absent: the whole list is read to see whether a group is there.
    pub find: Option<LookupSettings>,
    /// Lists the accounts that are in one of them, `group`: for targets that do not show with an account what it is in. It takes one
    /// request for each group, rather than one for each account.
    pub members: Option<MembersSettings>,
}

/// A group or licence that the target has by its nature.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct FixedRecord {
    /// Its identifier.
    pub id: String,
    /// What people read.
    pub name: String,
}

request_settings! {
    /// A request for a list.
    pub struct ListSettings {
        /// An expression that gives the records of an answer, such as `"answer.items"`; `"answer"` when absent.
        pub records: Option<String>,
        /// How the rest is asked for. Absent: one answer holds all.
        pub paging: Option<PagingSettings>,
        /// An expression; a `record` for which it is false is none of ours, and is left out of listings and look-ups.
        pub filter: Option<String>,
        /// Members of the answer and headers that usually say that more follows or that something went wrong, and that mean something
        /// else here, such as `["total"]` or `["errors"]`. All others end the listing with an error.
        #[serde(default)]
        pub allow: Vec<String>,
    }
}

request_settings! {
    /// A request for the accounts that are in a group or have a licence.
    pub struct MembersSettings {
        /// An expression that gives the members of an answer, such as `"answer.members"`; `"answer"` when absent.
        pub records: Option<String>,
        /// How the rest is asked for. Absent: one answer holds all.
        pub paging: Option<PagingSettings>,
        /// An expression that gives the identifier of an account from a member, `record`; `"record.id"` when absent.
        pub account: Option<String>,
        /// As `allow` of a list.
        #[serde(default)]
        pub allow: Vec<String>,
    }
}

request_settings! {
    /// A request for more of a record.
    pub struct FollowUpSettings {
        /// Its name; the record's expressions use what it gives as `follow.NAME`.
        pub name: String,
        /// An expression that gives what is wanted of the answer; `"answer"` when absent.
        pub value: Option<String>,
    }
}

request_settings! {
    /// A request that looks one up.
    pub struct LookupSettings {
        /// An expression that gives the record of an answer; `"answer"` when absent.
        pub record: Option<String>,
        /// For a search: an expression that gives a list of records, of which the one that fits is taken. Either this or
        /// `record`.
        pub records: Option<String>,
        /// How the rest of a search's answer is asked for.
        pub paging: Option<PagingSettings>,
        /// Which answer means that there is none, such as `{ status = 404 }`. Absent: every answer that is not expected is an
        /// error.
        pub absent: Option<AbsentSettings>,
        /// Further answers that mean the same, where a target has several.
        #[serde(default)]
        pub absent_also: Vec<AbsentSettings>,
        /// For a search: as `allow` of a list.
        #[serde(default)]
        pub allow: Vec<String>,
    }
}

/// Which answer means that there is none.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct AbsentSettings {
    /// The status, or a list of them.
    pub status: Statuses,
    /// An expression that must be true as well, such as `"answer.reason == 'no such user'"`. Without it, the status is
    /// believed only if the request of `check` succeeds: a wrong address answers 404 too.
    pub when: Option<String>,
}

/// How the rest of a list is asked for.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct PagingSettings {
    /// Which way.
    #[serde(rename = "type")]
    pub kind: PagingKind,
    /// `offset`, `page`: how many records to ask for, as `page.size`. `whole`: how many records a page has. 100 when absent.
    pub size: Option<u32>,
    /// `page`: the number of the first page; 1 when absent.
    pub first: Option<u64>,
    /// `cursor`: an expression that gives the next cursor; it ends the listing with `none`, `false` or an empty text. `link`: one that
    /// gives the next URL, in place of the `Link` header.
    pub next: Option<String>,
    /// An expression that gives the number of all records. A listing that ends with fewer is an error.
    pub total: Option<String>,
    /// `page`: an expression that gives the number of pages.
    pub pages: Option<String>,
    /// `offset`, `page`: an expression that says whether more follows.
    pub more: Option<String>,
}

/// A way of paging.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "snake_case")]
pub enum PagingKind {
    /// By how many records to pass over: the request uses `page.offset`.
    Offset,
    /// By the number of the page: the request uses `page.number`.
    Page,
    /// By what the last answer gave: the request uses `page.cursor`, which is `omit` at first.
    Cursor,
    /// Not at all: each answer holds everything. It is handed on in pages of `size` all the same, each read anew; for
    /// targets with many records and follow-ups, so that no page takes too long.
    Whole,
    /// By the URL that the last answer gave, in the `Link` header (RFC 8288) or in its body. It must be of the same origin.
    Link,
}

/// What is read from an account: expressions over `record` and `follow`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct AccountRecordSettings {
    /// The identifier: one that survives a rename, if there is such.
    pub id: String,
    /// The name to log in with. This or `email` is needed.
    pub username: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The given name.
    pub first_name: Option<String>,
    /// The family name.
    pub last_name: Option<String>,
    /// What people read.
    pub display_name: Option<String>,
    /// Whether the account can be used; every account is active when absent.
    pub status: Option<StatusSettings>,
    /// The groups and licences of the account, by the slug of their type: expressions that give lists of identifiers.
    #[serde(default)]
    pub memberships: BTreeMap<String, String>,
    /// Other fields that go to Iden, by name. Put in no secret.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
}

/// Whether an account can be used.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct StatusSettings {
    /// An expression, such as `"record.locked"`. Without the lists below it gives `active`, `inactive` or `suspended`.
    pub value: String,
    /// The values that mean active, such as `[false]`. A value that stands in none of the lists is an error.
    #[serde(default)]
    pub active: Vec<Value>,
    /// The values that mean inactive.
    #[serde(default)]
    pub inactive: Vec<Value>,
    /// The values that mean suspended.
    #[serde(default)]
    pub suspended: Vec<Value>,
}

/// What is read from a group or licence: expressions over `record`.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct EntityRecordSettings {
    /// The identifier.
    pub id: String,
    /// What people read.
    pub name: String,
    /// Other fields that go to Iden, by name. Put in no secret.
    #[serde(default)]
    pub extra: BTreeMap<String, String>,
}

/// How one account is looked up. The record found must be the account asked for, or it does not count.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct FindSettings {
    /// By its identifier, `account.id`.
    pub by_id: Option<LookupSettings>,
    /// By its user name, `account.username`.
    pub by_username: Option<LookupSettings>,
    /// By its e-mail, `account.email`.
    pub by_email: Option<LookupSettings>,
    /// Whether the whole list of accounts is read for a key that has no request above. It is slow, and always right.
    #[serde(default)]
    pub scan: bool,
}
