//! What the connector says during the whole run, searched for secrets.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::{Completion, Error, Redactor};

/// Looks for secrets in whatever the connector says.
#[derive(Debug, Default)]
pub(super) struct Watch {
    redactor: Redactor,
    leaks: Mutex<Leaks>,
    /// How long calls have waited as the target asked, in milliseconds.
    waited: AtomicU64,
}

/// The calls that let out a secret, by where it stood.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaks {
    pub(super) errors: BTreeSet<String>,
    pub(super) records: BTreeSet<String>,
    pub(super) answers: BTreeSet<String>,
    /// The calls whose message quoted the body of an answer that the kit gave.
    pub(super) bodies: BTreeSet<String>,
}

impl Watch {
    /// Looks for these texts from now on.
    pub(super) fn keep_secret<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) {
        self.redactor.protect_for_good(secrets);
    }

    /// Waits as long as the target has asked for.
    pub(super) async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.waited.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long calls have waited as the target asked.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed))
    }

    /// A text as it may be printed.
    pub(super) fn printable(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    pub(super) fn leaks(&self) -> Leaks {
        self.lock().clone()
    }

    /// An error may be logged with all that stands behind it, so all of it is searched.
    pub(super) fn error(&self, call: &str, error: &Error) {
        if error.message().contains(super::relay::MARK) {
            self.lock().bodies.insert(call.to_owned());
        }
        let mut shown = vec![("message", error.to_string()), ("Debug", format!("{error:?} {error:#?}"))];
        let mut cause = std::error::Error::source(error);
        while let Some(one) = cause {
            shown.push(("source", format!("{one} {one:?}")));
            cause = one.source();
        }
        for (place, text) in shown {
            if self.holds_secret(&text) {
                self.lock().errors.insert(format!("{call} ({place})"));
            }
        }
    }

    pub(super) fn record(&self, call: &str, record: &(impl Serialize + Debug)) {
        let written = serde_json::to_string(record).unwrap_or_default();
        if self.holds_secret(&written) || self.holds_secret(&format!("{record:?}")) {
            self.lock().records.insert(call.to_owned());
        }
    }

    pub(super) fn completion(&self, call: &str, completion: &Completion) {
        let written = serde_json::to_string(&completion.result).unwrap_or_default();
        if self.holds_secret(&written) {
            self.lock().answers.insert(call.to_owned());
        }
    }

    /// Any other thing that the connector says of itself.
    pub(super) fn answer(&self, call: &str, answer: &impl Debug) {
        if self.holds_secret(&format!("{answer:?}")) {
            self.lock().answers.insert(call.to_owned());
        }
    }

    fn holds_secret(&self, text: &str) -> bool {
        matches!(self.redactor.redact(text), std::borrow::Cow::Owned(_))
    }

    fn lock(&self) -> MutexGuard<'_, Leaks> {
        self.leaks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
