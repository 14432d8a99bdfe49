//! Checks whether the directory can be reached, accepts the bind, and matches the settings.

use bridgehead_sdk::{Error, Retry, Subject};

use crate::directory::Directory;
use crate::escape;
use crate::failure::Failure;
use crate::lock;
use crate::paging;
use crate::readiness::one;
use crate::report::About;
use crate::rights;
use crate::session::{Search, Session};

/// Binds, and checks the server, its schema, every base, and what `bind_dn` is allowed to read. Nothing is changed.
pub(crate) async fn check(directory: &Directory) -> Result<(), Error> {
    let about = About::Reading("the server's own entry");
    let lease = directory.lease(about).await?;
    directory.learn(&lease, true).await?;
    let found = lease.search(&one("", &["supportedControl"])).await;
    let found = found.map_err(|failure| directory.report(failure, about))?;
    let controls = found.first().map(|entry| entry.texts("supportedControl").flatten().collect::<Vec<_>>());
    // A server that hides its root entry may still support paging; a listing detects it if not.
    if controls.is_some_and(|controls| !controls.is_empty() && !controls.contains(&paging::OID)) {
        let message = format!(
            "{} at {} does not support paged results (RFC 2696), which listing requires",
            directory.system(),
            directory.reporter.url
        );
        return Err(Error::internal(message).with_retry(Retry::Backoff).with_subject(Subject::Connection));
    }
    let layout = directory.layout();
    base(directory, &lease, &layout.accounts.base, "accounts.base").await?;
    if !directory.read_only {
        base(directory, &lease, &layout.create.base, "create.base").await?;
    }
    for of in &layout.groups {
        base(directory, &lease, &of.base, &format!("{}.base", of.key)).await?;
    }
    filters(directory)?;
    references(directory, &lease).await?;
    rights::fields(directory, &lease).await?;
    rights::memberships(directory, &lease).await?;
    let fault = lock::examine(directory, &lease).await;
    match fault.map_err(|failure| directory.report(failure, About::Reading("the password policy")))? {
        Some(fault) if !directory.read_only => Err(directory.reporter.wrong(fault)),
        _ => Ok(()),
    }
}

/// Checks that the attributes in filters exist: a condition on an unknown attribute is never true.
fn filters(directory: &Directory) -> Result<(), Error> {
    let (layout, schema) = (directory.layout(), directory.schema());
    if !schema.is_known() {
        return Ok(());
    }
    let accounts = ("accounts.filter".to_owned(), &layout.accounts.filter);
    let groups = layout.groups.iter().map(|of| (format!("{}.filter", of.key), &of.filter));
    for (key, filter) in std::iter::once(accounts).chain(groups) {
        for attribute in escape::attributes_in_filter(filter) {
            if !schema.has(attribute) {
                let nearest = schema.nearest(attribute);
                return Err(directory.reporter.unknown_attribute(&key, attribute, nearest));
            }
        }
    }
    Ok(())
}

/// Checks that no listed part is on another server, and that the configured page size is allowed.
async fn references(directory: &Directory, session: &Session) -> Result<(), Error> {
    let layout = directory.layout();
    let nobody = rights::nobody(&layout.id.name);
    let accounts = (layout.accounts.base.as_str(), layout.accounts.scope);
    let groups = layout.groups.iter().map(|of| (of.base.as_str(), ldap3::Scope::Subtree));
    for (base, scope) in std::iter::once(accounts).chain(groups) {
        let search = Search { base, scope, filter: &nobody, attributes: &["1.1"], limit: 0 };
        let page = session.page(&search, directory.page_size, Vec::new()).await;
        page.map_err(|failure| directory.report(failure, About::Reading(base)))?;
    }
    Ok(())
}

/// Checks that an entry named in the settings exists.
pub(crate) async fn base(directory: &Directory, session: &Session, dn: &str, key: &str) -> Result<(), Error> {
    match session.search(&one(dn, &["1.1"])).await {
        Ok(found) if !found.is_empty() => Ok(()),
        Ok(_) => Err(directory.reporter.base_missing(dn, key, None)),
        Err(Failure::Refused(refusal)) if refusal.code == 32 => {
            Err(directory.reporter.base_missing(dn, key, Some(&refusal)))
        }
        Err(failure) => Err(directory.report(failure, About::Reading(key))),
    }
}
