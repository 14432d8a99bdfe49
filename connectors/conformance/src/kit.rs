//! The state that all checks share: the connector, the names that the kit has used, and the accounts it has created.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use bridgehead_sdk::{
    Account, AccountRecord, Action, Code, Description, Error, Operation, ResourceKind, ResourceType, Subject,
};

use super::finding::{Finding, Verdict, failed, parts, skipped};
use super::http::Http;
use super::listing::{Listing, read};
use super::once::Once;
use super::probe::Probe;
use super::tasks::{self, identity, operation};
use super::watch::Watch;
use super::{Situation, Skip, TestTarget};

/// The shared state of a run.
pub(super) struct Kit<'a> {
    pub(super) test_target: &'a dyn TestTarget,
    pub(super) working: Probe,
    pub(super) description: Description,
    pub(super) watch: Arc<Watch>,
    /// A listing of 10,000 accounts, read once; or the reason why there is none, and whether that counts as a skip.
    pub(super) many: Once<Result<(Probe, Listing), (bool, String)>>,
    /// The connector through a relay; or why the relay cannot be used.
    pub(super) http: Once<Result<Arc<Http>, String>>,
    /// The reaction of every call to every bad response, observed once.
    pub(super) round: Once<super::checks::Round>,
    /// Whether an account could be created at all; if so, a failure to create another one is a finding.
    pub(super) creates: AtomicBool,
    run: String,
    count: AtomicU32,
    /// The accounts that were requested since the last clean-up.
    pub(super) given: Mutex<Vec<Map<String, Value>>>,
    /// Every account that was ever requested: one may still be created after its call was dropped.
    pub(super) ever: Mutex<Vec<Map<String, Value>>>,
    /// Accounts whose names may have changed, so that only their identifier finds them.
    pub(super) renamed: Mutex<Vec<bridgehead_sdk::AccountId>>,
    /// The account that is taken through all steps of the life cycle.
    pub(super) living: Mutex<Option<Person>>,
    /// Accounts that could not be removed, and why.
    pub(super) left: Mutex<Vec<String>>,
    /// Accounts that are left at the end.
    left_behind: Mutex<Vec<String>>,
}

/// An account that the kit has created.
#[derive(Clone)]
pub(super) struct Person {
    /// The `account` of the task that created it.
    pub(super) fields: Map<String, Value>,
    /// The account as it is in the target.
    pub(super) record: AccountRecord,
}

impl Person {
    /// Identifies the account as Iden does: by everything that is known.
    pub(super) fn known(&self) -> Map<String, Value> {
        let mut known = Map::from_iter([("id".to_owned(), json!(self.record.id))]);
        for name in ["username", "email"] {
            if let Some(value) = self.fields.get(name) {
                known.insert(name.to_owned(), value.clone());
            }
        }
        known
    }

    /// Identifies the account by its identifier alone.
    pub(super) fn by_id(&self) -> Account {
        Account::by_id(self.record.id.clone())
    }
}

impl<'a> Kit<'a> {
    pub(super) fn new(
        test_target: &'a dyn TestTarget,
        watch: Arc<Watch>,
        working: Probe,
        description: Description,
    ) -> Self {
        // Random without a dependency: each run must find its own accounts, and no others.
        let drawn = RandomState::new().build_hasher().finish();
        let digits = b"abcdefghijkmnpqrstuvwxyz23456789";
        let run = (0..5).map(|at| char::from(digits[((drawn >> (5 * at)) % 32) as usize])).collect();
        Self {
            test_target,
            working,
            description,
            watch,
            many: Once::default(),
            http: Once::default(),
            round: Once::default(),
            creates: AtomicBool::new(false),
            run,
            count: AtomicU32::new(0),
            given: Mutex::default(),
            ever: Mutex::default(),
            renamed: Mutex::default(),
            living: Mutex::default(),
            left: Mutex::default(),
            left_behind: Mutex::default(),
        }
    }

    /// An unused name, such as `bhk-x4k2p-07`: short enough for old directories.
    pub(super) fn name(&self) -> String {
        let name = format!("{}-{:02}", self.prefix(), self.count.fetch_add(1, Ordering::Relaxed));
        self.goes_by(&name);
        name
    }

    /// Remembers that an account with this name may be created, to remove it later.
    pub(super) fn goes_by(&self, name: &str) {
        lock(&self.given).push(self.test_target.account(name));
        lock(&self.ever).push(self.test_target.account(name));
    }

    /// Remembers that an account with these fields may be created, to remove it later.
    pub(super) fn keep(&self, fields: &Map<String, Value>) {
        lock(&self.given).push(fields.clone());
        lock(&self.ever).push(fields.clone());
    }

