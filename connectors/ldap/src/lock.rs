//! Determines whether a lock keeps an account from logging in.
//!
//! In OpenLDAP, `pwdAccountLockedTime` only keeps an account from logging in if the password policy in force for it has `pwdLockout TRUE`;
//! otherwise the attribute is stored without any effect. So a suspension is only done once this was checked, not when the attribute was
//! written.

use bridgehead_sdk::Error;
use ldap3::Scope;

use crate::directory::{Directory, equals};
use crate::entry::Entry;
use crate::failure::Failure;
use crate::holder::Holder;
use crate::memberships::id_of;
use crate::readiness::one;
use crate::report::About;
use crate::session::{Change, Search, Session};
use crate::suspension::{LOCKED_FOR_GOOD, LOCKED_TIME, Suspension};

/// The attribute that names an account's own policy.
const OWN_POLICY: &str = "pwdPolicySubentry";

/// The effect of a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Force {
    /// The account cannot log in.
    Holds,
    /// The lock has no effect, for this reason.
    Void(String),
    /// The effect cannot be determined, for this reason.
    Unknown(String),
}

/// Checks that a suspended account cannot log in. If it can, a lock that this task added is removed again, so that nothing was changed.
pub(crate) async fn must_hold(
    directory: &Directory,
    session: &Session,
    dn: &str,
    before: Option<&Entry>,
    label: &str,
) -> Result<(), Error> {
    let Some(suspension @ Suspension::PwdAccountLockedTime { policy }) = &directory.layout().suspension
    else {
        return Ok(());
    };
    let why = match force(directory, session, dn, policy.as_deref()).await {
        Ok(Force::Holds) => return Ok(()),
        Ok(Force::Void(why)) => format!("the lock would have no effect: {why}"),
        Ok(Force::Unknown(why)) => format!("whether the lock has an effect is unknown: {why}"),
        Err(failure) => {
            return Err(directory
                .report(failure, About::Account(label))
                .with_effect(bridgehead_sdk::Effect::Unknown));
        }
    };
    let message = format!("{}: User {label} is not suspended: {why}", directory.system());
    if before.is_some_and(|before| !suspension.is_set(before)) {
        let unlock = vec![Change::replace::<&str>(LOCKED_TIME, [])];
        let id = before.and_then(|before| id_of(directory.layout(), before));
        let holder = Holder::new(&directory.layout().id, dn, id.as_deref());
        if let Err(failure) = session.modify_held(&holder, unlock).await {
            let message = format!("{message}; the attribute {LOCKED_TIME} remains ({failure})");
            return Err(Error::internal(message).with_effect(bridgehead_sdk::Effect::Unknown));
        }
    }
    Err(Error::internal(message))
}

/// The problem with how accounts are suspended, as far as it is visible without changing anything.
pub(crate) async fn examine(directory: &Directory, session: &Session) -> Result<Option<String>, Failure> {
    let layout = directory.layout();
    let Some(Suspension::PwdAccountLockedTime { policy }) = &layout.suspension else { return Ok(None) };
    let schema = directory.schema();
    if schema.is_known() && !schema.has(LOCKED_TIME) {
        return Ok(Some(format!(
            "suspend.method: the server does not know {LOCKED_TIME}; load the overlay ppolicy, or choose another method"
        )));
    }
    if let Some(dn) = policy {
        return Ok(match of_policy(session, dn).await? {
            Force::Holds => None,
            Force::Void(why) | Force::Unknown(why) => Some(format!("suspend.policy: {why}")),
        });
    }
    // Preferably an account that is already suspended, otherwise any account with a password.
    for condition in [equals(LOCKED_TIME, LOCKED_FOR_GOOD), "(userPassword=*)".to_owned()] {
        let Some(entry) = any_account(directory, session, &condition).await? else { continue };
        let is_locked = directory.layout().suspension.as_ref().is_some_and(|of| of.is_set(&entry));
        match (is_locked, force_of(session, &entry).await?) {
            (true, Some(Force::Holds)) => return Ok(None),
            (true, Some(Force::Void(why))) => return Ok(Some(format!("suspend.method: {why}"))),
            (false, None) if session.features.usability => {
                return Ok(Some(format!(
                    "suspend.method: no password policy applies to {}, and without one a lock has no \
                     effect; set ppolicy_default, with pwdLockout TRUE in that policy",
                    entry.dn
                )));
            }
            _ => {}
        }
    }
    // At least one of the visible policies must make locks effective.
    let policies = Search {
        base: &layout.base,
        scope: Scope::Subtree,
        filter: "(objectClass=pwdPolicy)",
        attributes: &["pwdLockout"],
        limit: 50,
    };
    let found = session.probe(&policies).await.unwrap_or_default();
    let locks =
        |entry: &Entry| entry.texts("pwdLockout").flatten().any(|value| value.eq_ignore_ascii_case("TRUE"));
    Ok((!found.is_empty() && !found.iter().any(locks)).then(|| {
        format!("suspend.method: pwdLockout is not TRUE in {}, so a lock has no effect; set pwdLockout TRUE there", found[0].dn)
    }))
}

