//! Runs the statements and checks of an action.

use bridgehead_sdk::{Account, Action, Effect, Error};
use serde_json::Value;

use super::inputs::Inputs;
use crate::driver::Answer;
use crate::fault::{Doing, Fault};
use crate::plan::{Expectation, Parameter, Refusal, Role, Step};
use crate::pool::Lease;
use crate::rows::cell;
use crate::settings::Engine;
use crate::target::Database;
use crate::value::as_text;

/// What steps are run for.
#[derive(Clone, Copy)]
pub(super) struct Purpose<'a> {
    /// The operation, for error messages.
    pub(super) doing: Doing<'a>,
    /// The group or license, if there is one.
    pub(super) reference: Option<&'a str>,
}

impl<'a> Purpose<'a> {
    /// An action for an account.
    pub(super) fn action(action: Action, account: &'a Account) -> Self {
        Self { doing: Doing::Acting { action, account: account.label(), made: false }, reference: None }
    }
}

impl Database {
    /// Runs the steps in order. `changed` names the fields that an update changes. Returns the number of rows that each changed or returned.
    pub(super) async fn run_steps(
        &self,
        lease: &mut Lease,
        steps: &[Step],
        inputs: &mut Inputs,
        purpose: Purpose<'_>,
        changed: &[String],
    ) -> Result<Vec<u64>, Error> {
        let mut rows = Vec::with_capacity(steps.len());
        for step in steps {
            let is_due =
                step.when.as_ref().is_none_or(|when| when.iter().any(|field| changed.contains(field)));
            rows.push(if is_due { self.run_step(lease, step, inputs, purpose).await? } else { 0 });
        }
        Ok(rows)
    }

    async fn run_step(
        &self,
        lease: &mut Lease,
        step: &Step,
        inputs: &mut Inputs,
        purpose: Purpose<'_>,
    ) -> Result<u64, Error> {
        let before = self.changes_so_far(lease, step, purpose).await?;
        let answer = self.run_statement(lease, step, inputs, purpose).await?;
        match &step.role {
            Role::Run { expect, returns, .. } => {
                if let Some(expect) = expect {
                    self.check_expectation(step, expect, &answer, purpose)?;
                }
                if let Some(column) = returns {
                    inputs.id = Some(self.returned(step, column, &answer, purpose)?);
                }
                let rows = rows_of(step, &answer);
                let mut limited = step.one_row_of.clone();
                if rows > 1 && limited.is_none() && step.is_open() {
                    let behind = self.written_behind_view(lease, &step.statement.sql).await;
                    limited = behind.map_err(|fault| self.verdicts.of(&fault, purpose.doing))?;
                }
                if let Some(table) = limited.filter(|_| rows > 1) {
                    let why = format!(
                        "{} changes {rows} rows of {table}, but a task must not change other accounts; nothing was \
                         changed. Make its condition select one row, or set many_rows = true for this statement",
                        step.statement.key
                    );
                    return Err(Error::internal(self.verdicts.message(purpose.doing, &why)));
                }
                let by_triggers = self.changes_so_far(lease, step, purpose).await?.zip(before);
                Ok(by_triggers
                    .filter(|_| rows == 0)
                    .map_or(rows, |(after, before)| after.saturating_sub(before)))
            }
            Role::Require(refusal) if answer.rows.is_empty() => Err(self.refuse(step, refusal, purpose)),
            Role::Unless(refusal) if !answer.rows.is_empty() => Err(self.refuse(step, refusal, purpose)),
            Role::Require(_) | Role::Unless(_) => Ok(0),
            Role::ExecuteResult => {
                let made = self.made(step, &answer, purpose)?;
                let doing = match purpose.doing {
                    Doing::Acting { action, account, .. } => Doing::Acting { action, account, made: true },
                    other => other,
                };
                // The generated statement is a command that changes no rows.
                lease.run_made(&made).await.map(|_| 1).map_err(|fault| self.verdicts.of(&fault, doing))
            }
        }
    }

