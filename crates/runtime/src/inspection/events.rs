//! The history of a task as lines for the command line and the page.

use jiff::Timestamp;

use super::story::TaskStory;
use bridgehead_store::{AttemptStep, Phase};

/// An event in the history of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskEvent {
    /// When it started.
    pub at: Timestamp,
    /// A description of the event.
    pub what: String,
    /// The standard error code, if there was an error.
    pub code: Option<String>,
    /// The message of the target or Iden. It may name the account.
    pub message: Option<String>,
}

impl TaskEvent {
    fn new(at: Timestamp, what: impl Into<String>) -> Self {
        Self { at, what: what.into(), code: None, message: None }
    }

    /// Formats the event as one line, without its time.
    pub fn line(&self) -> String {
        let code = self.code.as_ref().map_or_else(String::new, |code| format!(", {code}"));
        let message = self.message.as_ref().map_or_else(String::new, |message| format!(": {message}"));
        format!("{}{code}{message}", self.what)
    }
}

impl TaskStory {
    /// The events in order. `time` formats the time of the next attempt.
    pub fn events(&self, time: impl Fn(Timestamp) -> String) -> Vec<TaskEvent> {
        let milestones = [
            (self.row.created_at, "Iden created the task"),
            (self.row.held_since, "held by the guard on deletions and suspensions"),
            (self.released_at, "released by an operator"),
        ];
        let milestones = milestones.into_iter().filter_map(|(at, what)| Some(TaskEvent::new(at?, what)));
        let steps = self.steps.iter().map(|step| event(step, &time));
        let report = self.reported_at.map(|at| report(self, at));
        let mut events: Vec<TaskEvent> = milestones.chain(steps).chain(report).collect();
        // The sort is stable: events with equal times keep their order.
        events.sort_by_key(|event| event.at);
        events
    }
}

fn event(step: &AttemptStep, time: &impl Fn(Timestamp) -> String) -> TaskEvent {
    let attempt = step.attempt;
    let what = match step.phase {
        Phase::Fetch => "fetched from Iden".to_owned(),
        Phase::Admit if step.code.is_some() => "refused".to_owned(),
        Phase::Admit => "accepted for execution".to_owned(),
        Phase::LookUp => format!("attempt {attempt}: looked up the account"),
        Phase::Execute => format!("attempt {attempt}: called the connector"),
        Phase::Verify => format!("attempt {attempt}: read the account back"),
        Phase::Wait => match step.next_try_at {
            Some(at) => format!("waiting until {}", time(at)),
            None => "waiting for the target".to_owned(),
        },
        Phase::Resolve => "resolved by an operator".to_owned(),
        Phase::Report => "reported to Iden, which did not answer; reporting again until it does".to_owned(),
    };
    let is_call = matches!(step.phase, Phase::LookUp | Phase::Execute | Phase::Verify);
    let took = match step.ended_at {
        Some(ended) if is_call => {
            format!(" ({} ms)", ended.duration_since(step.began_at).as_millis().max(0))
        }
        _ => String::new(),
    };
    let ok = if is_call && step.code.is_none() { ", ok" } else { "" };
    TaskEvent {
        code: step.code.map(|code| code.to_string()),
        message: step.message.clone(),
        ..TaskEvent::new(step.began_at, format!("{what}{took}{ok}"))
    }
}

fn report(story: &TaskStory, at: Timestamp) -> TaskEvent {
    let what = match story.report.as_deref() {
        Some("accepted") => "report accepted by Iden",
        Some("conflict") => "report not needed: the task was already resolved in Iden (409)",
        Some("missing") => "report not possible: Iden no longer has the task (404)",
        Some("rejected") => "report rejected by Iden",
        _ => "report ended",
    };
    let detail = story.row.detail.clone().filter(|_| story.report.as_deref() == Some("rejected"));
    TaskEvent { message: detail, ..TaskEvent::new(at, what) }
}
