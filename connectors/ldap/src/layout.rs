//! The checked settings with the profile's defaults. Does not connect.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{ResourceKind, ResourceType, SettingsError, Subject};

use crate::escape;
use crate::identifier::IdAttribute;
use crate::name::{self, Name};
use crate::schema::Schema;
use crate::settings::{GroupType, MembershipSource, PasswordMethod, Profile, Scope, Settings, SuspendMethod};
use crate::suspension::Suspension;
use crate::template::Template;

/// The standard fields of an account.
const OWN_FIELDS: [&str; 5] = ["username", "email", "first_name", "last_name", "display_name"];

/// Fields that cannot be mapped to an attribute, because they are read and written in other ways.
const RESERVED: [&str; 7] =
    ["id", "account_id", "status", "memberships", "assignments", "password", "new_password"];

/// Where everything is in the directory, and what it means.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) profile: Profile,
    /// The base of everything.
    pub(crate) base: String,
    pub(crate) id: IdAttribute,
    pub(crate) accounts: AccountLayout,
    pub(crate) groups: Vec<GroupLayout>,
    pub(crate) source: MembershipSource,
    pub(crate) member_of: String,
    pub(crate) nested: bool,
    pub(crate) referential_integrity: bool,
    pub(crate) create: CreateLayout,
    pub(crate) suspension: Option<Suspension>,
    pub(crate) password: PasswordMethod,
}

/// Which entries are accounts.
#[derive(Clone, Debug)]
pub(crate) struct AccountLayout {
    pub(crate) resource_type: ResourceType,
    pub(crate) base: String,
    pub(crate) scope: ldap3::Scope,
    pub(crate) filter: String,
    /// Attributes by field.
    pub(crate) attributes: BTreeMap<String, String>,
}

/// Which entries are groups of one type.
#[derive(Clone, Debug)]
pub(crate) struct GroupLayout {
    pub(crate) resource_type: ResourceType,
    pub(crate) base: String,
    pub(crate) base_name: Name,
    pub(crate) filter: String,
    /// Its key in the settings: `groups.0`.
    pub(crate) key: String,
    pub(crate) member: String,
    /// Whether members are user names instead of distinguished names.
    pub(crate) by_username: bool,
    pub(crate) name: String,
    pub(crate) placeholder: Option<String>,
}

/// How to create an account.
#[derive(Clone, Debug)]
pub(crate) struct CreateLayout {
    pub(crate) base: String,
    pub(crate) rdn: String,
    pub(crate) object_classes: Vec<String>,
    /// Attributes without a field.
    pub(crate) attributes: BTreeMap<String, Template>,
    pub(crate) domain: String,
}

impl GroupLayout {
    pub(crate) fn slug(&self) -> &str {
        self.resource_type.slug.as_str()
    }

    /// The subject of an error about one of these.
    pub(crate) fn subject(&self) -> Subject {
        if self.resource_type.kind == ResourceKind::License { Subject::License } else { Subject::Group }
    }
}

