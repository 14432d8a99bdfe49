//! Determines whether a refusal is about the task or about the state of the server.
//!
//! A server that currently accepts no changes, or that requires bridgehead's account to change its password first, returns the same result
//! codes as a rule that one task breaks. The messages do not help either: they differ by server and version. So such a code is followed by
//! two requests that every healthy server answers in the same way: whether the accounts are visible, and what a change of a non-existing
//! entry returns.

use bridgehead_sdk::Error;

use crate::directory::Directory;
use crate::failure::Failure;
use crate::readiness::one;
use crate::report::About;
use crate::session::Session;

impl Directory {
    /// The error for a change that failed: about the connection if the server would refuse any change now.
    pub(crate) async fn explain(&self, session: &Session, failure: Failure, about: About<'_>) -> Error {
        match self.state_of_server(session, &failure).await {
            Some(error) => error.with_source(failure),
            None => self.report(failure, about),
        }
    }

    /// The problem of the server, if that is the reason for the refusal; `None` if the refusal is about the task.
    pub(crate) async fn state_of_server(&self, session: &Session, failure: &Failure) -> Option<Error> {
        let Failure::Refused(refusal) = failure else { return None };
        if !matches!(refusal.code, 1 | 10 | 50 | 53 | 80) {
            return None;
        }
        let accounts = &self.layout().accounts.base;
        match session.search(&one(accounts, &["1.1"])).await {
            Err(Failure::Refused(shown)) if matches!(shown.code, 1 | 50 | 53 | 80) => {
                // The next connection checks again.
                session.spoil();
                return Some(self.reporter.restricted(&shown));
            }
            _ => {}
        }
        match session.is_read_only(&self.layout().create.base).await {
            Ok(true) => {
                // Another server of the list may accept changes by now, for example after a replica has stood in for its provider.
                session.set_aside();
                Some(self.reporter.read_only(refusal))
            }
            _ => None,
        }
    }
}
