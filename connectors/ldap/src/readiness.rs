//! What a new connection checks before it is used: whether this server shows the accounts at all, and whether it has received all of its
//! data.
//!
//! A replica that is being filled for the first time answers every search with success, although most accounts are missing from the
//! results. So such a server is not used, neither for listings nor for look-ups.

use ldap3::Scope;

use crate::endpoint::Readiness;
use crate::failure::Failure;
use crate::name::Name;
use crate::session::{Change, Search, Session};
use crate::settings::Profile;
use crate::usability;

/// The control with which a server sends its content to replicas (RFC 4533).
const SYNC: &str = "1.3.6.1.4.1.4203.1.9.1.1";

/// Why a server that returns only referrals is not used.
pub(crate) const REFERS: &str = "it refers to another server for everything, like a replica whose initial \
                                 load is running or was interrupted. Wait until it is complete, or reload \
                                 it; if bind_dn or the accounts are always elsewhere, point url there";

/// What the server says about itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Features {
    /// Whether it reports for each account if that can log in.
    pub(crate) usability: bool,
    /// The name of the entry with its schema.
    pub(crate) schema: Option<String>,
}

/// Checks the server; an error says why it cannot be used.
pub(crate) async fn examine(session: &Session, readiness: &Readiness) -> Result<Features, Failure> {
    let attributes = ["supportedControl", "namingContexts", "subschemaSubentry", "isSynchronized"];
    let root = match session.search(&one("", &attributes)).await {
        // It may hide its root entry, or everything; the search for the accounts shows which.
        Err(Failure::Refused(refusal)) if !matches!(refusal.code, 51 | 52) => Vec::new(),
        root => root?,
    };
    let texts = |attribute: &str| -> Vec<String> {
        let entry = root.first();
        entry.into_iter().flat_map(|entry| entry.texts(attribute).flatten()).map(str::to_owned).collect()
    };
    if texts("isSynchronized").iter().any(|value| value.eq_ignore_ascii_case("FALSE"))
        && readiness.replica != Some(false)
    {
        return Err(Failure::Incomplete(
            "its first replication is not complete (isSynchronized is FALSE); wait until it is",
        ));
    }
    match session.search(&one(&readiness.accounts, &["1.1"])).await {
        Err(Failure::Refused(refusal)) if matches!(refusal.code, 1 | 50 | 53 | 80) => {
            return Err(Failure::Restricted(refusal));
        }
        // 389 Directory Server returns this, or rejects the bind, during a complete refresh.
        Err(Failure::Refused(refusal)) if refusal.code == 10 => return Err(Failure::Incomplete(REFERS)),
        // A missing base is reported with its key, by the code that needs it.
        Err(Failure::Refused(refusal)) if !matches!(refusal.code, 51 | 52) => {}
        Err(failure) => return Err(failure),
        Ok(_) => {}
    }
    if readiness.profile == Profile::Ds389 && readiness.replica != Some(false) {
        was_filled(session, readiness, &texts("namingContexts")).await?;
    }
    let controls = texts("supportedControl");
    if readiness.profile == Profile::OpenLdap && readiness.replica != Some(false) {
        let provides = controls.iter().any(|control| control == SYNC);
        received_everything(session, readiness, &texts("namingContexts"), provides).await?;
    }
    Ok(Features {
        usability: controls.iter().any(|control| control == usability::OID),
        schema: texts("subschemaSubentry").into_iter().next(),
    })
}

