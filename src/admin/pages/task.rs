//! `/apps/NAME/tasks/ID`: the history of one task.

use serde::Serialize;

use super::overview::path_of;
use super::parts::{Frame, Line, Table, sentence};
use super::render;
use super::tasks::{SIGN_IN, nameless};
use crate::admin::summary::{self, Severity};
use bridgehead_runtime::inspection::{Standing, TaskStory};
use bridgehead_store::Phase;

#[derive(Serialize)]
struct Page {
    heading: String,
    name: String,
    path: String,
    id: String,
    mood: &'static str,
    standing: &'static str,
    notes: Vec<String>,
    lines: Vec<Line>,
    actions: Vec<Button>,
    events: Option<Table>,
}

#[derive(Serialize)]
struct Button {
    name: &'static str,
    label: &'static str,
}

/// Renders the page. Names, and messages that may contain them, are shown only to signed-in operators.
pub(in crate::admin) fn task(
    frame: &Frame,
    name: &str,
    story: &TaskStory,
) -> Result<String, minijinja::Error> {
    let row = if frame.is_signed_in { story.row.clone() } else { nameless(&story.row) };
    let mut notes = Vec::new();
    if !frame.is_signed_in {
        notes.push(SIGN_IN[usize::from(frame.can_sign_in)].to_owned());
    }
    if let Some(why) = &story.without_names {
        notes.push(format!("Iden could not be asked, so names may be missing: {why}"));
    }
    let mut lines = Vec::new();
    let mut line = |what, text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            lines.push(Line::new(what, Severity::Quiet, text));
        }
    };
    line("Action", row.action.clone());
    line("Name", row.display_name.clone().or_else(|| row.username.clone()));
    line("Email", row.email.clone());
    line("Account", row.account.clone());
    line("Status in Iden", row.status.clone());
    line("Attempts", (story.attempts > 0).then(|| story.attempts.to_string()));
    line("Result", story.outcome.as_deref().map(sentence));
    line("Code", row.code.clone());
    let mut wide = |what, text: Option<String>| {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            lines.push(Line { is_wide: true, ..Line::new(what, Severity::Quiet, sentence(&text)) });
        }
    };
    wide("Reason", row.reason.clone());
    // It may quote the target.
    wide("Next", frame.is_signed_in.then(|| story.next.replace('`', "")));
    let heads = [("Time", "when"), ("Event", "long"), ("Code", ""), ("Message", "long")];
    let events = story.events(summary::clock);
    let rows = events.iter().map(|event| {
        let message = event.message.clone().filter(|_| frame.is_signed_in).unwrap_or_default();
        vec![summary::clock(event.at), sentence(&event.what), event.code.clone().unwrap_or_default(), message]
    });
    let (mood, standing) = stands(story);
    let page = Page {
        heading: format!("Task {}", row.task),
        name: name.to_owned(),
        path: path_of(name),
        id: row.task.clone(),
        mood: mood.as_str(),
        standing,
        notes,
        lines,
        actions: if frame.is_signed_in { buttons(story) } else { Vec::new() },
        events: (!events.is_empty()).then(|| Table { is_stacked: true, ..Table::of("Events", &heads, rows) }),
    };
    render("task.html", &format!("Task {} – bridgehead", row.task), frame, page)
}

/// The available actions.
fn buttons(story: &TaskStory) -> Vec<Button> {
    let mut buttons = Vec::new();
    if story.standing == Standing::Held {
        buttons.push(Button { name: "release", label: "Release" });
    }
    // A task that waits for its target has no time of its next attempt.
    let is_waiting =
        story.standing == Standing::Begun && story.steps.last().is_some_and(|step| step.phase == Phase::Wait);
    if story.standing == Standing::Rejected || is_waiting {
        buttons.push(Button { name: "retry", label: "Retry now" });
    }
    if story.effect_unknown {
        buttons.push(Button { name: "resolve", label: "Resolve" });
    }
    buttons
}

fn stands(story: &TaskStory) -> (Severity, &'static str) {
    match story.standing {
        Standing::Waiting => (Severity::Quiet, "Pending"),
        Standing::Held => (Severity::Uneasy, "Held"),
        Standing::Begun if story.effect_unknown => (Severity::Uneasy, "Effect unknown"),
        Standing::Begun => (Severity::Quiet, "In progress"),
        Standing::Decided => (Severity::Quiet, "Report pending"),
        Standing::Rejected => (Severity::Bad, "Report rejected"),
        Standing::Elsewhere => (Severity::Quiet, "Resolved elsewhere"),
        Standing::Reported if story.outcome.as_deref() == Some("failed") => (Severity::Bad, "Failed"),
        Standing::Reported => (Severity::Good, "Reported"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bridgehead_runtime::inspection::TaskRow;
    use bridgehead_sdk::Code;
    use bridgehead_store::AttemptStep;
    use jiff::Timestamp;

    fn story(name: &str) -> TaskStory {
        let step = AttemptStep {
            attempt: 1,
            phase: Phase::Execute,
            began_at: Timestamp::from_second(12).unwrap(),
            ended_at: Timestamp::from_second(13).ok(),
            code: Some(Code::Timeout),
            message: Some(format!("no answer for {name}")),
            next_try_at: None,
        };
        TaskStory {
            row: TaskRow {
                app: "hr".into(),
                task: "t/1".into(),
                action: Some("delete_account".into()),
                display_name: Some(name.into()),
                reason: Some(name.into()),
                ..TaskRow::default()
            },
            standing: Standing::Begun,
            attempts: 1,
            effect_unknown: true,
            next_try_at: Timestamp::from_second(99).ok(),
            steps: vec![step.clone(), AttemptStep { phase: Phase::Wait, ended_at: None, ..step }],
            next: format!("It is retried, because of {name}."),
            ..TaskStory::default()
        }
    }

    #[test]
    fn task_page_shows_no_names_unless_signed_in() {
        let signed_in = Frame { is_signed_in: true, can_sign_in: true, ..Frame::default() };
        let html = task(&signed_in, "hr", &story("Ann")).unwrap();
        assert_eq!(html.matches("Ann").count(), 5, "{html}");
        assert!(
            html.contains("TIMEOUT") && html.contains("Attempt 1: called the connector (1000 ms)"),
            "{html}"
        );
        for action in ["retry", "resolve"] {
            assert!(html.contains(&format!("/apps/hr/actions/{action}?task=t/1")), "{action}: {html}");
        }
        assert!(!html.contains("actions/release"), "{html}");
        let html = task(&Frame { can_sign_in: true, ..Frame::default() }, "hr", &story("Ann")).unwrap();
        assert!(html.contains("TIMEOUT") && !html.contains("Ann") && !html.contains("/actions/"), "{html}");
    }

    #[test]
    fn task_page_escapes_all_text() {
        let signed_in = Frame { is_signed_in: true, ..Frame::default() };
        let html = task(&signed_in, "hr", &story("<script>\"'&")).unwrap();
        assert!(!html.contains("<script>") && !html.contains("\"'&"), "{html}");
    }
}
