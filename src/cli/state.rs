//! `bridgehead state backup | restore | inspect | migrate`.

use bridgehead_sdk::counted;
use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde::Serialize;

use super::args::{Global, State};
use super::confirm;
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::place::{self, Place};
use super::{daemon, logging, migrate, print};
use bridgehead_bridge::Api;
use bridgehead_config::Connectors;
use bridgehead_runtime::sync::is_current;
use bridgehead_store::postgres::Postgres;
use bridgehead_store::{self as journal, AppKey, IdenTime, Sqlite, StateStore};

pub(crate) async fn run(global: &Global, connectors: &Connectors, command: State) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    match command {
        State::Backup { to } => back_up(global, &context, &to).await,
        State::Restore { from, yes } => restore(global, &context, &from, yes).await,
        State::Inspect { folder } => {
            let place = folder.map_or_else(|| context.place(), |folder| Ok(Place::Folder(folder)))?;
            let seen = inspect(&names(&context), &place).await?;
            if global.json {
                print::json(&seen);
            } else {
                print::line(text(&seen));
            }
            Ok(())
        }
        State::Migrate { to } => migrate::run(global, &context, to).await,
    }
}

/// Backups of a database are its own tools' business.
fn in_a_folder(context: &Context, instead: &str) -> Result<(), Failure> {
    match context.place()? {
        Place::Folder(_) => Ok(()),
        place @ Place::Database(_) => {
            let message = format!("The state is in {place} (state.url): {instead}");
            Err(Failure::new(Exit::Usage, message))
        }
    }
}

async fn back_up(global: &Global, context: &Context, to: &Path) -> Outcome {
    in_a_folder(context, "back it up with PostgreSQL's own tools, such as pg_dump or continuous archiving.")?;
    let folder = place::folder(context);
    let Some(backup) = journal::back_up(folder, to).await? else {
        daemon::no_journal(&context.place()?);
        return Err(Failure::new(Exit::Failed, "There is nothing to back up."));
    };
    if global.json {
        print::json(&serde_json::json!({ "made_at": backup.made_at, "folder": to }));
    } else {
        print::line(format!(
            "The state of {:.0} is in {}. Keep it where only you can read it.",
            backup.made_at,
            to.display()
        ));
    }
    Ok(())
}

async fn restore(global: &Global, context: &Context, from: &Path, yes: bool) -> Outcome {
    in_a_folder(
        context,
        "stop all nodes and restore it with PostgreSQL's own tools, such as pg_restore; the nodes detect that it is an old copy when they start (see docs/operator/postgresql.md for nodes with a new folder).",
    )?;
    let folder = place::folder(context);
    let backup = journal::read_backup(from)?;
    // The restore itself takes the lock; this is reported before asking for confirmation.
    if daemon::connect(context).await?.is_some() {
        let message = format!("a daemon is using {}; stop it before you restore the state", folder.display());
        return Err(Failure::new(Exit::Temporary, message));
    }
    if !yes {
        let question = format!(
            "The state in {} is replaced by the one of {:.0}. Type \"yes\" to restore it: ",
            folder.display(),
            backup.made_at
        );
        if !confirm::is_possible() {
            let message = format!("{question} There is no terminal to answer on: use --yes.");
            return Err(Failure::new(Exit::Usage, message));
        }
        if !confirm::by_typing(&question, "yes") {
            return Err(Failure::new(Exit::Failed, "Nothing was changed."));
        }
    }
    let restored = journal::restore(from, folder).await?;
    let seen = inspect(&names(context), &Place::Folder(folder.to_owned())).await?;
    let syncs = meaning_for_syncs(context, &seen).await;
    if global.json {
        print::json(&serde_json::json!({
            "made_at": restored.backup.made_at,
            "tasks_looked_up_until": restored.until,
            "replaced": restored.replaced,
            "syncs": syncs,
        }));
        return Ok(());
    }
    let mut lines =
        vec![format!("The state of {:.0} is back in {}.", restored.backup.made_at, folder.display())];
    if let Some(replaced) = &restored.replaced {
        lines.push(format!(
            "What it has replaced is in {}; remove that once everything works.",
            replaced.display()
        ));
    }
    lines.push(format!(
        "Tasks: what was done since {:.0} is unknown here. Each task that Iden made before {:.0} and still has is looked up in the target before its first attempt, and a task that was completed is not done again. The limit on deletions and suspensions (tasks.guard) counts only what this state knows, and a task that was released since is held again.",
        restored.backup.made_at, restored.until
    ));
    for (app, meaning) in syncs {
        lines.push(format!("Syncs of {app}: {meaning}"));
    }
    print::line(lines.join("\n"));
    Ok(())
}

