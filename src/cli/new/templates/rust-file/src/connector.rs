//! Executes Iden's tasks and syncs.

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Completion, Context, CreateAccount, Cursor,
    Description, Error, Evidence, Memberships, Operation, Page, Record, ResourceKind, ResourceType,
    SettingsError, Setup, Subject, UpdateAccount, async_trait,
};
use serde_json::{Map, Value, json};

use crate::settings::Settings;
use crate::target::{State, Target};

/// The number of records per page of a listing.
const PAGE: usize = 200;
/// The prefix of a cursor, followed by the last id of the previous page. Continuing by key neither skips nor repeats an account while
/// others are added or removed.
const AFTER: &str = "after:";
/// The fields of an account that the target stores.
const FIELDS: [&str; 5] = [
    "username",
    "email",
    "first_name",
    "last_name",
    "display_name",
];

/// One app's target.
pub(crate) struct Connector {
    /// The name of the target in messages.
    system: String,
    target: Target,
}

impl Connector {
    /// Checks the settings only: the target is not accessed before the first call.
    pub(crate) fn new(settings: &Settings, setup: &Setup) -> Result<Self, SettingsError> {
        if settings.path.is_empty() {
            return Err(SettingsError::new(
                "path",
                "must name a file, such as \"people.json\"",
            ));
        }
        Ok(Self {
            system: setup.app.clone(),
            target: Target::new(setup.resolve(&settings.path)),
        })
    }
}

