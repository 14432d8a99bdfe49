//! Searches all output of the connector for secrets.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use bridgehead_sdk::{AccountRecord, Completion, Cursor, Error, Page, Redactor};

/// Searches the connector's output for secrets.
#[derive(Debug, Default)]
pub(super) struct Watch {
    redactor: Redactor,
    leaks: Mutex<Leaks>,
    /// How long calls have waited because the target asked for it, in milliseconds.
    waited: AtomicU64,
}

/// The calls that exposed a secret, by the kind of output.
#[derive(Clone, Debug, Default)]
pub(super) struct Leaks {
    pub(super) errors: BTreeSet<String>,
    pub(super) records: BTreeSet<String>,
    pub(super) answers: BTreeSet<String>,
    /// The calls whose error message quoted the body of one of the kit's responses.
    pub(super) bodies: BTreeSet<String>,
}

impl Watch {
    /// Searches for these strings from now on.
    pub(super) fn keep_secret<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) {
        self.redactor.protect_for_good(secrets);
    }

    /// Waits for as long as the target has asked for.
    pub(super) async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.waited.fetch_add(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    /// How long calls have waited because the target asked for it.
    pub(super) fn waited(&self) -> Duration {
        Duration::from_millis(self.waited.load(Ordering::Relaxed))
    }

    /// A string that is safe to print.
    pub(super) fn printable(&self, text: &str) -> String {
        self.redactor.redact(text).into_owned()
    }

    pub(super) fn leaks(&self) -> Leaks {
        self.lock().clone()
    }

    /// An error may be logged with its causes and its `Debug` output, so all of them are searched.
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

    /// An account is sent to Iden with the names of its references if `bridge.refs` says so; its plain form does not contain them.
    pub(super) fn account(&self, call: &str, account: &AccountRecord) {
        self.record(call, account);
        for references in [&account.memberships, &account.assignments] {
            if self.holds_secret(&references.to_json(true).to_string()) {
                self.lock().records.insert(call.to_owned());
            }
        }
    }

    /// The rest of a page. A cursor is not shown, but it is logged if it is repeated.
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

    /// Any other output of the connector.
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

    /// Output that `Debug` omits must be searched as well.
    #[test]
    fn leaked_secret_is_found_even_if_debug_hides_it() {
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
