//! The connector: how tasks and listings are applied to the file.

use std::sync::Arc;

use bridgehead_sdk::serde::Deserialize;
use bridgehead_sdk::serde_json::{Value, json};
use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Completion, Connector, Context, CreateAccount, Cursor,
    Description, Error, Evidence, Factory, Operation, Page, Record, ResourceType, SettingsError,
    UpdateAccount, async_trait, factory as make, schemars,
};

use crate::file::{File, People, Person};

/// The maximum number of records on a page of a listing.
const PAGE: usize = 100;
/// The prefix of a cursor, followed by the last identifier of the previous page.
const AFTER: &str = "after:";
/// Fields of a task that are read elsewhere.
const ELSEWHERE: [&str; 4] = ["id", "account_id", "memberships", "assignments"];

/// The keys that `target` may have in the configuration.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(crate = "bridgehead_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "bridgehead_sdk::schemars")]
pub(crate) struct Settings {
    /// The file of people. A relative path starts at the folder of the configuration file.
    path: String,
}

/// The factory to register with the daemon.
pub(crate) fn factory() -> Arc<dyn Factory> {
    make(|settings: Settings, setup| {
        if settings.path.is_empty() {
            return Err(SettingsError::new("path", "must name a file, such as \"people.json\""));
        }
        let file = Arc::new(File::new(setup.resolve(&settings.path)));
        Ok(JsonFile { system: setup.app, file })
    })
}

struct JsonFile {
    /// How messages name the target.
    system: String,
    file: Arc<File>,
}

impl JsonFile {
    /// Runs the work on a thread that may block on disk I/O. If the call is dropped at its deadline, the work still runs to its end, so
    /// nothing is left half done.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let file = Arc::clone(&self.file);
        let done = tokio::task::spawn_blocking(move || work(&file)).await;
        // The work panicked. It is unknown what it had done by then, and `?` reports exactly that.
        done.map_err(std::io::Error::from)?
    }
}

#[async_trait]
impl Connector for JsonFile {
    async fn describe(&self) -> Result<Description, Error> {
        Ok(Description::new("json-file", env!("CARGO_PKG_VERSION"))
            .with_actions([
                Action::CreateAccount,
                Action::UpdateAccount,
                Action::DeleteAccount,
                Action::SuspendAccount,
                Action::UnsuspendAccount,
            ])
            .with_resource_types([ResourceType::account("account", "Account")]))
    }

    async fn check(&self) -> Result<(), Error> {
        self.apart(File::read).await.map(drop)
    }

    async fn list(&self, _: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let after = cursor.map_or(Some(""), |cursor| cursor.as_str().strip_prefix(AFTER));
        let after = after.ok_or_else(|| Error::incomplete_listing("this cursor was never given"))?;
        let people = self.apart(File::read).await?;
        let mut rest = people.accounts.iter().filter(|(id, _)| id.as_str() > after);
        let records: Vec<Record> =
            rest.by_ref().take(PAGE).map(|(id, person)| record(id, person).into()).collect();
        // The file itself shows whether more records follow.
        let next = rest.next().and(records.last()).map(|last| Cursor::new(format!("{AFTER}{}", last.id())));
        Ok(Page::new(records).ending(next, Evidence::EndOfCursor))
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let people = self.apart(File::read).await?;
        Ok(find(&people, account).map(|id| record(&id, &people.accounts[&id])))
    }

    async fn execute(&self, _: &Context, operation: &Operation) -> Result<Completion, Error> {
        let (system, operation) = (self.system.clone(), operation.clone());
        self.apart(move |file| {
            file.change(|people| match &operation {
                Operation::CreateAccount(wanted) => create(people, &system, wanted),
                Operation::UpdateAccount(wanted) => update(people, &system, wanted),
                Operation::DeleteAccount(wanted) => {
                    let id = must_find(people, &system, &wanted.account)?;
                    people.accounts.remove(&id);
                    Ok(Completion::done())
                }
                Operation::SuspendAccount(wanted) => suspend(people, &system, &wanted.account, true),
                Operation::UnsuspendAccount(wanted) => suspend(people, &system, &wanted.account, false),
                other => Err(Error::unsupported(other.action())),
            })
        })
        .await
    }
}

fn record(id: &str, person: &Person) -> AccountRecord {
    let status = if person.is_suspended { AccountStatus::Suspended } else { AccountStatus::Active };
    let mut record = AccountRecord::new(id).with_username(person.login.as_str()).with_status(status);
    record.email.clone_from(&person.mail);
    record.display_name.clone_from(&person.name);
    record
}

fn find(people: &People, account: &Account) -> Option<String> {
    let mut all = people.accounts.iter();
    all.find(|(id, person)| account.is_same_as(&record(id, person))).map(|(id, _)| id.clone())
}