    /// The number of rows that a connection to SQLite has changed, for a statement that resets a password. It includes those that triggers
    /// changed, unlike the number that a statement returns: a view's triggers make its changes.
    async fn changes_so_far(
        &self,
        lease: &mut Lease,
        step: &Step,
        purpose: Purpose<'_>,
    ) -> Result<Option<u64>, Error> {
        let is_reset = matches!(purpose.doing, Doing::Acting { action: Action::ResetPassword, .. });
        if !is_reset || !step.uses_password() || self.plan.engine != Engine::Sqlite {
            return Ok(None);
        }
        let answer = lease.run_made("SELECT total_changes() AS changes").await;
        let answer = answer.map_err(|fault| self.verdicts.of(&fault, purpose.doing))?;
        Ok(answer.rows.first().and_then(|row| row.get("changes")?.as_u64()))
    }

    async fn run_statement(
        &self,
        lease: &mut Lease,
        step: &Step,
        inputs: &Inputs,
        purpose: Purpose<'_>,
    ) -> Result<Answer, Error> {
        let values = self.values(&step.statement, |parameter| match (parameter, purpose.reference) {
            (Parameter::Ref, Some(reference)) => Value::from(reference),
            _ => inputs.value(&self.plan.own, parameter),
        });
        let values = values.map_err(|misfit| {
            let why = format!("a parameter of {} {misfit}", step.statement.key);
            Error::internal(self.verdicts.message(purpose.doing, &why))
        })?;
        lease.run(&step.statement, values).await.map_err(|fault| self.verdicts.of(&fault, purpose.doing))
    }

    fn check_expectation(
        &self,
        step: &Step,
        expect: &Expectation,
        answer: &Answer,
        purpose: Purpose<'_>,
    ) -> Result<(), Error> {
        let rows = rows_of(step, answer);
        if rows == expect.rows {
            return Ok(());
        }
        let usual = format!(
            "{} must change or return {} rows, but it is {rows}; nothing was changed",
            step.statement.key, expect.rows
        );
        Err(self.refusal(&usual, &expect.refusal, purpose))
    }

    fn refuse(&self, step: &Step, refusal: &Refusal, purpose: Purpose<'_>) -> Error {
        let usual = format!("{} does not allow it; nothing was changed", step.statement.key);
        self.refusal(&usual, refusal, purpose)
    }

    fn refusal(&self, usual: &str, refusal: &Refusal, purpose: Purpose<'_>) -> Error {
        let why = refusal.message.as_deref().unwrap_or(usual);
        let mut error = Error::new(refusal.code, self.verdicts.message(purpose.doing, why))
            .with_effect(Effect::NotApplied);
        if let Some(subject) = refusal.subject {
            error = error.with_subject(subject);
        }
        error
    }

    fn returned(
        &self,
        step: &Step,
        column: &str,
        answer: &Answer,
        purpose: Purpose<'_>,
    ) -> Result<String, Error> {
        let key = step.statement.key.as_str();
        let found = match answer.rows.as_slice() {
            [row] => cell(row, column, key).map(as_text),
            rows => Err(Fault::Unreadable(format!("{key} returns {} rows, but must return one", rows.len()))),
        };
        let found = found.and_then(|id| {
            id.filter(|id| !id.is_empty()).ok_or_else(|| {
                Fault::Unreadable(format!("{key} returns no identifier in the column {column}"))
            })
        });
        found.map_err(|fault| Error::internal(self.verdicts.message(purpose.doing, &fault.to_string())))
    }

    /// The statement that another one generated. It is never included in a message, because it may contain a password.
    fn made(&self, step: &Step, answer: &Answer, purpose: Purpose<'_>) -> Result<String, Error> {
        let text = match answer.rows.as_slice() {
            [row] if row.len() == 1 => row.values().next().and_then(Value::as_str),
            _ => None,
        };
        text.filter(|text| !text.trim().is_empty()).map(str::to_owned).ok_or_else(|| {
            let why = format!(
                "{} must return one row with one column, the text of a statement, but does not; nothing was \
                 changed",
                step.statement.key
            );
            Error::internal(self.verdicts.message(purpose.doing, &why))
        })
    }
}

/// The number of rows that a statement changed or returned. If it returns rows, these are counted: databases differ in what a query counts
/// as changed.
fn rows_of(step: &Step, answer: &Answer) -> u64 {
    if step.statement.reads || !answer.rows.is_empty() { answer.rows.len() as u64 } else { answer.affected }
}
