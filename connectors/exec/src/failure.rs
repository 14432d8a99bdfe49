//! Why a process ended, and what that means for its unfinished calls.

use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Code, Effect, Error, Retry, Subject};

use crate::answers::Unexpected;
use crate::lines::LineError;
use crate::protocol::NotAnAnswer;

/// Why there is no process, worded to follow "the connector process of acme-hr". It never repeats output of the
/// process, except for the cleaned message of an error. Each variant says who must act.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Death {
    /// The operator: the program or the working directory does not exist or cannot be used.
    #[error("could not be started: {program}: {source}; check 'command' in its target")]
    NotStarted {
        /// The program as `target` names it.
        program: String,
        #[source]
        source: std::io::Error,
    },
    /// The author of the program, or another process that killed it.
    #[error("{}", ended(*.0))]
    Ended(ExitStatus),
    /// The author: the process cannot respond after it has closed its output.
    #[error("closed its standard output and was stopped")]
    OutputClosed,
    /// The author: the process cannot receive requests after it has closed its input.
    #[error("closed its standard input and was stopped")]
    InputClosed,
    /// The author: the process writes something other than responses to standard output.
    #[error("was stopped, because line {line} of its output is not a valid response: {reason}")]
    NotAnAnswer {
        /// The number of the line, counted from 1 since the process was started.
        line: u64,
        reason: NotAnAnswer,
    },
    /// The author, or the operator, who may raise `max_line_bytes`.
    #[error("was stopped: {0}")]
    Output(#[source] LineError),
    /// The author, or the operator, who may raise the deadline of a task: a call was given up, and still not answered
    /// in time.
    #[error("was stopped, because it did not respond to {what} in time")]
    Hung {
        /// The call that was given up.
        what: String,
    },
    /// The author, or the operator, who may raise `start_timeout`.
    #[error("was stopped, because it did not respond to initialize within {}", seconds(*.0))]
    StartTimeout(Duration),
    /// The author: the description is invalid.
    #[error("was stopped, because its response to initialize was invalid: {0}")]
    Description(#[source] Unexpected),
    /// The operator, as the message says: the process refuses to work with these settings.
    #[error("does not start: {message}")]
    Refused {
        /// The standard code that it returned.
        code: Code,
        /// Its message, cleaned.
        message: String,
        /// Whether, and when, it accepts another start.
        retry: Retry,
    },
    /// Nobody needs to act: the connector is being shut down.
    #[error("was stopped")]
    Stopped,
    /// A bug in this crate: the task that supervises the process ended before the process did.
    #[error("is no longer supervised; please report this as a bug in bridgehead")]
    Unattended,
}

fn ended(status: ExitStatus) -> String {
    if let Some(code) = status.code() {
        return format!("exited with status {code}");
    }
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("was killed by signal {signal}");
    }
    "ended".to_owned()
}

fn seconds(duration: Duration) -> String {
    format!("{:.1} s", duration.as_secs_f64())
}

/// Why a call has no response.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// Nothing was sent: there is no process.
    #[error("the connector process of {app} {death}{}", again(*.again_in))]
    NotRunning {
        /// The app.
        app: String,
        /// Why there is no process.
        death: Arc<Death>,
        /// The delay before the next start, if it is already known.
        again_in: Option<Duration>,
    },
    /// The request was sent, and the process ended before it responded.
    #[error("the connector process of {app} {death} while processing {what}")]
    Lost {
        /// The app.
        app: String,
        /// Why it ended.
        death: Arc<Death>,
        /// The call.
        what: String,
    },
    /// The connector was shut down; nothing was sent.
    #[error("the connector process of {app} is being stopped")]
    Stopped {
        /// The app.
        app: String,
    },
}

fn again(again_in: Option<Duration>) -> String {
    again_in.map_or_else(String::new, |delay| format!("; it can be restarted in {}", seconds(delay)))
}

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        let message = error.to_string();
        match error {
            // Every task of the app would fail in the same way, so they are held instead of failed, whatever the
            // process says about retries.
            CallError::NotRunning { death, again_in, .. } => {
                let (code, said) = match &*death {
                    Death::Refused { code, retry, .. } => (*code, *retry),
                    // Nothing timed out: the program is missing, or cannot be run.
                    Death::NotStarted { .. } => (Code::InternalError, Retry::Backoff),
                    _ => (Code::Timeout, Retry::Backoff),
                };
                let retry = match (again_in, said) {
                    (Some(delay), Retry::After(longer)) => Retry::After(delay.max(longer)),
                    (Some(delay), _) => Retry::After(delay),
                    (None, Retry::Never) => Retry::Backoff,
                    (None, said) => said,
                };
                Self::new(code, message)
                    .with_effect(Effect::NotApplied)
                    .with_retry(retry)
                    .with_subject(Subject::Connection)
            }
            CallError::Lost { .. } => Self::new(Code::InternalError, message)
                .with_effect(Effect::Unknown)
                .with_retry(Retry::Backoff)
                .with_subject(Subject::Account),
            CallError::Stopped { .. } => Self::unreachable(message),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn not_running(death: Death, again_in: Option<Duration>) -> Error {
        CallError::NotRunning { app: "acme-hr".into(), death: Arc::new(death), again_in }.into()
    }

    fn refused(retry: Retry) -> Death {
        Death::Refused { code: Code::PermissionDenied, message: "HR refuses the token".into(), retry }
    }

    #[test]
    fn unsent_call_is_a_connection_error() {
        let error = not_running(Death::OutputClosed, None);
        assert_eq!(error.code(), Code::Timeout);
        assert_eq!(error.effect(), Effect::NotApplied);
        assert_eq!(error.subject(), Subject::Connection);
        assert_eq!(error.retry(), Retry::Backoff);
    }

    #[test]
    fn call_before_restart_returns_retry_after() {
        let delay = Duration::from_millis(400);
        let error = not_running(Death::OutputClosed, Some(delay));
        assert_eq!(error.retry(), Retry::After(delay));
        assert_eq!(
            error.message(),
            "the connector process of acme-hr closed its standard output and was stopped; it can be \
             restarted in 0.4 s"
        );
    }

    #[test]
    fn process_that_refuses_to_start_holds_tasks() {
        let error = not_running(refused(Retry::Never), None);
        assert_eq!((error.code(), error.retry()), (Code::PermissionDenied, Retry::Backoff));
        assert_eq!((error.effect(), error.subject()), (Effect::NotApplied, Subject::Connection));
        let minute = Duration::from_mins(1);
        let error = not_running(refused(Retry::After(minute)), Some(Duration::from_secs(1)));
        assert_eq!(error.retry(), Retry::After(minute));
    }

    #[test]
    fn lost_call_has_unknown_effect_and_is_retried() {
        let error = Error::from(CallError::Lost {
            app: "acme-hr".into(),
            death: Arc::new(Death::OutputClosed),
            what: "create_account for ext-1".into(),
        });
        assert_eq!((error.code(), error.effect()), (Code::InternalError, Effect::Unknown));
        assert_eq!((error.retry(), error.subject()), (Retry::Backoff, Subject::Account));
        assert!(error.message().ends_with("while processing create_account for ext-1"));
    }
}
