//! What an action or a membership runs.

use bridgehead_sdk::{Action, Code, SettingsError, Subject};

use super::parameter::{Parameter, Place};
use super::statement::{Compiler, Statement};
use crate::settings::{Engine, RunSettings, StepSettings};

/// One step: a statement, and what is made of what it gives.
#[derive(Debug)]
pub(crate) struct Step {
    pub(crate) statement: Statement,
    pub(crate) role: Role,
    /// The fields of which one must change for it to be run.
    pub(crate) when: Option<Vec<String>>,
}

/// What is made of what a statement gives.
#[derive(Debug)]
pub(crate) enum Role {
    /// It changes something.
    Run {
        /// How many rows it must change or give.
        expect: Option<Expectation>,
        /// The column of the new account's identifier.
        returns: Option<String>,
    },
    /// It gives the text of a statement, and that is run.
    ExecuteResult,
    /// It must give a row.
    Require(Refusal),
    /// It must give none.
    Unless(Refusal),
}

/// How many rows a statement must change or give.
#[derive(Debug)]
pub(crate) struct Expectation {
    pub(crate) rows: u64,
    pub(crate) refusal: Refusal,
}

/// How a task fails that a check refuses.
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
        let message = "has nothing to run; leave it out if the action is not to be offered";
        return Err(SettingsError::new(key, message));
    }
    let mut knows_id = action != Action::CreateAccount;
    let mut steps = Vec::with_capacity(settings.len());
    for (index, StepSettings(one)) in settings.iter().enumerate() {
        let key = format!("{key}.{index}");
        let step = build(compiler, &key, one, Place::Action(action, knows_id))?;
        if one.returns.is_some() && action != Action::CreateAccount {
            return Err(SettingsError::new(format!("{key}.returns"), "belongs to create_account only"));
        }
        if one.when.is_some() && action != Action::UpdateAccount {
            return Err(SettingsError::new(format!("{key}.when"), "belongs to update_account only"));
        }
        knows_id |= one.returns.is_some();
        steps.push(step);
    }
    if steps.iter().all(|step| matches!(step.role, Role::Require(_) | Role::Unless(_))) {
        return Err(SettingsError::new(key, "checks and changes nothing: give it a statement with sql"));
    }
    let names_account = |parameter: &Parameter| matches!(parameter, Parameter::Id | Parameter::Field(_));
    let changes = steps.iter().filter(|step| !matches!(step.role, Role::Require(_) | Role::Unless(_)));
    for step in changes {
        if !step.statement.slots.iter().any(|slot| names_account(&slot.parameter)) {
            let message = "uses no parameter that says which account it is about";
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
                return Err(SettingsError::new(format!("{key}.{part}"), "belongs to an action"));
            }
        }
        build(compiler, &key, one, place)
    });
    steps.collect()
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
                "has more than one of sql, require and unless; make them steps of their own",
            ));
        }
    };
    if is_check {
        if one.expect.is_some() || one.returns.is_some() || one.execute_result {
            return Err(SettingsError::new(
                key,
                "is a check; expect, returns and execute_result belong to sql",
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
        });
    }
    if one.otherwise.is_some() {
        return error("otherwise", "belongs to require and unless; with sql it stands in expect");
    }
    if (one.message.is_some() || one.subject.is_some()) && one.expect.is_none() {
        return error("message", "and subject are of no use without expect");
    }
    let when = checked_when(compiler, key, one)?;
    if one.execute_result {
        if compiler.engine != Engine::Postgresql {
            return error("execute_result", "is for PostgreSQL: others have no format() that quotes names");
        }
        if one.expect.is_some() || one.returns.is_some() {
            return error(
                "execute_result",
                "gives exactly one row, so that expect and returns have no meaning",
            );
        }
        return Ok(Step { statement: compiler.query(key, text, place)?, role: Role::ExecuteResult, when });
    }
    let expect = one
        .expect
        .as_ref()
        .map(|expect| Expectation { rows: expect.rows, refusal: refusal(one, expect.otherwise) });
    let role = Role::Run { expect, returns: one.returns.clone() };
    Ok(Step { statement: compiler.command(key, text, place)?, role, when })
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
                format!("names '{field}', which is no field of accounts.fields and of no parameter");
            return Err(SettingsError::new(format!("{key}.when"), message));
        }
    }
    if one.when.as_ref().is_some_and(Vec::is_empty) {
        return Err(SettingsError::new(
            format!("{key}.when"),
            "names no field, so that it would never be run",
        ));
    }
    Ok(one.when.clone())
}
