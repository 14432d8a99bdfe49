//! The history of a task in order: data from Iden and the journal, each attempt, and what happens next.

use bridgehead_sdk::{Code, TaskId};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::row::TaskRow;
use super::source::{Error, Source};
use bridgehead_bridge::{self as bridge, TaskStatus};
use bridgehead_store::{
    AttemptStep, Entry, Held, Outcome, Pause, Phase, ReportResult, RetainedOutcome, State,
};

/// The state of a task.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// The task has not been started.
    #[default]
    Waiting,
    /// The deprovision limit holds the task.
    Held,
    /// The task was started, and has no outcome yet.
    Begun,
    /// The task has an outcome that has not been reported yet.
    Decided,
    /// The outcome was reported to Iden.
    Reported,
    /// Iden rejected the report; it is set aside.
    Rejected,
    /// The task was resolved by another client.
    Elsewhere,
}

/// The history of a task. Contains no payload.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskStory {
    /// Iden's data about the task and its account.
    #[serde(flatten)]
    pub row: TaskRow,
    /// The task's state.
    pub standing: Standing,
    /// The number of attempts.
    pub attempts: u32,
    /// Whether an attempt has an unknown effect: it may have been applied, completely or in part.
    pub effect_unknown: bool,
    /// When the first call to the connector was about to be made.
    pub first_attempt_at: Option<Timestamp>,
    /// When the last call to the connector was about to be made.
    pub last_attempt_at: Option<Timestamp>,
    /// When an operator released the task, if it was held.
    pub released_at: Option<Timestamp>,
    /// The recorded steps in order; the newest two hundred.
    pub steps: Vec<AttemptStep>,
    /// `completed` or `failed`, once decided.
    pub outcome: Option<String>,
    /// `accepted`, `conflict`, `missing` or `rejected`, once Iden has responded to the report.
    pub report: Option<String>,
    /// When Iden responded.
    pub reported_at: Option<Timestamp>,
    /// When the task is retried, if known.
    pub next_try_at: Option<Timestamp>,
    /// What happens next, in a sentence.
    pub next: String,
    /// Why Iden could not be called.
    pub without_names: Option<String>,
}

/// What only a running daemon knows about a task.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// Whether it is being executed in this process.
    pub is_under_way: bool,
    /// When it is retried.
    pub next_try_at: Option<Timestamp>,
    /// Why it is not done yet. Not redacted.
    pub reason: Option<String>,
}

/// Returns the history of a task. `live` is the running daemon's data; `None` while none runs. Returns `None` if neither Iden nor the
/// journal knows the task.
pub async fn story(
    source: &Source<'_>,
    task: &TaskId,
    live: Option<Live>,
) -> Result<Option<TaskStory>, Error> {
    let mut story = TaskStory::default();
    let iden = match &source.bridge {
        Err(why) => {
            story.without_names = Some(why.clone());
            None
        }
        Ok(bridge) => match bridge.task(source.app, task).await {
            Ok(task) => Some(task),
            Err(bridge::Error::NotFound { from_bridge: true, .. }) => None,
            Err(error) => {
                story.without_names = Some(error.to_string());
                None
            }
        },
    };
    let (mut entry, mut held, mut pause) = (None, None, None);
    if let Some(journal) = source.journal {
        entry = journal.entry(&source.key, task).await?;
        // The following data does not exist in the state of an earlier version.
        held =
            journal.held(&source.key).await.unwrap_or_default().into_iter().find(|held| held.task == *task);
        story.steps = journal.attempts(&source.key, task).await.unwrap_or_default();
        pause = journal.paused(&source.key).await.unwrap_or_default();
    }
    if iden.is_none()
        && entry.is_none()
        && held.is_none()
        && story.steps.is_empty()
        && live.as_ref().is_none_or(|live| !live.is_under_way)
    {
        return match story.without_names {
            Some(why) => Err(Error::NoBridge(format!(
                "the journal does not know task {task} of {}, and Iden could not be asked: {why}",
                source.name
            ))),
            None => Ok(None),
        };
    }
    story.row = match &iden {
        Some(task) => TaskRow::of_task(source.name, task),
        None => TaskRow { app: source.name.to_owned(), task: task.to_string(), ..TaskRow::default() },
    };
    if let Some(held) = &held {
        (story.row.held_since, story.released_at) = (Some(held.held_at), held.released_at);
    }
    if let Some(entry) = &entry {
        story.tell(entry);
    }
    let is_resolved = iden.as_ref().is_some_and(|task| task.status.is_terminal());
    story.standing = standing(entry.as_ref(), held.as_ref(), is_resolved);
    let live_next = live.as_ref().and_then(|live| live.next_try_at);
    story.next_try_at = live_next.or_else(|| last_wait(&story.steps));
    if !matches!(story.standing, Standing::Begun | Standing::Waiting) {
        story.next_try_at = None;
    }
    let is_scheduled = iden.as_ref().is_some_and(|task| task.status == TaskStatus::Scheduled);
    story.next = next(source.name, &story, live.as_ref(), pause.as_ref(), is_scheduled);
    story.row.redact(source.redactor);
    for step in &mut story.steps {
        step.message = step.message.take().map(|text| source.redactor.redact(&text).into_owned());
    }
    story.next = source.redactor.redact(&story.next).into_owned();
    Ok(Some(story))
}

