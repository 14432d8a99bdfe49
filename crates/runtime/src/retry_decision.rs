//! The decision table for errors that a connector returned. Pure.

use std::time::Duration;

use bridgehead_sdk::{Action, Code, Effect, Error, Retry, Subject};

/// What to do after one attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NextStep {
    /// Report `failed`, with the error's code and message.
    Fail,
    /// Report `completed`: an earlier attempt did the work.
    AlreadyDone,
    /// Try again, but not before `after` if the target specified a delay.
    Retry {
        /// The minimum delay.
        after: Option<Duration>,
    },
    /// The target is unreachable: the breaker decides when to continue.
    Hold,
    /// The effect is unknown: read the account back, then continue as `again` says.
    ReadBack {
        /// Whether to make another attempt if the account is not in the requested state.
        again: bool,
    },
    /// The account already exists: it may be the requested one.
    CompareExisting,
}

/// What is known about earlier attempts at a task. The number of attempts proves nothing: they may have failed before they reached the
/// target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Effects {
    /// At least one of them may have been applied.
    pub(crate) may_have_applied: bool,
    /// The account was seen before the first attempt.
    pub(crate) was_seen: bool,
}

/// Decides on the next step after an error.
pub(crate) fn after_error(action: Action, effects: Effects, error: &Error) -> NextStep {
    match (error.code(), action) {
        (Code::AccountAlreadyExists, Action::CreateAccount) => return NextStep::CompareExisting,
        (Code::AccountNotFound, Action::DeleteAccount)
            if effects.may_have_applied && effects.was_seen && error.subject() == Subject::Account =>
        {
            return NextStep::AlreadyDone;
        }
        _ => {}
    }
    // A failed connection affects every task alike until it is fixed. No single task is the cause, so retry regardless of what the
    // connector says.
    let again = error.retry() != Retry::Never || error.subject() == Subject::Connection;
    match (error.effect(), error.subject()) {
        (Effect::Unknown, _) => NextStep::ReadBack { again },
        (Effect::NotApplied, Subject::Connection) => NextStep::Hold,
        (Effect::NotApplied, _) => match error.retry() {
            Retry::Never => NextStep::Fail,
            Retry::Backoff => NextStep::Retry { after: None },
            Retry::After(after) => NextStep::Retry { after: Some(after) },
        },
    }
}

/// Whether another attempt fits into `give_up_after`, the time limit for all attempts at a task.
pub(crate) fn fits(spent: Duration, wait: Duration, give_up_after: Duration) -> bool {
    spent.saturating_add(wait) < give_up_after
}

/// Whether to repeat a failed look-up: look-ups change nothing, so an unknown effect does no harm.
pub(crate) fn may_pass(error: &Error) -> bool {
    error.retry() != Retry::Never
        || error.subject() == Subject::Connection
        || error.effect() == Effect::Unknown
}

/// The number of look-ups without a result after which a create with an unknown effect counts as not applied. One is not enough, because a
/// replica may lag behind.
const LOOKS: u32 = 3;

