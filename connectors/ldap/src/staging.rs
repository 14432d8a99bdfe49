//! Creates accounts under a temporary name.
//!
//! If a password can only be set once the entry exists, an account would exist without one for a moment; if bridgehead
//! ended in that moment, a look-up would find the account and consider the task done. So the entry is created under a
//! temporary name, gets its password, and is renamed: that is one step, and the account exists or it does not. Entries
//! with such a name are not accounts.
//!
//! Whatever goes wrong after the first request, the entry is removed again, over another connection if necessary. An
//! entry that cannot be removed is reported, and the next attempt starts by removing it.

use std::sync::Arc;

use bridgehead_sdk::{Effect, Error, TaskId};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::task::JoinError;

use crate::create::Attributes;
use crate::directory::Directory;
use crate::endpoint::Endpoint;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::groups;
use crate::pool::Lease;
use crate::report::About;
use crate::session::{Change, Session};

/// The start of the value that names such an entry.
pub(crate) const PREFIX: &str = ".bridgehead-";

/// How often the removal of a half-created entry is attempted: over its own connection, and over another one.
const TRIES: usize = 2;

/// An entry to create.
pub(crate) struct Staging {
    pub(crate) endpoint: Arc<Endpoint>,
    /// Its temporary name.
    pub(crate) dn: String,
    pub(crate) attributes: Attributes,
    pub(crate) password: SecretString,
    pub(crate) lock: Option<Change>,
    /// Its final name.
    pub(crate) rdn: String,
}

/// Which request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Add,
    Password,
    Lock,
    Rename,
}

/// Why an entry was not created.
#[derive(Debug)]
pub(crate) struct Broken {
    pub(crate) step: Step,
    pub(crate) failure: Failure,
    /// Why the half-created entry may still exist; `None` if it does not.
    pub(crate) left: Option<String>,
}

impl Staging {
    /// Creates the entry, and returns the connection. The requests run as a unit: a deadline that passes in between interrupts none of
    /// them, so that no half-created entry is left behind.
    pub(crate) async fn make(self, lease: Lease) -> Result<(Lease, Result<(), Broken>), JoinError> {
        let all = tokio::spawn(async move {
            let made = self.run(&lease).await;
            (lease, made)
        });
        all.await
    }

    async fn run(&self, session: &Session) -> Result<(), Broken> {
        self.add(session).await?;
        if let Err((step, failure)) = self.finish(session).await {
            let left = remove(&self.endpoint, session, session, &self.dn).await;
            return Err(Broken { step, failure, left });
        }
        Ok(())
    }

    async fn add(&self, session: &Session) -> Result<(), Broken> {
        let mut added = session.add(&self.dn, self.attributes.clone()).await;
        if added.as_ref().is_err_and(|failure| failure.code() == Some(68)) {
            // An entry with this name can only be a remainder of an earlier attempt at this task.
            if let Err(failure) = session.delete(&self.dn).await {
                let left = Some(failure.to_string());
                return Err(Broken { step: Step::Add, failure, left });
            }
            added = session.add(&self.dn, self.attributes.clone()).await;
        }
        let Err(failure) = added else { return Ok(()) };
        // After a clear refusal nothing is left.
        let is_clear = match &failure {
            Failure::NotSent => true,
            Failure::Refused(refusal) => !matches!(refusal.code, 1 | 3 | 80),
            _ => false,
        };
        let left = if is_clear { None } else { remove(&self.endpoint, session, session, &self.dn).await };
        Err(Broken { step: Step::Add, failure, left })
    }

    async fn finish(&self, session: &Session) -> Result<(), (Step, Failure)> {
        let password = self.password.expose_secret();
        session.set_password(&self.dn, password).await.map_err(|failure| (Step::Password, failure))?;
        if let Some(lock) = &self.lock {
            // After the password, because setting it would remove the lock.
            let locked = session.modify(&self.dn, vec![lock.clone()]).await;
            locked.map_err(|failure| (Step::Lock, failure))?;
        }
        session.rename(&self.dn, &self.rdn).await.map_err(|failure| (Step::Rename, failure))
    }
}

impl Broken {
    /// The error, including what is left behind.
    pub(crate) fn told(&self, dn: &str, error: Error) -> Error {
        let Some(why) = &self.left else { return error };
        let message = format!(
            "{}; the half-created entry {dn} may still exist ({why}): the next attempt removes it, otherwise \
             delete it",
            error.message()
        );
        Error::new(error.code(), message)
            .with_effect(Effect::Unknown)
            .with_retry(error.retry())
            .with_subject(error.subject())
            .with_source(error)
    }
}

/// Removes the half-created entry of an earlier attempt at a task.
pub(crate) async fn clear(
    directory: &Directory,
    session: &Session,
    dn: &str,
    label: &str,
) -> Result<(), Error> {
    if !groups::is_there(directory, session, dn).await? {
        return Ok(());
    }
    match session.delete(dn).await {
        Err(failure) if failure.code() != Some(32) => {
            Err(directory.explain(session, failure, About::Account(label)).await)
        }
        _ => Ok(()),
    }
}

/// Removes an entry that this call has created over `maker`: over `session`, or over another connection if that one is unusable. Returns
/// why the entry may still exist.
pub(crate) async fn remove(
    endpoint: &Arc<Endpoint>,
    maker: &Session,
    session: &Session,
    dn: &str,
) -> Option<String> {
    let mut left = None;
    for _ in 0..TRIES {
        let spare = match spare(endpoint, session).await {
            Ok(spare) => spare,
            Err(failure) => return Some(failure.to_string()),
        };
        let used = spare.as_ref().unwrap_or(session);
        match used.delete(dn).await {
            // Only the server that created the entry can confirm the removal: another one may not have received the entry yet, or may not
            // have passed on its removal.
            Ok(()) if used.is_at_server_of(maker) => return None,
            Err(failure) if failure.code() == Some(32) && used.is_at_server_of(maker) => return None,
            Ok(()) => {
                return Some(
                    "another server took over and removed it, which the first may not know yet".into(),
                );
            }
            Err(failure) if failure.code() == Some(32) => {
                return Some("another server took over, which may not have received it yet".into());
            }
            Err(failure) => {
                let is_final = failure.code().is_some() && !failure.ends_connection();
                left = Some(failure.to_string());
                if is_final {
                    break;
                }
            }
        }
    }
    left
}

/// Another connection, if one is needed. It does not belong to the pool, because the caller may hold the last place there.
pub(crate) async fn spare(endpoint: &Arc<Endpoint>, session: &Session) -> Result<Option<Session>, Failure> {
    if session.is_usable() { Ok(None) } else { Session::open(endpoint).await.map(Some) }
}

/// The value that names the entry of a task during its creation: the same for every attempt at the task.
pub(crate) fn value(task: &TaskId) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let id: String = task.as_str().chars().filter(fits).take(48).collect();
    format!("{PREFIX}{id}")
}

/// Whether an entry is being created, or was left half-created.
pub(crate) fn is_staged(entry: &Entry) -> bool {
    let value = entry.rdn().and_then(|rdn| rdn.parts.into_iter().next());
    value.is_some_and(|part| part.value.starts_with(PREFIX.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staged_entry_is_not_an_account() {
        let dn = format!("uid={},ou=people,dc=test", value(&"3f2b, x".into()));
        assert!(is_staged(&Entry::new(&dn, [])));
        assert!(!is_staged(&Entry::new("uid=ann,ou=people,dc=test", [])));
    }
}
