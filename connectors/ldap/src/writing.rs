//! What `bind_dn` is allowed to write, determined without changing anything. Each directory has a different request for that:
//!
//! - 389 Directory Server reports the permissions on an entry (Get Effective Rights).
//! - Active Directory and Samba show which attributes the client may write, and which classes of entries may be added
//!   where.
//! - OpenLDAP has none. It checks permissions before it checks values, so that removing a value that no entry has
//!   returns "no permission" (50) or "no such value" (16). Its control for dry runs (no-operation) is not usable: an
//!   entry that is not added leaves attribute numbers in the memory of `back-mdb` that its file does not have, and
//!   entries written afterwards cannot be read. So whether entries may be added, renamed or deleted is not tested
//!   there.

use ldap3::controls::RawControl;

use crate::directory::Directory;
use crate::failure::Failure;
use crate::readiness::one;
use crate::session::{Change, Session};
use crate::settings::Profile;

/// Get Effective Rights (`draft-ietf-ldapext-acl-model`).
const EFFECTIVE_RIGHTS: &str = "1.3.6.1.4.1.42.2.27.9.5.2";

/// The attribute with the permissions on an entry.
const ATTRIBUTE_RIGHTS: &str = "attributeLevelRights";
const ENTRY_RIGHTS: &str = "entryLevelRights";
const WRITABLE: &str = "allowedAttributesEffective";
const ADDABLE: &str = "allowedChildClassesEffective";

/// An entry that represents all of its kind, and what tasks write to it.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) dn: String,
    /// Attributes, each with the key that names it.
    pub(crate) attributes: Vec<(String, String)>,
}

/// Missing permissions; each is a sentence that begins with the key to change.
pub(crate) async fn missing(
    directory: &Directory,
    session: &Session,
    account: Option<&Sample>,
    groups: &[Sample],
) -> Result<Vec<String>, Failure> {
    let samples: Vec<&Sample> = account.into_iter().chain(groups).collect();
    let asked = match directory.layout().profile {
        Profile::OpenLdap => by_values_of_nobody(directory, session, &samples).await,
        Profile::Ds389 => by_effective_rights(directory, session, account, &samples).await,
        Profile::ActiveDirectory => by_what_is_writable(directory, session, &samples).await,
    };
    match asked {
        // The server does not support this request, or refuses it to bridgehead.
        Err(failure) if failure.code().is_some() => {
            tracing::debug!(app = %directory.system(), "the write permissions of bind_dn cannot be read: \
                                                        {failure}");
            Ok(Vec::new())
        }
        asked => asked,
    }
}

fn not_writable(directory: &Directory, key: &str, attribute: &str, dn: &str) -> String {
    let bind_dn = &directory.reporter.bind_dn;
    format!(
        "{key}: {bind_dn} is not allowed to write {attribute} of {dn}, which tasks need; grant it \
             permission"
    )
}

fn not_addable(directory: &Directory) -> String {
    let (bind_dn, base) = (&directory.reporter.bind_dn, &directory.layout().create.base);
    format!("create.base: {bind_dn} is not allowed to add entries below {base}; grant it permission")
}

async fn by_values_of_nobody(
    directory: &Directory,
    session: &Session,
    samples: &[&Sample],
) -> Result<Vec<String>, Failure> {
    let nobody = format!(".bridgehead-nobody-{}", uuid::Uuid::new_v4().simple());
    let schema = directory.schema();
    let mut missing = Vec::new();
    for sample in samples {
        for (key, attribute) in &sample.attributes {
            let value = if schema.holds_names(attribute) {
                format!("cn={nobody},{}", directory.layout().base)
            } else if schema.holds_times(attribute) {
                "19010101000001Z".to_owned()
            } else {
                nobody.clone()
            };
            match session.modify(&sample.dn, vec![Change::delete(attribute, value)]).await {
                Err(Failure::Refused(refusal)) if refusal.code == 50 => {
                    missing.push(not_writable(directory, key, attribute, &sample.dn));
                }
                Err(failure) if failure.code().is_none() => return Err(failure),
                _ => {}
            }
        }
    }
    Ok(missing)
}

async fn by_effective_rights(
    directory: &Directory,
    session: &Session,
    account: Option<&Sample>,
    samples: &[&Sample],
) -> Result<Vec<String>, Failure> {
    let who = session.who_am_i().await?;
    let control =
        || RawControl { ctype: EFFECTIVE_RIGHTS.to_owned(), crit: true, val: Some(who.clone().into_bytes()) };
    let bind_dn = &directory.reporter.bind_dn;
    let mut missing = Vec::new();
    for sample in samples {
        let attributes: Vec<&str> =
            sample.attributes.iter().map(|(_, attribute)| attribute.as_str()).collect();
        let found = session.search_with(&one(&sample.dn, &attributes), control()).await?;
        let Some(entry) = found.first() else { continue };
        let rights: Vec<&str> =
            entry.texts(ATTRIBUTE_RIGHTS).flatten().flat_map(|text| text.split(',')).collect();
        for (key, attribute) in &sample.attributes {
            let of = rights.iter().filter_map(|text| text.trim().split_once(':'));
            let of =
                of.filter(|(name, _)| name.trim().eq_ignore_ascii_case(attribute)).map(|(_, rights)| rights);
            // Writing means adding and removing: `w` is adding and `O` removing, if the server distinguishes them.
            if of.into_iter().next().is_some_and(|rights| !rights.contains('w')) {
                missing.push(not_writable(directory, key, attribute, &sample.dn));
            }
        }
    }
    let Some(account) = account else { return Ok(missing) };
    let found = session.search_with(&one(&account.dn, &["1.1"]), control()).await?;
    let Some(rights) = found.first().and_then(|entry| entry.texts(ENTRY_RIGHTS).flatten().next()) else {
        return Ok(missing);
    };
    if !rights.contains('a') {
        missing.push(not_addable(directory));
    }
    for (letter, key, what) in [('d', "accounts.base", "delete"), ('n', "create.rdn", "rename")] {
        if !rights.contains(letter) {
            missing.push(format!(
                "{key}: {bind_dn} is not allowed to {what} {}, which tasks need; grant it permission",
                account.dn
            ));
        }
    }
    Ok(missing)
}

async fn by_what_is_writable(
    directory: &Directory,
    session: &Session,
    samples: &[&Sample],
) -> Result<Vec<String>, Failure> {
    let mut missing = Vec::new();
    for sample in samples {
        let found = session.search(&one(&sample.dn, &[WRITABLE])).await?;
        let Some(entry) = found.first() else { continue };
        let writable: Vec<&str> = entry.texts(WRITABLE).flatten().collect();
        for (key, attribute) in &sample.attributes {
            if !writable.iter().any(|name| name.eq_ignore_ascii_case(attribute)) {
                missing.push(not_writable(directory, key, attribute, &sample.dn));
            }
        }
    }
    let layout = directory.layout();
    let found = session.search(&one(&layout.create.base, &[ADDABLE])).await?;
    if let Some(entry) = found.first() {
        let addable: Vec<&str> = entry.texts(ADDABLE).flatten().collect();
        let structural = layout.create.object_classes.last();
        if structural.is_some_and(|class| !addable.iter().any(|name| name.eq_ignore_ascii_case(class))) {
            missing.push(not_addable(directory));
        }
    }
    Ok(missing)
}