fn must_find(people: &People, system: &str, account: &Account) -> Result<String, Error> {
    find(people, account)
        .ok_or_else(|| Error::account_not_found(format!("User {} not found in {system}", account.label())))
}

fn create(people: &mut People, system: &str, create: &CreateAccount) -> Result<Completion, Error> {
    let account = &create.account;
    if create.password.is_some() {
        return Err(refused(system, "password"));
    }
    // The target cannot store these fields. If they were skipped silently, Iden would assume that they are set.
    let homeless = [("first_name", &account.first_name), ("last_name", &account.last_name)];
    if let Some((field, _)) = homeless.into_iter().find(|(_, value)| value.is_some()) {
        return Err(refused(system, field));
    }
    let mut person =
        Person { mail: account.email.clone(), name: account.display_name.clone(), ..Person::default() };
    person.login = account.username.clone().unwrap_or_default();
    if account.extra.contains_key("status") {
        return Err(refused(system, "status"));
    }
    if let Some(status) = account.status {
        fill(&mut person, system, "status", &status.as_str().into())?;
    }
    for (field, value) in create.payload.changes.as_object().into_iter().flatten() {
        fill(&mut person, system, field, value)?;
    }
    no_groups(system, create.memberships.as_ref())?;
    check_names(people, system, None, &person)?;
    people.last += 1;
    let id = format!("a{}", people.last);
    people.accounts.insert(id.clone(), person);
    // Unknown fields are not a reason to fail, but must be reported.
    let unknown: Vec<&String> =
        account.extra.keys().filter(|field| !ELSEWHERE.contains(&field.as_str())).collect();
    let completion = Completion::created(id);
    Ok(if unknown.is_empty() { completion } else { completion.with("fields_not_kept", json!(unknown)) })
}

fn update(people: &mut People, system: &str, update: &UpdateAccount) -> Result<Completion, Error> {
    if update.password.is_some() {
        return Err(refused(system, "password"));
    }
    let id = must_find(people, system, &update.account)?;
    let mut person = people.accounts.get(&id).cloned().unwrap_or_default();
    for (field, value) in &update.changes {
        fill(&mut person, system, field, value)?;
    }
    no_groups(system, update.memberships.as_ref())?;
    check_names(people, system, Some(&id), &person)?;
    people.accounts.insert(id, person);
    Ok(Completion::done())
}

fn suspend(
    people: &mut People,
    system: &str,
    account: &Account,
    is_suspended: bool,
) -> Result<Completion, Error> {
    let id = must_find(people, system, account)?;
    if let Some(person) = people.accounts.get_mut(&id) {
        person.is_suspended = is_suspended;
    }
    Ok(Completion::done())
}

/// Sets a field of an account; fails if the target cannot store it.
fn fill(person: &mut Person, system: &str, field: &str, value: &Value) -> Result<(), Error> {
    let text = match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()).filter(|text| !text.is_empty()),
        _ if ELSEWHERE.contains(&field) => return Ok(()),
        _ => return Err(refused(system, field)),
    };
    match (field, text) {
        ("username", Some(text)) => person.login = text,
        ("email", text) => person.mail = text,
        ("display_name", text) => person.name = text,
        ("status", Some(status)) => match AccountStatus::from_name(&status) {
            Some(AccountStatus::Active) => person.is_suspended = false,
            Some(AccountStatus::Suspended) => person.is_suspended = true,
            // The file has no third status.
            Some(AccountStatus::Inactive) | None => return Err(refused(system, field)),
        },
        (field, _) if ELSEWHERE.contains(&field) => {}
        // There is no value to clear.
        ("status" | "first_name" | "last_name", None) => {}
        _ => return Err(refused(system, field)),
    }
    Ok(())
}

/// The target has no groups, so none can be joined. An empty list requests nothing.
fn no_groups(system: &str, wanted: Option<&bridgehead_sdk::Memberships>) -> Result<(), Error> {
    match wanted.filter(|wanted| !wanted.is_empty()) {
        Some(_) => Err(Error::group_not_found(format!("{system} has no groups"))),
        None => Ok(()),
    }
}

fn check_names(people: &People, system: &str, own: Option<&str>, person: &Person) -> Result<(), Error> {
    if person.login.is_empty() {
        return Err(Error::internal(format!("An account of {system} needs a user name")));
    }
    let mut names = vec![Account::by_username(person.login.as_str())];
    names.extend(person.mail.clone().map(Account::by_email));
    for name in names {
        let mut others = people.accounts.iter().filter(|(id, _)| Some(id.as_str()) != own);
        if others.any(|(id, other)| name.is_same_as(&record(id, other))) {
            let message = format!("User {} exists in {system} already", name.label());
            return Err(Error::account_already_exists(message));
        }
    }
    Ok(())
}

fn refused(system: &str, field: &str) -> Error {
    Error::internal(format!("{system} cannot keep this value of the field '{field}'"))
}
