//! Aborts the process at a durable step of the state, for the tests of crash consistency. Not part of a release build.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::failure::{Exit, Failure};
use bridgehead_store::{CommitPhase, Observer};

/// `N`, `N:before` or `N:after`: the process aborts at the N-th commit, before it or (by default) after it.
const VARIABLE: &str = "BRIDGEHEAD_TEST_CRASH_AT_STEP";

/// Observes the steps if the environment requests it. Nothing is flushed and nothing is reported: this is the closest that a process can
/// get to a power failure.
pub(super) fn observer(environment: &BTreeMap<String, String>) -> Result<Option<Observer>, Failure> {
    let Some(text) = environment.get(VARIABLE) else {
        return Ok(None);
    };
    let (step, moment) = parse(text).ok_or_else(|| {
        let message = format!("{VARIABLE} must be such as \"3\", \"3:before\" or \"3:after\", not {text:?}");
        Failure::new(Exit::Usage, message)
    })?;
    let seen = AtomicU64::new(0);
    Ok(Some(Arc::new(move |at| {
        if at.moment == moment && seen.fetch_add(1, Ordering::Relaxed) + 1 == step {
            std::process::abort();
        }
    })))
}

fn parse(text: &str) -> Option<(u64, CommitPhase)> {
    let (step, moment) = match text.split_once(':') {
        None | Some((_, "after")) => (text.split(':').next()?, CommitPhase::AfterCommit),
        Some((step, "before")) => (step, CommitPhase::BeforeCommit),
        Some(_) => return None,
    };
    Some((step.parse().ok().filter(|step| *step > 0)?, moment))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crash_step_is_a_number_with_an_optional_phase() {
        assert_eq!(parse("3"), Some((3, CommitPhase::AfterCommit)));
        assert_eq!(parse("3:after"), Some((3, CommitPhase::AfterCommit)));
        assert_eq!(parse("12:before"), Some((12, CommitPhase::BeforeCommit)));
        for wrong in ["", "0", "-1", "x", "3:", "3:now", ":before"] {
            assert_eq!(parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn commits_are_not_observed_without_the_variable() {
        assert!(observer(&BTreeMap::new()).is_ok_and(|observer| observer.is_none()));
        let wrong = BTreeMap::from([(VARIABLE.to_owned(), "soon".to_owned())]);
        assert!(observer(&wrong).is_err_and(|failure| failure.message().contains("not \"soon\"")));
    }
}
