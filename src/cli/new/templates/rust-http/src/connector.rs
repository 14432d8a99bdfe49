//! Executes Iden's tasks and syncs.

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Completion, Context, CreateAccount, Cursor,
    Description, Error, Evidence, ExposeSecret, Memberships, Operation, Page, Record, ResourceKind,
    ResourceType, SecretString, SettingsError, Setup, Subject, UpdateAccount, async_trait,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::api::{Api, User};
use crate::settings::Settings;

/// The prefix of a cursor, followed by the position from which the API continues. It reveals cursors that were not created here.
const AFTER: &str = "after:";
/// The fields of an account, and their names in the API.
const FIELDS: [(&str, &str); 5] = [
    ("username", "login"),
    ("email", "mail"),
    ("first_name", "given_name"),
    ("last_name", "surname"),
    ("display_name", "title"),
];
/// Fields of a task that are handled separately.
const ELSEWHERE: [&str; 6] = [
    "id",
    "account_id",
    "memberships",
    "assignments",
    "password",
    "new_password",
];

/// One app's target.
pub(crate) struct Connector {
    api: Api,
}

impl Connector {
    pub(crate) fn new(settings: &Settings, setup: Setup) -> Result<Self, SettingsError> {
        Ok(Self {
            api: Api::new(settings, setup)?,
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
                Action::ResetPassword,
            ])
            .with_resource_types([
                ResourceType::group("team", "Team"),
                ResourceType::account("account", "Account"),
            ]))
    }

    async fn check(&self) -> Result<(), Error> {
        self.api.page("teams", None, None).await.map(drop)
    }

    async fn list(&self, of: &ResourceType, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let after = cursor
            .map(|cursor| {
                cursor.as_str().strip_prefix(AFTER).ok_or_else(|| {
                    let message = format!(
                        "{} was asked to continue from an invalid cursor",
                        self.api.system()
                    );
                    Error::incomplete_listing(message)
                })
            })
            .transpose()?;
        let accounts = of.kind == ResourceKind::Account;
        let found = self
            .api
            .page(if accounts { "users" } else { "teams" }, after, None)
            .await?;
        let mut page = Page::default();
        for item in found.items {
            // An unreadable record is reported, not skipped: skipping it would remove the account.
            let item = if accounts { account(item)? } else { item };
            match Record::from_json(of.kind, item) {
                Ok(record) => page.records.push(record),
                Err(rejected) => page.rejected.push(rejected),
            }
        }
        let next = found.next.map(|next| Cursor::new(format!("{AFTER}{next}")));
        // The API itself says whether there are more records. A short page proves nothing.
        Ok(page.ending(next, Evidence::EndOfCursor))
    }

    async fn find_account(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        self.find(account).await
    }

    async fn execute(&self, _: &Context, operation: &Operation) -> Result<Completion, Error> {
        match operation {
            Operation::CreateAccount(create) => return self.create(create).await,
            Operation::UpdateAccount(update) => self.update(update).await?,
            Operation::DeleteAccount(delete) => {
                let found = self.must_find(&delete.account).await?;
                let label = delete.account.label();
                self.api.delete(found.id.as_str(), label).await?;
            }
            Operation::SuspendAccount(suspend) => {
                self.set(&suspend.account, json!({ "enabled": false }))
                    .await?;
            }
            Operation::UnsuspendAccount(unsuspend) => {
                self.set(&unsuspend.account, json!({ "enabled": true }))
                    .await?;
            }
            Operation::ResetPassword(reset) => {
                let Some(password) = &reset.password else {
                    let system = self.api.system();
                    let message =
                        format!("{system} does not generate passwords; the task must include one");
                    return Err(Error::internal(message));
                };
                self.set(
                    &reset.account,
                    json!({ "password": password.expose_secret() }),
                )
                .await?;
            }
            // Never reached: bridgehead only requests what `describe` declares.
            other => return Err(Error::unsupported(other.action())),
        }
        Ok(Completion::done())
    }
}

