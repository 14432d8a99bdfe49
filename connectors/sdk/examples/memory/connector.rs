//! The connector: all the code that an author writes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgehead_sdk::serde::Deserialize;
use bridgehead_sdk::serde_json::{Value, json};
use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Completion, Connector, Context, CreateAccount, Cursor,
    Description, EntityRecord, Error, Evidence, Factory, Memberships, Operation, Page, Record, ResourceKind,
    ResourceType, SettingsError, Setup, UpdateAccount, async_trait, factory as make, schemars, tracing,
};

/// The maximum number of records on a page of a listing.
const PAGE: usize = 100;
/// The prefix of a cursor, followed by the last identifier of the previous page. A listing by key neither skips nor repeats a record if
/// other records are added or removed meanwhile.
const AFTER: &str = "after:";
/// Fields of a task that are read elsewhere.
const ELSEWHERE: [&str; 4] = ["id", "account_id", "memberships", "assignments"];

/// The keys that `target` may have in the configuration. An unknown key is an error that suggests the nearest known
/// one.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(crate = "bridgehead_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "bridgehead_sdk::schemars")]
pub(crate) struct Settings {
    /// The maximum number of accounts.
    seats: usize,
    /// The teams: names by identifiers.
    teams: BTreeMap<String, String>,
}

/// The factory to register with the daemon.
pub(crate) fn factory() -> Arc<dyn Factory> {
    make(|settings: Settings, setup| Memory::new(settings, setup))
}

/// A target that is lost when the process ends.
pub(crate) struct Memory {
    /// How messages name the target.
    system: String,
    settings: Settings,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of the last account, so that no identifier is assigned twice.
    last: u64,
    accounts: BTreeMap<String, AccountRecord>,
}

impl Memory {
    /// Only checks the settings, so that a configuration can be checked without its target.
    fn new(settings: Settings, setup: Setup) -> Result<Self, SettingsError> {
        if settings.seats == 0 {
            return Err(SettingsError::new("seats", "must be at least 1"));
        }
        Ok(Self { system: setup.app, settings, state: Mutex::default() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self, state: &mut State, create: &CreateAccount) -> Result<Completion, Error> {
        if state.accounts.len() >= self.settings.seats {
            return Err(Error::license_exhausted(format!("{} has no seat left", self.system)));
        }
        if create.password.is_some() {
            return Err(self.refused("password"));
        }
        let account = &create.account;
        if account.extra.contains_key("status") {
            return Err(self.refused("status"));
        }
        let mut record = AccountRecord::new(format!("a{}", state.last + 1));
        record.username.clone_from(&account.username);
        record.email.clone_from(&account.email);
        record.first_name.clone_from(&account.first_name);
        record.last_name.clone_from(&account.last_name);
        record.display_name.clone_from(&account.display_name);
        record.status = account.status.unwrap_or_default();
        for (field, value) in create.payload.changes.as_object().into_iter().flatten() {
            self.fill(&mut record, field, value)?;
        }
        self.join(&mut record, create.memberships.as_ref())?;
        self.check_names(state, &record)?;
        tracing::debug!(id = %record.id, "created");
        let completion = Completion::created(record.id.clone());
        state.last += 1;
        state.accounts.insert(record.id.to_string(), record);
        // Fields that the target cannot store are reported, not dropped silently.
        let fields = account.extra.keys().filter(|field| !ELSEWHERE.contains(&field.as_str()));
        let unknown: Vec<&String> = fields.collect();
        Ok(if unknown.is_empty() { completion } else { completion.with("fields_not_kept", json!(unknown)) })
    }

    fn update(&self, state: &mut State, update: &UpdateAccount) -> Result<Completion, Error> {
        if update.password.is_some() {
            return Err(self.refused("password"));
        }
        // All or nothing: the new record replaces the old one only after everything was checked.
        let mut record = self.found(state, &update.account)?.clone();
        for (field, value) in &update.changes {
            self.fill(&mut record, field, value)?;
        }
        self.join(&mut record, update.memberships.as_ref())?;
        self.check_names(state, &record)?;
        state.accounts.insert(record.id.to_string(), record);
        Ok(Completion::done())
    }

    /// Sets a field of a record. If a field were skipped silently, Iden would assume that it is set.
    fn fill(&self, record: &mut AccountRecord, field: &str, value: &Value) -> Result<(), Error> {
        let text = match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
            _ if ELSEWHERE.contains(&field) => None,
            _ => return Err(self.refused(field)),
        };
        match field {
            "username" => record.username = text,
            "email" => record.email = text,
            "first_name" => record.first_name = text,
            "last_name" => record.last_name = text,
            "display_name" => record.display_name = text,
            "status" if value.is_null() => {}
            "status" => {
                let status = text.as_deref().and_then(AccountStatus::from_name);
                record.status = status.ok_or_else(|| self.refused(field))?;
            }
            field if ELSEWHERE.contains(&field) => {}
            _ => return Err(self.refused(field)),
        }
        Ok(())
    }

    /// Sets the requested teams of an account: for each type that is named, the list is complete.
    fn join(&self, record: &mut AccountRecord, wanted: Option<&Memberships>) -> Result<(), Error> {
        for (slug, teams) in wanted.into_iter().flat_map(|wanted| &wanted.0) {
            let is_known = |id: &str| slug.as_str() == "team" && self.settings.teams.contains_key(id);
            if let Some(missing) = teams.iter().find(|team| !is_known(&team.id)) {
                // Not ACCOUNT_NOT_FOUND: the account may exist.
                return Err(Error::group_not_found(format!("No {slug} {} in {}", missing.id, self.system)));
            }
            record.memberships.0.insert(slug.clone(), teams.clone());
        }
        Ok(())
    }

    /// Fails if another account has the user name or the email address, or the account would have neither.
    fn check_names(&self, state: &State, record: &AccountRecord) -> Result<(), Error> {
        let mut names = Vec::new();
        names.extend(record.username.clone().map(Account::by_username));
        names.extend(record.email.clone().map(Account::by_email));
        if names.is_empty() {
            let message = format!("An account of {} needs a user name or an email address", self.system);
            return Err(Error::internal(message));
        }
        let others = || state.accounts.values().filter(|other| other.id != record.id);
        match names.iter().find(|name| others().any(|other| name.is_same_as(other))) {
            Some(taken) => {
                let message = format!("User {} exists in {} already", taken.label(), self.system);
                Err(Error::account_already_exists(message))
            }
            None => Ok(()),
        }
    }

    fn found<'s>(&self, state: &'s mut State, account: &Account) -> Result<&'s mut AccountRecord, Error> {
        state.accounts.values_mut().find(|known| account.is_same_as(known)).ok_or_else(|| {
            Error::account_not_found(format!("User {} not found in {}", account.label(), self.system))
        })
    }

    fn refused(&self, field: &str) -> Error {
        Error::internal(format!("{} cannot keep this value of the field '{field}'", self.system))
    }
}

