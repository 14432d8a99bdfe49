//! Builds the complete plan from the settings.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{
    Action, Code, ResourceKind, ResourceType, Retry, SettingsError, Subject, is_secret_name,
};
use serde_json::Value;

use super::parameter::{Names, Parameter, Source, is_reserved};
use super::records::{Accounts, Type};
use super::statement::{Compiler, Statement};
use super::steps::{self, Step};
use super::writes::reads_from;
use crate::hash::Hasher;
use crate::settings::{Engine, ErrorSettings, ParameterSettings, RetrySettings, Settings};

/// All statements that the connector runs, and what it reads.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) engine: Engine,
    pub(crate) hasher: Hasher,
    pub(crate) accounts: Accounts,
    pub(crate) types: Vec<Type>,
    pub(crate) actions: BTreeMap<Action, Vec<Step>>,
    pub(crate) own: BTreeMap<String, Source>,
    pub(crate) overrides: Vec<Override>,
}

/// The configured meaning of certain errors of the database.
#[derive(Debug)]
pub(crate) struct Override {
    pub(crate) constraint: Option<String>,
    pub(crate) code: Option<String>,
    pub(crate) contains: Option<String>,
    pub(crate) report: Code,
    pub(crate) message: Option<String>,
    pub(crate) retry: Option<Retry>,
    pub(crate) subject: Option<Subject>,
}

impl Plan {
    /// Checks the settings as a whole. Does not connect.
    pub(crate) fn build(settings: &Settings) -> Result<Self, SettingsError> {
        let own = own_parameters(settings)?;
        let fields: Vec<String> =
            settings.accounts.fields.keys().filter(|field| *field != "id").cloned().collect();
        let compiler = Compiler {
            engine: settings.engine,
            names: Names { fields: &fields, own: &own },
            id_type: settings.accounts.id_type,
        };
        let accounts = Accounts::build(&compiler, &settings.accounts)?;
        let mut slugs = BTreeSet::from([settings.accounts.slug.as_str()]);
        let mut types = Vec::new();
        for (part, kind, list) in [
            ("groups", ResourceKind::Group, &settings.groups),
            ("licenses", ResourceKind::License, &settings.licenses),
        ] {
            for (index, one) in list.iter().enumerate() {
                let key = format!("{part}.{index}");
                if !slugs.insert(one.slug.as_str()) {
                    return Err(SettingsError::new(format!("{key}.slug"), "is used twice"));
                }
                types.push(Type::build(&compiler, &key, kind, one)?);
            }
        }
        let mut actions: BTreeMap<Action, Vec<Step>> = BTreeMap::new();
        for action in Action::ALL.iter().copied() {
            let Some(steps) = settings.actions.of(action) else { continue };
            let suspends = matches!(action, Action::SuspendAccount | Action::UnsuspendAccount);
            if suspends && !settings.accounts.fields.contains_key("status") {
                let message =
                    "needs a column for status in accounts.fields: otherwise suspensions are not visible";
                return Err(SettingsError::new(format!("actions.{action}"), message));
            }
            actions.insert(action, steps::of_action(&compiler, action, steps)?);
        }
        let table = reads_from(&accounts.by_id.sql);
        let members = types.iter_mut().flat_map(|one| one.add.iter_mut().chain(&mut one.remove));
        for step in actions.values_mut().flatten().chain(members) {
            step.limit(settings.engine, table.as_deref())?;
        }
        let hasher = Hasher::new(&settings.hashes)?;
        let engine = settings.engine;
        let plan =
            Self { engine, hasher, accounts, types, actions, overrides: overrides(&settings.errors)?, own };
        plan.check_own()?;
        Ok(plan)
    }

    /// All statements.
    pub(crate) fn statements(&self) -> impl Iterator<Item = &Statement> {
        let accounts = &self.accounts;
        let readers = [Some(&accounts.listing.statement), accounts.listing.count.as_ref()]
            .into_iter()
            .chain([Some(&accounts.by_id), accounts.by_username.as_ref(), accounts.by_email.as_ref()])
            .flatten();
        let types = self.types.iter().flat_map(|one| {
            let members = match &one.members {
                Some(super::Members::Statement { statement, .. }) => Some(&**statement),
                _ => None,
            };
            let steps = one.add.iter().chain(&one.remove).map(|step| &step.statement);
            let readers =
                [Some(&one.listing.statement), one.listing.count.as_ref(), one.find.as_ref(), members];
            readers.into_iter().flatten().chain(steps)
        });
        let actions = self.actions.values().flatten().map(|step| &step.statement);
        readers.chain(types).chain(actions)
    }

