//! Checks a folder before it is used.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::File;
use std::sync::Arc;

use bridgehead_sdk::{Action, ResourceKind};

use crate::access;
use crate::editor;
use crate::error::Error;
use crate::layout::{Layout, TypeFile};
use crate::lock::LOCK_FILE;
use crate::rows::Row;
use crate::settings::PASSWORD_CHANGED_AT;
use crate::table::{Snapshot, Table};

/// References are only checked in account files up to this size, because a check must be cheap.
const SMALL: u64 = 16 * 1024 * 1024;

/// An action that is not supported, and the column that it needs.
pub(crate) type Missing = (Action, &'static str);

/// The actions that need a column that the accounts file does not have.
pub(crate) fn missing(accounts: &Snapshot) -> Vec<Missing> {
    let needs = [
        (Action::SuspendAccount, "status"),
        (Action::UnsuspendAccount, "status"),
        (Action::ResetPassword, PASSWORD_CHANGED_AT),
    ];
    needs.into_iter().filter(|(_, column)| !accounts.schema.has(column)).collect()
}

/// The actions that the columns of the accounts file allow.
pub(crate) fn actions(missing: &[Missing]) -> BTreeSet<Action> {
    let offered = |action: &&Action| missing.iter().all(|(without, _)| without != *action);
    Action::ALL.iter().filter(offered).copied().collect()
}

/// Logs which actions are not supported, and how to enable them.
pub(crate) fn tell(file: &str, missing: &[Missing]) {
    for (action, column) in missing {
        tracing::info!(file, "{action} is not offered; to enable it, add the column '{column}' to the file");
    }
}

/// What tasks may change, but no file shows: fields and types for which the accounts file has no column.
pub(crate) fn unverifiable(layout: &Layout, accounts: &Snapshot) -> BTreeSet<String> {
    let fields = ["email", "username", "first_name", "last_name", "display_name", "status"];
    let fields = fields.into_iter().filter(|field| !accounts.schema.has(field)).map(str::to_owned);
    let types = layout.others.iter().filter(|other| !accounts.schema.has(other.slug()));
    fields.chain(types.map(|other| format!("memberships.{}", other.slug()))).collect()
}

/// Checks that every file can be read, and that the folder can be written to. Leaves no trace.
pub(crate) fn check(layout: &Layout, read_only: bool) -> Result<(), Error> {
    let accounts = Arc::new(open_accounts(layout)?);
    let mut known: BTreeMap<&str, HashSet<String>> = BTreeMap::new();
    for other in &layout.others {
        let snapshot = Snapshot::open(layout, other)?;
        snapshot.schema.require(&snapshot.name, "name")?;
        if accounts.identity.length <= SMALL && snapshot.identity.length <= SMALL {
            known.insert(other.slug(), ids(&Arc::new(snapshot))?);
        }
    }
    if accounts.identity.length <= SMALL {
        warn_of_dangling(layout, &accounts, &known)?;
    }
    if read_only {
        return Ok(());
    }
    editor::none_has(&accounts.path)?;
    let folder = &layout.folder;
    // The file has no name in the folder, and is removed with its handle.
    let new =
        tempfile::tempfile_in(folder).map_err(|error| Error::io("write to the folder", folder, error))?;
    // As for every change.
    access::keep(&accounts.file, &new).map_err(|lost| Error::Access { path: accounts.path.clone(), lost })?;
    let lock = folder.join(LOCK_FILE);
    match File::options().read(true).write(true).open(&lock) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::io("open", lock, error)),
        _ => Ok(()),
    }
}

/// Opens the accounts file, and checks that it can identify accounts.
pub(crate) fn open_accounts(layout: &Layout) -> Result<Snapshot, Error> {
    let accounts = Snapshot::open(layout, &layout.accounts)?;
    if !accounts.schema.has("email") {
        accounts.schema.require(&accounts.name, "username")?;
    }
    Ok(accounts)
}

fn ids(snapshot: &Arc<Snapshot>) -> Result<HashSet<String>, Error> {
    let mut table = Table::start(snapshot.clone());
    let mut row = Row::default();
    let mut ids = HashSet::new();
    while let Some(cells) = table.next(&mut row)? {
        if let Ok(Some(id)) =
            cells.and_then(|cells| Ok(snapshot.schema.text(&cells, "id")?.map(String::from)))
        {
            ids.insert(id);
        }
    }
    Ok(ids)
}

/// Logs a warning for references to missing records. In a sync, such a reference makes one account invalid, which the
/// sync reports. It must not block the whole target, so it is only a warning here.
fn warn_of_dangling(
    layout: &Layout,
    accounts: &Arc<Snapshot>,
    known: &BTreeMap<&str, HashSet<String>>,
) -> Result<(), Error> {
    let mut table = Table::start(accounts.clone());
    let mut row = Row::default();
    while let Some(cells) = table.next(&mut row)? {
        let Ok(cells) = cells else { continue };
        for (other, ids) in layout.others.iter().filter_map(|other| Some((other, known.get(other.slug())?))) {
            let refs = accounts.schema.refs(&cells, other.slug()).unwrap_or_default();
            if refs.iter().any(|one| !ids.contains(&one.id)) {
                warn(accounts, row.line, other);
            }
        }
    }
    Ok(())
}

fn warn(accounts: &Snapshot, line: u64, other: &TypeFile) {
    let kind = match other.kind() {
        ResourceKind::License => "license",
        _ => "group",
    };
    tracing::warn!(
        file = %accounts.name,
        line,
        column = other.slug(),
        "the line refers to a {kind} that is not in {}; add it there, or correct the line",
        other.file
    );
}
