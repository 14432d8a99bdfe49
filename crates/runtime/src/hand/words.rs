//! Describes what the daemon would do after an error of a read-only call.

use bridgehead_sdk::{Code, Error, Retry, Subject};

use super::Hand;
use crate::retry_decision;

impl Hand {
    /// After a failed look-up of an account.
    pub fn after_look(&self, error: &Error) -> String {
        if error.subject() == Subject::Connection {
            return format!("looks again once the target is reachable, for up to {:?}", self.tasks.hold_for);
        }
        if retry_decision::may_pass(error) {
            return format!("looks again, for up to {:?}", self.tasks.give_up_after);
        }
        format!("does not look again; a task that depends on it fails with {}", error.code())
    }

    /// After a page that could not be read.
    pub fn after_page(&self, error: &Error) -> String {
        if error.retry() == Retry::Never && error.code() != Code::Timeout {
            return "ends the sync here, and removes no account".to_owned();
        }
        let limit = self.tasks.give_up_after;
        format!("requests the page again, for up to {limit:?}; then it ends the sync, and removes no account")
    }
}