impl Layout {
    /// Applies the profile's defaults, and checks everything that can be checked without the server.
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let profile = settings.profile;
        let base = parse_name("base", &settings.base)?;
        if base.rdns.is_empty() {
            return Err(SettingsError::new(
                "base",
                "must be the DN of a subtree, such as \"dc=example,dc=com\"",
            ));
        }
        let id = settings.id_attribute.as_deref().unwrap_or(match profile {
            Profile::OpenLdap => "entryUUID",
            Profile::Ds389 => "nsUniqueId",
            Profile::ActiveDirectory => "objectGUID",
        });
        check_attribute("id_attribute", id)?;
        let accounts = account_layout(settings)?;
        let mut groups = Vec::new();
        let standard = [standard_group()];
        let group_types = settings.groups.as_deref().unwrap_or(&standard);
        for (key, kind, types) in [
            ("groups", ResourceKind::Group, group_types),
            ("licenses", ResourceKind::License, &settings.licenses),
        ] {
            for (position, of) in types.iter().enumerate() {
                groups.push(group_layout(&format!("{key}.{position}"), kind, of, settings)?);
            }
        }
        let types =
            std::iter::once(&accounts.resource_type).chain(groups.iter().map(|group| &group.resource_type));
        check_slugs(types)?;
        let source = settings.memberships.read_from.unwrap_or(match profile {
            Profile::ActiveDirectory => MembershipSource::MemberOf,
            Profile::OpenLdap | Profile::Ds389 => MembershipSource::Members,
        });
        let member_of = settings.memberships.attribute.clone().unwrap_or_else(|| "memberOf".to_owned());
        check_attribute("memberships.attribute", &member_of)?;
        if settings.memberships.attribute.is_some() && source == MembershipSource::Members {
            let message = "only applies to read_from = \"memberOf\"";
            return Err(SettingsError::new("memberships.attribute", message));
        }
        if source == MembershipSource::MemberOf && groups.iter().any(|group| group.by_username) {
            let message = "must be \"members\" where group members are user names (memberUid)";
            return Err(SettingsError::new("memberships.read_from", message));
        }
        let by_username = groups.iter().any(|group| group.by_username);
        if by_username && !accounts.attributes.contains_key("username") {
            let message = "must map username where group members are user names (memberUid)";
            return Err(SettingsError::new("accounts.attributes", message));
        }
        let create = create_layout(settings, &accounts)?;
        Ok(Self {
            profile,
            base: settings.base.clone(),
            id: IdAttribute::new(id),
            groups,
            source,
            member_of,
            nested: settings.memberships.nested,
            referential_integrity: settings
                .referential_integrity
                .unwrap_or(profile == Profile::ActiveDirectory),
            create,
            suspension: suspension(settings, &accounts)?,
            password: settings.password.unwrap_or(match profile {
                Profile::ActiveDirectory => PasswordMethod::UnicodePwd,
                Profile::OpenLdap | Profile::Ds389 => PasswordMethod::ExtendedOperation,
            }),
            accounts,
        })
    }

    /// The attributes to request for an account.
    pub(crate) fn account_attributes(&self) -> Vec<&str> {
        let mut wanted: Vec<&str> = vec![&self.id.name];
        wanted.extend(self.accounts.attributes.values().map(String::as_str));
        // These attributes are updated when their fields change.
        wanted.extend(self.create.attributes.keys().map(String::as_str));
        wanted.extend(self.suspension.iter().flat_map(Suspension::attributes));
        if self.source == MembershipSource::MemberOf {
            wanted.push(&self.member_of);
        }
        wanted
    }

    /// The same layout with the server's own names of attributes.
    pub(crate) fn canonical(&self, schema: &Schema) -> Self {
        let mut layout = self.clone();
        layout.id = IdAttribute::new(&schema.canonical(&self.id.name));
        for attribute in layout.accounts.attributes.values_mut() {
            *attribute = schema.canonical(attribute);
        }
        for group in &mut layout.groups {
            group.member = schema.canonical(&group.member);
            group.name = schema.canonical(&group.name);
        }
        layout.member_of = schema.canonical(&self.member_of);
        layout.create.rdn = schema.canonical(&self.create.rdn);
        let templates = std::mem::take(&mut layout.create.attributes).into_iter();
        layout.create.attributes =
            templates.map(|(attribute, template)| (schema.canonical(&attribute), template)).collect();
        if let Some(Suspension::Attribute { attribute, .. }) = &mut layout.suspension {
            *attribute = schema.canonical(attribute);
        }
        layout
    }

    /// The attributes without which data would silently be missing, each with the key that names it.
    pub(crate) fn needed_attributes(&self) -> Vec<(String, &str)> {
        let mut needed = vec![("id_attribute".to_owned(), self.id.name.as_str())];
        let fields = self.accounts.attributes.iter();
        needed.extend(fields.map(|(field, of)| (format!("accounts.attributes.{field}"), of.as_str())));
        for group in &self.groups {
            needed.push((format!("{}.member_attribute", group.key), &group.member));
            needed.push((format!("{}.name_attribute", group.key), &group.name));
        }
        if self.source == MembershipSource::MemberOf {
            needed.push(("memberships.attribute".to_owned(), &self.member_of));
        }
        if let Some(Suspension::Attribute { attribute, .. }) = &self.suspension {
            needed.push(("suspend.attribute".to_owned(), attribute));
        }
        needed
    }

    /// Fields that the directory accepts but never shows, because no attribute is mapped to them.
    pub(crate) fn unverifiable(&self) -> BTreeSet<String> {
        let unmapped = OWN_FIELDS.into_iter().filter(|field| self.attribute(field).is_none());
        let status = self.suspension.is_none().then_some("status");
        unmapped.chain(status).map(str::to_owned).collect()
    }

    /// The attribute that a field is mapped to.
    pub(crate) fn attribute(&self, field: &str) -> Option<&str> {
        self.accounts.attributes.get(field).map(String::as_str)
    }
}