/// Whether "not found" can be trusted after an attempt with an unknown effect. It must have been returned several times, and the attempt
/// must be old enough that it cannot still be running. Trusting it too early would create a second account, or leave access to an account
/// that should be deleted.
pub(crate) fn is_settled(looks_that_found_nobody: u32, since_attempt: Duration, timeout: Duration) -> bool {
    looks_that_found_nobody >= LOOKS && since_attempt >= timeout
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::needless_pass_by_value, reason = "errors are made where they are passed")]
    fn decide(action: Action, error: Error) -> NextStep {
        after_error(action, Effects { may_have_applied: false, was_seen: true }, &error)
    }

    #[test]
    fn permanent_error_is_reported_at_once() {
        for error in [
            Error::account_not_found("x"),
            Error::license_exhausted("x"),
            Error::permission_denied("x"),
            Error::internal("x"),
            Error::group_not_found("x"),
            Error::account_already_exists("x"),
        ] {
            assert_eq!(decide(Action::UpdateAccount, error), NextStep::Fail);
        }
        assert_eq!(decide(Action::DeleteAccount, Error::account_not_found("x")), NextStep::Fail);
    }

    #[test]
    fn unapplied_change_is_retried() {
        assert_eq!(decide(Action::CreateAccount, Error::rate_limited("x")), NextStep::Retry { after: None });
        let after = Duration::from_secs(7);
        assert_eq!(
            decide(Action::CreateAccount, Error::rate_limited("x").with_retry(Retry::After(after))),
            NextStep::Retry { after: Some(after) }
        );
    }

    #[test]
    fn unknown_effect_is_verified() {
        assert_eq!(decide(Action::CreateAccount, Error::timeout("x")), NextStep::ReadBack { again: true });
        assert_eq!(
            decide(Action::CreateAccount, Error::new(Code::InternalError, "x")),
            NextStep::ReadBack { again: false }
        );
        let cut = Error::timeout("x").with_subject(Subject::Connection);
        assert_eq!(decide(Action::CreateAccount, cut), NextStep::ReadBack { again: true });
    }

    #[test]
    fn connection_error_holds_the_task() {
        assert_eq!(decide(Action::DeleteAccount, Error::unreachable("x")), NextStep::Hold);
        assert_eq!(decide(Action::DeleteAccount, Error::credential_refused("x")), NextStep::Hold);
        let for_good = || Error::permission_denied("x").with_subject(Subject::Connection);
        assert_eq!(decide(Action::DeleteAccount, for_good()), NextStep::Hold);
        let cut = for_good().with_effect(Effect::Unknown);
        assert_eq!(decide(Action::DeleteAccount, cut), NextStep::ReadBack { again: true });
    }

    #[test]
    fn missing_account_completes_a_delete_only_if_possibly_removed() {
        let decide = |action, may_have_applied, was_seen, error| {
            after_error(action, Effects { may_have_applied, was_seen }, &error)
        };
        let nobody = || Error::account_not_found("x");
        assert_eq!(decide(Action::DeleteAccount, true, true, nobody()), NextStep::AlreadyDone);
        assert_eq!(decide(Action::DeleteAccount, false, true, nobody()), NextStep::Fail);
        assert_eq!(decide(Action::DeleteAccount, true, false, nobody()), NextStep::Fail);
        assert_eq!(decide(Action::SuspendAccount, true, true, nobody()), NextStep::Fail);
        assert_eq!(
            decide(Action::DeleteAccount, true, true, nobody().with_subject(Subject::Group)),
            NextStep::Fail
        );
    }

    #[test]
    fn existing_account_is_compared() {
        assert_eq!(
            decide(Action::CreateAccount, Error::account_already_exists("x")),
            NextStep::CompareExisting
        );
    }

    #[test]
    fn look_up_is_repeated_unless_its_failure_is_final() {
        assert!(!may_pass(&Error::permission_denied("x")));
        assert!(may_pass(&Error::rate_limited("x")));
        assert!(may_pass(&Error::permission_denied("x").with_subject(Subject::Connection)));
        assert!(may_pass(&Error::permission_denied("x").with_effect(Effect::Unknown)));
    }

    #[test]
    fn attempt_must_begin_before_the_time_is_up() {
        let seconds = Duration::from_secs;
        assert!(fits(seconds(5), seconds(4), seconds(10)));
        assert!(!fits(seconds(5), seconds(5), seconds(10)));
        assert!(!fits(seconds(5), seconds(6), seconds(10)));
        assert!(!fits(Duration::MAX, seconds(1), seconds(10)));
    }

    #[test]
    fn missing_account_is_trusted_only_after_some_time() {
        let timeout = Duration::from_mins(1);
        assert!(!is_settled(1, Duration::from_mins(10), timeout));
        assert!(!is_settled(9, Duration::from_secs(59), timeout));
        assert!(is_settled(3, Duration::from_mins(1), timeout));
    }
}
