//! Looks up accounts.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

use bridgehead_sdk::{Account, AccountRecord, Error, Record, RejectedRecord, ResourceKind, Retry, spellings};
use serde_json::{Map, Value};

use crate::driver::Row;
use crate::fault::{Doing, Fault, Kind, ServerMessage};
use crate::plan::{Members, Parameter, Plan, Statement, Type};
use crate::pool::Lease;
use crate::rows;
use crate::settings::Engine;
use crate::target::Database;
use crate::value::{Bound, as_text};

/// The members of each type that has a statement for them: references by account, by the index of the type.
pub(crate) type Memberships = HashMap<usize, HashMap<String, Vec<String>>>;

/// The purpose of a look-up.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Look,
    Change { locks: bool },
}

impl Database {
    /// The account in its current state.
    pub(crate) async fn find(
        &self,
        lease: &mut Lease,
        account: &Account,
    ) -> Result<Option<AccountRecord>, Error> {
        self.find_by(lease, account, Purpose::Look).await
    }

    /// The account to change. With `locks`, no other client can change it before the end of the transaction, because an update also writes
    /// back the unchanged fields.
    ///
    /// The account is looked up by its identifier, so that no other rows are locked. If this finds another account as well, the database
    /// compares identifiers loosely, and a statement would change both.
    pub(crate) async fn find_to_change(
        &self,
        lease: &mut Lease,
        account: &Account,
        locks: bool,
    ) -> Result<Option<AccountRecord>, Error> {
        let (by_id, is_there) = match &account.id {
            Some(id) => (Account::by_id(id.clone()), false),
            None => match self.find(lease, account).await? {
                Some(found) => (Account::by_id(found.id), true),
                None => return Ok(None),
            },
        };
        let found = self.find_by(lease, &by_id, Purpose::Change { locks }).await?;
        if found.is_none() && is_there {
            let why = format!(
                "it is found by its name, but not by its identifier {}; nothing was changed. Correct \
                 accounts.by_id or accounts.id_type",
                by_id.label()
            );
            let error = Error::internal(self.verdicts.message(Doing::Finding(account.label()), &why));
            // Another client may have removed it in the meantime.
            return Err(error.with_retry(Retry::Backoff));
        }
        Ok(found)
    }