fn account_layout(settings: &Settings) -> Result<AccountLayout, SettingsError> {
    let of = &settings.accounts;
    let base = of.base.as_ref().unwrap_or(&settings.base);
    parse_name("accounts.base", base)?;
    let filter = of.filter.as_deref().unwrap_or(match settings.profile {
        Profile::OpenLdap | Profile::Ds389 => "(objectClass=inetOrgPerson)",
        Profile::ActiveDirectory => "(&(objectCategory=person)(objectClass=user))",
    });
    let filter = check_filter("accounts.filter", filter)?;
    let username = match settings.profile {
        Profile::OpenLdap | Profile::Ds389 => "uid",
        Profile::ActiveDirectory => "sAMAccountName",
    };
    let standard = [username, "mail", "givenName", "sn", "displayName"];
    let mut attributes: BTreeMap<String, String> =
        OWN_FIELDS.into_iter().zip(standard).map(|(field, of)| (field.to_owned(), of.to_owned())).collect();
    for (field, attribute) in &of.attributes {
        let key = format!("accounts.attributes.{field}");
        if RESERVED.contains(&field.as_str()) {
            return Err(SettingsError::new(key, "is not read from an attribute; remove it from the table"));
        }
        if bridgehead_sdk::is_secret_name(field) {
            return Err(SettingsError::new(
                key,
                "has the name of a secret, and would be sent to Iden; remove it",
            ));
        }
        if attribute.is_empty() {
            attributes.remove(field);
            continue;
        }
        check_attribute(&key, attribute)?;
        attributes.insert(field.clone(), attribute.clone());
    }
    let mut seen: Vec<(&str, &str)> = Vec::new();
    for (field, attribute) in &attributes {
        // Accounts that log in with their email address have one attribute for both.
        let may_share = |other: &str| matches!((other, field.as_str()), ("email", "username"));
        if seen.iter().any(|(other, of)| name::is_same_attribute(of, attribute) && !may_share(other)) {
            let message = format!("the attribute '{attribute}' is also mapped to another field");
            return Err(SettingsError::new(format!("accounts.attributes.{field}"), message));
        }
        seen.push((field, attribute));
    }
    if !attributes.contains_key("username") && !attributes.contains_key("email") {
        let message = "must map username or email: an account needs at least one of them";
        return Err(SettingsError::new("accounts.attributes", message));
    }
    Ok(AccountLayout {
        resource_type: ResourceType::account(of.slug.clone(), of.name.clone()),
        base: base.clone(),
        scope: match of.scope {
            Scope::Subtree => ldap3::Scope::Subtree,
            Scope::OneLevel => ldap3::Scope::OneLevel,
        },
        filter,
        attributes,
    })
}

fn standard_group() -> GroupType {
    GroupType {
        slug: "group".to_owned(),
        name: None,
        base: None,
        filter: None,
        member_attribute: "member".to_owned(),
        name_attribute: "cn".to_owned(),
        placeholder_member: None,
        only: Vec::new(),
    }
}

