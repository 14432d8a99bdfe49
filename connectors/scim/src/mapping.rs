//! Converts a SCIM user to an account, and back.

use std::collections::BTreeMap;

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, EntityRecord, Memberships, Ref, RejectedRecord, SettingsError,
    exact, is_same_name,
};
use serde_json::{Value, json};

use crate::path::Path;
use crate::settings::Settings;
use crate::wire::{ENTERPRISE, Fields, USER, field, id, objects, reference, text, truth};

/// The paths of an account's standard fields.
const NAMED: [(&str, &str); 5] = [
    ("username", "userName"),
    ("email", "emails"),
    ("first_name", "name.givenName"),
    ("last_name", "name.familyName"),
    ("display_name", "displayName"),
];

/// The paths of other fields in the core schema.
const OTHERS: [(&str, &str); 8] = [
    ("external_id", "externalId"),
    ("title", "title"),
    ("nick_name", "nickName"),
    ("user_type", "userType"),
    ("preferred_language", "preferredLanguage"),
    ("locale", "locale"),
    ("timezone", "timezone"),
    ("phone", "phoneNumbers"),
];

/// The paths of other fields in the enterprise extension.
const OF_ENTERPRISE: [(&str, &str); 6] = [
    ("employee_number", "employeeNumber"),
    ("cost_center", "costCenter"),
    ("organization", "organization"),
    ("division", "division"),
    ("department", "department"),
    ("manager_id", "manager.value"),
];

/// Fields that are not attributes, or that are handled separately.
const RESERVED: [&str; 5] = ["id", "status", "memberships", "assignments", "password"];

/// The path of each field.
#[derive(Clone, Debug)]
pub(crate) struct Mapping {
    fields: BTreeMap<String, Path>,
    /// The fields that the operator has mapped.
    pub(crate) explicit: Vec<String>,
    licenses: Vec<LicenseOf>,
}

#[derive(Clone, Debug)]
struct LicenseOf {
    slug: String,
    attribute: Path,
    values: Vec<String>,
}

/// The wanted state of an account: fields and their new values, `null` to clear one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) fields: Vec<(Path, Value)>,
    /// Fields without a path.
    pub(crate) unknown: Vec<String>,
}

impl Mapping {
    pub(crate) fn new(settings: &Settings) -> Result<Self, SettingsError> {
        let mut fields = BTreeMap::new();
        let enterprise = OF_ENTERPRISE.map(|(name, path)| (name, format!("{ENTERPRISE}:{path}")));
        let usual =
            NAMED.into_iter().chain(OTHERS).map(|(name, path)| (name, path.to_owned())).chain(enterprise);
        for (name, path) in usual {
            fields.extend(Path::parse(&path).map(|path| (name.to_owned(), path)));
        }
        let mut explicit = Vec::new();
        for (name, text) in &settings.attributes {
            let key = format!("attributes.{name}");
            if RESERVED.contains(&name.as_str()) {
                return Err(SettingsError::new(key, "has a fixed place and cannot be moved"));
            }
            if bridgehead_sdk::is_secret_name(name) {
                return Err(SettingsError::new(
                    key,
                    "has the name of a secret; such fields are never passed on",
                ));
            }
            if text.is_empty() {
                fields.remove(name);
                continue;
            }
            let path = Path::parse(text).ok_or_else(|| {
                let message = "must be a path such as \"name.givenName\" or \"phoneNumbers[type eq \\\"work\\\"].value\"";
                SettingsError::new(&key, message)
            })?;
            if ["id", "meta", "schemas", "active", "password", "groups"]
                .iter()
                .any(|own| path.schema.is_none() && path.attribute.eq_ignore_ascii_case(own))
            {
                return Err(SettingsError::new(key, "is an attribute with a special meaning"));
            }
            explicit.push(name.clone());
            fields.insert(name.clone(), path);
        }
        if !fields.contains_key("username") && !fields.contains_key("email") {
            return Err(SettingsError::new("attributes", "must leave at least one of username and email"));
        }
        let licenses = settings.licenses.iter().filter_map(|license| {
            Some(LicenseOf {
                slug: license.slug.clone(),
                attribute: Path::parse(&license.attribute)?,
                values: license.values.keys().cloned().collect(),
            })
        });
        Ok(Self { fields, explicit, licenses: licenses.collect() })
    }

    /// The path of a field.
    pub(crate) fn path(&self, name: &str) -> Option<&Path> {
        self.fields.get(name)
    }

