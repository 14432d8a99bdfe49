//! The reported outcome of a task.

use bridgehead_sdk::Code;
use serde_json::{Map, Value, json};

/// The outcome of a task. `Debug` shows the names of the result's fields, not their values.
#[derive(Clone, PartialEq)]
pub enum Report {
    /// The task succeeded.
    Completed {
        /// Additional data for Iden: `{"account_id": …}` for a new account.
        result: Option<Map<String, Value>>,
    },
    /// The task failed.
    Failed {
        /// One of the seven standard codes.
        code: Code,
        /// The message that administrators see in Iden.
        message: String,
    },
}

impl Report {
    /// The body of the PATCH request, as in the Error Reference's "Reporting format".
    pub fn to_json(&self) -> Value {
        match self {
            Self::Completed { result: None } => json!({"status": "completed"}),
            Self::Completed { result: Some(result) } => json!({"status": "completed", "result": result}),
            Self::Failed { code, message } => {
                json!({"status": "failed", "error": {"code": code.as_str(), "message": message}})
            }
        }
    }
}

impl std::fmt::Debug for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Completed { result } => {
                let names = result.as_ref().map(|result| result.keys().collect::<Vec<_>>());
                f.debug_struct("Completed").field("result", &names).finish()
            }
            Self::Failed { code, message } => {
                f.debug_struct("Failed").field("code", code).field("message", message).finish()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_bodies_match_the_documentation() {
        let failed = Report::Failed { code: Code::AccountNotFound, message: "No account u1 in Jira.".into() };
        let result = Map::from_iter([("account_id".to_owned(), Value::from("u1"))]);
        let done = Report::Completed { result: Some(result) };
        insta::assert_snapshot!(
            [&failed, &done, &Report::Completed { result: None }].map(|r| r.to_json().to_string()).join("\n"),
            @r#"
        {"status":"failed","error":{"code":"ACCOUNT_NOT_FOUND","message":"No account u1 in Jira."}}
        {"status":"completed","result":{"account_id":"u1"}}
        {"status":"completed"}
        "#
        );
        assert!(!format!("{done:?}").contains("u1"));
    }
}
