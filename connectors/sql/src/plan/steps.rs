//! The steps of an action or a membership.

use bridgehead_sdk::{Action, Code, SettingsError, Subject};

use super::parameter::{Parameter, Place};
use super::statement::{Compiler, Statement};
use super::writes::{writes, written_inside};
use crate::settings::{Engine, RunSettings, StepSettings};

/// One step: a statement, and how its result is used.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) statement: Statement,
    pub(crate) role: Role,
    /// The step only runs if one of these fields changes.
    pub(crate) when: Option<Vec<String>>,
    /// The table of which the statement must not change more than one row.
    pub(crate) one_row_of: Option<String>,
}

impl Step {
    /// Whether the statement uses the password or a hash of it.
    pub(crate) fn uses_password(&self) -> bool {
        let is_password =
            |parameter: &Parameter| matches!(parameter, Parameter::Password | Parameter::PasswordHash(_));
        self.statement.slots.iter().any(|slot| is_password(&slot.parameter))
    }

    /// Whether the statement changes data and leaves open how many rows.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.role, Role::Run { expect: None, may_change_many: false, .. })
    }

    /// Limits a statement to one row if it writes to the table of the accounts or sets a password: otherwise a task could change other
    /// people's accounts as well. Other tables may have several rows for an account, such as its sessions.
    ///
    /// A statement that does so inside `WITH` is refused, because these rows are not counted.
    pub(super) fn limit(&mut self, engine: Engine, accounts: Option<&str>) -> Result<(), SettingsError> {
        if !self.is_open() {
            return Ok(());
        }
        let is_of_accounts =
            |table: &str| accounts.is_some_and(|accounts| accounts.eq_ignore_ascii_case(table));
        let mut inside = written_inside(&self.statement.sql).into_iter();
        if let Some(table) = inside.find(|table| is_of_accounts(table) || self.uses_password()) {
            let message = format!(
                "writes to {table} inside WITH, where the database does not count the rows, so it could change \
                 other accounts unnoticed; make it a statement of its own, or set many_rows = true"
            );
            return Err(SettingsError::new(self.statement.key.as_str(), message));
        }
        let Some(writes) = writes(&self.statement.sql) else { return Ok(()) };
        let is_counted = engine != Engine::Mysql || !writes.counts_more;
        if is_counted && (is_of_accounts(&writes.table) || self.uses_password()) {
            self.one_row_of = Some(writes.table);
        }
        Ok(())
    }
}

/// How the result of a statement is used.
#[derive(Debug)]
pub(crate) enum Role {
    /// The statement changes data.
    Run {
        /// How many rows it must change or return.
        expect: Option<Expectation>,
        /// The column with the new account's identifier.
        returns: Option<String>,
        /// Whether the configuration allows it to change rows of several accounts.
        may_change_many: bool,
    },
    /// The result is the text of a statement, which is run.
    ExecuteResult,
    /// The statement must return a row.
    Require(Refusal),
    /// The statement must not return a row.
    Unless(Refusal),
}

/// How many rows a statement must change or return.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) rows: u64,
    pub(crate) refusal: Refusal,
}

/// How a task fails if a check is not met.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: Code,
    pub(crate) message: Option<String>,
    pub(crate) subject: Option<Subject>,
}

/// The steps of an action.
pub(super) fn of_action(
    compiler: &Compiler<'_>,
    action: Action,
    settings: &[StepSettings],
) -> Result<Vec<Step>, SettingsError> {
    let key = format!("actions.{action}");
    if settings.is_empty() {
        let message = "has nothing to run; remove it if the action should not be offered";
        return Err(SettingsError::new(key, message));
    }
    let mut knows_id = action != Action::CreateAccount;
    let mut steps = Vec::with_capacity(settings.len());
    for (index, StepSettings(one)) in settings.iter().enumerate() {
        let key = format!("{key}.{index}");
        let step = build(compiler, &key, one, Place::Action(action, knows_id))?;
        if one.returns.is_some() && action != Action::CreateAccount {
            return Err(SettingsError::new(format!("{key}.returns"), "only applies to create_account"));
        }
        if one.when.is_some() && action != Action::UpdateAccount {
            return Err(SettingsError::new(format!("{key}.when"), "only applies to update_account"));
        }
        knows_id |= one.returns.is_some();
        steps.push(step);
    }
    if steps.iter().all(|step| matches!(step.role, Role::Require(_) | Role::Unless(_))) {
        return Err(SettingsError::new(key, "only checks and changes nothing: give it a statement with sql"));
    }
    let names_account = |parameter: &Parameter| matches!(parameter, Parameter::Id | Parameter::Field(_));
    let changes = steps.iter().filter(|step| !matches!(step.role, Role::Require(_) | Role::Unless(_)));
    for step in changes {
        if !step.statement.slots.iter().any(|slot| names_account(&slot.parameter)) {
            let message = "uses no parameter that identifies the account";
            return Err(SettingsError::new(step.statement.key.as_str(), message));
        }
    }
    Ok(steps)
}