    /// Every field and its path.
    pub(crate) fn fields(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.fields.iter().map(|(name, path)| (name.as_str(), path))
    }

    /// Whether the operator has mapped a field.
    pub(crate) fn is_explicit(&self, name: &str) -> bool {
        self.explicit.iter().any(|known| known == name)
    }

    /// The field with a path.
    pub(crate) fn name_of(&self, path: &Path) -> String {
        let found = self.fields.iter().find(|(_, known)| *known == path);
        found.map_or_else(|| path.to_string(), |(name, _)| name.clone())
    }

    /// The account record of a user. Memberships are added by the caller.
    pub(crate) fn record(&self, user: &Fields) -> Result<AccountRecord, RejectedRecord> {
        let rejected = |field: &str, rule: &str| RejectedRecord::new(id(user), field, rule);
        let own = id(user).ok_or_else(|| rejected("id", "non-empty text"))?;
        let mut record = AccountRecord::new(own);
        for (name, path) in &self.fields {
            let Some(value) = path.get(user) else { continue };
            let slot = match name.as_str() {
                "username" => &mut record.username,
                "email" => &mut record.email,
                "first_name" => &mut record.first_name,
                "last_name" => &mut record.last_name,
                "display_name" => &mut record.display_name,
                other => {
                    record.extra.insert(other.to_owned(), exact::plain(value.clone()));
                    continue;
                }
            };
            let plain = plain(value).ok_or_else(|| rejected(name, "text"))?;
            *slot = Some(plain).filter(|text| !text.is_empty());
        }
        if let Some(active) = field(user, "active") {
            let active = truth(active).ok_or_else(|| rejected("active", "true or false"))?;
            record.status = if active { AccountStatus::Active } else { AccountStatus::Suspended };
        }
        for license in &self.licenses {
            let held = license.held(user).map(Ref::new).collect();
            record.assignments.0.insert(license.slug.as_str().into(), held);
        }
        Ok(record)
    }

    /// The fields of a new user.
    pub(crate) fn wanted_at_first(&self, account: &Account) -> Wanted {
        let named = [
            ("username", account.username.as_ref()),
            ("email", account.email.as_ref()),
            ("first_name", account.first_name.as_ref()),
            ("last_name", account.last_name.as_ref()),
            ("display_name", account.display_name.as_ref()),
        ];
        let named = named.into_iter().filter_map(|(name, value)| Some((name, Value::from(value?.as_str()))));
        let more = account.extra.iter().map(|(name, value)| (name.as_str(), value.clone()));
        let mut wanted = self.wanted(named.chain(more.filter(|(_, value)| !value.is_null())));
        // RFC 7643 requires a userName; if users log in with their email address, it contains that.
        if account.username.is_none()
            && let (Some(path), Some(email)) = (self.path("username"), &account.email)
        {
            wanted.fields.push((path.clone(), Value::from(email.as_str())));
        }
        wanted
    }

    /// The fields of a change.
    pub(crate) fn wanted<'a>(&self, changes: impl Iterator<Item = (&'a str, Value)>) -> Wanted {
        let mut wanted = Wanted::default();
        for (name, value) in changes {
            // Passwords are set separately, and the others are not attributes.
            if RESERVED.contains(&name) || name == "new_password" || name == "account_id" {
                continue;
            }
            match self.path(name) {
                Some(path) => wanted.fields.push((path.clone(), value)),
                None => wanted.unknown.push(name.to_owned()),
            }
        }
        wanted
    }

    /// Sets the wanted licenses of a user. `false` if the slug is not a type of licenses.
    pub(crate) fn assign(&self, user: &mut Fields, slug: &str, refs: &[Ref]) -> Result<bool, AssignError> {
        let Some(license) = self.licenses.iter().find(|license| license.slug == slug) else {
            return Ok(false);
        };
        if let Some(unknown) = refs.iter().find(|one| !license.values.contains(&one.id)) {
            return Err(AssignError { id: unknown.id.clone() });
        }
        license.set(user, refs);
        Ok(true)
    }

    /// The attributes that contain licenses.
    pub(crate) fn license_attributes(&self) -> impl Iterator<Item = &Path> {
        self.licenses.iter().map(|license| &license.attribute)
    }
}

/// The error for a license that is not configured.
#[derive(Debug)]
pub(crate) struct AssignError {
    pub(crate) id: String,
}