    /// The statements of the actions and memberships.
    pub(crate) fn commands(&self) -> impl Iterator<Item = &Statement> {
        let members = self.types.iter().flat_map(|one| one.add.iter().chain(&one.remove));
        self.actions.values().flatten().chain(members).map(|step| &step.statement)
    }

    /// The resource types: groups and licenses first, accounts last.
    pub(crate) fn resource_types(&self) -> Vec<ResourceType> {
        let types = self.types.iter().map(|one| one.resource_type.clone());
        types.chain([self.accounts.resource_type.clone()]).collect()
    }

    /// What tasks can change but no statement shows: fields without a column, and types without `members`.
    pub(crate) fn unverifiable(&self) -> BTreeSet<String> {
        let known =
            ["email", "username", "first_name", "last_name", "display_name", "status"].map(str::to_owned);
        let own = self.own.values().filter_map(|source| match source {
            Source::Task { field, .. } => Some(field.clone()),
            Source::Fixed(_) => None,
        });
        let fields = known.into_iter().chain(own).filter(|field| !self.accounts.fields.contains_key(field));
        let types = self.types.iter().filter(|one| one.members.is_none());
        fields.chain(types.map(|one| format!("memberships.{}", one.resource_type.slug))).collect()
    }

    /// The actions that are offered. Memberships alone are enough to offer updates.
    pub(crate) fn offered(&self) -> BTreeSet<Action> {
        let mut offered: BTreeSet<Action> = self.actions.keys().copied().collect();
        if self.types.iter().any(|one| !one.add.is_empty()) {
            offered.insert(Action::UpdateAccount);
        }
        offered
    }

    fn check_own(&self) -> Result<(), SettingsError> {
        for name in self.own.keys() {
            let parameter = Parameter::Own(name.clone());
            if !self.statements().any(|statement| statement.uses(&parameter)) {
                let message = format!("no statement uses :{name}");
                return Err(SettingsError::new(format!("parameters.{name}"), message));
            }
        }
        Ok(())
    }
}

fn own_parameters(settings: &Settings) -> Result<BTreeMap<String, Source>, SettingsError> {
    let is_scalar = |value: &Value| !value.is_array() && !value.is_object();
    let mut own = BTreeMap::new();
    for (name, one) in &settings.parameters {
        let key = format!("parameters.{name}");
        let error = |message: &str| Err(SettingsError::new(key.as_str(), message));
        let fits = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(fits) {
            return error("must consist of letters, digits and '_'");
        }
        if is_reserved(name) || settings.accounts.fields.contains_key(name) {
            return error("is already a parameter; choose a different name");
        }
        let ParameterSettings { value, field, default } = one;
        let source = match (value, field) {
            (Some(_), None) if default.is_some() => {
                return error("has a fixed value, so default does not apply");
            }
            (Some(value), None) if is_scalar(value) => Source::Fixed(value.clone()),
            (Some(_), None) => return error("must be text, a number, true or false"),
            (None, Some(field)) if settings.accounts.fields.contains_key(field) => {
                return error("names a field that has a column, and therefore its own parameter");
            }
            (None, Some(field)) if is_secret_name(field) => {
                return error(
                    "is the name of a secret; a password is bound as :password in create_account and \
                     reset_password",
                );
            }
            (None, Some(field)) => {
                Source::Task { field: field.clone(), default: default.clone().unwrap_or(Value::Null) }
            }
            _ => return error("needs one of value and field"),
        };
        own.insert(name.clone(), source);
    }
    Ok(own)
}

fn overrides(settings: &[ErrorSettings]) -> Result<Vec<Override>, SettingsError> {
    let mut seen = BTreeSet::new();
    let mut overrides = Vec::with_capacity(settings.len());
    for (index, one) in settings.iter().enumerate() {
        let key = format!("errors.{index}");
        let conditions = (one.constraint.clone(), one.code.clone(), one.contains.clone());
        let given = [&conditions.0, &conditions.1, &conditions.2];
        if given.iter().all(|condition| condition.is_none()) {
            return Err(SettingsError::new(key, "needs a condition: constraint, code or contains"));
        }
        if given.iter().any(|condition| condition.as_ref().is_some_and(String::is_empty)) {
            return Err(SettingsError::new(key, "has an empty condition, which would match everything"));
        }
        if !seen.insert(conditions) {
            return Err(SettingsError::new(
                key,
                "has the same conditions as an earlier one, and would never match",
            ));
        }
        overrides.push(Override {
            constraint: one.constraint.clone(),
            code: one.code.clone(),
            contains: one.contains.clone(),
            report: one.report,
            message: one.message.clone(),
            retry: one.retry.map(|retry| match retry {
                RetrySettings::Never => Retry::Never,
                RetrySettings::Backoff => Retry::Backoff,
            }),
            subject: one.subject.map(Into::into),
        });
    }
    Ok(overrides)
}
