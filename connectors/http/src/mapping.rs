//! Converts a target's record to a bridgehead record.

use bridgehead_sdk::{
    Account, AccountRecord, EntityRecord, Record, RejectedRecord, ResourceKind, SettingsError, exact, folded,
    is_same_name, is_secret_name,
};
use serde_json::{Map, Value};

use crate::settings::{AccountRecordSettings, EntityRecordSettings, StatusSettings};
use crate::template::{Expression, Fault, Reason, Scope, Vars, is_omitted};

/// How the fields of a record are read.
#[derive(Debug)]
pub(crate) struct Mapping {
    kind: ResourceKind,
    id: Expression,
    fields: Vec<(String, Expression)>,
    status: Option<Status>,
    memberships: Vec<Refs>,
}

/// References to one type of groups or licenses.
#[derive(Debug)]
struct Refs {
    slug: String,
    /// `memberships` of groups, or `assignments` of licenses.
    field: &'static str,
    expression: Expression,
}

/// How to determine whether an account is active.
#[derive(Debug)]
struct Status {
    value: Expression,
    /// Which values mean which status; empty if the value itself is the status.
    meanings: Vec<(Value, &'static str)>,
}

impl Mapping {
    /// Checks how accounts are read; `kind_of` returns the kind of resource that a slug names.
    pub(crate) fn account(
        key: &str,
        settings: &AccountRecordSettings,
        scope: &Scope,
        kind_of: impl Fn(&str) -> Option<ResourceKind>,
    ) -> Result<Self, SettingsError> {
        if settings.username.is_none() && settings.email.is_none() {
            return Err(SettingsError::new(
                key,
                "must have username, email or both: every account needs at least one",
            ));
        }
        let names = [
            ("username", &settings.username),
            ("email", &settings.email),
            ("first_name", &settings.first_name),
            ("last_name", &settings.last_name),
            ("display_name", &settings.display_name),
        ];
        let mut fields = Vec::new();
        for (name, source) in names {
            if let Some(source) = source {
                fields.push((name.to_owned(), Expression::new(&format!("{key}.{name}"), source, scope)?));
            }
        }
        fields.extend(extra(key, &settings.extra, &OWN_OF_ACCOUNT, scope)?);
        let memberships = settings.memberships.iter().map(|(slug, source)| {
            let key = format!("{key}.memberships.{slug}");
            let field = match kind_of(slug) {
                Some(ResourceKind::Group) => "memberships",
                Some(ResourceKind::License) => "assignments",
                _ => {
                    return Err(SettingsError::new(
                        key,
                        "is not the slug of a group or license type of this target",
                    ));
                }
            };
            Ok(Refs { slug: slug.clone(), field, expression: Expression::new(&key, source, scope)? })
        });
        let status =
            settings.status.as_ref().map(|status| Status::new(&format!("{key}.status"), status, scope));
        let id = Expression::new(&format!("{key}.id"), &settings.id, scope)?;
        if id.uses().iter().any(|used| used.split('.').next() == Some("follow")) {
            let message = "must be read from `record` alone, because it identifies records before any \
                           follow-up request";
            return Err(SettingsError::new(id.key(), message));
        }
        Ok(Self {
            kind: ResourceKind::Account,
            id,
            fields,
            status: status.transpose()?,
            memberships: memberships.collect::<Result<_, _>>()?,
        })
    }

    /// Checks how groups or licenses are read.
    pub(crate) fn entity(
        key: &str,
        kind: ResourceKind,
        settings: &EntityRecordSettings,
        scope: &Scope,
    ) -> Result<Self, SettingsError> {
        let name = Expression::new(&format!("{key}.name"), &settings.name, scope)?;
        let mut fields = vec![("name".to_owned(), name)];
        fields.extend(extra(key, &settings.extra, &["id", "name"], scope)?);
        let id = Expression::new(&format!("{key}.id"), &settings.id, scope)?;
        Ok(Self { kind, id, fields, status: None, memberships: Vec::new() })
    }

