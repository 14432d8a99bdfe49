//! What an operator can do on the page.
//!
//! An [`Action`] first says what would happen to whom, and then does exactly that: what it was confirmed with comes back with the
//! form, and is compared with how things stand by then. A further action is one more line in [`Actions::of`].

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

/// So many people are named before an action; the list has all of them.
const NAMED: usize = 100;

/// What actions work on.
#[derive(Clone)]
pub(crate) struct Operator {
    pub(crate) runtime: Arc<Runtime>,
    /// What can be done to tasks, syncs and apps: the same as on the command line, and recorded in the audit log.
    orders: Orders,
    /// The facts about the daemon as they are now, with the client that the apps use.
    current: Current,
    /// Ends what continues behind an answer.
    pub(crate) stop: CancellationToken,
    /// What continues behind an answer.
    pub(crate) background: TaskTracker,
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Operator").field("background", &self.background.len()).finish_non_exhaustive()
    }
}

impl Operator {
    pub(crate) fn new(runtime: Arc<Runtime>, current: Current, stop: &CancellationToken) -> Self {
        let orders = Orders::new(Arc::clone(&runtime));
        Self { runtime, orders, current, stop: stop.child_token(), background: TaskTracker::new() }
    }

    /// The client that the apps use, since the last reload.
    pub(super) fn bridge(&self) -> Arc<dyn Api> {
        Arc::clone(&self.current.get().bridge)
    }

    /// Ends what continues behind answers, and waits for it.
    pub(crate) async fn close(&self) {
        self.stop.cancel();
        self.background.close();
        self.background.wait().await;
    }

    /// Tasks of an app, at most so many.
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

    /// The story of a task. `None` if neither Iden nor the journal knows it.
    pub(super) async fn story(&self, app: &str, task: &TaskId) -> Result<Option<TaskStory>, Refusal> {
        let (bridge, inspected) = (self.bridge(), self.runtime.inspected(app).ok_or(Refusal::NoSuchApp)?);
        let story = inspected.task_story(&*bridge, task).await;
        story.map_err(|error| Refusal::Failed(error.to_string()))
    }
}

/// Something that an operator can do.
#[async_trait]
pub(crate) trait Action: Send + Sync {
    /// Its name in paths and in the log.
    fn name(&self) -> &'static str;

    /// What its button says.
    fn label(&self) -> &'static str;

    /// What would happen to whom. Changes nothing.
    async fn confirm(&self, operator: &Operator, app: &str, fields: &Fields)
    -> Result<Confirmation, Refusal>;

    /// Does what was confirmed, and returns the result. `fields` are those of the confirmation.
    async fn perform(&self, operator: &Operator, app: &str, fields: &Fields) -> Result<String, Refusal>;
}

/// What would happen to whom.
#[derive(Debug, Default)]
pub(crate) struct Confirmation {
    /// A question.
    pub(crate) question: String,
    /// What to know before one answers.
    pub(crate) notes: Vec<String>,
    /// To whom.
    pub(crate) people: Option<People>,
    /// What is asked beside yes or no.
    pub(crate) inputs: Vec<Input>,
    /// What comes back with the form.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// What the button says.
    pub(crate) verb: String,
    /// Whether access is lost.
    pub(crate) is_destructive: bool,
}

/// Something to fill in.
#[derive(Debug, Serialize)]
pub(crate) struct Input {
    pub(crate) name: &'static str,
    pub(crate) label: &'static str,
    pub(crate) hint: &'static str,
    /// Values to choose one of, with their labels; a line of text if there are none.
    pub(crate) choices: Vec<(&'static str, &'static str)>,
    pub(crate) is_required: bool,
    /// The most characters of a text.
    pub(crate) longest: usize,
}

impl Input {
    /// Why something is done, in a line of text.
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

/// To whom.
#[derive(Debug, Default)]
pub(crate) struct People {
    pub(crate) heading: String,
    pub(crate) columns: Vec<&'static str>,
    pub(crate) rows: Vec<Vec<String>>,
    /// How many there are beside those.
    pub(crate) more: u64,
}

/// Why an action cannot be done.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The running daemon does not have this app.
    NoSuchApp,
    /// There is nothing to which it applies.
    Nothing(String),
    /// What was confirmed is not so any more.
    Changed(String),
    /// It was tried, or could not be.
    Failed(String),
}

impl Refusal {
    pub(super) fn message(&self) -> String {
        match self {
            Self::NoSuchApp => {
                "The running daemon has no such app. If it was added to the configuration, reload it with `bridgehead reload`.".into()
            }
            Self::Nothing(what) | Self::Changed(what) | Self::Failed(what) => what.clone(),
        }
    }
}

impl From<orders::Error> for Refusal {
    fn from(error: orders::Error) -> Self {
        match error {
            orders::Error::UnknownApp(_) => Self::NoSuchApp,
            error @ orders::Error::NotResolvable { .. } => Self::Changed(error.to_string()),
            error => Self::Failed(error.to_string()),
        }
    }
}

/// All that can be done, by name.
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

/// The chosen ones of a list, each once, in the list's order; and whether all of those chosen are there.
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

/// Whether the list is the one that was confirmed.
fn same(rows: &[TaskRow], fields: &Fields) -> Result<(), Refusal> {
    if fields.get("digest") == Some(&*digest(rows)) {
        return Ok(());
    }
    Err(Refusal::Changed(
        "The list has changed since you looked. Nothing was done. Look at it again.".to_owned(),
    ))
}

/// Who they are, for a confirmation.
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

/// What the form brings back, so that what is done is what was confirmed.
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
    fn what_is_done_is_what_was_confirmed() {
        let shown = rows(&["a", "b"]);
        let fields = Fields::of([("all", "1"), ("digest", &digest(&shown))]);
        assert!(same(&shown, &fields).is_ok());
        for other in [rows(&["a"]), rows(&["a", "b", "c"]), rows(&["a", "x"]), rows(&["ab"])] {
            assert!(matches!(same(&other, &fields), Err(Refusal::Changed(_))), "{other:?}");
        }
        assert!(same(&shown, &Fields::of([("all", "1")])).is_err(), "without a digest nothing was confirmed");
    }

    #[test]
    fn a_choice_is_whole_or_refused() {
        let fields = Fields::of([("task", "b"), ("task", "b"), ("task", "a")]);
        let picked = chosen(rows(&["a", "b", "c"]), &fields).unwrap();
        assert_eq!(picked.iter().map(|row| &*row.task).collect::<Vec<_>>(), ["a", "b"]);
        assert!(matches!(chosen(rows(&["a"]), &fields), Err(Refusal::Changed(_))));
    }

    #[test]
    fn actions_have_names_of_their_own_and_numbers_their_nouns() {
        assert_eq!(Actions::of().0.len(), 9);
        let said = [count(1, "task"), count(0, "task"), count(2, "loss of access")];
        assert_eq!(said, ["1 task", "0 tasks", "2 losses of access"]);
    }
}