    async fn find_by(
        &self,
        lease: &mut Lease,
        account: &Account,
        purpose: Purpose,
    ) -> Result<Option<AccountRecord>, Error> {
        let accounts = &self.plan.accounts;
        let lookups = match (&account.id, &account.username, &account.email) {
            (Some(id), ..) => vec![(Some(&accounts.by_id), id.as_str())],
            (None, username, email) => {
                let by_name = username.as_deref().map(|name| (accounts.by_username.as_ref(), name));
                let by_email = email.as_deref().map(|email| (accounts.by_email.as_ref(), email));
                by_name.into_iter().chain(by_email).collect()
            }
        };
        for (statement, value) in lookups {
            let Some(statement) = statement else { continue };
            let found = self.look_up(lease, statement, value, (account, purpose)).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn look_up(
        &self,
        lease: &mut Lease,
        statement: &Statement,
        value: &str,
        (account, purpose): (&Account, Purpose),
    ) -> Result<Option<AccountRecord>, Error> {
        let mut found = self.found(lease, statement, value, (account, purpose)).await?;
        match found.len() {
            0 | 1 => Ok(found.pop()),
            _ => {
                let why = format!("{} finds more than one account", statement.key);
                Err(Error::internal(self.verdicts.message(Doing::Finding(account.label()), &why)))
            }
        }
    }

    /// All accounts that a look-up finds.
    pub(crate) async fn records(
        &self,
        lease: &mut Lease,
        statement: &Statement,
        value: &str,
        account: &Account,
    ) -> Result<Vec<AccountRecord>, Error> {
        self.found(lease, statement, value, (account, Purpose::Look)).await
    }

    async fn found(
        &self,
        lease: &mut Lease,
        statement: &Statement,
        value: &str,
        (account, purpose): (&Account, Purpose),
    ) -> Result<Vec<AccountRecord>, Error> {
        let doing = Doing::Finding(account.label());
        let mut found: Vec<AccountRecord> = Vec::new();
        let mut another = None;
        for value in self.spellings(account, value) {
            let Some(value) = value else {
                if found.is_empty() {
                    continue;
                }
                break;
            };
            let known = found.len();
            let locks = purpose == Purpose::Change { locks: true };
            match self.can_have(lease, statement, &value).await {
                Ok(true) => {}
                Ok(false) => continue,
                Err(fault) => return Err(self.verdicts.of(&fault, doing)),
            }
            let read = self.read_accounts(lease, statement, &value, locks).await;
            let records = match read {
                Ok(Some(records)) => records,
                // The database certainly does not contain a string that it cannot store, or an invalid identifier.
                Ok(None) | Err(Fault::Nul) => continue,
                Err(fault) => return Err(self.verdicts.of(&fault, doing)),
            };
            for record in records {
                let record = record.map_err(|rejected| {
                    let why = format!("it exists but cannot be read: {rejected}");
                    Error::internal(self.verdicts.message(doing, &why))
                })?;
                // The database may compare loosely: `'17abc' = 17` is true in MySQL.
                if account.is_same_as(&record) {
                    // Another spelling may find it again.
                    if !found[..known].iter().any(|one| one.id == record.id) {
                        found.push(record);
                    }
                } else {
                    another = Some(record.id);
                }
            }
        }
        match (another, purpose) {
            (Some(another), Purpose::Change { .. }) if !found.is_empty() => {
                let why = format!(
                    "{} finds the account {another} as well, so a statement would change both; nothing was \
                     changed. Compare identifiers exactly (id_type matching the column, a collation that \
                     distinguishes them), and make the column unique",
                    statement.key
                );
                Err(Error::internal(self.verdicts.message(doing, &why)))
            }
            _ => Ok(found),
        }
    }

    /// The spellings of a name to look up: its own, in each Unicode form, because a database may have an account in each that it does not
    /// consider the same. For SQLite, whose `lower()` and NOCASE only cover ASCII, also in lowercase and uppercase; these come after `None`,
    /// and are only looked up if those before are not found.
    fn spellings(&self, account: &Account, value: &str) -> Vec<Option<String>> {
        if account.id.is_some() {
            return vec![Some(value.to_owned())];
        }
        let mut spelled: Vec<Option<String>> = spellings(value).into_iter().map(Some).collect();
        if self.plan.engine == Engine::Sqlite && !value.is_ascii() {
            for other in [value.to_lowercase(), value.to_uppercase()] {
                spelled.push(None);
                for one in spellings(&other).into_iter().map(Some) {
                    if !spelled.contains(&one) {
                        spelled.push(one);
                    }
                }
            }
        }
        spelled
    }

    /// Whether the database can compare a value with its column at all. A column may be unable to hold some letters, and the server then
    /// reports an error instead of finding nothing. It is the letters, and not the statement, if the same statement accepts others.
    async fn can_have(&self, lease: &mut Lease, statement: &Statement, value: &str) -> Result<bool, Fault> {
        const PLAIN: &str = "bridgehead";
        if value.is_ascii() {
            return Ok(true);
        }
        let mut fault = None;
        for value in [value, PLAIN] {
            let value = Value::from(value);
            let values = self.values(statement, |parameter| match parameter {
                Parameter::Id | Parameter::Field(_) => value.clone(),
                _ => Value::Null,
            });
            // A value that is not valid for the statement is handled when it is looked up.
            let Ok(values) = values else { return Ok(true) };
            match (lease.attempt(&statement.sql, values).await?, fault.take()) {
                (Ok(_), fault) => return Ok(fault.is_none()),
                (Err(Fault::ServerMessage(told)), None)
                    if matches!(told.kind, Kind::Statement | Kind::Value | Kind::Other) =>
                {
                    fault = Some(Fault::ServerMessage(told));
                }
                (Err(Fault::Nul), _) => return Ok(true),
                (Err(other), first) => return Err(first.unwrap_or(other)),
            }
        }
        Ok(true)
    }

    /// `None` if the value is not valid for the statement.
    async fn read_accounts(
        &self,
        lease: &mut Lease,
        statement: &Statement,
        value: &str,
        locks: bool,
    ) -> Result<Option<Vec<Result<AccountRecord, RejectedRecord>>>, Fault> {
        let value = Value::from(value);
        let Ok(values) = self.values(statement, |parameter| match parameter {
            Parameter::Id | Parameter::Field(_) => value.clone(),
            _ => Value::Null,
        }) else {
            return Ok(None);
        };
        let answer = match statement.locking.as_ref().filter(|_| locks) {
            Some(locking) => match lease.attempt(locking, values.clone()).await? {
                Ok(answer) => answer,
                Err(Fault::ServerMessage(told))
                    if matches!(told.kind, Kind::Denied | Kind::Statement | Kind::Value | Kind::Other) =>
                {
                    self.say_unlocked(statement, &told);
                    lease.run(statement, values).await?
                }
                Err(fault) => return Err(fault),
            },
            None => lease.run(statement, values).await?,
        };
        if answer.rows.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let members = self.members(lease, &answer.rows).await?;
        let records = answer.rows.iter().map(|row| self.account(row, &statement.key, &members));
        records.collect::<Result<Vec<_>, _>>().map(Some)
    }

    fn say_unlocked(&self, statement: &Statement, told: &ServerMessage) {
        if !self.lock_is_refused.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                system = %self.verdicts.system,
                statement = statement.key,
                reason = %told,
                "the row of an account cannot be locked while it is updated: a concurrent change by an \
                 application may be overwritten; end the statement with a FOR UPDATE that the database \
                 supports, or grant the permission for it"
            );
        }
    }

