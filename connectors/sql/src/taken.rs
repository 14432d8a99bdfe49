//! Finds the account that already has a unique name.

use bridgehead_sdk::{Account, AccountRecord, Action, Code, Effect, Error, Operation, Retry, Subject};
use serde_json::Value;

use crate::driver::Transaction;
use crate::fault::{Doing, ServerMessage};
use crate::pool::Lease;
use crate::settings::Engine;
use crate::target::Database;

/// The columns of a unique index in PostgreSQL, including those in expressions.
const POSTGRESQL: &str = "SELECT a.attname::text AS name FROM pg_class c JOIN pg_index x ON x.indexrelid = c.oid \
    JOIN pg_attribute a ON a.attrelid = x.indrelid AND a.attnum > 0 \
    WHERE c.relname = $1 AND (a.attnum = ANY (x.indkey) OR EXISTS (SELECT 1 FROM pg_depend d \
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum))";

const MYSQL: &str = "SELECT column_name AS name FROM information_schema.statistics \
    WHERE table_schema = database() AND index_name = ? AND (? IS NULL OR table_name = ?)";

/// The fields that identify an account.
const NAMES: [(&str, &str); 2] = [("username", "user name"), ("email", "email address")];

impl Database {
    /// The first other account that has one of an account's new names, as a message for the administrator.
    pub(super) async fn holder(
        &self,
        lease: &mut Lease,
        wanted: &Account,
        except: Option<&AccountRecord>,
    ) -> Result<Option<String>, Error> {
        let accounts = &self.plan.accounts;
        for (field, noun) in NAMES {
            let (value, statement) = match field {
                "username" => (&wanted.username, &accounts.by_username),
                _ => (&wanted.email, &accounts.by_email),
            };
            let (Some(value), Some(statement)) = (value, statement) else { continue };
            let one = match field {
                "username" => Account::by_username(value.clone()),
                _ => Account::by_email(value.clone()),
            };
            let holders = self.records(lease, statement, value, &one).await?;
            let other = holders.iter().find(|holder| except.is_none_or(|except| holder.id != except.id));
            if let Some(other) = other {
                return Ok(Some(format!("the {noun} is taken by the account {}", other.id)));
            }
        }
        Ok(None)
    }

    /// The error for a violated constraint. The transaction was rolled back; the database is queried for the existing record.
    pub(crate) async fn explain(&self, told: &ServerMessage, operation: &Operation, error: Error) -> Error {
        if self.verdicts.is_overridden(told) {
            return error;
        }
        let Ok(mut lease) = self.pool.acquire().await else { return error };
        if lease.begin(Transaction::Look).await.is_err() {
            return error;
        }
        let explained = self.explained(&mut lease, told, operation).await;
        lease.finish().await;
        explained.unwrap_or(error)
    }

    async fn explained(
        &self,
        lease: &mut Lease,
        told: &ServerMessage,
        operation: &Operation,
    ) -> Option<Error> {
        let action = operation.action();
        let account = operation.account();
        let doing = Doing::Acting { action, account: account.label(), made: false };
        let named = told.constraint.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
        let (code, why) = match operation {
            Operation::CreateAccount(_) => {
                if let Some(holder) = self.holder(lease, account, None).await.ok()? {
                    (Code::AccountAlreadyExists, holder)
                } else {
                    match self.field_of(lease, told).await {
                        // No look-up finds an account with it: it may be a record that the look-ups exclude.
                        Some(field) => (
                            Code::AccountAlreadyExists,
                            format!(
                                "its {field} is taken, in a record that the account look-ups do not find"
                            ),
                        ),
                        // Without a constraint, the object itself exists, such as a role.
                        None if told.constraint.is_none() => {
                            (Code::AccountAlreadyExists, "already exists".to_owned())
                        }
                        None => return None,
                    }
                }
            }
            Operation::UpdateAccount(update) => {
                let text = |field: &str| update.changes.get(field).and_then(Value::as_str).map(str::to_owned);
                let mut wanted = Account::default();
                (wanted.username, wanted.email) = (text("username"), text("email"));
                let own = self.find(lease, account).await.ok()?;
                (Code::InternalError, self.holder(lease, &wanted, own.as_ref()).await.ok()??)
            }
            _ => return None,
        };
        let message = self.verdicts.message(doing, &format!("{why}; nothing was changed{named} [{told}]"));
        Some(conflict(code, message))
    }

    /// Which of the identifying fields a constraint applies to.
    async fn field_of(&self, lease: &mut Lease, told: &ServerMessage) -> Option<&'static str> {
        let constraint = told.constraint.as_deref()?;
        let columns: Vec<String> = match self.plan.engine {
            // `accounts.login, accounts.tenant`
            Engine::Sqlite => {
                constraint.split(", ").filter_map(|one| one.rsplit('.').next()).map(str::to_owned).collect()
            }
            Engine::Postgresql => self.names(lease, POSTGRESQL, vec![Value::from(constraint)]).await,
            Engine::Mysql => {
                // MySQL puts the table before the index, MariaDB does not.
                let (table, index) =
                    constraint.split_once('.').map_or((None, constraint), |(t, i)| (Some(t), i));
                let table = table.map_or(Value::Null, Value::from);
                self.names(lease, MYSQL, vec![Value::from(index), table.clone(), table]).await
            }
        };
        let fields = &self.plan.accounts.fields;
        let [username, email] = NAMES;
        [username, email, ("id", "identifier")].into_iter().find_map(|(field, noun)| {
            let column = fields.get(field).map_or(field, |field| field.column.as_str());
            columns.iter().any(|one| one.eq_ignore_ascii_case(column) || one == field).then_some(noun)
        })
    }

    async fn names(&self, lease: &mut Lease, sql: &str, values: Vec<Value>) -> Vec<String> {
        let natural = |value: &Value| crate::value::Bound::new(crate::plan::Kind::Natural, value);
        let Ok(values) = values.iter().map(natural).collect::<Result<Vec<_>, _>>() else { return Vec::new() };
        let Ok(answer) = lease.run_as(&sql.into(), values).await else { return Vec::new() };
        let names = answer.rows.iter().filter_map(|row| row.values().next().and_then(Value::as_str));
        names.map(str::to_owned).collect()
    }
}

/// The error for a name that is taken.
pub(crate) fn conflict(code: Code, message: String) -> Error {
    Error::new(code, message)
        .with_effect(Effect::NotApplied)
        .with_retry(Retry::Never)
        .with_subject(Subject::Account)
}

/// The names that the update of an account would change.
pub(crate) fn new_names(changed: &[String], value_of: impl Fn(&str) -> Option<String>) -> Account {
    let new = |field: &str| changed.iter().any(|one| one == field).then(|| value_of(field)).flatten();
    let mut account = Account::default();
    (account.username, account.email) = (new("username"), new("email"));
    account
}

/// The error code if a name is taken: for an update, the account itself does not "already exist".
pub(crate) fn code(action: Action) -> Code {
    if action == Action::CreateAccount { Code::AccountAlreadyExists } else { Code::InternalError }
}
