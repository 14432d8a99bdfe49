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
    /// The type of directory, which determines the defaults of most other keys: `"openldap"`, `"389ds"`, or `"ad"` for
    /// Active Directory and Samba.
    pub profile: Profile,
    /// The address of the server: `"ldaps://host"` or `"ldap://host"`, with `:port` if it is not 636 or 389. Either this
    /// or `urls`.
    #[serde(default)]
    pub url: Option<String>,
    /// The addresses of the servers of one directory, in order of preference. All work is done on one of them, and on the
    /// next if it becomes unreachable. Name each server, not a load balancer, because servers lag behind each other.
    #[serde(default)]
    pub urls: Vec<String>,
    /// After a switch to another server: how long create, update and delete tasks wait, "not found" is not accepted and
    /// nothing is listed, because the new server may not have received the latest changes yet.
    #[serde(default = "failover_wait")]
    pub failover_wait: FriendlyDuration,
    /// Whether the server is a replica, which must be fully loaded before it is trusted. Absent: bridgehead finds out.
    /// `false`: this is not checked.
    #[serde(default)]
    pub replica: Option<bool>,
    /// Parts of the directory on other servers that you do not need: the name of the part (`"ou=abroad,dc=example,dc=com"`) or
    /// the start of the reference to it (`"ldap://other.example.com"`). Any other reference makes a listing incomplete.
    #[serde(default)]
    pub ignore_references: Vec<String>,
    /// Whether a connection to `ldap://` is encrypted with StartTLS before anything else is sent.
    #[serde(default)]
    pub start_tls: bool,
    /// Whether passwords may be sent over the network in plain text: `ldap://` to another machine without `start_tls`.
    #[serde(default)]
    pub allow_plain_text: bool,
    /// How bridgehead authenticates: `"simple"`, with `bind_dn` and `bind_password`; or `"external"`, with only the client
    /// certificate (SASL EXTERNAL), which the server maps to an entry.
    #[serde(default)]
    pub bind: BindMethod,
    /// The name that bridgehead binds as: a distinguished name; in Active Directory also `user@domain`. Required with
    /// `bind = "simple"`.
    #[serde(default)]
    pub bind_dn: Option<String>,
    /// The password of `bind_dn`, as `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub bind_password: Option<SecretString>,
    /// The client certificate, followed by its intermediate certificates: PEM, as `{ file = "…" }`.
    #[serde(default)]
    pub client_certificate: Option<String>,
    /// The private key of `client_certificate`: PEM, as `{ file = "…" }` or `{ credential = "…" }`.
    #[serde(default)]
    #[schemars(with = "Option<String>")]
    pub client_key: Option<SecretString>,
    /// The base for everything without a separate base: `"dc=example,dc=com"`.
    pub base: String,
    /// The attribute that identifies an entry and survives a rename. By profile: `entryUUID`, `nsUniqueId`, `objectGUID`.
    #[serde(default)]
    pub id_attribute: Option<String>,
    /// The accounts.
    #[serde(default)]
    pub accounts: Accounts,
    /// The types of groups. Absent: one type, `group`, with every group below `base`: `groupOfNames`, in Active
    /// Directory `group`. An empty list: none.
    #[serde(default)]
    pub groups: Option<Vec<GroupType>>,
    /// The types of licenses: groups whose members hold a license.
    #[serde(default)]
    pub licenses: Vec<GroupType>,
    /// How to read memberships.
    #[serde(default)]
    pub memberships: MembershipSettings,
    /// Whether the server itself removes a deleted or renamed entry from its groups. If not, bridgehead does. By profile:
    /// true for Active Directory, false for the others, which have a plug-in for it.
    #[serde(default)]
    pub referential_integrity: Option<bool>,
    /// How to create accounts.
    #[serde(default)]
    pub create: CreateSettings,
    /// How to suspend accounts.
    #[serde(default)]
    pub suspend: SuspendSettings,
    /// How to set passwords: `"exop"` (the extended operation of RFC 3062), `"unicodePwd"` (Active Directory, only over
    /// TLS), or `"none"`: password resets are not offered. By profile.
    #[serde(default)]
    pub password: Option<PasswordMethod>,
    /// Read the directory but never write to it: syncs run, and no action is offered.
    #[serde(default)]
    pub read_only: bool,
    /// How many entries a page of a listing contains: 1 to 1000, the maximum of Active Directory.
    #[serde(default = "page_size")]
    pub page_size: u16,
    /// How many connections tasks use at the same time: 1 to 64. A sync uses one more for each type that it is reading.
    #[serde(default = "connections")]
    pub connections: u8,
    /// How long connecting may take, including TLS and the bind.
    #[serde(default = "connect_timeout")]
    pub connect_timeout: FriendlyDuration,
    /// How long the server may take to respond to one request.
    #[serde(default = "request_timeout")]
    pub request_timeout: FriendlyDuration,
}

/// The type of directory.
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