    /// Binds the parameters of a statement: fixed custom parameters with their values, all others with `value_of`.
    pub(crate) fn values(
        &self,
        statement: &Statement,
        mut value_of: impl FnMut(&Parameter) -> Value,
    ) -> Result<Vec<Bound>, crate::value::Misfit> {
        let values = statement.slots.iter().map(|slot| {
            let fixed = match &slot.parameter {
                Parameter::Own(name) => match self.plan.own.get(name) {
                    Some(crate::plan::Source::Fixed(value)) => Some(value.clone()),
                    _ => None,
                },
                _ => None,
            };
            let value = fixed.unwrap_or_else(|| value_of(&slot.parameter));
            Bound::new(slot.kind, &value)
        });
        values.collect()
    }

    /// The members of every type that has a statement for them, for the accounts of these rows: one statement per type.
    pub(crate) async fn members(&self, lease: &mut Lease, rows: &[Row]) -> Result<Memberships, Fault> {
        let mut all = Memberships::new();
        for (index, one) in self.plan.types.iter().enumerate() {
            if let Some(members) = self.members_of(lease, one, rows).await? {
                all.insert(index, members);
            }
        }
        Ok(all)
    }

    /// The members of one type, for the accounts of these rows: groups by account. `None` if it has no statement for them.
    pub(crate) async fn members_of(
        &self,
        lease: &mut Lease,
        one: &Type,
        rows: &[Row],
    ) -> Result<Option<HashMap<String, Vec<String>>>, Fault> {
        let Some(Members::Statement { statement, account, reference }) = &one.members else {
            return Ok(None);
        };
        let id_column = id_column(&self.plan);
        let ids: Vec<Value> =
            rows.iter().filter_map(|row| row.get(id_column).and_then(as_text)).map(Value::from).collect();
        let on_page = OnPage::new(&ids);
        let list = Value::from(Value::from(ids.clone()).to_string());
        let values = self.values(statement, |_| list.clone());
        let values = values.map_err(|misfit| Fault::Unreadable(misfit.to_string()))?;
        let mut members: HashMap<String, Vec<String>> = HashMap::new();
        for row in lease.run(statement, values).await?.rows {
            let account = as_text(rows::cell(&row, account, &statement.key)?);
            let account = account.map(|account| on_page.account(account));
            let reference = as_text(rows::cell(&row, reference, &statement.key)?);
            if let (Some(account), Some(reference)) = (account, reference) {
                let references = members.entry(account).or_default();
                if !references.contains(&reference) {
                    references.push(reference);
                }
            }
        }
        Ok(Some(members))
    }

    /// The account in a row. The inner error is an invalid record, the outer one a wrong statement.
    pub(crate) fn account(
        &self,
        row: &Row,
        key: &str,
        members: &Memberships,
    ) -> Result<Result<AccountRecord, RejectedRecord>, Fault> {
        let mut record = match rows::fields(&self.plan.accounts.fields, row, key)? {
            Ok(record) => record,
            Err(rejected) => return Ok(Err(rejected)),
        };
        let id = record.get("id").and_then(as_text);
        for (index, one) in self.plan.types.iter().enumerate() {
            let references = match &one.members {
                None => continue,
                Some(Members::Column { column, separator }) => {
                    match rows::references(rows::cell(row, column, key)?, separator.as_deref()) {
                        Ok(references) => references,
                        Err(rule) => {
                            let field = one.resource_type.slug.as_str().to_owned();
                            return Ok(Err(RejectedRecord::new(id, field, rule)));
                        }
                    }
                }
                Some(Members::Statement { .. }) => {
                    let mine = id.as_ref().and_then(|id| members.get(&index)?.get(id));
                    mine.cloned().unwrap_or_default()
                }
            };
            rows::put_references(&mut record, one, references);
        }
        Ok(into_account(record))
    }
}

/// The identifiers of a page, to assign each row of members to its account. If the database compares loosely, a row may have a different
/// case or trailing spaces; it is assigned if only one identifier on the page matches.
struct OnPage<'a> {
    exact: HashSet<&'a str>,
    alike: HashMap<String, Option<&'a str>>,
}

impl<'a> OnPage<'a> {
    fn new(ids: &'a [Value]) -> Self {
        let mut page = Self { exact: HashSet::new(), alike: HashMap::new() };
        for id in ids.iter().filter_map(Value::as_str) {
            page.exact.insert(id);
            page.alike.entry(loosely(id)).and_modify(|one| *one = None).or_insert(Some(id));
        }
        page
    }

    fn account(&self, given: String) -> String {
        if self.exact.contains(given.as_str()) {
            return given;
        }
        self.alike.get(&loosely(&given)).copied().flatten().map_or(given, str::to_owned)
    }
}

fn loosely(id: &str) -> String {
    id.trim_end().to_lowercase()
}

/// The column with the identifiers of the accounts.
pub(crate) fn id_column(plan: &Plan) -> &str {
    plan.accounts.fields.get("id").map_or("id", |field| field.column.as_str())
}

fn into_account(record: Map<String, Value>) -> Result<AccountRecord, RejectedRecord> {
    match Record::from_json(ResourceKind::Account, Value::Object(record))? {
        Record::Account(account) => Ok(*account),
        Record::Entity(entity) => Err(RejectedRecord::new(entity.id, "record", "an account")),
    }
}