/// 389 Directory Server: the replication state is kept in a separate entry. A writable server names itself there from
/// the start; one that only receives names others once it has received everything for the first time.
async fn was_filled(session: &Session, readiness: &Readiness, contexts: &[String]) -> Result<(), Failure> {
    let context = root_of(&readiness.accounts, contexts);
    let search = Search {
        base: &context,
        scope: Scope::Subtree,
        filter: "(&(objectClass=nsTombstone)(nsUniqueId=ffffffff-ffffffff-ffffffff-ffffffff))",
        attributes: &["nsds50ruv"],
        limit: 1,
    };
    let state = match session.search_here(&search).await {
        Ok((found, _)) => found,
        Err(failure) if failure.code().is_none() => return Err(failure),
        Err(_) => Vec::new(),
    };
    let mut known = state.iter().flat_map(|entry| entry.texts("nsds50ruv").flatten()).peekable();
    if known.peek().is_none() {
        return if readiness.replica == Some(true) {
            Err(Failure::Incomplete(
                "it does not show its replication state (nsds50ruv); allow bind_dn to read that attribute, \
                 also below cn=mapping tree,cn=config",
            ))
        } else {
            Ok(())
        };
    }
    if known.any(|line| line.trim_start().starts_with("{replica ")) {
        return Ok(());
    }
    Err(Failure::Incomplete(
        "it is a replica that has not received everything yet (its nsds50ruv names no other server); load \
         it, or set replica = false to read it as it is",
    ))
}

/// OpenLDAP: a replica only has a `contextCSN` at its root after its first refresh; a server without replication never has one.
async fn received_everything(
    session: &Session,
    readiness: &Readiness,
    contexts: &[String],
    provides: bool,
) -> Result<(), Failure> {
    let context = root_of(&readiness.accounts, contexts);
    let shown = session.search(&one(&context, &["contextCSN"])).await;
    match shown {
        Ok(found) if found.iter().any(|entry| !entry.values("contextCSN").is_empty()) => return Ok(()),
        Err(failure) if failure.code().is_none() => return Err(failure),
        _ => {}
    }
    if readiness.replica == Some(true) || provides || session.is_read_only(&context).await? {
        return Err(Failure::Incomplete(
            "there is no contextCSN at the root of its database, like on a replica whose first refresh is \
             not complete. Wait until it is, or allow bind_dn to read that attribute; for a read-only \
             server that is not a replica, set replica = false",
        ));
    }
    Ok(())
}

/// The root of the database that contains an entry.
fn root_of(dn: &str, contexts: &[String]) -> String {
    let Ok(name) = Name::parse(dn) else { return dn.to_owned() };
    let within = contexts.iter().filter_map(|context| {
        let parsed = Name::parse(context).ok()?;
        name.is_within(&parsed).then_some((parsed.rdns.len(), context))
    });
    within.max_by_key(|(levels, _)| *levels).map_or_else(|| dn.to_owned(), |(_, context)| context.clone())
}

/// A search for one entry by its name.
pub(crate) fn one<'a>(base: &'a str, attributes: &'a [&'a str]) -> Search<'a> {
    Search { base, scope: Scope::Base, filter: "(objectClass=*)", attributes, limit: 0 }
}

impl Session {
    /// Whether the server accepts changes from no client: it is a replica, or read-only. Tested by changing an entry that does not exist,
    /// for which a writable server returns "no such object".
    pub(crate) async fn is_read_only(&self, below: &str) -> Result<bool, Failure> {
        let nobody = format!("cn=.bridgehead-nobody-{},{below}", uuid::Uuid::new_v4().simple());
        match self.modify(&nobody, vec![Change::replace::<&str>("description", [])]).await {
            Err(Failure::Refused(refusal)) if matches!(refusal.code, 51 | 52) => {
                Err(Failure::Refused(refusal))
            }
            Err(Failure::Refused(refusal)) => Ok(matches!(refusal.code, 1 | 10 | 53)),
            Err(failure) => Err(failure),
            Ok(()) => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_naming_context_is_the_database_root() {
        let contexts = ["dc=test".to_owned(), "ou=people,dc=test".to_owned(), "cn=config".to_owned()];
        assert_eq!(root_of("ou=staff,OU=people,dc=test", &contexts), "ou=people,dc=test");
        assert_eq!(root_of("ou=groups,dc=test", &contexts), "dc=test");
        assert_eq!(root_of("dc=other", &contexts), "dc=other");
    }
}
