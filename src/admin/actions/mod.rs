//! The actions of operators on the page.
//!
//! An [`Action`] first says what would happen to which records, and then does exactly that: the form returns what was confirmed, and it is
//! compared with the current state. A new action needs one more line in [`Actions::of`].

mod pause;
mod resolve;
mod retry;
mod sync;
mod tasks;

pub(super) use self::sync::{losers, lost};

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::query::Fields;
use crate::control::Current;
use bridgehead_bridge::Api;
use bridgehead_runtime::Runtime;
use bridgehead_runtime::actions::{self as orders, Actions as Orders};
use bridgehead_runtime::inspection::{ListingEnd, TaskRow, TaskStory, Which};
use bridgehead_sdk::TaskId;

/// The maximum number of records that a confirmation lists; the task list has all.
const NAMED: usize = 100;

/// What actions have access to.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) runtime: Arc<Runtime>,
    /// Commands for tasks, syncs and apps: the same as on the command line, and recorded in the audit log.
    orders: Orders,
    /// The current facts about the daemon, with the client that the apps use.
    current: Current,
    /// Stops work that continues after a response.
    pub(crate) stop: CancellationToken,
    /// Work that continues after a response.
    pub(crate) background: TaskTracker,
    /// Actions that were confirmed. They end even if nobody waits for their responses.
    pub(super) performing: TaskTracker,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("background", &self.background.len()).finish_non_exhaustive()
    }
}

impl Operator {
    pub(crate) fn new(runtime: Arc<Runtime>, current: Current, stop: &CancellationToken) -> Self {
        let orders = Orders::new(Arc::clone(&runtime));
        let (stop, background, performing) = (stop.child_token(), TaskTracker::new(), TaskTracker::new());
        Self { runtime, orders, current, stop, background, performing }
    }

    /// The client that the apps use since the last reload.
    pub(super) fn bridge(&self) -> Arc<dyn Api> {
        Arc::clone(&self.current.get().bridge)
    }

    /// Stops the work that continues after responses, and waits for its end and that of the confirmed actions.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.performing.close();
        self.performing.wait().await;
        self.background.close();
        self.background.wait().await;
    }

    /// Lists an app's tasks, up to a limit.
    pub(super) async fn list(
        &self,
        app: &str,
        which: Which,
        limit: Option<u64>,
    ) -> Result<(Vec<TaskRow>, ListingEnd), Refusal> {
        let failed = |error: bridgehead_runtime::inspection::Error| Refusal::Failed(error.to_string());
        let (bridge, inspected) = (self.bridge(), self.runtime.inspected(app).ok_or(Refusal::NoSuchApp)?);
        let mut listing = inspected.list_tasks(&*bridge, which, limit).await.map_err(failed)?;
        let mut all = Vec::new();
        while let Some(mut rows) = listing.next().await.map_err(failed)? {
            all.append(&mut rows);
        }
        Ok((all, listing.end()))
    }

    /// The history of a task. `None` if neither Iden nor the journal knows it.
    pub(super) async fn story(&self, app: &str, task: &TaskId) -> Result<Option<TaskStory>, Refusal> {
        let (bridge, inspected) = (self.bridge(), self.runtime.inspected(app).ok_or(Refusal::NoSuchApp)?);
        let story = inspected.task_story(&*bridge, task).await;
        story.map_err(|error| Refusal::Failed(error.to_string()))
    }
}

/// An action of an operator.
#[async_trait]
pub(crate) trait Action: Send + Sync {
    /// Its name in paths and in the log.
    fn name(&self) -> &'static str;

    /// The text of its button.
    fn label(&self) -> &'static str;

    /// Describes what would happen to which records. Changes nothing.
    async fn confirm(&self, operator: &Operator, app: &str, fields: &Fields)
    -> Result<Confirmation, Refusal>;

    /// Executes what was confirmed, and returns the result. `fields` come from the confirmation.
    async fn perform(&self, operator: &Operator, app: &str, fields: &Fields) -> Result<String, Refusal>;
}