async fn force(
    directory: &Directory,
    session: &Session,
    dn: &str,
    policy: Option<&str>,
) -> Result<Force, Failure> {
    let found = session.search(&one(dn, &[LOCKED_TIME, OWN_POLICY])).await?;
    let Some(entry) = found.into_iter().next() else {
        return Ok(Force::Unknown(format!("bind_dn is not allowed to read {dn}")));
    };
    if let Some(known) = force_of(session, &entry).await? {
        return Ok(known);
    }
    // The server reports usability for accounts with a password and a policy, to clients that are allowed to compare the password.
    let has = |condition: &'static str| async move {
        let search = Search { filter: condition, ..one(dn, &["1.1"]) };
        Ok::<_, Failure>(!session.search(&search).await?.is_empty())
    };
    if has("(!(userPassword=*))").await? {
        return Ok(Force::Holds);
    }
    let own = entry.texts(OWN_POLICY).flatten().next().or(policy);
    if let Some(policy) = own {
        return of_policy(session, policy).await;
    }
    if session.features.usability && has("(userPassword=*)").await? {
        let why = "no password policy applies to the account; set ppolicy_default, with pwdLockout TRUE in \
                   that policy";
        return Ok(Force::Void(why.to_owned()));
    }
    Ok(Force::Unknown(format!(
        "allow {} to compare userPassword, or set the password policy that applies (suspend.policy)",
        directory.reporter.bind_dn
    )))
}

/// What the server itself reports about an account, if anything.
async fn force_of(session: &Session, entry: &Entry) -> Result<Option<Force>, Failure> {
    match entry.usable {
        None => Ok(None),
        Some(false) => Ok(Some(Force::Holds)),
        Some(true) => {
            let own = entry.texts(OWN_POLICY).flatten().next();
            let policy = match own {
                Some(dn) => match of_policy(session, dn).await? {
                    Force::Void(why) => return Ok(Some(Force::Void(why))),
                    _ => format!("the password policy {dn}"),
                },
                None => "the default password policy (ppolicy_default)".to_owned(),
            };
            let why =
                format!("the server says that {} can log in; set pwdLockout TRUE in {policy}", entry.dn);
            Ok(Some(Force::Void(why)))
        }
    }
}

async fn of_policy(session: &Session, dn: &str) -> Result<Force, Failure> {
    let found = match session.search(&one(dn, &["pwdLockout"])).await {
        Ok(found) => found,
        Err(failure) if failure.code() == Some(32) => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let Some(policy) = found.first() else {
        return Ok(Force::Unknown(format!(
            "the password policy {dn} does not exist, or bind_dn is not allowed to read it"
        )));
    };
    Ok(if policy.texts("pwdLockout").flatten().any(|value| value.eq_ignore_ascii_case("TRUE")) {
        Force::Holds
    } else {
        Force::Void(format!("the password policy {dn} does not set pwdLockout TRUE; set it there"))
    })
}

async fn any_account(
    directory: &Directory,
    session: &Session,
    condition: &str,
) -> Result<Option<Entry>, Failure> {
    let accounts = &directory.layout().accounts;
    let filter = format!("(&{}{condition})", accounts.filter);
    let search = Search {
        base: &accounts.base,
        scope: accounts.scope,
        filter: &filter,
        attributes: &[LOCKED_TIME, OWN_POLICY],
        limit: 1,
    };
    match session.probe(&search).await {
        Ok(found) => Ok(found.into_iter().next()),
        // A search that takes too long is given up.
        Err(failure) if failure.code().is_some() => Ok(None),
        Err(failure) => Err(failure),
    }
}
