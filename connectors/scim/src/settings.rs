//! The keys of `target`.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::http::{Auth, LimitSettings, endpoint};
use bridgehead_sdk::{SettingsError, schemars};
use serde::Deserialize;
use url::Url;

use crate::path::Path;

/// The target is an application that speaks SCIM 2.0.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the application speaks SCIM, such as `"https://example.com/scim/v2"`: what `/Users` is appended to. https, or http to
    /// loopback.
    pub url: String,
    /// How bridgehead shows who it is: one of `basic`, `bearer`, `api_key` and `oauth2`.
    #[serde(default)]
    pub auth: Auth,
    /// Whose habits the application expects; `"generic"`, which is RFC 7644 to the letter, when absent.
    #[serde(default)]
    pub profile: Profile,
    /// What one request may take.
    #[serde(default)]
    pub limits: LimitSettings,
    /// How many records a page asks for, 1 to 1000; the application may give fewer. 100 when absent.
    #[serde(default = "page_size")]
    pub page_size: u16,
    /// How a listing goes on from page to page; `"auto"` when absent.
    #[serde(default)]
    pub paging: Paging,
    /// How an account is found whose identifier is not known; `"filter"` when absent.
    #[serde(default)]
    pub lookup: Lookup,
    /// What deleting an account does; `"delete"` when absent.
    #[serde(default)]
    pub delete: Deletion,
    /// The application is read and never written: syncs run, and no action is offered.
    #[serde(default)]
    pub read_only: bool,
    /// The resource type of the accounts.
    #[serde(default)]
    pub accounts: Accounts,
    /// The resource type of the groups, and how memberships are read and written.
    #[serde(default)]
    pub groups: Groups,
    /// Types of licences that an attribute of the accounts stands for.
    #[serde(default)]
    pub licenses: Vec<License>,
    /// Where fields of an account stand in a user: `{ field = "path" }`, in addition to the usual ones. An empty path takes a field
    /// away.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// What the application can do, where it does not say so itself or says it wrongly.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// How truth values are written; what the profile says when absent.
    pub booleans: Option<Booleans>,
}

/// Whose habits an application expects.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// RFC 7643 and RFC 7644 to the letter.
    #[default]
    Generic,
    /// Applications made for Microsoft Entra ID: operations begin with a capital, a value of a list is changed by its own path, truth
    /// values in changes are text.
    Entra,
    /// Applications made for Okta: users are changed by PUT, only `active` by PATCH, in an operation without a path.
    Okta,
}

/// How a listing goes on from page to page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// By cursor where the application announces it, else by index.
    #[default]
    Auto,
    /// By `startIndex` and `count` (RFC 7644).
    Index,
    /// By `cursor` and `nextCursor` (RFC 9865).
    Cursor,
}

/// How an account is found whose identifier is not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Lookup {
    /// By a filter, such as `userName eq "ann"`.
    #[default]
    Filter,
    /// By reading all accounts. Slow; for applications that know no filters.
    List,
}

/// What deleting an account does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Deletion {
    /// The user is deleted.
    #[default]
    Delete,
    /// The user is deactivated, and stays in listings as suspended.
    Deactivate,
}

/// How truth values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Booleans {
    /// As JSON has them: `true`, `false`.
    Json,
    /// In changes, as the texts `"True"` and `"False"`.
    Text,
}

/// The resource type of the accounts.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// The resource type's short name.
    #[serde(default = "account")]
    pub slug: String,
    /// What people read.
    #[serde(default = "account_name")]
    pub name: String,
    /// The path behind `url`, where it is not what the application's `ResourceTypes` say, or `Users`.
    pub endpoint: Option<String>,
}

