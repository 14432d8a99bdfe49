//! Passwords: their encoding, and random passwords for tasks without one.

use bridgehead_sdk::{Completion, Effect, Error, ResetPassword};
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use crate::directory::Directory;
use crate::entry::Entry;
use crate::failure::Failure;
use crate::pool::Lease;
use crate::report::About;
use crate::session::Change;
use crate::settings::PasswordMethod;
use crate::suspension::Suspension;

/// The attribute of Active Directory.
pub(crate) const UNICODE_PWD: &str = "unicodePwd";

/// A value of `unicodePwd`: in quotes, UTF-16, little-endian ([MS-ADTS] 3.1.1.3.1.5.1).
pub(crate) fn unicode(password: &str) -> Vec<u8> {
    format!("\"{password}\"").encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// A random password with all kinds of characters that policies require.
pub(crate) fn random() -> SecretString {
    let (one, other) = (Uuid::new_v4().simple().to_string(), Uuid::new_v4().simple().to_string());
    format!("Aa1-{one}{}", other.to_uppercase()).into()
}

/// Sets a new password: that of the task, otherwise a random one, so that the old one no longer works.
pub(crate) async fn reset(directory: &Directory, reset: &ResetPassword) -> Result<Completion, Error> {
    let label = reset.account.label();
    let lease = directory.lease(About::Account(label)).await?;
    let entry = directory.get(&lease, &reset.account).await?;
    if lock_again(directory).is_some() {
        // Whether the account stays suspended depends on what is read.
        directory.must_be_settled()?;
    }
    let password = reset.password.clone().unwrap_or_else(random);
    let keep = directory.layout().suspension.as_ref().is_some_and(|of| of.is_set(&entry));
    set(directory, lease, &entry, label, password, keep).await?;
    Ok(Completion::done())
}

/// Sets the password of an entry; `suspended` says whether the entry must be suspended afterwards. Returns the connection.
pub(crate) async fn set(
    directory: &Directory,
    lease: Lease,
    entry: &Entry,
    label: &str,
    password: SecretString,
    suspended: bool,
) -> Result<Lease, Error> {
    let _protection = directory.redactor.protect([password.expose_secret()]);
    let holder = directory.holder(entry);
    let lock = if suspended { lock_again(directory) } else { None };
    let is_ad = directory.layout().password == PasswordMethod::UnicodePwd;
    // Setting the password unlocks a locked account (`ppolicy` removes the lock), so it is locked again immediately.
    // The two belong together: a deadline that passes in between must not leave the account unlocked.
    let both = tokio::spawn(async move {
        let set = if is_ad {
            let change = Change::replace(UNICODE_PWD, [unicode(password.expose_secret())]);
            lease.modify_held(&holder, vec![change]).await
        } else {
            match lease.still_has_its_name(&holder).await {
                Ok(()) => lease.set_password(&holder.dn, password.expose_secret()).await,
                Err(failure) => Err(failure),
            }
        };
        let result = match (set, lock) {
            (Err(failure), _) => Err((failure, false)),
            (Ok(()), Some(lock)) => {
                lease.modify_held(&holder, vec![lock]).await.map_err(|failure| (failure, true))
            }
            (Ok(()), None) => Ok(()),
        };
        (lease, result)
    });
    let broke_off = |error: tokio::task::JoinError| {
        let message = format!("{}: setting the password of User {label} was interrupted", directory.system());
        Error::internal(message).with_effect(Effect::Unknown).with_source(error)
    };
    let (lease, result) = both.await.map_err(broke_off)?;
    match result {
        Ok(()) => Ok(lease),
        Err((failure, true)) => {
            let error = directory.report(failure, About::Account(label));
            let message = format!(
                "{}; the password of User {label} was set, which ended the suspension; suspend the account again",
                error.message()
            );
            Err(Error::new(error.code(), message)
                .with_effect(Effect::Unknown)
                .with_subject(error.subject())
                .with_source(error))
        }
        Err((failure, false)) => Err(refused(directory, &lease, failure, entry, label).await),
    }
}

/// The change that suspends an account again, if setting a password ends the suspension.
fn lock_again(directory: &Directory) -> Option<Change> {
    let suspension = directory.layout().suspension.as_ref()?;
    if !matches!(suspension, Suspension::PwdAccountLockedTime { .. }) {
        return None;
    }
    let (attribute, value) = suspension.at_first(true)?;
    Some(Change::replace(&attribute, [value]))
}

/// The error for a rejected password.
pub(crate) async fn refused(
    directory: &Directory,
    session: &crate::session::Session,
    failure: Failure,
    entry: &Entry,
    label: &str,
) -> Error {
    if let Some(error) = directory.state_of_server(session, &failure).await {
        return error.with_source(failure);
    }
    match &failure {
        Failure::Refused(refusal) if matches!(refusal.code, 19 | 53) => {
            let message = format!(
                "{}: the password of User {label} was rejected: {refusal}; it must meet the password policy",
                directory.system()
            );
            Error::internal(directory.redactor.redact(&message)).with_source(failure)
        }
        _ => directory.changing_failed(session, failure, entry, label).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_directory_password_is_quoted_utf16() {
        assert_eq!(unicode("aé"), [0x22, 0, 0x61, 0, 0xe9, 0, 0x22, 0]);
    }

    #[test]
    fn random_password_is_long_and_unique() {
        let (one, other) = (random(), random());
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(one.expose_secret().len() > 60);
    }
}