/// What the next sync of each app will do, by the sync's own rule and the last sync according to Iden.
async fn meaning_for_syncs(context: &Context, seen: &Inspected) -> BTreeMap<String, String> {
    let apps = match context.bridge() {
        Ok(bridge) => bridge.list_apps().await.ok(),
        Err(_) => None,
    };
    let meaning = |(name, app): (&String, &bridgehead_config::App)| {
        let here = seen.apps.get(name).and_then(|app| app.last_sync.zip(Some(app.iden_time)));
        let id = bridgehead_bridge::AppId::from(app.app_id);
        // An app that Iden does not list has no information.
        let iden = apps.as_ref().and_then(|apps| apps.iter().find(|one| one.id == id));
        let iden = iden.map_or(Iden::Silent, |app| app.last_synced_at.map_or(Iden::Never, Iden::At));
        (name.clone(), meaning_of(name, here, iden))
    };
    context.config.apps.iter().map(meaning).collect()
}

/// Iden's information about the last sync of an app.
#[derive(Clone, Copy)]
enum Iden {
    /// None: Iden could not be reached, or does not list the app.
    Silent,
    /// It was never synced.
    Never,
    /// It was last synced at this time.
    At(Timestamp),
}

/// `here` is the last sync in this state, with Iden's time of it.
fn meaning_of(name: &str, here: Option<(Timestamp, IdenTime)>, iden: Iden) -> String {
    let held = format!(
        "the next sync is held, and nothing is removed, until you allow it: `bridgehead sync {name} --allow-removals`"
    );
    match (here, iden) {
        (None, _) => format!("this state has no completed sync. If Iden has one, {held}."),
        (Some((at, _)), Iden::Silent) => {
            format!(
                "the last one in this state is that of {at}. Iden does not say now when it was last synced; if it has a later one, {held}."
            )
        }
        (Some((at, known)), Iden::At(said)) if !is_current(known, at, said) => {
            format!("the last one in this state is that of {at}, but Iden has a later one ({said}): {held}.")
        }
        (Some((at, _)), Iden::At(_) | Iden::Never) => {
            format!(
                "the last one in this state is that of {at}, and Iden has none after it: they continue as before."
            )
        }
    }
}

/// The content of a state folder, without names and secrets.
#[derive(Debug, Serialize)]
pub(super) struct Inspected {
    folder: String,
    /// The database that has the state instead of the folder; `files` are its tables then.
    #[serde(skip_serializing_if = "Option::is_none")]
    database: Option<String>,
    /// When the backup was made, if it is one.
    backup_of: Option<Timestamp>,
    /// When the last backup of it was made.
    last_backup: Option<Timestamp>,
    /// The sizes of its files, in bytes.
    files: BTreeMap<String, u64>,
    /// By the name in the configuration, or by id.
    apps: BTreeMap<String, InspectedApp>,
}

#[derive(Debug, Serialize)]
struct InspectedApp {
    app_id: String,
    /// Tasks by result.
    tasks: journal::Counts,
    held: usize,
    /// Why the journal may lack tasks, if it may.
    doubt: Option<String>,
    last_sync: Option<Timestamp>,
    /// Iden's time of that sync.
    #[serde(skip)]
    iden_time: IdenTime,
    /// How many records the last completed sync had, by type.
    records: BTreeMap<String, u64>,
    /// The result of the last sync.
    last_run: Option<String>,
}

/// The names of the configured apps.
pub(super) fn names(context: &Context) -> BTreeMap<AppKey, String> {
    context.config.apps.iter().map(|(name, app)| (AppKey::from(app.app_id), name.clone())).collect()
}

/// What is in a folder or a database. Apps without a name are called by their id.
pub(super) async fn inspect(names: &BTreeMap<AppKey, String>, place: &Place) -> Result<Inspected, Failure> {
    let unreadable = || {
        let message = format!(
            "There is no state in {place}, or it must be opened by the daemon once before it can be read."
        );
        Failure::new(Exit::Failed, message)
    };
    match place {
        Place::Folder(folder) => {
            let state = Sqlite::read_only(folder).await?.ok_or_else(unreadable)?;
            let apps = inspect_apps(names, &state).await?;
            state.close().await;
            let files = std::fs::read_dir(folder).into_iter().flatten().flatten();
            let files = files.filter_map(|file| {
                let found = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
                Some((file.file_name().to_string_lossy().into_owned(), found.len()))
            });
            Ok(Inspected {
                folder: folder.display().to_string(),
                database: None,
                backup_of: journal::read_backup(folder).ok().map(|backup| backup.made_at),
                last_backup: journal::last_backup(folder),
                files: files.collect(),
                apps,
            })
        }
        Place::Database(settings) => {
            let state = Postgres::read_only(settings).await?.ok_or_else(unreadable)?;
            let apps = inspect_apps(names, &state).await?;
            let files = state.sizes().await?;
            state.close().await;
            let folder = settings.folder.as_deref().unwrap_or(Path::new(""));
            Ok(Inspected {
                folder: folder.display().to_string(),
                database: Some(settings.address.to_string()),
                backup_of: None,
                last_backup: None,
                files,
                apps,
            })
        }
    }
}

