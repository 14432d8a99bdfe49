//! The lookup and the six actions.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Completion, CreateAccount, Error, Memberships, Operation,
    ResetPassword, ResourceKind, Subject, UpdateAccount, folded,
};
use jiff::Timestamp;
use serde_json::Value;

use crate::changes;
use crate::editor;
use crate::layout::{Layout, TypeFile};
use crate::records;
use crate::rewrite;
use crate::rows::{Identity, LONGEST_ROW, Row};
use crate::schema::{Cells, Fault};
use crate::settings::PASSWORD_CHANGED_AT;
use crate::survey::{Found, Names, Question, Survey};
use crate::table::{Snapshot, Table};

/// One folder, and what else is needed to execute an operation in it.
#[derive(Debug)]
pub(crate) struct Folder<'a> {
    pub(crate) layout: &'a Layout,
    /// How messages name the target.
    pub(crate) system: &'a str,
    pub(crate) now: Timestamp,
    /// The identity of the accounts file after it was last written.
    pub(crate) written: Cell<Option<Identity>>,
}

impl Folder<'_> {
    /// The account as it is in the file; `None` only if every row that could be the account was read.
    pub(crate) fn find(&self, account: &Account) -> Result<Option<AccountRecord>, Error> {
        let snapshot = self.accounts()?;
        let question = Question { account: Some(account), ..Question::default() };
        let survey = self.ask(&question, &snapshot)?;
        let Some(found) = survey.found else {
            return Ok(None);
        };
        let record = records::account(self.layout, &snapshot.schema, &found.cells).map_err(|fault| {
            let place = format!("{} line {}", snapshot.name, found.line);
            Error::internal(format!("{}: {place}: {fault}; correct the line", self.system))
        })?;
        Ok(Some(record))
    }

    /// Executes an operation. The caller must hold the lock.
    pub(crate) fn execute(&self, operation: &Operation) -> Result<Completion, Error> {
        let snapshot = self.accounts()?;
        match operation {
            Operation::CreateAccount(create) => self.create(&snapshot, create),
            Operation::UpdateAccount(update) => self.update(&snapshot, update),
            Operation::DeleteAccount(delete) => {
                let (found, _) = self.look(&snapshot, &delete.account, Names::default(), Vec::new())?;
                self.replace(&snapshot, found.start..found.end, Vec::new())?;
                Ok(Completion::done())
            }
            Operation::SuspendAccount(suspend) => {
                self.set_status(&snapshot, &suspend.account, AccountStatus::Suspended)
            }
            Operation::UnsuspendAccount(unsuspend) => {
                self.set_status(&snapshot, &unsuspend.account, AccountStatus::Active)
            }
            Operation::ResetPassword(reset) => self.reset_password(&snapshot, reset),
            other => Err(Error::unsupported(other.action())),
        }
    }

    fn create(&self, snapshot: &Arc<Snapshot>, create: &CreateAccount) -> Result<Completion, Error> {
        let account = &create.account;
        let label = account.label();
        let fault = |fault: Fault| self.fault(label, &fault);
        let wanted = changes::wanted_at_first(self.layout, create).map_err(fault)?;
        // The identifier that Iden requests, otherwise the name of the account.
        let id = account.id.clone().unwrap_or_else(|| label.into());
        let lower = |text: &Option<String>| text.as_deref().map(folded);
        let question = Question {
            account: None,
            names: Names {
                id: Some(folded(id.as_str())),
                username: lower(&account.username),
                email: lower(&account.email),
            },
            licenses: self.licenses_in(&wanted),
        };
        let survey = self.ask(&question, snapshot)?;
        self.not_taken(label, &survey)?;
        let mut cells = snapshot.schema.blank();
        let without_column =
            changes::create(self.layout, &snapshot.schema, &mut cells, &id, account).map_err(fault)?;
        self.set_memberships(snapshot, label, &mut cells, &wanted, &survey)?;
        let mut row = Vec::new();
        if survey.last_line_break.is_empty() {
            row.extend_from_slice(snapshot.line_break().as_bytes());
        }
        row.extend(snapshot.schema.encode(&cells).and_then(short_enough).map_err(fault)?);
        row.extend_from_slice(snapshot.line_break().as_bytes());
        let end = snapshot.identity.length;
        self.replace(snapshot, end..end, row)?;
        let completion = Completion::created(id);
        Ok(if without_column.is_empty() {
            completion
        } else {
            completion.with("fields_without_column", without_column)
        })
    }

    fn update(&self, snapshot: &Arc<Snapshot>, update: &UpdateAccount) -> Result<Completion, Error> {
        let label = update.account.label();
        let fault = |fault: Fault| self.fault(label, &fault);
        if update.password.is_some() {
            return Err(self.fault(label, &changes::no_password()));
        }
        let wanted = changes::wanted_by_update(self.layout, update).map_err(fault)?;
        let names = changes::new_names(&update.changes).map_err(fault)?;
        let (found, survey) = self.look(snapshot, &update.account, names, self.licenses_in(&wanted))?;
        self.not_taken(label, &survey)?;
        let mut cells = found.cells.clone();
        changes::update(self.layout, &snapshot.schema, &mut cells, &update.changes).map_err(fault)?;
        self.set_memberships(snapshot, label, &mut cells, &wanted, &survey)?;
        self.write(snapshot, label, &found, &cells)?;
        Ok(Completion::done())
    }

    fn set_status(
        &self,
        snapshot: &Arc<Snapshot>,
        account: &Account,
        status: AccountStatus,
    ) -> Result<Completion, Error> {
        let (found, _) = self.look(snapshot, account, Names::default(), Vec::new())?;
        let mut cells = found.cells.clone();
        changes::set_status(&snapshot.schema, &mut cells, status)
            .map_err(|fault| self.fault(account.label(), &fault))?;
        self.write(snapshot, account.label(), &found, &cells)?;
        Ok(Completion::done())
    }

    /// The file never contains a password. Instead, it contains the time at which the password was to change, for
    /// programs that act on it.
    fn reset_password(&self, snapshot: &Arc<Snapshot>, reset: &ResetPassword) -> Result<Completion, Error> {
        let label = reset.account.label();
        let (found, _) = self.look(snapshot, &reset.account, Names::default(), Vec::new())?;
        let mut cells = found.cells.clone();
        let now = self.now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let set = snapshot.schema.set(&mut cells, PASSWORD_CHANGED_AT, Value::from(now.as_str()));
        set.map_err(|fault| self.fault(label, &fault))?;
        self.write(snapshot, label, &found, &cells)?;
        Ok(Completion::done().with(PASSWORD_CHANGED_AT, now))
    }

    fn accounts(&self) -> Result<Arc<Snapshot>, Error> {
        let opened = Snapshot::open(self.layout, &self.layout.accounts);
        opened.map(Arc::new).map_err(|error| error.for_task(self.system))
    }

    fn ask(&self, question: &Question<'_>, snapshot: &Arc<Snapshot>) -> Result<Survey, Error> {
        let survey = question.ask(snapshot).map_err(|error| error.for_task(self.system))?;
        let (file, system) = (&snapshot.name, self.system);
        let label = question.account.map_or("the account", Account::label);
        if let (Some(found), Some(again)) = (&survey.found, survey.again) {
            return Err(Error::internal(format!(
                "{system}: {file} lines {} and {again} are both {label}; remove one of them",
                found.line
            )));
        }
        if let (None, Some(line)) = (&survey.found, survey.unreadable) {
            return Err(Error::internal(format!(
                "{system}: {file} line {line} cannot be read and may be {label}; correct the line"
            )));
        }
        Ok(survey)
    }

    /// The row of an account that must exist.
    fn look(
        &self,
        snapshot: &Arc<Snapshot>,
        account: &Account,
        names: Names,
        licenses: Vec<&TypeFile>,
    ) -> Result<(Found, Survey), Error> {
        let question = Question { account: Some(account), names, licenses };
        let mut survey = self.ask(&question, snapshot)?;
        match survey.found.take() {
            Some(found) => Ok((found, survey)),
            None => Err(Error::account_not_found(format!(
                "User {} not found in {} ({})",
                account.label(),
                self.system,
                snapshot.name
            ))),
        }
    }

    fn not_taken(&self, label: &str, survey: &Survey) -> Result<(), Error> {
        let Some(taken) = &survey.taken else { return Ok(()) };
        Err(Error::account_already_exists(format!(
            "User {label}: the {} is already taken in {} by the account {}",
            taken.field, self.system, taken.by
        )))
    }

    fn write(&self, snapshot: &Snapshot, label: &str, found: &Found, cells: &Cells) -> Result<(), Error> {
        if *cells == found.cells {
            return Ok(());
        }
        let row = snapshot.schema.encode_again(&found.bytes, cells).and_then(short_enough);
        let mut row = row.map_err(|fault| self.fault(label, &fault))?;
        row.extend_from_slice(found.line_break.as_bytes());
        self.replace(snapshot, found.start..found.end, row)
    }

    fn replace(
        &self,
        snapshot: &Snapshot,
        range: std::ops::Range<u64>,
        mut row: Vec<u8>,
    ) -> Result<(), Error> {
        // A JSON lines file without any line would be empty, which is an error. A blank line means that there are no
        // accounts.
        let all = snapshot.body..snapshot.identity.length;
        if row.is_empty() && range == all && snapshot.schema.names().is_empty() {
            row.push(b'\n');
        }
        editor::none_has(&snapshot.path).map_err(|error| error.for_task(self.system))?;
        rewrite::remove_leftovers(&self.layout.folder);
        let written = rewrite::replace(snapshot, range, &row).map_err(|error| error.for_task(self.system))?;
        self.written.set(Some(written));
        Ok(())
    }

    fn licenses_in(&self, wanted: &Memberships) -> Vec<&TypeFile> {
        let named =
            |one: &&TypeFile| wanted.0.contains_key(one.slug()) && one.kind() == ResourceKind::License;
        self.layout.others.iter().filter(named).collect()
    }

    /// Sets the references of each requested type, after checking that they exist.
    fn set_memberships(
        &self,
        snapshot: &Snapshot,
        label: &str,
        cells: &mut Cells,
        wanted: &Memberships,
        survey: &Survey,
    ) -> Result<(), Error> {
        for (slug, refs) in &wanted.0 {
            let Some(of) = self.layout.others.iter().find(|other| other.resource_type.slug == *slug) else {
                let known: Vec<_> = self.layout.others.iter().map(TypeFile::slug).collect();
                let message = format!(
                    "{}: no file defines the type '{slug}'; known types are {}",
                    self.system,
                    known.join(", ")
                );
                return Err(Error::group_not_found(message));
            };
            if refs.is_empty() && !snapshot.schema.has(of.slug()) {
                continue;
            }
            if !snapshot.schema.has(of.slug()) {
                let message = format!(
                    "{}: {} has no column '{slug}', so User {label} cannot be added to any; add the column",
                    self.system, snapshot.name
                );
                return Err(Error::internal(message).with_subject(subject_of(of)));
            }
            let ids: BTreeSet<&str> = refs.iter().map(|one| one.id.as_str()).collect();
            let seats = self.look_up(of, &ids)?;
            if of.kind() == ResourceKind::License {
                let held = snapshot.schema.refs(cells, of.slug()).unwrap_or_default();
                let held: BTreeSet<&str> = held.iter().map(|one| one.id.as_str()).collect();
                self.seats_left(of, label, &ids, &held, &seats, survey)?;
            }
            snapshot.schema.set_refs(cells, of.slug(), refs).map_err(|fault| self.fault(label, &fault))?;
        }
        Ok(())
    }

    /// Checks that every group or license exists; returns the number of seats of each, if the file has it.
    fn look_up<'i>(
        &self,
        of: &TypeFile,
        ids: &BTreeSet<&'i str>,
    ) -> Result<BTreeMap<&'i str, Option<u64>>, Error> {
        let mut seats = BTreeMap::new();
        if ids.is_empty() {
            return Ok(seats);
        }
        let about = |message: String| Error::internal(message).with_subject(subject_of(of));
        let failed = |error: crate::error::Error| error.for_task(self.system);
        let snapshot = Arc::new(Snapshot::open(self.layout, of).map_err(failed)?);
        let mut table = Table::start(snapshot.clone());
        let mut row = Row::default();
        while let Some(cells) = table.next(&mut row).map_err(failed)? {
            let Ok(cells) = cells else { continue };
            let Ok(Some(id)) = snapshot.schema.text(&cells, "id") else {
                continue;
            };
            let Some(id) = ids.get(&*id) else { continue };
            let count = snapshot.schema.text(&cells, "seats").ok().flatten();
            let count = match count.map(|text| text.trim().parse::<u64>()) {
                Some(Err(_)) if of.kind() == ResourceKind::License => {
                    let place = format!("{} line {}", of.file, row.line);
                    return Err(about(format!("{}: {place}: seats must be a whole number", self.system)));
                }
                Some(Ok(count)) => Some(count),
                _ => None,
            };
            seats.insert(*id, count);
        }
        snapshot.verify().map_err(failed)?;
        match ids.iter().find(|id| !seats.contains_key(*id)) {
            None => Ok(seats),
            Some(missing) => Err(about(format!(
                "{} {missing} not found in {} ({}); add it there, or run a sync to bring Iden up to date",
                of.resource_type.name, self.system, of.file
            ))),
        }
    }

    /// Checks that each additional license has a free seat.
    fn seats_left(
        &self,
        of: &TypeFile,
        label: &str,
        wanted: &BTreeSet<&str>,
        held: &BTreeSet<&str>,
        seats: &BTreeMap<&str, Option<u64>>,
        survey: &Survey,
    ) -> Result<(), Error> {
        let none_left = |what: String, seats: u64| {
            Error::license_exhausted(format!(
                "{what} has no free seat in {} for User {label}: all {seats} are taken; free one, or buy \
                 more and raise the number",
                self.system
            ))
        };
        let holders = survey.holders.get(of.slug());
        for id in wanted.difference(held) {
            let taken = holders.and_then(|holders| holders.get(*id)).copied().unwrap_or(0);
            if let Some(Some(seats)) = seats.get(id).filter(|seats| seats.is_some_and(|seats| taken >= seats))
            {
                return Err(none_left(format!("{} {id}", of.resource_type.name), *seats));
            }
        }
        let total: u64 = holders.map_or(0, |holders| holders.values().sum());
        let wanted = total.saturating_sub(held.len() as u64) + wanted.len() as u64;
        match of.seats {
            // Licenses can always be returned, even if more are assigned than exist.
            Some(seats) if wanted > seats && wanted > total => {
                Err(none_left(of.resource_type.name.clone(), seats))
            }
            _ => Ok(()),
        }
    }

    fn fault(&self, label: &str, fault: &Fault) -> Error {
        Error::internal(format!("User {label} in {}: {fault}", self.system))
    }
}

/// A row that is too long to be read again must not be written, because the rows after it could not be read either.
fn short_enough(row: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if row.len() >= LONGEST_ROW {
        return Err(Fault::new("row", format!("shorter than {LONGEST_ROW} bytes")));
    }
    Ok(row)
}

fn subject_of(of: &TypeFile) -> Subject {
    match of.kind() {
        ResourceKind::License => Subject::License,
        _ => Subject::Group,
    }
}