/// The resource type of the groups, and how memberships are read and written.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// Whether there are groups at all.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The resource type's short name.
    #[serde(default = "group")]
    pub slug: String,
    /// What people read.
    #[serde(default = "group_name")]
    pub name: String,
    /// The path behind `url`, where it is not what the application's `ResourceTypes` say, or `Groups`.
    pub endpoint: Option<String>,
    /// Where it is read who is in which group; `"groups"` when absent. Applications fill both places, or only one, and an empty
    /// one looks like nobody being in any group: `bridgehead check` warns of that.
    #[serde(default)]
    pub memberships_from: MembershipsFrom,
    /// Whether the groups of one account are asked for with the filter `members.value eq`, rather than by reading all groups.
    /// `bridgehead check` proves that the application heeds it.
    #[serde(default)]
    pub filter_members: bool,
    /// How a member is removed; `"path"` when absent.
    #[serde(default)]
    pub remove_member: RemoveMember,
    /// Without PATCH, what it means that a group has no attribute `members`; `"unknown"` when absent.
    #[serde(default)]
    pub absent_members: AbsentMembers,
}

/// Where it is read who is in which group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum MembershipsFrom {
    /// From `members` of the groups.
    #[default]
    Groups,
    /// From `groups` of the accounts.
    Accounts,
}

/// How a member is removed from a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum RemoveMember {
    /// By the path `members[value eq "…"]`, as RFC 7644 has it.
    #[default]
    Path,
    /// By the path `members` and a list of values, as Entra did first. An application that goes by RFC 7644 removes **all**
    /// members then.
    Value,
}

/// What it means that a group has no attribute `members`, where members can only be written as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum AbsentMembers {
    /// The application may not show them: writing them would put everybody else out, so that such a group is refused.
    #[default]
    Unknown,
    /// The group has no members.
    Nobody,
}

/// A type of licences that an attribute of the accounts stands for.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct License {
    /// The resource type's short name.
    pub slug: String,
    /// What people read. Absent: the slug.
    pub name: Option<String>,
    /// The attribute whose values are licences: a list, such as `entitlements` or `roles`.
    #[serde(default = "entitlements")]
    pub attribute: String,
    /// The licences: `{ value = "What people read" }`. Other values of the attribute are left alone.
    pub values: BTreeMap<String, String>,
}

/// What an application can do.
#[derive(Clone, Copy, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Whether resources are changed by PATCH; else by PUT.
    pub patch: Option<bool>,
    /// Whether resources can be looked up by a filter.
    pub filter: Option<bool>,
    /// Whether passwords can be set.
    pub change_password: Option<bool>,
    /// Whether changes may be made to depend on a version.
    pub etag: Option<bool>,
    /// Whether listings go on by cursor (RFC 9865).
    pub cursor: Option<bool>,
}

impl Default for Accounts {
    fn default() -> Self {
        Self { slug: account(), name: account_name(), endpoint: None }
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            enabled: true,
            slug: group(),
            name: group_name(),
            endpoint: None,
            memberships_from: MembershipsFrom::default(),
            filter_members: false,
            remove_member: RemoveMember::default(),
            absent_members: AbsentMembers::default(),
        }
    }
}

impl License {
    /// What people read.
    pub(crate) fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.slug)
    }
}

impl Settings {
    /// Whether truth values in changes are text.
    pub(crate) fn booleans(&self) -> Booleans {
        self.booleans.unwrap_or(match self.profile {
            Profile::Entra => Booleans::Text,
            Profile::Generic | Profile::Okta => Booleans::Json,
        })
    }

    /// Checks what a type cannot say, and gives the base of all addresses. Nothing is connected to.
    pub(crate) fn validate(&self) -> Result<Url, SettingsError> {
        let url = endpoint("url", &self.url)?;
        if !(1..=1000).contains(&self.page_size) {
            return Err(SettingsError::new("page_size", "must be between 1 and 1000"));
        }
        let endpoints = [("accounts", &self.accounts.endpoint), ("groups", &self.groups.endpoint)];
        for (key, path) in endpoints {
            if let Some(path) = path
                && (path.trim_matches('/').is_empty()
                    || path.contains(['?', '#', ':', ' '])
                    || path.contains(".."))
            {
                let message = "must be a path behind url, such as \"Users\"";
                return Err(SettingsError::new(format!("{key}.endpoint"), message));
            }
        }
        self.validate_slugs()?;
        for (index, license) in self.licenses.iter().enumerate() {
            let key = format!("licenses.{index}");
            let is_list = Path::parse(&license.attribute).is_some_and(|path| path.to_string() == path.stem());
            if !is_list {
                let message = "must be an attribute, such as \"entitlements\" or \"roles\"";
                return Err(SettingsError::new(format!("{key}.attribute"), message));
            }
            if license.values.is_empty()
                || license.values.iter().any(|(id, name)| id.is_empty() || name.is_empty())
            {
                let message = "must name at least one licence, as in { pro = \"Professional\" }";
                return Err(SettingsError::new(format!("{key}.values"), message));
            }
        }
        Ok(url)
    }