impl LicenseOf {
    fn held<'a>(&'a self, user: &'a Fields) -> impl Iterator<Item = &'a str> {
        let held = self.attribute.whole(user);
        let mut held: Vec<&str> = match held {
            Some(Value::Array(items)) => items.iter().filter_map(value_of).collect(),
            Some(one) => value_of(one).into_iter().collect(),
            None => Vec::new(),
        };
        held.retain(|value| self.values.iter().any(|known| known == value));
        held.into_iter()
    }

    /// Keeps values that are not licenses of this type, and all parts of licenses that the user already has.
    fn set(&self, user: &mut Fields, refs: &[Ref]) {
        let mut items = match self.attribute.whole(user) {
            Some(Value::Array(items)) => items.clone(),
            Some(one) => vec![one.clone()],
            None => Vec::new(),
        };
        items.retain(|item| {
            value_of(item).is_none_or(|value| {
                !self.values.iter().any(|known| known == value) || refs.iter().any(|one| one.id == value)
            })
        });
        for one in refs {
            if !items.iter().any(|item| value_of(item) == Some(&one.id)) {
                items.push(json!({ "value": one.id }));
            }
        }
        self.attribute.set_whole(user, items);
    }
}

fn value_of(item: &Value) -> Option<&str> {
    match item {
        Value::Object(item) => text(item, "value"),
        plain => plain.as_str(),
    }
}

fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(exact::digits(text).into_owned()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// Whether a user shows nothing that differs from what a task wants for a new one.
pub(crate) fn agrees(account: &Account, record: &AccountRecord) -> bool {
    let same = |wanted: &Option<String>, found: &Option<String>| match (wanted, found) {
        (Some(wanted), Some(found)) => is_same_name(wanted, found),
        (Some(_), None) => false,
        _ => true,
    };
    same(&account.username, &record.username)
        && same(&account.email, &record.email)
        && same(&account.first_name, &record.first_name)
        && same(&account.last_name, &record.last_name)
        && same(&account.display_name, &record.display_name)
}

/// An empty user.
pub(crate) fn blank() -> Fields {
    let mut user = Fields::new();
    user.insert("schemas".to_owned(), json!([USER]));
    user
}

/// The record of a group.
pub(crate) fn group(resource: &Fields) -> Result<EntityRecord, RejectedRecord> {
    let rejected = |field: &str, rule: &str| RejectedRecord::new(id(resource), field, rule);
    let own = id(resource).ok_or_else(|| rejected("id", "non-empty text"))?;
    let name = text(resource, "displayName")
        .ok_or_else(|| rejected("displayName", "text: every group has a name"))?;
    let mut record = EntityRecord::new(own, name);
    if let Some(external) = text(resource, "externalId") {
        record.extra.insert("external_id".to_owned(), external.into());
    }
    Ok(record)
}

/// The groups that a user is directly in, according to the user. Memberships through another group cannot be removed.
pub(crate) fn groups_of(user: &Fields, slug: &str) -> Result<Memberships, RejectedRecord> {
    let direct = objects(field(user, "groups"))
        .filter(|group| !text(group, "type").is_some_and(|kind| kind.eq_ignore_ascii_case("indirect")));
    let refs = direct.map(|group| {
        let mut one = Ref::new(reference(group)?);
        one.name = text(group, "display").map(str::to_owned);
        Some(one)
    });
    // Skipping an unreadable group would lose a membership.
    let refs: Option<Vec<Ref>> = refs.collect();
    let refs =
        refs.ok_or_else(|| RejectedRecord::new(id(user), "groups", "a list of objects, each with a value"))?;
    Ok(Memberships([(slug.into(), refs)].into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(more: Value) -> Settings {
        let mut target = json!({"url": "https://example.com/scim/v2"});
        for (key, value) in fields(more) {
            target[key] = value;
        }
        serde_json::from_value(target).unwrap()
    }

    fn mapping(more: Value) -> Mapping {
        Mapping::new(&settings(more)).unwrap()
    }

    fn fields(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("not an object") };
        fields
    }

    #[test]
    fn user_maps_to_an_account_record() {
        let user = fields(json!({
            "schemas": [USER, ENTERPRISE], "id": "2819c223", "userName": "ann", "active": "False", "displayName": "Ann",
            "name": {"givenName": "Ann", "familyName": "Abe"}, "emails": [{"value": "ann@x.org", "type": "work"}],
            "title": "Boss", ENTERPRISE: {"department": "R&D", "manager": {"value": "m1"}}, "nickName": "",
        }));
        let record = mapping(json!({})).record(&user).unwrap();
        assert_eq!(
            serde_json::to_value(&record).unwrap(),
            json!({"id": "2819c223", "username": "ann", "email": "ann@x.org", "first_name": "Ann", "last_name": "Abe",
                "display_name": "Ann", "status": "suspended", "department": "R&D", "manager_id": "m1", "title": "Boss"})
        );
    }

    #[test]
    fn invalid_user_is_rejected_with_its_field() {
        let fault = |user: Value| mapping(json!({})).record(&fields(user)).unwrap_err();
        assert_eq!(fault(json!({"userName": "ann"})).field, "id");
        assert_eq!(fault(json!({"id": "1", "active": "perhaps"})).field, "active");
        assert_eq!(fault(json!({"id": "1", "userName": true})).field, "username");
        let fault = group(&fields(json!({"id": "g1"}))).unwrap_err();
        assert_eq!((fault.id.as_deref(), fault.field.as_str()), (Some("g1"), "displayName"));
    }

    #[test]
    fn attribute_settings_remap_and_drop_fields() {
        let mapping = mapping(json!({"attributes": {
            "email": "userName", "title": "", "badge": "urn:example:2.0:User:badge", "mobile": "phoneNumbers[type eq \"mobile\"].value"
        }}));
        assert_eq!(mapping.path("email").unwrap().to_string(), "userName");
        assert!(mapping.path("title").is_none());
        assert_eq!(mapping.explicit, ["badge", "email", "mobile"]);
        for (attributes, key) in [
            (json!({"id": "userName"}), "attributes.id: "),
            (json!({"badge": "a b"}), "attributes.badge: must be a path"),
            (json!({"badge": "groups"}), "attributes.badge: is an attribute"),
            (json!({"api_token": "title"}), "attributes.api_token: has the name of a secret"),
            (json!({"username": "", "email": ""}), "attributes: must leave"),
        ] {
            let error = Mapping::new(&settings(json!({ "attributes": attributes }))).unwrap_err().to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }

    #[test]
    fn missing_user_name_defaults_to_the_email() {
        let account = Account::by_email("ann@x.org");
        let mut user = blank();
        for (path, value) in mapping(json!({})).wanted_at_first(&account).fields {
            path.set(&mut user, value);
        }
        assert_eq!(user["userName"], "ann@x.org");
        assert_eq!(user["emails"], json!([{"value": "ann@x.org", "type": "work", "primary": true}]));
    }

    #[test]
    fn unmapped_fields_are_named() {
        let mut account = Account::by_id("1");
        account.extra =
            fields(json!({"shoe_size": 38, "title": "Boss", "password": "hunter2", "nothing": null}));
        let wanted = mapping(json!({})).wanted_at_first(&account);
        assert_eq!(wanted.unknown, ["shoe_size"]);
        assert_eq!(wanted.fields.len(), 1);
    }

    #[test]
    fn assigning_licenses_keeps_other_values() {
        let mapping =
            mapping(json!({"licenses": [{"slug": "plan", "values": {"pro": "Pro", "lite": "Lite"}}]}));
        let mut user = fields(
            json!({"id": "1", "entitlements": [{"value": "lite", "x": 1}, {"value": "other"}, "odd"]}),
        );
        let record = mapping.record(&user).unwrap();
        assert_eq!(record.assignments.of("plan"), [Ref::new("lite")]);
        assert!(mapping.assign(&mut user, "plan", &["pro".into(), "lite".into()]).unwrap());
        assert_eq!(
            user["entitlements"],
            json!([{"value": "lite", "x": 1}, {"value": "other"}, "odd", {"value": "pro"}])
        );
        assert!(mapping.assign(&mut user, "plan", &[]).unwrap());
        assert_eq!(user["entitlements"], json!([{"value": "other"}, "odd"]));
        assert_eq!(mapping.assign(&mut user, "plan", &["gone".into()]).unwrap_err().id, "gone");
        assert!(!mapping.assign(&mut user, "team", &[]).unwrap());
    }

    #[test]
    fn indirect_groups_are_not_memberships() {
        let user = fields(json!({"groups": [
            {"value": "g1", "display": "G", "type": "direct"}, {"value": "g2", "type": "indirect"}, {"value": "g3"}
        ]}));
        let memberships = groups_of(&user, "team").unwrap();
        let refs: Vec<_> = memberships.of("team").iter().map(|one| one.id.as_str()).collect();
        assert_eq!(refs, ["g1", "g3"]);
        let user = fields(json!({"id": "u1", "groups": [{"value": "g1"}, {"display": "G"}]}));
        assert_eq!(groups_of(&user, "team").unwrap_err().field, "groups");
    }
}