impl TaskStory {
    fn tell(&mut self, entry: &Entry) {
        self.row.action.get_or_insert_with(|| entry.action.clone());
        self.row.created_at = self.row.created_at.or(entry.created_at);
        self.row.add_failure(entry);
        self.attempts = entry.attempt;
        self.effect_unknown = entry.state == State::Intended && entry.may_have_applied;
        if entry.attempt > 0 {
            self.first_attempt_at = Some(entry.first_intent_at);
            self.last_attempt_at = Some(entry.last_intent_at);
        }
        self.outcome = match (&entry.state, &entry.kept) {
            (State::Decided(Outcome::Completed { .. }), _) | (_, Some(RetainedOutcome::Completed { .. })) => {
                Some("completed".to_owned())
            }
            (State::Decided(Outcome::Failed { .. }), _) | (_, Some(RetainedOutcome::Failed { .. })) => {
                Some("failed".to_owned())
            }
            _ => None,
        };
        if let State::Ended(ended) = &entry.state {
            self.reported_at = entry.ended_at;
            self.report = Some(report_name(ended).to_owned());
            if let ReportResult::Rejected { detail } = ended {
                self.row.detail = Some(detail.clone());
            }
        }
    }

    /// The code of the most recent error.
    pub fn last_code(&self) -> Option<Code> {
        self.steps.iter().rev().find_map(|step| step.code)
    }
}

/// The name of Iden's response to a report.
pub(crate) fn report_name(ended: &ReportResult) -> &'static str {
    match ended {
        ReportResult::Accepted => "accepted",
        ReportResult::Conflict => "conflict",
        ReportResult::Missing => "missing",
        ReportResult::Rejected { .. } => "rejected",
    }
}

fn standing(entry: Option<&Entry>, held: Option<&Held>, is_resolved: bool) -> Standing {
    match entry.map(|entry| &entry.state) {
        Some(State::Intended) => Standing::Begun,
        Some(State::Decided(_)) => Standing::Decided,
        Some(State::Ended(ReportResult::Rejected { .. })) => Standing::Rejected,
        Some(State::Ended(_)) => Standing::Reported,
        None if is_resolved => Standing::Elsewhere,
        None if held.is_some_and(|held| held.released_at.is_none()) => Standing::Held,
        None => Standing::Waiting,
    }
}

/// When the task continues, if the last step is a wait.
fn last_wait(steps: &[AttemptStep]) -> Option<Timestamp> {
    steps.last().filter(|step| step.phase == Phase::Wait).and_then(|step| step.next_try_at)
}