fn group_layout(
    key: &str,
    kind: ResourceKind,
    of: &GroupType,
    settings: &Settings,
) -> Result<GroupLayout, SettingsError> {
    let base = of.base.as_ref().unwrap_or(&settings.base);
    let base_name = parse_name(&format!("{key}.base"), base)?;
    check_attribute(&format!("{key}.member_attribute"), &of.member_attribute)?;
    check_attribute(&format!("{key}.name_attribute"), &of.name_attribute)?;
    let by_username =
        ["memberUid", "1.3.6.1.1.1.1.12"].iter().any(|name| of.member_attribute.eq_ignore_ascii_case(name));
    let standard = match settings.profile {
        Profile::ActiveDirectory => "(objectClass=group)",
        _ if by_username => "(objectClass=posixGroup)",
        _ if of.member_attribute.eq_ignore_ascii_case("uniqueMember") => "(objectClass=groupOfUniqueNames)",
        _ => "(objectClass=groupOfNames)",
    };
    let mut filter = check_filter(&format!("{key}.filter"), of.filter.as_deref().unwrap_or(standard))?;
    if !of.only.is_empty() {
        filter = format!("(&{filter}{})", governed(key, of)?);
    }
    let placeholder = match &of.placeholder_member {
        Some(placeholder) if !by_username => {
            parse_name(&format!("{key}.placeholder_member"), placeholder)?;
            Some(placeholder.clone())
        }
        Some(placeholder) => Some(placeholder.clone()),
        // Only OpenLDAP's schema requires a member; it accepts an empty name as one.
        None if settings.profile == Profile::OpenLdap && !by_username => Some(String::new()),
        None => None,
    };
    Ok(GroupLayout {
        resource_type: ResourceType::new(
            of.slug.clone(),
            of.name.clone().unwrap_or_else(|| title(&of.slug)),
            kind,
        ),
        base: base.clone(),
        base_name,
        filter,
        key: key.to_owned(),
        member: of.member_attribute.clone(),
        by_username,
        name: of.name_attribute.clone(),
        placeholder,
    })
}

/// The condition that a group has one of the names in `only`.
fn governed(key: &str, of: &GroupType) -> Result<String, SettingsError> {
    let mut conditions = String::new();
    for (position, pattern) in of.only.iter().enumerate() {
        let parts: Vec<_> = pattern.split('*').map(|part| escape::filter_value(part.as_bytes())).collect();
        if pattern.trim() != pattern || parts.iter().all(String::is_empty) {
            let message = "must be the name of a group, with * for any text, such as \"app-*\"";
            return Err(SettingsError::new(format!("{key}.only.{position}"), message));
        }
        let mut value = parts.join("*");
        while value.contains("**") {
            value = value.replace("**", "*");
        }
        conditions = format!("{conditions}({}={value})", of.name_attribute);
    }
    Ok(format!("(|{conditions})"))
}

fn create_layout(settings: &Settings, accounts: &AccountLayout) -> Result<CreateLayout, SettingsError> {
    let of = &settings.create;
    let base = of.base.as_ref().unwrap_or(&accounts.base);
    let base_name = parse_name("create.base", base)?;
    let accounts_base = parse_name("accounts.base", &accounts.base)?;
    if !base_name.is_within(&accounts_base) {
        let message =
            "must be below the base of the accounts: an account created elsewhere would never be found again";
        return Err(SettingsError::new("create.base", message));
    }
    let is_ad = settings.profile == Profile::ActiveDirectory;
    let rdn = of.rdn.clone().unwrap_or_else(|| if is_ad { "cn" } else { "uid" }.to_owned());
    check_attribute("create.rdn", &rdn)?;
    let object_classes = of
        .object_classes
        .clone()
        .unwrap_or_else(|| vec![if is_ad { "user" } else { "inetOrgPerson" }.to_owned()]);
    if object_classes.iter().all(String::is_empty) {
        return Err(SettingsError::new("create.object_classes", "must name at least one object class"));
    }
    let standard: &[(&str, &str)] = if is_ad {
        &[("cn", "{username|email}"), ("userPrincipalName", "{username}@{domain}")]
    } else {
        &[("cn", "{display_name|username|email}"), ("sn", "{last_name|display_name|username|email}")]
    };
    let mut texts: BTreeMap<String, String> =
        standard.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect();
    for (attribute, text) in &of.attributes {
        check_attribute(&format!("create.attributes.{attribute}"), attribute)?;
        texts.retain(|known, _| !name::is_same_attribute(known, attribute));
        if !text.is_empty() {
            texts.insert(attribute.clone(), text.clone());
        }
    }
    let fields = accounts.attributes.keys().map(String::as_str).chain(["domain"]);
    let mut attributes = BTreeMap::new();
    for (attribute, text) in texts {
        let key = format!("create.attributes.{attribute}");
        let template = match Template::parse(&text, &fields.clone().chain(OWN_FIELDS)) {
            Ok(template) => template,
            Err(fault) => return Err(SettingsError::new(key, fault)),
        };
        attributes.insert(attribute, template);
    }
    let named = attributes.keys().chain(accounts.attributes.values());
    if !settings.read_only && !named.into_iter().any(|name| name::is_same_attribute(name, &rdn)) {
        let message = format!("no field is mapped to '{rdn}', and create.attributes does not set it either");
        return Err(SettingsError::new("create.rdn", message));
    }
    Ok(CreateLayout { base: base.clone(), rdn, object_classes, attributes, domain: base_name.domain() })
}