/// What would happen, and to which records.
#[derive(Debug, Default)]
pub(crate) struct Confirmation {
    /// The question to confirm.
    pub(crate) question: String,
    /// What the operator should know before answering.
    pub(crate) notes: Vec<String>,
    /// The affected records.
    pub(crate) people: Option<People>,
    /// Inputs in addition to yes or no.
    pub(crate) inputs: Vec<Input>,
    /// Hidden fields that the form returns.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// The text of the button.
    pub(crate) verb: String,
    /// Whether accounts lose access.
    pub(crate) is_destructive: bool,
}

/// An input field of a form.
#[derive(Debug, Serialize)]
pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    /// The choices with their labels; a line of text if there are none.
    pub(crate) choices: Vec<(&'static str, &'static str)>,
    pub(crate) is_required: bool,
    /// The maximum length of the text, in characters.
    pub(crate) longest: usize,
}

impl Input {
    /// An input for the reason, as a line of text.
    fn reason(hint: &'static str, is_required: bool) -> Self {
        Self {
            name: "reason",
            label: "Reason",
            hint,
            choices: Vec::new(),
            is_required,
            longest: orders::LONGEST_REASON,
        }
    }
}

/// A table of affected records.
#[derive(Debug, Default)]
pub(crate) struct People {
    pub(crate) heading: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    /// How many there are in addition to those.
    pub(crate) more: u64,
}

/// Why an action cannot be executed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The running daemon does not have this app.
    NoSuchApp,
    /// There is nothing to which the action applies.
    Nothing(String),
    /// The state has changed since the confirmation.
    Changed(String),
    /// The form is incomplete or invalid.
    Invalid(String),
    /// It failed, or could not be started.
    Failed(String),
}

impl Refusal {
    pub(super) fn message(&self) -> String {
        match self {
            Self::NoSuchApp => {
                "The running daemon has no such app. If it was added to the configuration, reload it with `bridgehead reload`.".into()
            }
            Self::Nothing(what) | Self::Changed(what) | Self::Invalid(what) | Self::Failed(what) => what.clone(),
        }
    }
}

impl From<orders::Error> for Refusal {
    fn from(error: orders::Error) -> Self {
        // Another node may run the app, so the code decides.
        match error.code() {
            "unknown_app" => Self::NoSuchApp,
            "not_resolvable" | "paused" => Self::Changed(error.to_string()),
            "reason" => Self::Invalid(format!("{error}. Nothing was done.")),
            _ => Self::Failed(error.to_string()),
        }
    }
}