fn next(
    app: &str,
    story: &TaskStory,
    live: Option<&Live>,
    pause: Option<&Pause>,
    is_scheduled: bool,
) -> String {
    let id = &story.row.task;
    let unknown = if story.effect_unknown {
        format!(
            " An attempt may have taken effect. If you know the result, record it with `bridgehead tasks resolve {app} {id}`."
        )
    } else {
        String::new()
    };
    match story.standing {
        Standing::Held => format!(
            "Nothing until you release it with `bridgehead tasks release {app} {id}`, or it is cancelled in Iden."
        ),
        Standing::Rejected => {
            format!("Nothing until you report it again with `bridgehead tasks retry {app} {id}`.")
        }
        Standing::Reported | Standing::Elsewhere => "Nothing: it is resolved.".to_owned(),
        Standing::Decided if live.is_some() => "The outcome is being reported to Iden.".to_owned(),
        Standing::Decided => "The outcome is reported to Iden when the daemon runs.".to_owned(),
        Standing::Waiting if pause.is_some() => {
            format!("Nothing until you resume the app with `bridgehead apps resume {app}`.")
        }
        Standing::Begun | Standing::Waiting => match (live, story.next_try_at) {
            (None, _) if story.standing == Standing::Begun => {
                format!(
                    "The daemon is not running. At its next start it looks up the result of the last attempt.{unknown}"
                )
            }
            (None, _) => "The daemon is not running. It executes the task after its next start.".to_owned(),
            (Some(_), Some(at)) => format!(
                "It is retried at {}, or now with `bridgehead tasks retry {app} {id}`.{unknown}",
                seconds(at)
            ),
            (Some(live), None) => match &live.reason {
                Some(reason) => format!("It is running; so far: {reason}.{unknown}"),
                None if live.is_under_way => "It is running.".to_owned(),
                None if is_scheduled => "It is executed at its scheduled time.".to_owned(),
                None => "It is next in the queue, or waits for tasks before it.".to_owned(),
            },
        },
    }
}

fn seconds(at: Timestamp) -> Timestamp {
    at.round(jiff::Unit::Second).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn said(story: &TaskStory, live: Option<&Live>, pause: Option<&Pause>) -> String {
        next("hr", story, live, pause, false)
    }

    #[test]
    fn every_task_state_explains_what_happens_next() {
        let row = TaskRow { task: "t1".to_owned(), ..TaskRow::default() };
        let of = |standing| TaskStory { row: row.clone(), standing, ..TaskStory::default() };
        let live = Live { is_under_way: true, ..Live::default() };
        let pause = Pause { since: at(1), by: "ann".to_owned(), reason: None };
        assert!(said(&of(Standing::Held), Some(&live), None).contains("tasks release hr t1"));
        assert!(said(&of(Standing::Rejected), Some(&live), None).contains("tasks retry hr t1"));
        assert!(said(&of(Standing::Waiting), Some(&live), Some(&pause)).contains("apps resume hr"));
        assert!(said(&of(Standing::Begun), None, None).contains("is not running"));
        assert!(
            !said(&of(Standing::Begun), Some(&live), Some(&pause)).contains("resume"),
            "what runs is finished"
        );
        let again = TaskStory { next_try_at: Some(at(60)), effect_unknown: true, ..of(Standing::Begun) };
        let text = said(&again, Some(&live), None);
        assert!(text.contains("1970-01-01T00:01:00Z") && text.contains("tasks resolve hr t1"), "{text}");
    }

    #[test]
    fn ended_wait_has_no_next_attempt() {
        let step = |phase, next_try_at| AttemptStep {
            attempt: 1,
            phase,
            began_at: at(1),
            ended_at: None,
            code: None,
            message: None,
            next_try_at,
        };
        let wait = step(Phase::Wait, Some(at(9)));
        assert_eq!(last_wait(std::slice::from_ref(&wait)), Some(at(9)));
        assert_eq!(last_wait(&[wait, step(Phase::Execute, None)]), None);
    }
}