    /// Creates an account with this name.
    pub(super) async fn person_called(&self, name: &str) -> Verdict<Person> {
        self.goes_by(name);
        self.person_with(json!({ "account": self.test_target.account(name) })).await
    }

    /// Whether the connector declares that the target does not show a field.
    pub(super) fn is_hidden(&self, field: &str) -> bool {
        self.description.unverifiable.contains(field)
    }

    /// The account that is taken through all steps of the life cycle; a new one if there is none.
    pub(super) async fn living(&self) -> Verdict<Person> {
        let living = lock(&self.living).take();
        match living {
            Some(person) => Ok(person),
            None => self.person().await,
        }
    }

    /// Keeps the account for the next step of its life cycle.
    pub(super) fn live_on(&self, person: Person) {
        *lock(&self.living) = Some(person);
    }

    /// The prefix of all names of this run.
    pub(super) fn prefix(&self) -> String {
        format!("bhk-{}", self.run)
    }

    /// A password that satisfies the usual rules, and that must not occur in any output.
    pub(super) fn password(&self) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        // Directories reject a password that contains a part of the account's name, some of them even if it is split.
        let apart: Vec<String> = self.run.bytes().map(other).map(String::from).collect();
        let password = format!("Pw7!{}_Quiet_{count:02}_Harbour", apart.join("."));
        self.watch.keep_secret([&password]);
        password
    }

    /// The same account with a password, if the connector supports passwords.
    pub(super) fn with_password(&self, account: &Map<String, Value>) -> Map<String, Value> {
        let mut account = account.clone();
        if self.offers(Action::ResetPassword) && !account.contains_key("password") {
            account.insert("password".to_owned(), json!(self.password()));
        }
        account
    }

    pub(super) fn offers(&self, action: Action) -> bool {
        self.description.actions.contains(&action)
    }

    /// The resource types of one kind.
    pub(super) fn types(&self, kind: ResourceKind) -> impl Iterator<Item = &ResourceType> {
        self.description.resource_types.iter().filter(move |one| one.kind == kind)
    }

    /// How long calls have waited because the target or the operator required it; this does not count as the
    /// connector's time.
    pub(super) fn waited(&self) -> Duration {
        self.watch.waited() + self.test_target.waited()
    }

    /// Records the accounts that are left at the end.
    pub(super) fn leave(&self, left: Vec<String>) {
        *lock(&self.left_behind) = left;
    }

    /// The accounts that are left at the end.
    pub(super) fn left_behind(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.left_behind))
    }

    /// The connector in another situation.
    pub(super) async fn connect(&self, situation: Situation) -> Verdict<Probe> {
        let connector = self.test_target.connect(situation).await?;
        Ok(Probe::new(connector, Arc::clone(&self.watch), self.test_target.deadline()))
    }

    /// A connector whose target has this many accounts.
    pub(super) async fn populated(&self, accounts: usize) -> Result<Probe, Skip> {
        let connector = self.test_target.populated(accounts).await?;
        Ok(Probe::new(connector, Arc::clone(&self.watch), self.test_target.deadline()))
    }

    /// Creates an account for tests.
    pub(super) async fn person(&self) -> Verdict<Person> {
        let name = self.name();
        self.person_with(json!({ "account": self.test_target.account(&name) })).await
    }

    /// Creates an account whose names may be changed.
    pub(super) async fn person_to_rename(&self) -> Verdict<Person> {
        let person = self.person().await?;
        lock(&self.renamed).push(person.record.id.clone());
        Ok(person)
    }

    /// Creates an account with this task.
    pub(super) async fn person_with(&self, payload: Value) -> Verdict<Person> {
        if !self.offers(Action::CreateAccount) {
            return skipped("it needs an account to test with, but the connector creates none");
        }
        if self.test_target.read_only() {
            return skipped("it needs an account to test with, but changes are not allowed");
        }
        let fields = payload.get("account").and_then(Value::as_object).cloned().unwrap_or_default();
        let created = self.execute(1, &operation(Action::CreateAccount, payload)?).await;
        let made = match created {
            Ok(Ok(_)) => self.made(&fields).await,
            Ok(Err(error)) => failed(self.with_remedy(Action::CreateAccount, &error)),
            Err(finding) => Err(finding),
        };
        match made {
            Ok(record) => Ok(Person { fields, record }),
            Err(Finding::Failed(why) | Finding::Late(why)) if !self.creates.load(Ordering::Relaxed) => {
                skipped(format!("it needs an account to test with, but none can be created: {why}"))
            }
            Err(finding) => Err(finding),
        }
    }

    /// Executes an operation on a working target.
    pub(super) async fn execute(
        &self,
        attempt: u32,
        operation: &Operation,
    ) -> Verdict<Result<bridgehead_sdk::Completion, Error>> {
        self.working.execute(attempt, operation).await
    }

    /// The same, as a later attempt; none of the earlier attempts was applied.
    pub(super) async fn execute_later(
        &self,
        attempt: u32,
        operation: &Operation,
    ) -> Verdict<Result<bridgehead_sdk::Completion, Error>> {
        self.working.execute_later(attempt, operation).await
    }

    /// Executes an operation that must succeed.
    pub(super) async fn done(&self, operation: &Operation) -> Verdict<bridgehead_sdk::Completion> {
        match self.execute(1, operation).await? {
            Ok(completion) => Ok(completion),
            Err(error) => {
                let action = operation.action();
                failed(format!("{action}: expected success; got {}", self.with_remedy(action, &error)))
            }
        }
    }

    /// An error that may be caused by fields that the target does not accept, with what can be done about it.
    fn with_remedy(&self, action: Action, error: &Error) -> String {
        let is_about_fields = error.code() == Code::InternalError && error.subject() == Subject::Account;
        match self.test_target.remedy(action).filter(|_| is_about_fields) {
            Some(remedy) => format!("{}; {remedy}", parts(error)),
            None => parts(error),
        }
    }

    /// Looks up an account; an error is a failure.
    pub(super) async fn look(&self, account: &Account) -> Verdict<Option<AccountRecord>> {
        match self.working.find(account).await? {
            Ok(found) => Ok(found),
            Err(error) => failed(format!("find_account of {}: {}", who(account), parts(&error))),
        }
    }

    /// Looks up an account that must exist.
    pub(super) async fn found(&self, account: &Account) -> Verdict<AccountRecord> {
        match self.look(account).await? {
            Some(record) => Ok(record),
            None => failed(format!("find_account does not find {}, which exists", who(account))),
        }
    }

    /// Looks up an account that the kit has just created. If another account is found, it must not be used for tests.
    pub(super) async fn made(&self, fields: &Map<String, Value>) -> Verdict<AccountRecord> {
        let account = identity(fields);
        let record = self.found(&account).await?;
        if account.is_same_as(&record) {
            return Ok(record);
        }
        failed(format!("find_account of {} finds {}, which has other names", who(&account), record.id))
    }

    /// Looks up an account that must not exist.
    pub(super) async fn gone(&self, account: &Account) -> Verdict {
        match self.look(account).await? {
            None => Ok(()),
            Some(record) => {
                failed(format!("find_account finds {}, which should not exist: {}", who(account), record.id))
            }
        }
    }

    /// All accounts in the listing.
    pub(super) async fn listed(&self) -> Verdict<Vec<AccountRecord>> {
        let mut accounts = Vec::new();
        for of in self.types(ResourceKind::Account) {
            accounts.extend(read(&self.working, of).await?.accounts());
        }
        Ok(accounts)
    }

    /// The account as `find_account` and `list` show it, in that order; without `list` if the connector lists no
    /// accounts.
    pub(super) async fn seen(&self, person: &Person) -> Verdict<Vec<(&'static str, AccountRecord)>> {
        let mut seen = vec![("find_account", self.found(&person.by_id()).await?)];
        if self.types(ResourceKind::Account).next().is_some() {
            let listed = self.listed().await?.into_iter().find(|record| record.id == person.record.id);
            match listed {
                Some(record) => seen.push(("list", record)),
                None => return failed(format!("list leaves out {}, which exists", person.record.id)),
            }
        }
        Ok(seen)
    }

    /// Fails if an account has changed.
    pub(super) async fn unchanged(&self, person: &Person) -> Verdict {
        let now = self.found(&person.by_id()).await?;
        let changed = tasks::changed(&person.record, &now);
        if changed.is_empty() {
            return Ok(());
        }
        failed(format!("account {} was changed anyway: {}", now.id, changed.join(", ")))
    }
}

/// An account for messages, by all names that a task gives.
pub(super) fn who(account: &Account) -> String {
    let id = account.id.as_ref().map(|id| ("id", id.as_str()));
    let names = [
        id,
        account.username.as_deref().map(|name| ("user name", name)),
        account.email.as_deref().map(|name| ("email", name)),
    ];
    let names: Vec<String> = names
        .into_iter()
        .flatten()
        .map(|(field, name)| format!("{field} {}", tasks::shown(&name.into())))
        .collect();
    names.join(", ")
}

/// A letter in place of another character, never the same one.
fn other(character: u8) -> char {
    char::from(b'A' + character.wrapping_mul(7).wrapping_add(3) % 26)
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
