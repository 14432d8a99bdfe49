//! Whether the directory can be reached, accepts the bind, and is what the settings say.

use bridgehead_sdk::{Error, Retry, Subject};

use crate::directory::Directory;
use crate::failure::Failure;
use crate::paging;
use crate::report::About;
use crate::session::{Search, Session};

/// Binds, and looks at the server and at every base. It changes nothing.
pub(crate) async fn check(directory: &Directory) -> Result<(), Error> {
    let about = About::Reading("the server's own entry");
    let lease = directory.lease(about).await?;
    let root = Search {
        base: "",
        scope: ldap3::Scope::Base,
        filter: "(objectClass=*)",
        attributes: &["supportedControl"],
        limit: 0,
    };
    let found = lease.search(&root).await.map_err(|failure| directory.report(failure, about))?;
    let controls = found.first().map(|entry| entry.texts("supportedControl").flatten().collect::<Vec<_>>());
    // A server that hides its own entry may page all the same; listing notices if it does not.
    if controls.is_some_and(|controls| !controls.is_empty() && !controls.contains(&paging::OID)) {
        let message = format!(
            "{} at {} does not offer paged results (RFC 2696), without which it cannot be listed",
            directory.system(),
            directory.reporter.url
        );
        return Err(Error::internal(message).retry(Retry::Backoff).subject(Subject::Connection));
    }
    let layout = &directory.layout;
    base(directory, &lease, &layout.accounts.base, "accounts.base").await?;
    if !directory.read_only {
        base(directory, &lease, &layout.create.base, "create.base").await?;
    }
    for of in &layout.groups {
        base(directory, &lease, &of.base, &format!("the base of the type '{}'", of.slug())).await?;
    }
    Ok(())
}

/// That an entry which the settings name is there.
pub(crate) async fn base(directory: &Directory, session: &Session, dn: &str, key: &str) -> Result<(), Error> {
    let search = Search {
        base: dn,
        scope: ldap3::Scope::Base,
        filter: "(objectClass=*)",
        attributes: &["1.1"],
        limit: 0,
    };
    match session.search(&search).await {
        Ok(found) if !found.is_empty() => Ok(()),
        Ok(_) => Err(directory.reporter.base_missing(dn, key, None)),
        Err(Failure::Refused(refusal)) if refusal.code == 32 => {
            Err(directory.reporter.base_missing(dn, key, Some(&refusal)))
        }
        Err(failure) => Err(directory.report(failure, About::Reading(key))),
    }
}
