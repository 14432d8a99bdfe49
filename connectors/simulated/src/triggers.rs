//! Errors by name: the name of an account determines what happens to it.

use std::time::Duration;

use bridgehead_sdk::{Account, Code, Error, Retry};

/// What a name causes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// This code at every attempt; nothing is applied.
    Fail(Code),
    /// The call takes `slow_latency`.
    Slow,
    /// The connector panics.
    Panic,
    /// The first attempt is rate limited, with a retry after one second.
    RateLimitedOnce,
    /// The first attempt is applied, and its response is lost.
    UnknownOnce,
    /// The first attempt is lost before anything is applied.
    LostOnce,
    /// The first attempt does not reach the target: the app's tasks are held.
    UnreachableOnce,
}

/// The prefix of a user name, email address or identifier, and what it causes.
pub(crate) const TRIGGERS: [(&str, Trigger); 13] = [
    ("fail-account-not-found", Trigger::Fail(Code::AccountNotFound)),
    ("fail-account-already-exists", Trigger::Fail(Code::AccountAlreadyExists)),
    ("fail-license-exhausted", Trigger::Fail(Code::LicenseExhausted)),
    ("fail-permission-denied", Trigger::Fail(Code::PermissionDenied)),
    ("fail-rate-limited", Trigger::Fail(Code::RateLimited)),
    ("fail-timeout", Trigger::Fail(Code::Timeout)),
    ("fail-internal-error", Trigger::Fail(Code::InternalError)),
    ("slow-", Trigger::Slow),
    ("panic-", Trigger::Panic),
    ("rate-limited-once-", Trigger::RateLimitedOnce),
    ("unknown-once-", Trigger::UnknownOnce),
    ("lost-once-", Trigger::LostOnce),
    ("unreachable-once-", Trigger::UnreachableOnce),
];

impl Trigger {
    /// What the names of the account cause, if anything.
    pub(crate) fn of(account: &Account) -> Option<Self> {
        let id = account.id.as_ref().map(bridgehead_sdk::AccountId::as_str);
        let names = [account.username.as_deref(), account.email.as_deref(), id];
        names.into_iter().flatten().find_map(|name| {
            let name = name.to_lowercase();
            TRIGGERS.iter().find(|(prefix, _)| name.starts_with(prefix)).map(|(_, trigger)| *trigger)
        })
    }

    /// The error of this attempt, if it has one, and whether the operation is still executed.
    pub(crate) fn error(self, label: &str, attempt: u32) -> Option<(Error, bool)> {
        let once = |error: Error, applied: bool| (attempt <= 1).then_some((error, applied));
        match self {
            Self::Fail(code) => {
                Some((Error::new(code, format!("User {label}: simulated, as requested by the name")), false))
            }
            Self::Slow | Self::Panic => None,
            Self::RateLimitedOnce => {
                let error = Error::rate_limited(format!("simulated: User {label} was rate limited"));
                once(error.with_retry(Retry::After(Duration::from_secs(1))), false)
            }
            Self::UnknownOnce => {
                once(Error::timeout(format!("simulated: the response for User {label} was lost")), true)
            }
            Self::LostOnce => {
                once(Error::timeout(format!("simulated: the request for User {label} was lost")), false)
            }
            Self::UnreachableOnce => {
                let error =
                    Error::unreachable(format!("simulated: the target was unreachable for User {label}"));
                once(error, false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_match_in_any_identifying_field() {
        let by_id = Account::by_id("SLOW-ann");
        let by_email = Account::by_email("fail-timeout@example.org");
        assert_eq!(Trigger::of(&by_id), Some(Trigger::Slow));
        assert_eq!(Trigger::of(&by_email), Some(Trigger::Fail(Code::Timeout)));
        assert_eq!(Trigger::of(&Account::by_id("ann-slow-")), None);
    }

    #[test]
    fn every_code_has_a_trigger_and_no_trigger_shadows_another() {
        for code in Code::ALL {
            let prefix = format!("fail-{}", code.as_str().to_lowercase().replace('_', "-"));
            assert!(TRIGGERS.contains(&(prefix.as_str(), Trigger::Fail(code))), "{prefix}");
        }
        for (prefix, trigger) in TRIGGERS {
            assert_eq!(Trigger::of(&Account::by_id(format!("{prefix}x"))), Some(trigger), "{prefix}");
        }
    }

    #[test]
    fn operator_guide_names_every_trigger() {
        let guide = include_str!("../../../docs/connectors/simulated.md");
        for (prefix, _) in TRIGGERS {
            assert!(guide.contains(&format!("`{prefix}")), "{prefix}");
        }
    }
}
