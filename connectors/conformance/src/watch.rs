//! What the connector says during the whole run, searched for secrets.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use bridgehead_sdk::{AccountRecord, Completion, Cursor, Error, Page, Redactor};

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
        if error.message().contains(super::bad::MARK) {
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

    /// An account goes to Iden with the names of its references, where `bridge.refs` says so; they are not in its plain form.
    pub(super) fn account(&self, call: &str, account: &AccountRecord) {
        self.record(call, account);
        for references in [&account.memberships, &account.assignments] {
            if self.holds_secret(&references.to_json(true).to_string()) {
                self.lock().records.insert(call.to_owned());
            }
        }
    }

    /// What else is on a page. A cursor shows itself to nobody, but it is logged when it repeats.
    pub(super) fn page(&self, call: &str, page: &Page) {
        let next = page.next.as_ref().map(Cursor::as_str).unwrap_or_default();
        if self.holds_secret(next) || self.holds_secret(&format!("{:?}", page.rejected)) {
            self.lock().answers.insert(call.to_owned());
        }
    }

    pub(super) fn completion(&self, call: &str, completion: &Completion) {
        let written = serde_json::to_string(&completion.result).unwrap_or_default();
        if self.holds_secret(&written) {
            self.lock().answers.insert(call.to_owned());
        }
    }

    /// Anything else that the connector describes.
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

#[cfg(test)]
mod tests {
    use bridgehead_sdk::{Evidence, Ref};

    use super::*;

    /// What `Debug` leaves out, the kit must look at all the same.
    #[test]
    fn a_secret_is_found_where_debug_shows_nothing() {
        let watch = Watch::default();
        watch.keep_secret(["hunter2-the-token"]);
        watch.account("clean", &AccountRecord::new("u1").with_username("ann"));
        watch.page("clean", &Page::last(Vec::new(), Evidence::Atomic));
        watch.completion("clean", &Completion::created("u1"));
        let leaks = watch.leaks();
        assert!(leaks.records.is_empty() && leaks.answers.is_empty(), "{leaks:?}");

        let named = Ref::new("t1").with_name("hunter2-the-token");
        watch.account("reference", &AccountRecord::new("u1").with_memberships("team", [named]));
        watch.account("field", &AccountRecord::new("u1").with_display_name("hunter2-the-token"));
        watch.page("cursor", &Page::with_next(Vec::new(), Cursor::new("?token=hunter2-the-token")));
        watch.completion("result", &Completion::done().with("note", "hunter2-the-token"));
        let leaks = watch.leaks();
        assert!(["field", "reference"].into_iter().eq(&leaks.records), "{leaks:?}");
        assert!(["cursor", "result"].into_iter().eq(&leaks.answers), "{leaks:?}");
    }
}
