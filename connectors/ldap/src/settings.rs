//! The keys of `target`.

use std::collections::BTreeMap;
use std::time::Duration;

use bridgehead_sdk::schemars;
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

/// The target is an LDAP directory.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Which directory it is; it decides the defaults of most other keys. `"openldap"`, `"389ds"`, or `"ad"` for Active
    /// Directory and Samba.
    pub profile: Profile,
    /// Where the server is: `"ldaps://host"` or `"ldap://host"`, with `:port` where it is not 636 or 389. Either this or
    /// `urls`.
    #[serde(default)]
    pub url: Option<String>,
    /// Where the servers of one directory are, in order of preference. All work is done on one of them; when it cannot be
    /// reached, on the next. Name each server, not a balancer: servers lag behind each other.
    #[serde(default)]
    pub urls: Vec<String>,
    /// How long after a change of servers creating, changing and deleting waits, "not found" is not believed and nothing is
    /// listed: what the last server was told may not have reached the next one yet.
    #[serde(default = "failover_wait")]
    pub failover_wait: FriendlyDuration,
    /// Whether the server is a replica, which must have received everything before it is believed. Absent: bridgehead finds
    /// out. `false`: it is not looked at.
    #[serde(default)]
    pub replica: Option<bool>,
    /// Parts of the directory on other servers that are not wanted: the name of the part (`"ou=abroad,dc=example,dc=com"`) or
    /// how the reference to it begins (`"ldap://other.example.com"`). Any other reference makes a listing incomplete.
    #[serde(default)]
    pub ignore_references: Vec<String>,
    /// Whether a connection to `ldap://` is encrypted with StartTLS before anything else is said.
    #[serde(default)]
    pub start_tls: bool,
    /// Whether passwords may cross the network in plain text: `ldap://` to another machine without `start_tls`.
    #[serde(default)]
    pub allow_plain_text: bool,
    /// How bridgehead proves who it is: `"simple"`, by `bind_dn` and `bind_password`; or `"external"`, by the client certificate
    /// alone (SASL EXTERNAL), which the server maps to an entry.
    #[serde(default)]
    pub bind: BindMethod,
    /// Who bridgehead is in the directory: a distinguished name; in Active Directory also `user@domain`. Needed with
    /// `bind = "simple"`.
    #[serde(default)]
    pub bind_dn: Option<String>,
    /// The password of `bind_dn`, as `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub bind_password: Option<SecretString>,
    /// The certificate that bridgehead shows the server, with those that lead from it to an authority: PEM, as
    /// `{ file = "…" }`.
    #[serde(default)]
    pub client_certificate: Option<String>,
    /// The private key of `client_certificate`: PEM, as `{ file = "…" }` or `{ credential = "…" }`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub client_key: Option<SecretString>,
    /// The name below which everything is found that has no base of its own: `"dc=example,dc=com"`.
    pub base: String,
    /// The attribute that identifies an entry whatever it is called. By profile: `entryUUID`, `nsUniqueId`, `objectGUID`.
    #[serde(default)]
    pub id_attribute: Option<String>,
    /// The accounts.
    #[serde(default)]
    pub accounts: Accounts,
    /// The types of groups. Absent: one type, `group`, of every group below `base`: `groupOfNames`, in Active Directory
    /// `group`. An empty list: none.
    #[serde(default)]
    pub groups: Option<Vec<GroupType>>,
    /// The types of licences: groups whose members hold a licence.
    #[serde(default)]
    pub licenses: Vec<GroupType>,
    /// How memberships are read.
    #[serde(default)]
    pub memberships: MembershipSettings,
    /// Whether the server itself takes a deleted or renamed entry out of its groups. If not, bridgehead does. By profile:
    /// true for Active Directory, false for the others, which have a plug-in for it.
    #[serde(default)]
    pub referential_integrity: Option<bool>,
    /// How accounts are created.
    #[serde(default)]
    pub create: CreateSettings,
    /// How accounts are suspended.
    #[serde(default)]
    pub suspend: SuspendSettings,
    /// How passwords are set: `"exop"` (the extended operation of RFC 3062), `"unicodePwd"` (Active Directory, over TLS
    /// alone), or `"none"`: no reset is offered. By profile.
    #[serde(default)]
    pub password: Option<PasswordMethod>,
    /// The directory is read and never written: syncs run, and no action is offered.
    #[serde(default)]
    pub read_only: bool,
    /// How many entries a page of a listing has: 1 to 1000, which is what Active Directory gives at most.
    #[serde(default = "page_size")]
    pub page_size: u16,
    /// How many connections tasks use at once: 1 to 64. A sync has one more for each type that it is reading.
    #[serde(default = "connections")]
    pub connections: u8,
    /// How long connecting may take, TLS and bind included.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: FriendlyDuration,
    /// How long the server may take to answer one request.
    #[serde(default = "request_timeout")]
    pub request_timeout: FriendlyDuration,
}