async fn inspect_apps(
    names: &BTreeMap<AppKey, String>,
    state: &dyn StateStore,
) -> Result<BTreeMap<String, InspectedApp>, Failure> {
    let mut apps = BTreeMap::new();
    let mut keys: BTreeMap<AppKey, String> =
        state.known_apps().await?.into_iter().map(|key| (key.clone(), key.to_string())).collect();
    keys.extend(names.clone());
    for (key, name) in keys {
        let last = state.last(&key).await?;
        let run = state.runs(&key, 1).await?.into_iter().next();
        let doubt = state.doubted(&key).await?.filter(|doubt| !doubt.is_question());
        let app = InspectedApp {
            app_id: key.to_string(),
            tasks: state.counts(&key).await?,
            held: state.held(&key).await?.iter().filter(|held| held.released_at.is_none()).count(),
            doubt: doubt.map(|doubt| format!("{} (tasks made before {:.0})", doubt.reason, doubt.until)),
            last_sync: last.as_ref().map(|last| last.at),
            iden_time: state.iden_time(&key).await?,
            records: last.map(|last| last.counts).unwrap_or_default(),
            last_run: run.map(|run| format!("{} at {:.0}", run.result.as_str(), run.started_at)),
        };
        apps.insert(name, app);
    }
    Ok(apps)
}

fn text(seen: &Inspected) -> String {
    let mut lines = vec![match (seen.backup_of, seen.last_backup) {
        _ if seen.database.is_some() => {
            format!("the database {}", seen.database.as_deref().unwrap_or_default())
        }
        (Some(at), _) => format!("{}: a backup of {at:.0}", seen.folder),
        (None, Some(at)) => format!("{}: last backup {at:.0}", seen.folder),
        (None, None) => format!("{}: no backup was made of it", seen.folder),
    }];
    let bytes: u64 = seen.files.values().sum();
    let (one, many) = if seen.database.is_some() { ("table", "tables") } else { ("file", "files") };
    lines.push(format!("  {}, {} KiB", counted(seen.files.len(), one, many), bytes.div_ceil(1024)));
    for (name, app) in &seen.apps {
        let tasks = &app.tasks;
        let ended = tasks.ended_accepted + tasks.ended_conflict + tasks.ended_missing;
        lines.push(format!("{name} ({})", app.app_id));
        lines.push(format!(
            "  tasks: {} started, {} to be reported, {ended} ended, {} rejected by Iden, {} held",
            tasks.intended, tasks.decided, tasks.rejected, app.held
        ));
        let records =
            app.records.iter().map(|(slug, count)| format!("{count} {slug}")).collect::<Vec<_>>().join(", ");
        lines.push(match app.last_sync {
            Some(at) => format!("  last completed sync: {at:.0} with {records}"),
            None => "  last completed sync: none".to_owned(),
        });
        lines.extend(app.last_run.iter().map(|run| format!("  last sync: {run}")));
        lines.extend(app.doubt.iter().map(|doubt| format!("  in doubt: {doubt}")));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn restore_predicts_the_next_sync() {
        let at = |time: &str| format!("2026-03-01T{time}Z").parse::<Timestamp>().unwrap();
        let known = IdenTime { synced_at: Some(at("10:00:05")), pending_since: None };
        let here = Some((at("10:00:00"), known));
        let said = |here, iden| meaning_of("hr", here, iden);
        // Half an hour later is a different sync, however much the clocks differ: Iden's own time of this sync is known.
        let later = said(here, Iden::At(at("10:30:00")));
        assert!(
            later.contains("Iden has a later one") && later.contains("sync hr --allow-removals"),
            "{later}"
        );
        assert!(said(here, Iden::At(at("10:00:05"))).contains("they continue as before"));
        assert!(said(here, Iden::Silent).contains("does not say now"));
        assert!(said(None, Iden::Never).contains("no completed sync"));
    }
}