fn suspension(settings: &Settings, accounts: &AccountLayout) -> Result<Option<Suspension>, SettingsError> {
    let of = &settings.suspend;
    let method = of.method.unwrap_or(match settings.profile {
        Profile::OpenLdap => SuspendMethod::PwdAccountLockedTime,
        Profile::Ds389 => SuspendMethod::NsAccountLock,
        Profile::ActiveDirectory => SuspendMethod::UserAccountControl,
    });
    if method != SuspendMethod::Attribute {
        for (key, value) in [("suspend.attribute", &of.attribute), ("suspend.value", &of.value)] {
            if value.is_some() {
                return Err(SettingsError::new(key, "only applies to method = \"attribute\""));
            }
        }
    }
    if let Some(policy) = &of.policy {
        if method != SuspendMethod::PwdAccountLockedTime {
            return Err(SettingsError::new(
                "suspend.policy",
                "only applies to method = \"pwdAccountLockedTime\"",
            ));
        }
        parse_name("suspend.policy", policy)?;
    }
    Ok(Some(match method {
        SuspendMethod::PwdAccountLockedTime => Suspension::PwdAccountLockedTime { policy: of.policy.clone() },
        SuspendMethod::NsAccountLock => Suspension::NsAccountLock,
        SuspendMethod::UserAccountControl => Suspension::UserAccountControl,
        SuspendMethod::None => return Ok(None),
        SuspendMethod::Attribute => {
            let missing = |key| SettingsError::new(key, "is required with method = \"attribute\"");
            let attribute = of.attribute.clone().ok_or_else(|| missing("suspend.attribute"))?;
            check_attribute("suspend.attribute", &attribute)?;
            if accounts.attributes.values().any(|name| name::is_same_attribute(name, &attribute)) {
                return Err(SettingsError::new("suspend.attribute", "is also mapped to a field of accounts"));
            }
            let value = of.value.clone().filter(|value| !value.is_empty());
            Suspension::Attribute { attribute, value: value.ok_or_else(|| missing("suspend.value"))? }
        }
    }))
}

fn check_slugs<'a>(types: impl Iterator<Item = &'a ResourceType>) -> Result<(), SettingsError> {
    let mut slugs = BTreeSet::new();
    for of in types {
        let slug = of.slug.as_str();
        let key = if of.kind == ResourceKind::Account { "accounts.slug" } else { "groups" };
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if slug.is_empty() || !slug.chars().all(fits) {
            let message = format!("the slug '{slug}' must consist of letters, digits, '-' and '_'");
            return Err(SettingsError::new(key, message));
        }
        if !slugs.insert(slug) {
            return Err(SettingsError::new(key, format!("the slug '{slug}' is used twice")));
        }
    }
    Ok(())
}

fn check_attribute(key: &str, attribute: &str) -> Result<(), SettingsError> {
    if name::is_attribute(attribute) {
        return Ok(());
    }
    Err(SettingsError::new(key, "must be the name of an attribute: letters, digits and '-'"))
}

fn check_filter(key: &str, filter: &str) -> Result<String, SettingsError> {
    let filter = filter.trim();
    let filter = if filter.starts_with('(') { filter.to_owned() } else { format!("({filter})") };
    match ldap3::parse_filter(&filter) {
        Ok(_) => Ok(filter),
        Err(()) => Err(SettingsError::new(
            key,
            "is not a valid RFC 4515 filter, such as \"(&(objectClass=person)(mail=*))\"; check the \
             parentheses",
        )),
    }
}

fn parse_name(key: &str, text: &str) -> Result<Name, SettingsError> {
    Name::parse(text).map_err(|malformed| SettingsError::new(key, malformed.to_string()))
}

/// The display form of `sales_team`: `Sales team`.
fn title(slug: &str) -> String {
    let words = slug.replace(['_', '-'], " ");
    let mut characters = words.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}