/// All actions by name.
pub(crate) struct Actions(BTreeMap<&'static str, Box<dyn Action>>);

impl Actions {
    pub(super) fn of() -> Self {
        let all: [Box<dyn Action>; 9] = [
            Box::new(tasks::Release),
            Box::new(retry::Retry),
            Box::new(resolve::Resolve),
            Box::new(pause::Pause),
            Box::new(pause::Resume),
            Box::new(sync::Start { dry_run: false }),
            Box::new(sync::Start { dry_run: true }),
            Box::new(sync::Cancel),
            Box::new(sync::Allow),
        ];
        Self(all.into_iter().map(|action| (action.name(), action)).collect())
    }

    pub(super) fn get(&self, name: &str) -> Option<&dyn Action> {
        self.0.get(name).map(|action| &**action)
    }
}

impl std::fmt::Debug for Actions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The selected tasks of a list, without duplicates, in the list's order; an error if one is missing.
fn chosen(all: Vec<TaskRow>, fields: &Fields) -> Result<Vec<TaskRow>, Refusal> {
    if fields.get("all").is_some() {
        return Ok(all);
    }
    let wanted: std::collections::BTreeSet<&str> = fields.every("task").collect();
    let rows: Vec<TaskRow> = all.into_iter().filter(|row| wanted.contains(row.task.as_str())).collect();
    if rows.len() < wanted.len() {
        let gone = wanted.len() - rows.len();
        return Err(Refusal::Changed(format!(
            "{gone} of the {} chosen tasks are not in the list any more. Nothing was done. Look at the list again.",
            wanted.len()
        )));
    }
    Ok(rows)
}

/// A digest of exactly these tasks.
fn digest(rows: &[TaskRow]) -> String {
    let mut hasher = xxhash_rust::xxh3::Xxh3::new();
    for row in rows {
        hasher.update(&(row.task.len() as u64).to_le_bytes());
        hasher.update(row.task.as_bytes());
    }
    format!("{:016x}-{}", hasher.digest(), rows.len())
}

/// Checks that the list is the one that was confirmed.
fn same(rows: &[TaskRow], fields: &Fields) -> Result<(), Refusal> {
    if fields.get("digest") == Some(&*digest(rows)) {
        return Ok(());
    }
    Err(Refusal::Changed(
        "The list has changed since you looked. Nothing was done. Look at it again.".to_owned(),
    ))
}

/// The accounts of tasks, for a confirmation.
fn people(rows: &[TaskRow], heading: String) -> People {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let row = |row: &TaskRow| {
        let name = row.display_name.clone().or_else(|| row.username.clone()).unwrap_or_default();
        vec![text(&row.action), name, text(&row.email), text(&row.account), row.task.clone()]
    };
    People {
        heading,
        columns: vec!["Action", "Name", "Email", "Account", "Task"],
        rows: rows.iter().take(NAMED).map(row).collect(),
        more: rows.len().saturating_sub(NAMED) as u64,
    }
}

/// The hidden fields that bind the form to the tasks that were confirmed.
fn bound(rows: &[TaskRow], fields: &Fields) -> Vec<(&'static str, String)> {
    let mut bound = vec![("digest", digest(rows))];
    if fields.get("all").is_some() {
        bound.push(("all", "1".to_owned()));
    } else {
        bound.extend(rows.iter().map(|row| ("task", row.task.clone())));
    }
    bound
}

/// "1 task", "3 tasks".
fn count(number: usize, noun: &str) -> String {
    match (number, noun.strip_prefix("loss ")) {
        (1, _) => format!("1 {noun}"),
        (_, Some(rest)) => format!("{number} losses {rest}"),
        _ => format!("{number} {noun}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Vec<TaskRow> {
        names.iter().map(|name| TaskRow { task: (*name).to_owned(), ..TaskRow::default() }).collect()
    }

    #[test]
    fn only_the_confirmed_selection_is_executed() {
        let shown = rows(&["a", "b"]);
        let fields = Fields::of([("all", "1"), ("digest", &digest(&shown))]);
        assert!(same(&shown, &fields).is_ok());
        for other in [rows(&["a"]), rows(&["a", "b", "c"]), rows(&["a", "x"]), rows(&["ab"])] {
            assert!(matches!(same(&other, &fields), Err(Refusal::Changed(_))), "{other:?}");
        }
        assert!(same(&shown, &Fields::of([("all", "1")])).is_err(), "without a digest nothing was confirmed");
    }

    #[test]
    fn selection_is_complete_or_refused() {
        let fields = Fields::of([("task", "b"), ("task", "b"), ("task", "a")]);
        let picked = chosen(rows(&["a", "b", "c"]), &fields).unwrap();
        assert_eq!(picked.iter().map(|row| &*row.task).collect::<Vec<_>>(), ["a", "b"]);
        assert!(matches!(chosen(rows(&["a"]), &fields), Err(Refusal::Changed(_))));
    }

    #[test]
    fn actions_are_distinct_and_counts_are_pluralized() {
        assert_eq!(Actions::of().0.len(), 9);
        let said = [count(1, "task"), count(0, "task"), count(2, "loss of access")];
        assert_eq!(said, ["1 task", "0 tasks", "2 losses of access"]);
    }
}