    fn validate_slugs(&self) -> Result<(), SettingsError> {
        let groups = self.groups.enabled.then_some(("groups".to_owned(), &self.groups.slug));
        let licenses = self.licenses.iter().enumerate();
        let slugs = std::iter::once(("accounts".to_owned(), &self.accounts.slug))
            .chain(groups)
            .chain(licenses.map(|(index, license)| (format!("licenses.{index}"), &license.slug)));
        let mut seen = BTreeSet::new();
        for (key, slug) in slugs {
            let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if slug.is_empty() || !slug.chars().all(fits) {
                let message = "must be letters, digits, '-' and '_'";
                return Err(SettingsError::new(format!("{key}.slug"), message));
            }
            if !seen.insert(slug) {
                return Err(SettingsError::new(format!("{key}.slug"), "is used twice"));
            }
        }
        Ok(())
    }
}

fn page_size() -> u16 {
    100
}

fn account() -> String {
    "account".into()
}

fn account_name() -> String {
    "Account".into()
}

fn group() -> String {
    "group".into()
}

fn group_name() -> String {
    "Group".into()
}

fn entitlements() -> String {
    "entitlements".into()
}

fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn fault(more: Value) -> String {
        let mut target = json!({"url": "https://example.com/scim/v2"});
        let Value::Object(more) = more else { panic!("not a table") };
        for (key, value) in more {
            target[key] = value;
        }
        let settings: Settings = serde_json::from_value(target).unwrap();
        settings.validate().unwrap_err().to_string()
    }

    #[test]
    fn an_address_alone_is_enough() {
        let settings: Settings =
            serde_json::from_value(json!({"url": "https://example.com/scim/v2"})).unwrap();
        settings.validate().unwrap();
        assert_eq!((settings.page_size, settings.groups.slug.as_str()), (100, "group"));
        assert_eq!(settings.booleans(), Booleans::Json);
    }

    #[test]
    fn a_profile_says_how_truth_is_written_and_a_key_overrules_it() {
        let read = |more: Value| -> Settings { serde_json::from_value(more).unwrap() };
        assert_eq!(read(json!({"url": "x", "profile": "entra"})).booleans(), Booleans::Text);
        assert_eq!(
            read(json!({"url": "x", "profile": "entra", "booleans": "json"})).booleans(),
            Booleans::Json
        );
    }

    #[test]
    fn a_wrong_key_is_named() {
        assert!(fault(json!({"url": "http://example.com"})).starts_with("url: must begin with https"));
        assert!(fault(json!({"page_size": 0})).starts_with("page_size: "));
        assert!(
            fault(json!({"accounts": {"endpoint": "https://x/Users"}})).starts_with("accounts.endpoint: ")
        );
        assert!(fault(json!({"groups": {"endpoint": "/"}})).starts_with("groups.endpoint: "));
        assert_eq!(fault(json!({"groups": {"slug": "account"}})), "groups.slug: is used twice");
        assert!(fault(json!({"accounts": {"slug": "my account"}})).starts_with("accounts.slug: "));
        let license = |more: Value| fault(json!({"licenses": [more]}));
        assert!(license(json!({"slug": "plan", "values": {}})).starts_with("licenses.0.values: "));
        assert!(
            license(json!({"slug": "plan", "values": {"p": "P"}, "attribute": "roles.value"}))
                .starts_with("licenses.0.attribute: ")
        );
        assert!(license(json!({"slug": "group", "values": {"p": "P"}})).contains("used twice"));
    }
}
