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
    /// The base URL of the application's SCIM API, such as `"https://example.com/scim/v2"`: `/Users` is appended to it. https, or
    /// http to loopback.
    pub url: String,
    /// How bridgehead authenticates: one of `basic`, `bearer`, `api_key` and `oauth2`.
    #[serde(default)]
    pub auth: Auth,
    /// Which SCIM dialect the application expects; `"generic"`, which is strictly RFC 7644, when absent.
    #[serde(default)]
    pub profile: Profile,
    /// The limits of one request.
    #[serde(default)]
    pub limits: LimitSettings,
    /// How many records to request per page, 1 to 1000; the application may return fewer. 100 when absent.
    #[serde(default = "page_size")]
    pub page_size: u16,
    /// How a listing is paged; `"auto"` when absent.
    #[serde(default)]
    pub paging: Paging,
    /// How to find an account whose identifier is unknown; `"filter"` when absent.
    #[serde(default)]
    pub lookup: Lookup,
    /// What deleting an account does; `"delete"` when absent.
    #[serde(default)]
    pub delete: Deletion,
    /// Read the application but never write to it: syncs run, and no action is offered.
    #[serde(default)]
    pub read_only: bool,
    /// The resource type of the accounts.
    #[serde(default)]
    pub accounts: Accounts,
    /// The resource type of the groups, and how to read and write memberships.
    #[serde(default)]
    pub groups: Groups,
    /// Types of licenses that an attribute of the accounts represents.
    #[serde(default)]
    pub licenses: Vec<License>,
    /// Where the fields of an account are in a user: `{ field = "path" }`, in addition to the defaults. An empty path removes a
    /// field.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
    /// What the application supports, if it does not announce this or announces it incorrectly.
    #[serde(default)]
    pub capabilities: Capabilities,
    /// How to write boolean values; determined by the profile when absent.
    pub booleans: Option<Booleans>,
}

/// The SCIM dialect of an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Strictly RFC 7643 and RFC 7644.
    #[default]
    Generic,
    /// Applications built for Microsoft Entra ID: operations are capitalized, a value of a list is changed by its own path,
    /// boolean values in changes are text.
    Entra,
    /// Applications built for Okta: users are changed with PUT, only `active` with PATCH, in an operation without a path.
    Okta,
}

/// How a listing is paged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Paging {
    /// By cursor if the application announces it, otherwise by index.
    #[default]
    Auto,
    /// By `startIndex` and `count` (RFC 7644).
    Index,
    /// By `cursor` and `nextCursor` (RFC 9865).
    Cursor,
}

/// How to find an account whose identifier is unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Lookup {
    /// By a filter, such as `userName eq "ann"`.
    #[default]
    Filter,
    /// By reading all accounts. Slow; for applications that do not support filters.
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

/// How to write boolean values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum Booleans {
    /// As JSON booleans: `true`, `false`.
    Json,
    /// In changes, as the texts `"True"` and `"False"`.
    Text,
}

/// The resource type of the accounts.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Accounts {
    /// The slug of the resource type.
    #[serde(default = "account")]
    pub slug: String,
    /// The display name.
    #[serde(default = "account_name")]
    pub name: String,
    /// The path relative to `url`, if it is not the one in the application's `ResourceTypes`, or `Users`.
    pub endpoint: Option<String>,
}

/// The resource type of the groups, and how to read and write memberships.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Groups {
    /// Whether the application has groups.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// The slug of the resource type.
    #[serde(default = "group")]
    pub slug: String,
    /// The display name.
    #[serde(default = "group_name")]
    pub name: String,
    /// The path relative to `url`, if it is not the one in the application's `ResourceTypes`, or `Groups`.
    pub endpoint: Option<String>,
    /// Where to read memberships from; `"groups"` when absent. Applications fill both places or only one, and an empty one looks
    /// as if no account were in any group: `bridgehead check` warns about this.
    #[serde(default)]
    pub memberships_from: MembershipsFrom,
    /// Whether to request the groups of one account with the filter `members.value eq` instead of reading all groups.
    /// `bridgehead check` proves that the application applies it.
    #[serde(default)]
    pub filter_members: bool,
    /// How to remove a member; `"path"` when absent.
    #[serde(default)]
    pub remove_member: RemoveMember,
    /// Without PATCH, what it means if a group has no attribute `members`; `"unknown"` when absent.
    #[serde(default)]
    pub absent_members: AbsentMembers,
}

/// Where to read memberships from.
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

/// How to remove a member from a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum RemoveMember {
    /// By the path `members[value eq "…"]` (RFC 7644).
    #[default]
    Path,
    /// By the path `members` and a list of values, as Entra originally did. An application that follows RFC 7644 then
    /// removes **all** members.
    Value,
}

/// What it means if a group has no attribute `members`, where members can only be written as a whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "lowercase")]
pub enum AbsentMembers {
    /// The application may not show them: writing them would remove all other members, so such a group is rejected.
    #[default]
    Unknown,
    /// The group has no members.
    Nobody,
}

/// A type of licenses that an attribute of the accounts represents.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct License {
    /// The slug of the resource type.
    pub slug: String,
    /// The display name. Absent: the slug.
    pub name: Option<String>,
    /// The attribute whose values are licenses: a list, such as `entitlements` or `roles`.
    #[serde(default = "entitlements")]
    pub attribute: String,
    /// The licenses: `{ value = "Display name" }`. Other values of the attribute are not changed.
    pub values: BTreeMap<String, String>,
}

/// What an application supports.
#[derive(Clone, Copy, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Whether resources can be changed with PATCH; otherwise PUT is used.
    pub patch: Option<bool>,
    /// Whether resources can be looked up by a filter.
    pub filter: Option<bool>,
    /// Whether passwords can be set.
    pub change_password: Option<bool>,
    /// Whether changes can be made conditional on a version.
    pub etag: Option<bool>,
    /// Whether listings can be paged by cursor (RFC 9865).
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
    /// The display name.
    pub(crate) fn title(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.slug)
    }
}

impl Settings {
    /// Whether boolean values in changes are strings.
    pub(crate) fn booleans(&self) -> Booleans {
        self.booleans.unwrap_or(match self.profile {
            Profile::Entra => Booleans::Text,
            Profile::Generic | Profile::Okta => Booleans::Json,
        })
    }

    /// Checks what the types cannot express, and returns the base URL. Does not connect.
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
                let message = "must be a path relative to url, such as \"Users\"";
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
                let message = "must contain at least one license, such as { pro = \"Professional\" }";
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
    fn url_is_the_only_required_setting() {
        let settings: Settings =
            serde_json::from_value(json!({"url": "https://example.com/scim/v2"})).unwrap();
        settings.validate().unwrap();
        assert_eq!((settings.page_size, settings.groups.slug.as_str()), (100, "group"));
        assert_eq!(settings.booleans(), Booleans::Json);
    }

    #[test]
    fn booleans_setting_overrides_the_profile() {
        let read = |more: Value| -> Settings { serde_json::from_value(more).unwrap() };
        assert_eq!(read(json!({"url": "x", "profile": "entra"})).booleans(), Booleans::Text);
        assert_eq!(
            read(json!({"url": "x", "profile": "entra", "booleans": "json"})).booleans(),
            Booleans::Json
        );
    }

    #[test]
    fn invalid_setting_names_its_key() {
        assert!(fault(json!({"url": "http://example.com"})).starts_with("url: must start with https"));
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
