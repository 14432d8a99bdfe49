//! A task as shown to operators: identifies the task and the account, and omits the rest of the payload, which may contain a password.

use bridgehead_sdk::Redactor;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::HeldTask;
use crate::operator_commands::RejectedReport;
use bridgehead_bridge::Task;
use bridgehead_store::{Entry, Outcome, RetainedOutcome, State};

/// The maximum length of a string in a row, in characters.
const LONGEST: usize = 1000;

/// A task as shown to operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TaskRow {
    /// The app's name in the configuration.
    pub app: String,
    /// The task's identifier.
    pub task: String,
    /// The requested action.
    pub action: Option<String>,
    /// The account, by the first identifier in the task: id, user name or email.
    pub account: Option<String>,
    /// The account's user name.
    pub username: Option<String>,
    /// The account's email address.
    pub email: Option<String>,
    /// The account's display name.
    pub display_name: Option<String>,
    /// The task's state in Iden; for a rejected report, the outcome that was to be reported.
    pub status: Option<String>,
    /// When Iden created the task.
    pub created_at: Option<Timestamp>,
    /// The task must not be executed before this time.
    pub execute_after: Option<Timestamp>,
    /// Since when the deprovision limit has held the task.
    pub held_since: Option<Timestamp>,
    /// The error code of a failed task.
    pub code: Option<String>,
    /// Why the task failed, as reported to Iden.
    pub reason: Option<String>,
    /// Iden's response to the report, or other details.
    pub detail: Option<String>,
}

/// The account that a task is about, as [`TaskRow::account`] shows it.
pub(crate) fn account_of(task: &Task) -> Option<String> {
    let (payload, account) = (&task.payload, &task.payload["account"]);
    identifier(account).or_else(|| identifier(payload)).or_else(|| account.as_str().map(str::to_owned))
}

impl TaskRow {
    /// Creates a row from a task in Iden.
    pub fn of_task(app: &str, task: &Task) -> Self {
        let payload = &task.payload;
        let account = &payload["account"];
        let error = task.extra.get("error").unwrap_or(&Value::Null);
        let full_name = || {
            let names: Vec<String> = ["first_name", "last_name"]
                .into_iter()
                .filter_map(|field| text(&account[field]).or_else(|| text(&payload[field])))
                .collect();
            (!names.is_empty()).then(|| names.join(" "))
        };
        let field = |name: &str| text(&account[name]).or_else(|| text(&payload[name]));
        Self {
            app: app.to_owned(),
            task: task.id.to_string(),
            action: Some(task.action.clone()),
            account: account_of(task),
            username: field("username"),
            email: field("email"),
            display_name: field("display_name").or_else(full_name),
            status: Some(task.status.as_str().to_owned()),
            created_at: task.created_at,
            execute_after: task.execute_after,
            code: text(&error["code"]),
            reason: text(&error["message"]),
            ..Self::default()
        }
    }

    /// Creates a row for a held task of which nothing else is known.
    pub(super) fn of_held(app: &str, held: &HeldTask) -> Self {
        Self {
            app: app.to_owned(),
            task: held.task.to_string(),
            status: Some("pending".to_owned()),
            held_since: Some(held.held_at),
            ..Self::default()
        }
    }

    /// Creates a row for a rejected report.
    pub(super) fn of_rejected(app: &str, aside: RejectedReport) -> Self {
        Self {
            app: app.to_owned(),
            task: aside.task.to_string(),
            action: Some(aside.action),
            status: Some(aside.outcome),
            created_at: aside.created_at,
            detail: Some(aside.detail),
            ..Self::default()
        }
    }

    /// Adds Iden's data. Existing local data takes precedence.
    pub(super) fn merge(self, iden: Self) -> Self {
        let is_rejected = self.detail.is_some();
        Self {
            action: self.action.or(iden.action.clone()),
            created_at: self.created_at.or(iden.created_at),
            status: if is_rejected { self.status } else { iden.status.clone() },
            held_since: self.held_since,
            detail: self.detail,
            ..iden
        }
    }

    /// Adds the error code and message from the journal if Iden returned none.
    pub(super) fn add_failure(&mut self, entry: &Entry) {
        let (code, message) = match (&entry.kept, &entry.state) {
            (Some(RetainedOutcome::Failed { code, message }), _) => (code, message.as_ref()),
            (_, State::Decided(Outcome::Failed { code, message })) => (code, Some(message)),
            _ => return,
        };
        self.code.get_or_insert_with(|| code.to_string());
        self.reason = self.reason.take().or_else(|| message.cloned());
    }

    /// Removes known secrets and shortens long strings.
    pub(super) fn redact(&mut self, redactor: &Redactor) {
        let texts = [
            &mut self.action,
            &mut self.account,
            &mut self.username,
            &mut self.email,
            &mut self.display_name,
            &mut self.status,
            &mut self.code,
            &mut self.reason,
            &mut self.detail,
        ];
        for text in texts.into_iter().flatten() {
            *text = redactor.redact(text).into_owned();
            if let Some((end, _)) = text.char_indices().nth(LONGEST) {
                text.truncate(end);
                text.push('…');
            }
        }
    }
}

fn identifier(place: &Value) -> Option<String> {
    ["id", "account_id", "username", "email"].into_iter().find_map(|field| text(&place[field]))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()).filter(|text| !text.trim().is_empty()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use bridgehead_bridge::TaskStatus;

    fn row(value: Value) -> TaskRow {
        TaskRow::of_task("hr", &Task::from_json(value, &TaskStatus::Pending).unwrap())
    }

    #[test]
    fn task_row_identifies_the_account_and_hides_the_payload() {
        let account = json!({"id": "u17", "username": "ann", "email": "ann@example.org", "first_name": "Ann",
                             "last_name": "Example", "password": "hunter2"});
        let row = row(json!({"id": "t1", "action": "delete_account", "payload": {"account": account}}));
        assert_eq!(
            (row.account.as_deref(), row.username.as_deref(), row.email.as_deref()),
            (Some("u17"), Some("ann"), Some("ann@example.org"))
        );
        assert_eq!(row.display_name.as_deref(), Some("Ann Example"));
        assert!(!serde_json::to_string(&row).unwrap().contains("hunter2"));
    }

    #[test]
    fn task_row_finds_the_account_in_any_payload_form() {
        assert_eq!(row(json!({"id": "t", "payload": {"account": "u1"}})).account.as_deref(), Some("u1"));
        assert_eq!(row(json!({"id": "t", "payload": {"account_id": 7}})).account.as_deref(), Some("7"));
        assert_eq!(row(json!({"id": "t", "payload": null})).account, None);
    }

    #[test]
    fn failed_task_has_the_code_and_reason_from_iden() {
        let error = json!({"code": "ACCOUNT_NOT_FOUND", "message": "User u1 not found in HR"});
        let row = row(json!({"id": "t", "status": "failed", "error": error}));
        assert_eq!(row.code.as_deref(), Some("ACCOUNT_NOT_FOUND"));
        assert_eq!(row.reason.as_deref(), Some("User u1 not found in HR"));
    }

    #[test]
    fn secrets_are_redacted_and_long_texts_truncated() {
        let redactor = Redactor::new();
        redactor.protect_for_good(["hunter2-hunter2"]);
        let mut row = row(json!({"id": "t", "status": "failed",
            "error": {"code": "X", "message": format!("hunter2-hunter2 {}", "é".repeat(5000))}}));
        row.redact(&redactor);
        let reason = row.reason.unwrap();
        assert!(!reason.contains("hunter2") && reason.chars().count() == LONGEST + 1, "{reason}");
    }
}