/// The steps that add or remove a member.
pub(super) fn of_membership(
    compiler: &Compiler<'_>,
    key: &str,
    settings: &[StepSettings],
    place: Place,
) -> Result<Vec<Step>, SettingsError> {
    let steps = settings.iter().enumerate().map(|(index, StepSettings(one))| {
        let key = format!("{key}.{index}");
        for (part, is_there) in [("returns", one.returns.is_some()), ("when", one.when.is_some())] {
            if is_there {
                return Err(SettingsError::new(format!("{key}.{part}"), "only applies to an action"));
            }
        }
        build(compiler, &key, one, place)
    });
    steps.collect()
}

/// Checks that each statement on the table of the members names the account and the group: otherwise `remove` would remove other members
/// too. Statements on other tables, such as a counter, may need only one of the two.
pub(super) fn concern_one_member(steps: &[Step], table: &str) -> Result<(), SettingsError> {
    for step in steps.iter().filter(|step| step.is_open()) {
        let sql = &step.statement.sql;
        let written = writes(sql).map(|writes| writes.table).into_iter().chain(written_inside(sql));
        if !written.into_iter().any(|written| written.eq_ignore_ascii_case(table)) {
            continue;
        }
        let uses = |is: fn(&Parameter) -> bool| step.statement.slots.iter().any(|slot| is(&slot.parameter));
        let missing = if !uses(|parameter| matches!(parameter, Parameter::Id | Parameter::Field(_))) {
            ":id"
        } else if !uses(|parameter| *parameter == Parameter::Ref) {
            ":ref"
        } else {
            continue;
        };
        let message = format!(
            "writes to {table} without using {missing}, so it would change other members too; use {missing}, or \
             set many_rows = true"
        );
        return Err(SettingsError::new(step.statement.key.as_str(), message));
    }
    Ok(())
}

fn build(compiler: &Compiler<'_>, key: &str, one: &RunSettings, place: Place) -> Result<Step, SettingsError> {
    let error = |part: &str, message: &str| Err(SettingsError::new(format!("{key}.{part}"), message));
    let (text, is_check) = match (&one.sql, &one.require, &one.unless) {
        (Some(sql), None, None) => (sql, false),
        (None, Some(query), None) | (None, None, Some(query)) => (query, true),
        (None, None, None) => return Err(SettingsError::new(key, "needs one of sql, require and unless")),
        _ => {
            return Err(SettingsError::new(
                key,
                "has more than one of sql, require and unless; make them separate steps",
            ));
        }
    };
    if is_check {
        if one.expect.is_some() || one.returns.is_some() || one.execute_result || one.many_rows {
            return Err(SettingsError::new(
                key,
                "is a check; expect, many_rows, returns and execute_result only apply to sql",
            ));
        }
        let Some(code) = one.otherwise else {
            return error("otherwise", "is missing: the code with which the task fails");
        };
        let refusal = refusal(one, code);
        return Ok(Step {
            statement: compiler.query(key, text, place)?,
            role: if one.require.is_some() { Role::Require(refusal) } else { Role::Unless(refusal) },
            when: checked_when(compiler, key, one)?,
            one_row_of: None,
        });
    }
    if one.otherwise.is_some() {
        return error("otherwise", "only applies to require and unless; with sql, put it in expect");
    }
    if (one.message.is_some() || one.subject.is_some()) && one.expect.is_none() {
        return error("message", "and subject do not apply without expect");
    }
    let when = checked_when(compiler, key, one)?;
    if one.execute_result {
        if compiler.engine != Engine::Postgresql {
            return error(
                "execute_result",
                "is for PostgreSQL: other databases have no format() that quotes \
                                            names",
            );
        }
        if one.expect.is_some() || one.returns.is_some() || one.many_rows {
            return error(
                "execute_result",
                "always returns one row, so expect, many_rows and returns do not apply",
            );
        }
        let statement = compiler.query(key, text, place)?;
        return Ok(Step { statement, role: Role::ExecuteResult, when, one_row_of: None });
    }
    if one.many_rows && one.expect.is_some() {
        return error("many_rows", "does not apply with expect, which says how many rows there must be");
    }
    let expect = one
        .expect
        .as_ref()
        .map(|expect| Expectation { rows: expect.rows, refusal: refusal(one, expect.otherwise) });
    let role = Role::Run { expect, returns: one.returns.clone(), may_change_many: one.many_rows };
    Ok(Step { statement: compiler.command(key, text, place)?, role, when, one_row_of: None })
}

fn refusal(one: &RunSettings, code: Code) -> Refusal {
    Refusal { code, message: one.message.clone(), subject: one.subject.map(Into::into) }
}

fn checked_when(
    compiler: &Compiler<'_>,
    key: &str,
    one: &RunSettings,
) -> Result<Option<Vec<String>>, SettingsError> {
    for field in one.when.iter().flatten() {
        if !compiler.names.is_task_field(field) {
            let message =
                format!("names '{field}', which is neither a field of accounts.fields nor of a parameter");
            return Err(SettingsError::new(format!("{key}.when"), message));
        }
    }
    if one.when.as_ref().is_some_and(Vec::is_empty) {
        return Err(SettingsError::new(format!("{key}.when"), "names no field, so it would never run"));
    }
    Ok(one.when.clone())
}