    /// The identifier alone, to distinguish records.
    pub(crate) fn id(&self, record: &minijinja::Value) -> Option<String> {
        self.id.text(&Vars::default().with("record", record.clone())).ok().filter(|id| !id.is_empty())
    }

    /// What identifies the owner of a record besides its identifier: its names, as far as the record's own fields contain them.
    pub(crate) fn names(&self, record: &minijinja::Value) -> Vec<String> {
        let vars = Vars::default().with("record", record.clone());
        let names =
            self.fields.iter().filter(|(field, _)| matches!(field.as_str(), "username" | "email" | "name"));
        names.filter_map(|(_, field)| field.text(&vars).ok()).map(|name| folded(&name)).collect()
    }

    /// Whether a record may be an account, according to its own fields. If they do not decide it, it may.
    pub(crate) fn may_be(&self, account: &Account, record: &minijinja::Value) -> bool {
        let vars = Vars::default().with("record", record.clone());
        let text = |expression: &Expression| expression.text(&vars).ok().filter(|text| !text.is_empty());
        if let Some(id) = &account.id {
            return text(&self.id).is_none_or(|text| text == id.as_str());
        }
        let (name, wanted) = match (&account.username, &account.email) {
            (Some(username), _) => ("username", username),
            (None, Some(email)) => ("email", email),
            (None, None) => return true,
        };
        let field = self.fields.iter().find(|(field, _)| field == name);
        field.is_none_or(|(_, field)| text(field).is_none_or(|text| is_same_name(&text, wanted)))
    }

    /// Whether accounts have this field.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.fields.iter().any(|(field, _)| field == name)
    }

    /// Whether the status is read.
    pub(crate) fn has_status(&self) -> bool {
        self.status.is_some()
    }

    /// The variables in use, which show which follow-ups are needed.
    pub(crate) fn uses(&self) -> impl Iterator<Item = &String> {
        let own = self.fields.iter().map(|(_, expression)| expression);
        let more = self.memberships.iter().map(|refs| &refs.expression);
        let status = self.status.iter().map(|status| &status.value);
        own.chain(more).chain(status).chain([&self.id]).flat_map(Expression::uses)
    }

    /// Whether accounts have a status other than active.
    pub(crate) fn knows_suspension(&self) -> bool {
        self.status.as_ref().is_some_and(|status| {
            status.meanings.is_empty() || status.meanings.iter().any(|(_, name)| *name != "active")
        })
    }

    /// Whether the target shows which groups or licenses of this type an account has.
    pub(crate) fn shows(&self, slug: &str) -> bool {
        self.memberships.iter().any(|refs| refs.slug == slug)
    }

    /// Reads an account.
    pub(crate) fn read_account(&self, vars: &Vars) -> Result<AccountRecord, RejectedRecord> {
        match self.read(vars)? {
            Record::Account(account) => Ok(*account),
            Record::Entity(entity) => Err(no_record(Some(entity.id))),
        }
    }

    /// Reads a group or license.
    pub(crate) fn read_entity(&self, vars: &Vars) -> Result<EntityRecord, RejectedRecord> {
        match self.read(vars)? {
            Record::Entity(entity) => Ok(entity),
            Record::Account(account) => Err(no_record(Some(account.id.into_string()))),
        }
    }