impl Connector {
    /// Looks for an account by its id, else by its user name, else by its email address.
    async fn find(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        if let Some(id) = &account.id {
            let user: Option<Value> = self.api.get("users", id.as_str()).await?;
            // Some APIs match identifiers loosely; a different one means a different account.
            let found = user.map(record).transpose()?;
            return Ok(found.filter(|record| account.is_same_as(record)));
        }
        let filter = match (&account.username, &account.email) {
            (Some(username), _) => ("login", username.as_str()),
            (None, Some(email)) => ("mail", email.as_str()),
            (None, None) => return Ok(None),
        };
        // The API returns all names that contain the text, on any number of pages.
        let (mut found, mut after) = (Vec::new(), None::<String>);
        loop {
            let page = self
                .api
                .page("users", after.as_deref(), Some(filter))
                .await?;
            for user in page.items {
                found.push(record(user)?);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        found.retain(|record| account.is_same_as(record));
        if found.len() > 1 {
            let message = format!(
                "{} has several accounts {}; cannot tell which one to use",
                self.api.system(),
                account.label()
            );
            return Err(Error::internal(message));
        }
        Ok(found.pop())
    }

    async fn must_find(&self, account: &Account) -> Result<AccountRecord, Error> {
        self.find(account).await?.ok_or_else(|| {
            let (label, system) = (account.label(), self.api.system());
            Error::account_not_found(format!("User {label} not found in {system}"))
        })
    }

    /// Sets fields of an existing account.
    async fn set(&self, account: &Account, body: Value) -> Result<(), Error> {
        let found = self.must_find(account).await?;
        self.api
            .change(found.id.as_str(), account.label(), &body)
            .await
    }

    async fn create(&self, create: &CreateAccount) -> Result<Completion, Error> {
        let account = &create.account;
        let mut body = Map::new();
        let wanted = [
            &account.username,
            &account.email,
            &account.first_name,
            &account.last_name,
            &account.display_name,
        ];
        for ((_, theirs), value) in FIELDS.into_iter().zip(wanted) {
            if let Some(value) = value {
                body.insert(theirs.to_owned(), json!(value));
            }
        }
        if let Some(status) = account.status {
            body.insert("enabled".to_owned(), json!(status == AccountStatus::Active));
        }
        if account.extra.contains_key("status") {
            return Err(self.refused("status"));
        }
        for (field, value) in create.payload.changes.as_object().into_iter().flatten() {
            self.fill(&mut body, field, value)?;
        }
        self.free(&body, None, None).await?;
        self.complete(
            &mut body,
            create.memberships.as_ref(),
            create.password.as_ref(),
        )
        .await?;
        let id = self.api.create(account.label(), &body).await?;
        // Fields that the target cannot store are reported, not dropped.
        let unknown: Vec<&String> = account
            .extra
            .keys()
            .filter(|field| !ELSEWHERE.contains(&field.as_str()))
            .collect();
        let completion = Completion::created(id);
        Ok(if unknown.is_empty() {
            completion
        } else {
            completion.with("fields_not_kept", json!(unknown))
        })
    }

    async fn update(&self, update: &UpdateAccount) -> Result<(), Error> {
        let found = self.must_find(&update.account).await?;
        let mut body = Map::new();
        for (field, value) in &update.changes {
            self.fill(&mut body, field, value)?;
        }
        self.free(&body, Some(&found), Some(found.id.as_str()))
            .await?;
        self.complete(
            &mut body,
            update.memberships.as_ref(),
            update.password.as_ref(),
        )
        .await?;
        if body.is_empty() {
            return Ok(());
        }
        let label = update.account.label();
        self.api.change(found.id.as_str(), label, &body).await
    }

    /// Puts a field into the body of a request. If a field were silently skipped, Iden would assume that it is set.
    fn fill(&self, body: &mut Map<String, Value>, field: &str, value: &Value) -> Result<(), Error> {
        let theirs = FIELDS
            .iter()
            .find(|(name, _)| *name == field)
            .map(|(_, theirs)| *theirs);
        match (field, value, theirs) {
            (field, ..) if ELSEWHERE.contains(&field) => {}
            ("status", Value::Null, _) => {}
            ("status", value, _) => {
                let status = value.as_str().and_then(AccountStatus::from_name);
                let status = status.ok_or_else(|| self.refused(field))?;
                body.insert("enabled".to_owned(), json!(status == AccountStatus::Active));
            }
            (_, Value::Null | Value::String(_), Some(theirs)) => {
                body.insert(theirs.to_owned(), value.clone());
            }
            _ => return Err(self.refused(field)),
        }
        Ok(())
    }

    fn refused(&self, field: &str) -> Error {
        Error::internal(format!(
            "{} cannot store this value of the field '{field}'",
            self.api.system()
        ))
    }

    /// Fails if another account has the user name or the email address, or if the account would have neither.
    async fn free(
        &self,
        body: &Map<String, Value>,
        held: Option<&AccountRecord>,
        own: Option<&str>,
    ) -> Result<(), Error> {
        let mut is_named = false;
        for (field, theirs) in FIELDS.into_iter().take(2) {
            let Some(name) = body.get(theirs) else {
                let held = held.and_then(|held| {
                    if field == "email" {
                        held.email.as_ref()
                    } else {
                        held.username.as_ref()
                    }
                });
                is_named |= held.is_some();
                continue;
            };
            let Some(name) = name.as_str().filter(|name| !name.is_empty()) else {
                continue;
            };
            is_named = true;
            let account = match field {
                "email" => Account::by_email(name),
                _ => Account::by_username(name),
            };
            let other = self.find(&account).await?;
            if other.is_some_and(|other| Some(other.id.as_str()) != own) {
                let message = format!("User {name} already exists in {}", self.api.system());
                return Err(Error::account_already_exists(message));
            }
        }
        if is_named {
            return Ok(());
        }
        Err(Error::internal(format!(
            "An account of {} needs a user name or an email address",
            self.api.system()
        )))
    }

    /// Puts teams and a password into the same request, so that nothing is ever half done.
    async fn complete(
        &self,
        body: &mut Map<String, Value>,
        memberships: Option<&Memberships>,
        password: Option<&SecretString>,
    ) -> Result<(), Error> {
        for (slug, teams) in memberships.into_iter().flat_map(|wanted| &wanted.0) {
            for team in teams {
                let known = slug.as_str() == "team"
                    && self.api.get::<Value>("teams", &team.id).await?.is_some();
                if !known {
                    // Not ACCOUNT_NOT_FOUND: the account may exist.
                    let message = format!("No {slug} {} in {}", team.id, self.api.system());
                    return Err(Error::internal(message).with_subject(Subject::Group));
                }
            }
            if slug.as_str() == "team" {
                let ids: Vec<&str> = teams.iter().map(|team| team.id.as_str()).collect();
                body.insert("teams".to_owned(), json!(ids));
            }
        }
        if let Some(password) = password {
            body.insert("password".to_owned(), json!(password.expose_secret()));
        }
        Ok(())
    }
}

/// A user in Iden's format for accounts. A user that does not match the API's documentation ends the listing.
fn account(user: Value) -> Result<Value, Error> {
    // serde's error may quote the record, which a message must not do.
    let user = User::deserialize(user)
        .map_err(|_| Error::incomplete_listing("a user does not match the API's documentation"))?;
    Ok(json!({
        "id": user.id,
        "username": user.login,
        "email": user.mail,
        "first_name": user.given_name,
        "last_name": user.surname,
        "display_name": user.title,
        "status": if user.enabled { "active" } else { "suspended" },
        "memberships": { "team": user.teams },
    }))
}

fn record(user: Value) -> Result<AccountRecord, Error> {
    match Record::from_json(ResourceKind::Account, account(user)?) {
        Ok(Record::Account(record)) => Ok(*record),
        // It may be the requested account, so it cannot be reported as missing.
        Ok(Record::Entity(_)) => Err(Error::internal("received a team instead of a user")),
        Err(rejected) => Err(Error::internal(rejected.to_string())),
    }
}