/// How bridgehead authenticates.
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
    /// The slug of the resource type.
    #[serde(default = "account")]
    pub slug: String,
    /// The display name.
    #[serde(default = "account_name")]
    pub name: String,
    /// The base of the accounts. Absent: `base`.
    #[serde(default)]
    pub base: Option<String>,
    /// How deep to search below it: `"subtree"` or `"one_level"`.
    #[serde(default)]
    pub scope: Scope,
    /// Which entries are accounts, as an RFC 4515 filter. By profile: `(objectClass=inetOrgPerson)`,
    /// `(&(objectCategory=person)(objectClass=user))`.
    #[serde(default)]
    pub filter: Option<String>,
    /// A table of fields and their attributes, in addition to those of the profile: `username` (`uid`,
    /// `sAMAccountName`), `email` (`mail`), `first_name` (`givenName`), `last_name` (`sn`), `display_name`
    /// (`displayName`), and any custom field, such as `cost_centre = "departmentNumber"`. An empty text removes a
    /// field.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// How deep to search.
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

/// A type of groups or licenses.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct GroupType {
    /// The slug of the resource type.
    pub slug: String,
    /// The display name. Absent: derived from the slug.
    #[serde(default)]
    pub name: Option<String>,
    /// The base of these groups. Absent: the `base` of the target.
    #[serde(default)]
    pub base: Option<String>,
    /// Which entries are groups of this type. By the member attribute: `(objectClass=groupOfNames)`,
    /// `(objectClass=groupOfUniqueNames)`, `(objectClass=posixGroup)`; in Active Directory `(objectClass=group)`.
    #[serde(default)]
    pub filter: Option<String>,
    /// Which of these groups bridgehead manages, by name, with `*` for any text: `["app-*", "staff"]`. Absent: all of them. An
    /// account can be in at most 100 groups of one type.
    #[serde(default)]
    pub only: Vec<String>,
    /// The attribute with the members: `"member"`, `"uniqueMember"`, or `"memberUid"`, whose values are user names
    /// instead of distinguished names.
    #[serde(default = "member")]
    pub member_attribute: String,
    /// The attribute with the name of the group.
    #[serde(default = "cn")]
    pub name_attribute: String,
    /// The placeholder member of a group that would otherwise be empty, where the schema forbids that (`groupOfNames`). An
    /// empty text is an empty name, the default for OpenLDAP. Absent with the other profiles: a group may be empty.
    #[serde(default)]
    pub placeholder_member: Option<String>,
}

/// How to read memberships.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct MembershipSettings {
    /// `"members"`: by searching for groups that contain the account; index the member attribute. `"memberOf"`: from an
    /// attribute of the account. By profile: Active Directory has `memberOf`, the others only with a plug-in.
    #[serde(default)]
    pub read_from: Option<MembershipSource>,
    /// The attribute of `"memberOf"`.
    #[serde(default)]
    pub attribute: Option<String>,
    /// Whether an account is also a member of the groups that its groups are in. Tasks only change direct memberships.
    #[serde(default)]
    pub nested: bool,
}

/// Where to read memberships from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
pub enum MembershipSource {
    /// The groups that contain the account.
    #[serde(rename = "members")]
    Members,
    /// An attribute of the account.
    #[serde(rename = "memberOf")]
    MemberOf,
}

/// How to create accounts.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct CreateSettings {
    /// The base for new accounts. Absent: the `base` of the accounts.
    #[serde(default)]
    pub base: Option<String>,
    /// The attribute that names the entry: `uid`; in Active Directory `cn`. It must be mapped to a field, or be set in
    /// `attributes`.
    #[serde(default)]
    pub rdn: Option<String>,
    /// The object classes. By profile: `inetOrgPerson`, or `user`.
    #[serde(default)]
    pub object_classes: Option<Vec<String>>,
    /// Attributes that no field is mapped to, as text with fields: `{username}@{domain}`, `{display_name|username}`; `{domain}`
    /// is built from the `dc` parts of the base. By profile: `cn` and `sn`, which people require; in Active Directory `cn` and
    /// `userPrincipalName`. An empty text removes one.
    #[serde(default)]
    pub attributes: BTreeMap<String, String>,
}

/// How to suspend accounts.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[schemars(crate = "bridgehead_sdk::schemars")]
#[serde(deny_unknown_fields)]
pub struct SuspendSettings {
    /// `"pwdAccountLockedTime"` (OpenLDAP with the overlay `ppolicy`), `"nsAccountLock"`, `"userAccountControl"`,
    /// `"attribute"`: a value in an attribute of your choice; or `"none"`: suspending is not offered. By profile.
    #[serde(default)]
    pub method: Option<SuspendMethod>,
    /// The name of the password policy (`ppolicy_default`) for accounts without their own policy. Only required with
    /// `"pwdAccountLockedTime"` if the server cannot show whether a lock is effective (OpenLDAP before 2.5).
    #[serde(default)]
    pub policy: Option<String>,
    /// The attribute of the method `"attribute"`.
    #[serde(default)]
    pub attribute: Option<String>,
    /// The value while an account is suspended; it is removed from the attribute afterwards.
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

/// How to set passwords.
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