/// Which directory it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
pub enum Profile {
    /// OpenLDAP.
    #[serde(rename = "openldap")]
    OpenLdap,
    /// 389 Directory Server.
    #[serde(rename = "389ds")]
    Ds389,
    /// Active Directory, and Samba as its domain controller.
    #[serde(rename = "ad")]
    ActiveDirectory,
}

/// How bridgehead proves who it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "snake_case")]
pub enum BindMethod {
    /// A name and a password.
    #[default]
    Simple,
    /// The client certificate.
    External,
}

/// Which entries are accounts, and what their attributes mean.
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
    /// The name below which accounts are. Absent: `base`.
    #[serde(default)]
    pub base: Option<String>,
    /// How deep they may lie: `"subtree"` or `"one_level"`.
    #[serde(default)]
    pub scope: Scope,
    /// Which entries are accounts, as a filter of RFC 4515. By profile: `(objectClass=inetOrgPerson)`,
    /// `(&(objectCategory=person)(objectClass=user))`.
    #[serde(default)]
    pub filter: Option<String>,
    /// Field to attribute, on top of those of the profile: `username` (`uid`, `sAMAccountName`), `email` (`mail`),
    /// `first_name` (`givenName`), `last_name` (`sn`), `display_name` (`displayName`), and any of your own, such as
    /// `cost_centre = "departmentNumber"`. An empty text takes a field away.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// How deep a search goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything below the base, and the base itself.
    #[default]
    Subtree,
    /// Directly below the base.
    OneLevel,
}

/// A type of groups or licences.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct GroupType {
    /// The resource type's short name.
    pub slug: String,
    /// What people read. Absent: made of the slug.
    #[serde(default)]
    pub name: Option<String>,
    /// The name below which these groups are. Absent: the `base` of the target.
    #[serde(default)]
    pub base: Option<String>,
    /// Which entries are such groups. By the member attribute: `(objectClass=groupOfNames)`,
    /// `(objectClass=groupOfUniqueNames)`, `(objectClass=posixGroup)`; in Active Directory `(objectClass=group)`.
    #[serde(default)]
    pub filter: Option<String>,
    /// Which of these groups bridgehead governs, by name, with `*` for any text: `["app-*", "staff"]`. Absent: all of them. An
    /// account can be in at most 100 groups of one type.
    #[serde(default)]
    pub only: Vec<String>,
    /// The attribute that holds the members: `"member"`, `"uniqueMember"`, or `"memberUid"`, whose values are user names
    /// instead of distinguished names.
    #[serde(default = "member")]
    pub member_attribute: String,
    /// The attribute that holds the group's name.
    #[serde(default = "cn")]
    pub name_attribute: String,
    /// The member that stands in a group which would be empty otherwise, where the schema forbids that (`groupOfNames`).
    /// An empty text is the name of nobody, the default for OpenLDAP. Absent with the other profiles: a group may be empty.
    #[serde(default)]
    pub placeholder_member: Option<String>,
}

/// How memberships are read.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct MembershipSettings {
    /// `"members"`: by asking which groups name the account; the member attribute should be indexed. `"memberOf"`: from an
    /// attribute of the account. By profile: Active Directory has `memberOf`, the others only with a plug-in.
    #[serde(default)]
    pub read_from: Option<MembershipSource>,
    /// The attribute of `"memberOf"`.
    #[serde(default)]
    pub attribute: Option<String>,
    /// Whether an account is also a member of the groups that its groups are in. Tasks change direct memberships alone.
    #[serde(default)]
    pub nested: bool,
}