#[async_trait]
impl bridgehead_sdk::Connector for Connector {
    async fn describe(&self) -> Result<Description, Error> {
        // Declare only what is implemented below.
        Ok(Description::new("@@name@@", env!("CARGO_PKG_VERSION"))
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
        self.target.read().await.map(drop)
    }

    async fn list(&self, of: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let state = self.target.read().await?;
        let records = if of.kind == ResourceKind::Account {
            &state.account
        } else {
            &state.team
        };
        let after = match cursor {
            None => "",
            Some(cursor) => cursor.as_str().strip_prefix(AFTER).ok_or_else(|| {
                Error::incomplete_listing(format!(
                    "{} was asked to continue from an invalid cursor",
                    self.system
                ))
            })?,
        };
        let mut page = Page::default();
        let mut rest = records.iter().filter(|(id, _)| id.as_str() > after);
        let mut last = None;
        for (id, record) in rest.by_ref().take(PAGE) {
            last = Some(id);
            // An unreadable record is reported, not skipped: skipping it would remove the account.
            match read(of.kind, id, record) {
                Ok(record) => page.records.push(record),
                Err(rejected) => page.rejected.push(rejected),
            }
        }
        let next = rest
            .next()
            .and(last)
            .map(|id| Cursor::new(format!("{AFTER}{id}")));
        // The proof that this is the end: the file has no more records.
        Ok(page.ending(next, Evidence::EndOfCursor))
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let state = self.target.read().await?;
        find(&state, account)
    }

    async fn execute(&self, _: &Context, operation: &Operation) -> Result<Completion, Error> {
        let system = self.system.clone();
        let operation = operation.clone();
        let change = move |state: &mut State| match &operation {
            Operation::CreateAccount(create) => create_account(state, &system, create),
            Operation::UpdateAccount(update) => update_account(state, &system, update),
            Operation::DeleteAccount(delete) => {
                let id = must_find(state, &system, &delete.account)?;
                state.account.remove(&id);
                Ok(Completion::done())
            }
            Operation::SuspendAccount(suspend) => {
                let id = must_find(state, &system, &suspend.account)?;
                set(state, &id, "status", "suspended".into());
                Ok(Completion::done())
            }
            Operation::UnsuspendAccount(unsuspend) => {
                let id = must_find(state, &system, &unsuspend.account)?;
                set(state, &id, "status", "active".into());
                Ok(Completion::done())
            }
            // Never reached: bridgehead only requests what `describe` declares.
            other => Err(Error::unsupported(other.action())),
        };
        self.target.change(change).await
    }
}

fn create_account(
    state: &mut State,
    system: &str,
    create: &CreateAccount,
) -> Result<Completion, Error> {
    if create.password.is_some() {
        return Err(no_password(system));
    }
    let account = &create.account;
    if account.extra.contains_key("status") {
        return Err(Error::internal(format!(
            "{system} does not have this status"
        )));
    }
    let wanted = [
        &account.username,
        &account.email,
        &account.first_name,
        &account.last_name,
        &account.display_name,
    ];
    let status = account.status.unwrap_or_default();
    let mut record = Map::from_iter([("status".to_owned(), json!(status.as_str()))]);
    for (field, value) in FIELDS.into_iter().zip(wanted) {
        if let Some(value) = value {
            record.insert(field.to_owned(), json!(value));
        }
    }
    let changes = create.payload.changes.as_object();
    for (field, value) in changes.into_iter().flatten() {
        fill(&mut record, system, field, value)?;
    }
    free(state, system, &record, None)?;
    join(state, system, &mut record, create.memberships.as_ref())?;
    state.next += 1;
    let id = format!("a{}", state.next);
    state.account.insert(id.clone(), Value::Object(record));
    let completion = Completion::created(id);
    // Fields that are not in this list and that the target cannot store are reported, not dropped.
    let elsewhere = ["memberships", "assignments"];
    let unknown: Vec<&String> = account
        .extra
        .keys()
        .filter(|field| !elsewhere.contains(&field.as_str()))
        .collect();
    if unknown.is_empty() {
        return Ok(completion);
    }
    Ok(completion.with("fields_not_kept", json!(unknown)))
}

fn update_account(
    state: &mut State,
    system: &str,
    update: &UpdateAccount,
) -> Result<Completion, Error> {
    let id = must_find(state, system, &update.account)?;
    let mut record = state
        .account
        .get(&id)
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    if ["password", "new_password"]
        .iter()
        .any(|name| has(update, name))
    {
        return Err(no_password(system));
    }
    for (field, value) in &update.changes {
        fill(&mut record, system, field, value)?;
    }
    free(state, system, &record, Some(&id))?;
    join(state, system, &mut record, update.memberships.as_ref())?;
    state.account.insert(id, Value::Object(record));
    Ok(Completion::done())
}

/// Puts a field into a record. If a field were silently skipped, Iden would assume that it is set.
fn fill(
    record: &mut Map<String, Value>,
    system: &str,
    field: &str,
    value: &Value,
) -> Result<(), Error> {
    let refused = || {
        Error::internal(format!(
            "{system} cannot store this value of the field '{field}'"
        ))
    };
    match (field, value) {
        // These came with the task as `memberships`, and as the account's identifier.
        ("memberships" | "assignments" | "id" | "account_id", _) => {}
        ("password" | "new_password", _) => return Err(no_password(system)),
        ("status", Value::Null) => {}
        ("status", Value::String(status)) if AccountStatus::from_name(status).is_some() => {
            record.insert(field.to_owned(), json!(status));
        }
        (field, Value::Null) if FIELDS.contains(&field) => drop(record.remove(field)),
        (field, Value::String(text)) if FIELDS.contains(&field) => {
            record.insert(field.to_owned(), json!(text));
        }
        _ => return Err(refused()),
    }
    Ok(())
}

/// Whether a task contains a field, in the account or next to it.
fn has(update: &UpdateAccount, name: &str) -> bool {
    update.account.extra.contains_key(name) || update.payload.extra.contains_key(name)
}

fn no_password(system: &str) -> Error {
    Error::internal(format!(
        "{system} does not store passwords; omit them from what Iden sends"
    ))
}

/// A record in the format of listings.
fn read(
    kind: ResourceKind,
    id: &str,
    record: &Value,
) -> Result<Record, bridgehead_sdk::RejectedRecord> {
    let mut record = record.clone();
    if let Some(fields) = record.as_object_mut() {
        fields.insert("id".to_owned(), json!(id));
    }
    Record::from_json(kind, record)
}

/// Looks for an account by its id, else by its user name, else by its email address.
fn find(state: &State, account: &Account) -> Result<Option<AccountRecord>, Error> {
    for (id, record) in &state.account {
        match read(ResourceKind::Account, id, record) {
            Ok(Record::Account(record)) if account.is_same_as(&record) => return Ok(Some(*record)),
            Ok(_) => {}
            // It may be the requested account, so it cannot be reported as missing.
            Err(rejected) => return Err(Error::internal(rejected.to_string())),
        }
    }
    Ok(None)
}

fn must_find(state: &State, system: &str, account: &Account) -> Result<String, Error> {
    match find(state, account)? {
        Some(record) => Ok(record.id.into_string()),
        None => Err(Error::account_not_found(format!(
            "User {} not found in {system}",
            account.label()
        ))),
    }
}

fn set(state: &mut State, id: &str, field: &str, value: Value) {
    if let Some(record) = state.account.get_mut(id).and_then(Value::as_object_mut) {
        record.insert(field.to_owned(), value);
    }
}

/// Fails if another account has the user name or the email address, or the account has neither.
fn free(
    state: &State,
    system: &str,
    record: &Map<String, Value>,
    own: Option<&str>,
) -> Result<(), Error> {
    let name = |record: &Map<String, Value>, field: &str| {
        record
            .get(field)
            .and_then(Value::as_str)
            .filter(|name| !name.is_empty())
            .map(str::to_lowercase)
    };
    let names = ["username", "email"].map(|field| (field, name(record, field)));
    let mut label = None;
    for (field, wanted) in names {
        let Some(wanted) = wanted else { continue };
        let mut others = state
            .account
            .iter()
            .filter(|(id, _)| Some(id.as_str()) != own);
        if others.any(|(_, other)| {
            other
                .as_object()
                .and_then(|other| name(other, field))
                .as_ref()
                == Some(&wanted)
        }) {
            let message = format!("User {wanted} already exists in {system}");
            return Err(Error::account_already_exists(message));
        }
        label = Some(wanted);
    }
    match label {
        Some(_) => Ok(()),
        None => Err(Error::internal(format!(
            "An account of {system} needs a user name or an email address"
        ))),
    }
}

/// Adds an account to the requested teams: the list of each type in the task is complete.
fn join(
    state: &State,
    system: &str,
    record: &mut Map<String, Value>,
    wanted: Option<&Memberships>,
) -> Result<(), Error> {
    for (slug, teams) in wanted.into_iter().flat_map(|wanted| &wanted.0) {
        let known = |id: &str| slug.as_str() == "team" && state.team.contains_key(id);
        if let Some(missing) = teams.iter().find(|team| !known(&team.id)) {
            // Not ACCOUNT_NOT_FOUND: the account may exist.
            let message = format!("No {slug} {} in {system}", missing.id);
            return Err(Error::internal(message).with_subject(Subject::Group));
        }
        let ids: Vec<&str> = teams.iter().map(|team| team.id.as_str()).collect();
        // Memberships of other types stay.
        let held = record
            .entry("memberships")
            .or_insert_with(|| json!({}))
            .as_object_mut();
        if let Some(held) = held {
            held.insert(slug.as_str().to_owned(), json!(ids));
        }
    }
    Ok(())
}
