//! Whether a refusal is about the task, or about the state of the server.
//!
//! A server that takes no changes at the moment, and an account of bridgehead that must change its password first, answer with
//! the same result codes as a rule that one task breaks. The texts beside the codes are no help: they differ by server and
//! version. So after such a code two questions are asked that every healthy server answers alike: whether the accounts can be
//! seen, and what a change of an entry says that does not exist.

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

    /// What is wrong with the server, if that is why it refused; `None` if the refusal is about the task.
    pub(crate) async fn state_of_server(&self, session: &Session, failure: &Failure) -> Option<Error> {
        let Failure::Refused(refusal) = failure else { return None };
        if !matches!(refusal.code, 1 | 10 | 50 | 53 | 80) {
            return None;
        }
        let accounts = &self.layout().accounts.base;
        match session.search(&one(accounts, &["1.1"])).await {
            Err(Failure::Refused(shown)) if matches!(shown.code, 1 | 50 | 53 | 80) => {
                // The next connection looks again.
                session.spoil();
                return Some(self.reporter.restricted(&shown));
            }
            _ => {}
        }
        match session.is_read_only(&self.layout().create.base).await {
            Ok(true) => {
                // Another server of the list may take changes by now, as after a replica has stood in for its provider.
                session.set_aside();
                Some(self.reporter.read_only(refusal))
            }
            _ => None,
        }
    }
}