#[async_trait]
impl Connector for Memory {
    async fn describe(&self) -> Result<Description, Error> {
        // Declare only what is implemented here.
        Ok(Description::new("memory", env!("CARGO_PKG_VERSION"))
            .with_actions([
                Action::CreateAccount,
                Action::UpdateAccount,
                Action::DeleteAccount,
                Action::SuspendAccount,
                Action::UnsuspendAccount,
            ])
            .with_resource_types([
                ResourceType::group("team", "Team"),
                ResourceType::account("account", "Account"),
            ]))
    }

    async fn check(&self) -> Result<(), Error> {
        Ok(()) // a real connector makes a cheap request that needs its credential
    }

    async fn list(&self, of: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let after = cursor.map_or(Some(""), |cursor| cursor.as_str().strip_prefix(AFTER));
        let after = after.ok_or_else(|| Error::incomplete_listing("this cursor was never given"))?;
        let mut records: Vec<Record> = if of.kind == ResourceKind::Account {
            let state = self.state();
            let rest = state.accounts.iter().filter(|(id, _)| id.as_str() > after);
            rest.map(|(_, account)| account.clone().into()).take(PAGE + 1).collect()
        } else {
            let rest = self.settings.teams.iter().filter(|(id, _)| id.as_str() > after);
            rest.map(|(id, name)| EntityRecord::new(id, name).into()).take(PAGE + 1).collect()
        };
        // One additional record shows whether there is another page.
        let has_more = records.len() > PAGE;
        records.truncate(PAGE);
        let last = records.last().filter(|_| has_more);
        let next = last.map(|last| Cursor::new(format!("{AFTER}{}", last.id())));
        Ok(Page::new(records).ending(next, Evidence::EndOfCursor))
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        Ok(self.state().accounts.values().find(|known| account.is_same_as(known)).cloned())
    }

    async fn execute(&self, _: &Context, operation: &Operation) -> Result<Completion, Error> {
        let state = &mut *self.state();
        match operation {
            Operation::CreateAccount(create) => self.create(state, create),
            Operation::UpdateAccount(update) => self.update(state, update),
            Operation::DeleteAccount(delete) => {
                let id = self.found(state, &delete.account)?.id.clone();
                state.accounts.remove(id.as_str());
                Ok(Completion::done())
            }
            Operation::SuspendAccount(suspend) => {
                self.found(state, &suspend.account)?.status = AccountStatus::Suspended;
                Ok(Completion::done())
            }
            Operation::UnsuspendAccount(unsuspend) => {
                self.found(state, &unsuspend.account)?.status = AccountStatus::Active;
                Ok(Completion::done())
            }
            // Never reached: the daemon requests only the actions that `describe` names.
            other => Err(Error::unsupported(other.action())),
        }
    }
}