    fn read(&self, vars: &Vars) -> Result<Record, RejectedRecord> {
        let id = self.id.text(vars).ok();
        let rejected = |field: &str, fault: &Fault| {
            RejectedRecord::new(
                id.clone(),
                field,
                format!("a valid result of the configured template, but {fault}"),
            )
        };
        let mut record = Map::new();
        let id_value = json(&self.id, vars).map_err(|fault| rejected("id", &fault))?;
        record.insert("id".to_owned(), id_value.unwrap_or_default());
        for (name, expression) in &self.fields {
            if let Some(value) = json(expression, vars).map_err(|fault| rejected(name, &fault))? {
                record.insert(name.clone(), value);
            }
        }
        if let Some(status) = &self.status {
            record
                .insert("status".to_owned(), status.read(vars).map_err(|fault| rejected("status", &fault))?);
        }
        for Refs { slug, field, expression } in &self.memberships {
            let name = format!("{field}.{slug}");
            let refs = json(expression, vars).map_err(|fault| rejected(&name, &fault))?;
            let Some(refs) = refs else { continue };
            if !refs.is_array() {
                // A single string is not a list, and a missing value is not an empty one: the account would appear to be in no group.
                return Err(rejected(&name, &expression.not_a("a list")));
            }
            let of_field = record.entry(*field).or_insert_with(|| Value::Object(Map::new()));
            of_field[slug] = refs;
        }
        Record::from_json(self.kind, Value::Object(record))
    }
}

const OWN_OF_ACCOUNT: [&str; 9] = [
    "id",
    "username",
    "email",
    "first_name",
    "last_name",
    "display_name",
    "status",
    "memberships",
    "assignments",
];

fn no_record(id: Option<String>) -> RejectedRecord {
    RejectedRecord::new(id, "record", "of its type")
}

/// The value as JSON; `None` if it is left out.
fn json(expression: &Expression, vars: &Vars) -> Result<Option<Value>, Fault> {
    let value = expression.value(vars)?;
    if is_omitted(&value) {
        return Ok(None);
    }
    let json =
        serde_json::to_value(&value).map_err(|_| Fault::new(expression.key(), Reason::NotA("JSON")))?;
    Ok(Some(exact::plain(json)))
}

fn extra(
    key: &str,
    settings: &std::collections::BTreeMap<String, String>,
    own: &[&str],
    scope: &Scope,
) -> Result<Vec<(String, Expression)>, SettingsError> {
    let field = |(name, source): (&String, &String)| {
        let key = format!("{key}.extra.{name}");
        if own.contains(&name.as_str()) {
            return Err(SettingsError::new(key, "has its own key in the record"));
        }
        if is_secret_name(name) {
            return Err(SettingsError::new(
                key,
                "has the name of a secret; secrets must not leave the target",
            ));
        }
        Ok((name.clone(), Expression::new(&key, source, scope)?))
    };
    settings.iter().map(field).collect()
}

impl Status {
    fn new(key: &str, settings: &StatusSettings, scope: &Scope) -> Result<Self, SettingsError> {
        let lists = [
            ("active", &settings.active),
            ("inactive", &settings.inactive),
            ("suspended", &settings.suspended),
        ];
        let mut meanings: Vec<(Value, &'static str)> = Vec::new();
        for (name, values) in lists {
            for value in values {
                if meanings.iter().any(|(known, _)| known == value) {
                    let message = "contains a value that occurs twice in these lists";
                    return Err(SettingsError::new(format!("{key}.{name}"), message));
                }
                meanings.push((value.clone(), name));
            }
        }
        if !meanings.is_empty() && settings.active.is_empty() {
            return Err(SettingsError::new(format!("{key}.active"), "must list the values that mean active"));
        }
        let value = Expression::new(&format!("{key}.value"), &settings.value, scope)?;
        Ok(Self { value, meanings })
    }

    fn read(&self, vars: &Vars) -> Result<Value, Fault> {
        let value = json(&self.value, vars)?.unwrap_or_default();
        let known = ["active", "inactive", "suspended"];
        let name = if self.meanings.is_empty() {
            known.into_iter().find(|name| value == *name)
        } else {
            self.meanings.iter().find(|(known, _)| *known == value).map(|(_, name)| *name)
        };
        let what = if self.meanings.is_empty() {
            "active, inactive or suspended"
        } else {
            "a value that occurs in one of the lists"
        };
        name.map(Value::from).ok_or_else(|| self.value.not_a(what))
    }
}