/// Where memberships are read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
pub enum MembershipSource {
    /// The groups that name the account.
    #[serde(rename = "members")]
    Members,
    /// An attribute of the account.
    #[serde(rename = "memberOf")]
    MemberOf,
}

/// How accounts are created.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct CreateSettings {
    /// The name below which new accounts are put. Absent: the `base` of the accounts.
    #[serde(default)]
    pub base: Option<String>,
    /// The attribute that names the entry: `uid`; in Active Directory `cn`. It must be mapped to a field, or stand in
    /// `attributes`.
    #[serde(default)]
    pub rdn: Option<String>,
    /// The object classes. By profile: `inetOrgPerson`, or `user`.
    #[serde(default)]
    pub object_classes: Option<Vec<String>>,
    /// Attributes that no field is mapped to, as text with fields: `{username}@{domain}`, `{display_name|username}`; `{domain}`
    /// is made of the `dc` parts of the base. By profile: `cn` and `sn`, which people must have; in Active Directory `cn` and
    /// `userPrincipalName`. An empty text takes one away.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// How accounts are suspended.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct SuspendSettings {
    /// `"pwdAccountLockedTime"` (OpenLDAP with the overlay `ppolicy`), `"nsAccountLock"`, `"userAccountControl"`,
    /// `"attribute"`: a value in an attribute of your choice; or `"none"`: not offered. By profile.
    #[serde(default)]
    pub method: Option<SuspendMethod>,
    /// The name of the password policy (`ppolicy_default`) that holds for accounts without one of their own. Only needed with
    /// `"pwdAccountLockedTime"` where the server cannot show whether a lock is in force (OpenLDAP before 2.5).
    #[serde(default)]
    pub policy: Option<String>,
    /// The attribute of the method `"attribute"`.
    #[serde(default)]
    pub attribute: Option<String>,
    /// What it holds while an account is suspended; it is taken out of the attribute afterwards.
    #[serde(default)]
    pub value: Option<String>,
}

/// What suspends an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
pub enum SuspendMethod {
    /// OpenLDAP's password policy overlay.
    #[serde(rename = "pwdAccountLockedTime")]
    PwdAccountLockedTime,
    /// 389 Directory Server.
    #[serde(rename = "nsAccountLock")]
    NsAccountLock,
    /// Active Directory: bit 2.
    #[serde(rename = "userAccountControl")]
    UserAccountControl,
    /// Any attribute.
    #[serde(rename = "attribute")]
    Attribute,
    /// Accounts cannot be suspended.
    #[serde(rename = "none")]
    None,
}

/// How passwords are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
pub enum PasswordMethod {
    /// The password modify extended operation, RFC 3062.
    #[serde(rename = "exop")]
    ExtendedOperation,
    /// Active Directory's attribute.
    #[serde(rename = "unicodePwd")]
    UnicodePwd,
    /// Passwords are not set.
    #[serde(rename = "none")]
    None,
}

/// A duration written as `"30s"` or `"1m 30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FriendlyDuration(pub Duration);

impl<'de> Deserialize<'de> for FriendlyDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let error = || serde::de::Error::custom("must be a duration such as \"30s\"");
        let text = String::deserialize(deserializer).map_err(|_| error())?;
        let duration: jiff::SignedDuration = text.parse().map_err(|_| error())?;
        Duration::try_from(duration).map(Self).map_err(|_| error())
    }
}

impl schemars::JsonSchema for FriendlyDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["30s", "1m 30s"] })
    }
}

impl serde::Serialize for FriendlyDuration {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{}s", self.0.as_secs()))
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            slug: account(),
            name: account_name(),
            base: None,
            scope: Scope::default(),
            filter: None,
            attributes: BTreeMap::new(),
        }
    }
}

fn account() -> String {
    "account".to_owned()
}

fn account_name() -> String {
    "Account".to_owned()
}

fn member() -> String {
    "member".to_owned()
}

fn cn() -> String {
    "cn".to_owned()
}

fn failover_wait() -> FriendlyDuration {
    FriendlyDuration(Duration::from_secs(30))
}

fn page_size() -> u16 {
    500
}

fn connections() -> u8 {
    4
}

fn connect_timeout() -> FriendlyDuration {
    FriendlyDuration(Duration::from_secs(10))
}

fn request_timeout() -> FriendlyDuration {
    FriendlyDuration(Duration::from_secs(30))
}
