//! Looking for an account.

use std::collections::HashMap;

use bridgehead_sdk::{Account, AccountRecord, Error, Record, RejectedRecord, ResourceKind};
use serde_json::{Map, Value};

use crate::driver::Row;
use crate::fault::{Doing, Fault};
use crate::plan::{Members, Parameter, Plan, Statement};
use crate::pool::Lease;
use crate::rows;
use crate::target::Database;
use crate::value::{Bound, as_text};

/// The members of each type that has a statement for them: for each account its references.
pub(crate) type Memberships = HashMap<usize, HashMap<String, Vec<String>>>;

impl Database {
    /// The account as the database holds it now.
    pub(crate) async fn find(
        &self,
        lease: &mut Lease<'_>,
        account: &Account,
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
            let found = self.look_up(lease, statement, value, account).await?;
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    async fn look_up(
        &self,
        lease: &mut Lease<'_>,
        statement: &Statement,
        value: &str,
        account: &Account,
    ) -> Result<Option<AccountRecord>, Error> {
        let doing = Doing::Finding(account.label());
        let read = self.read_accounts(lease, statement, value).await;
        let records = match read {
            Ok(Some(records)) => records,
            // A text that the database cannot hold, and an identifier that is none, are certain not to be in it.
            Ok(None) | Err(Fault::Nul) => return Ok(None),
            Err(fault) => return Err(self.verdicts.of(&fault, doing)),
        };
        let mut found = None;
        for record in records {
            let record = record.map_err(|rejected| {
                let why = format!("it is there and cannot be read: {rejected}");
                Error::internal(self.verdicts.message(doing, &why))
            })?;
            // The database may compare more loosely than is right: `'17abc' = 17` holds in MySQL.
            if !account.is_same_as(&record) {
                continue;
            }
            if found.replace(record).is_some() {
                let why = format!("{} finds more than one account", statement.key);
                return Err(Error::internal(self.verdicts.message(doing, &why)));
            }
        }
        Ok(found)
    }

    /// `None` if the value cannot be what the statement looks for.
    async fn read_accounts(
        &self,
        lease: &mut Lease<'_>,
        statement: &Statement,
        value: &str,
    ) -> Result<Option<Vec<Result<AccountRecord, RejectedRecord>>>, Fault> {
        let value = Value::from(value);
        let Ok(values) = self.values(statement, |parameter| match parameter {
            Parameter::Id | Parameter::Field(_) => value.clone(),
            _ => Value::Null,
        }) else {
            return Ok(None);
        };
        let answer = lease.run(statement, values).await?;
        if answer.rows.is_empty() {
            return Ok(Some(Vec::new()));
        }
        let members = self.members(lease, &answer.rows).await?;
        let records = answer.rows.iter().map(|row| self.account(row, &statement.key, &members));
        records.collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// Binds the parameters of a statement: those of the operator's own that are fixed, and others as `value_of` says.
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
            Bound::new(slot.kind, &fixed.unwrap_or_else(|| value_of(&slot.parameter)))
        });
        values.collect()
    }

    /// The members of every type that has a statement for them, for the accounts of these rows: one statement a type.
    pub(crate) async fn members(&self, lease: &mut Lease<'_>, rows: &[Row]) -> Result<Memberships, Fault> {
        let mut all = Memberships::new();
        let id_column = id_column(&self.plan);
        let ids: Vec<Value> =
            rows.iter().filter_map(|row| row.get(id_column).and_then(as_text)).map(Value::from).collect();
        for (index, one) in self.plan.types.iter().enumerate() {
            let Some(Members::Statement { statement, account, reference }) = &one.members else { continue };
            let list = Value::from(Value::from(ids.clone()).to_string());
            let values = self.values(statement, |_| list.clone());
            let values = values.map_err(|misfit| Fault::Unreadable(misfit.to_string()))?;
            let mut members: HashMap<String, Vec<String>> = HashMap::new();
            for row in lease.run(statement, values).await?.rows {
                let account = as_text(rows::cell(&row, account, &statement.key)?);
                let reference = as_text(rows::cell(&row, reference, &statement.key)?);
                if let (Some(account), Some(reference)) = (account, reference) {
                    let references = members.entry(account).or_default();
                    if !references.contains(&reference) {
                        references.push(reference);
                    }
                }
            }
            all.insert(index, members);
        }
        Ok(all)
    }

    /// An account out of a row. The inner error is a bad record, the outer one a wrong statement.
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
                            return Ok(Err(RejectedRecord { id, field, rule }));
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

/// The column that holds the identifiers of the accounts.
pub(crate) fn id_column(plan: &Plan) -> &str {
    plan.accounts.fields.get("id").map_or("id", |field| field.column.as_str())
}

fn into_account(record: Map<String, Value>) -> Result<AccountRecord, RejectedRecord> {
    match Record::from_json(ResourceKind::Account, Value::Object(record))? {
        Record::Account(account) => Ok(*account),
        Record::Entity(entity) => {
            Err(RejectedRecord { id: Some(entity.id), field: "record".into(), rule: "an account".into() })
        }
    }
}
