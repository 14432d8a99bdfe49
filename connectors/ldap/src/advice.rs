//! Predicts what tasks would fail on, as far as this is visible without changing anything: what the schema requires, how passwords can be
//! set, and what `bind_dn` is not allowed to write. Everything else continues to work, so these are warnings, which `bridgehead check`
//! shows.

use ldap3::Scope;

use crate::classes::Classes;
use crate::directory::Directory;
use crate::failure::Failure;
use crate::name;
use crate::readiness::one;
use crate::session::{Search, Session};
use crate::settings::{PasswordMethod, Profile};
use crate::staging;
use crate::writing::{self, Sample};

/// What an operator should check; each is a sentence that begins with the key to change.
pub(crate) async fn gather(directory: &Directory, session: &Session) -> Result<Vec<String>, Failure> {
    if directory.read_only {
        return Ok(Vec::new());
    }
    let layout = directory.layout();
    let accounts = &layout.accounts;
    let account = sample(session, &accounts.base, accounts.scope, &accounts.filter).await?;
    let mut groups = Vec::new();
    for of in &layout.groups {
        groups.push(sample(session, &of.base, Scope::Subtree, &of.filter).await?);
    }
    let classes = classes(session).await?;
    let mut advice = new_entries(directory, &classes);
    for (of, group) in layout.groups.iter().zip(&groups) {
        advice
            .extend(group.as_ref().and_then(|(dn, of_group)| members(directory, &classes, of, dn, of_group)));
    }
    advice.extend(passwords(directory));
    advice.extend(half_made(directory, session).await?);
    let account = account.map(|(dn, _)| Sample { dn, attributes: written(directory) });
    let groups = layout.groups.iter().zip(groups).filter_map(|(of, group)| {
        let attributes = vec![(format!("{}.member_attribute", of.key), of.member.clone())];
        Some(Sample { dn: group?.0, attributes })
    });
    let groups: Vec<Sample> = groups.collect();
    advice.extend(writing::missing(directory, session, account.as_ref(), &groups).await?);
    Ok(advice)
}

/// A half-created entry that a creation left behind, because the server became unreachable and no other attempt
/// followed.
async fn half_made(directory: &Directory, session: &Session) -> Result<Option<String>, Failure> {
    let create = &directory.layout().create;
    let filter = format!("({}={}*)", create.rdn, staging::PREFIX);
    let search = Search {
        base: &create.base,
        scope: Scope::OneLevel,
        filter: &filter,
        attributes: &["1.1"],
        limit: 1,
    };
    let found = match session.probe(&search).await {
        Ok(found) => found.into_iter().find(staging::is_staged),
        // If this cannot be determined, there is no warning.
        Err(failure) if failure.code().is_some() => None,
        Err(failure) => return Err(failure),
    };
    Ok(found.map(|entry| {
        format!(
            "create.base: {} is a half-created account left behind by a task; delete it, unless that \
                 task is still running",
            entry.dn
        )
    }))
}

/// What tasks write to an account, each attribute with its key.
fn written(directory: &Directory) -> Vec<(String, String)> {
    let layout = directory.layout();
    let schema = directory.schema();
    let fields = layout.accounts.attributes.iter();
    let fields = fields.map(|(field, of)| (format!("accounts.attributes.{field}"), of.clone()));
    let made = layout.create.attributes.keys().map(|of| (format!("create.attributes.{of}"), of.clone()));
    let suspends =
        layout.suspension.iter().map(|of| ("suspend.method".to_owned(), of.attribute().to_owned()));
    let password = (layout.profile == Profile::Ds389 && layout.password == PasswordMethod::ExtendedOperation)
        .then(|| ("password".to_owned(), "userPassword".to_owned()));
    let mut written: Vec<(String, String)> = Vec::new();
    for (key, attribute) in fields.chain(made).chain(suspends).chain(password) {
        // The attribute that names the entry is changed by a rename. Attributes that only the server sets are read-only.
        let is_apart = name::is_same_attribute(&attribute, &layout.create.rdn) || schema.is_fixed(&attribute);
        if !is_apart && !written.iter().any(|(_, known)| known.eq_ignore_ascii_case(&attribute)) {
            written.push((key, attribute));
        }
    }
    written
}

/// One entry that matches, and its object classes.
async fn sample(
    session: &Session,
    base: &str,
    scope: Scope,
    filter: &str,
) -> Result<Option<(String, Vec<String>)>, Failure> {
    let search = Search { base, scope, filter, attributes: &["objectClass"], limit: 1 };
    match session.probe(&search).await {
        Ok(found) => Ok(found.into_iter().find(|entry| !entry.garbled).map(|entry| {
            let classes = entry.texts("objectClass").flatten().map(str::to_owned).collect();
            (entry.dn, classes)
        })),
        Err(failure) if failure.code().is_some() => Ok(None),
        Err(failure) => Err(failure),
    }
}

async fn classes(session: &Session) -> Result<Classes, Failure> {
    let Some(place) = &session.features.schema else { return Ok(Classes::default()) };
    let search = Search { filter: "(objectClass=subschema)", ..one(place, &["objectClasses"]) };
    match session.search(&search).await {
        Ok(found) => Ok(found.first().map(Classes::read).unwrap_or_default()),
        Err(failure) if failure.code().is_some() => Ok(Classes::default()),
        Err(failure) => Err(failure),
    }
}

/// Reasons for the schema to reject a new account.
fn new_entries(directory: &Directory, classes: &Classes) -> Vec<String> {
    let (layout, schema) = (directory.layout(), directory.schema());
    if !classes.is_known() || !schema.is_known() {
        return Vec::new();
    }
    let mut advice = Vec::new();
    for class in layout.create.object_classes.iter().filter(|class| !classes.has(class)) {
        let hint =
            classes.nearest(class).map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        advice.push(format!(
            "create.object_classes: the server does not know the object class \
                             '{class}'{hint}"
        ));
    }
    for attribute in layout.create.attributes.keys().filter(|attribute| !schema.has(attribute)) {
        let near = schema.nearest(attribute);
        let hint = near.map_or_else(String::new, |near| format!("; did you mean '{near}'?"));
        advice.push(format!("create.attributes.{attribute}: the server does not know this attribute{hint}"));
    }
    // Active Directory sets many required attributes itself, and has auxiliary classes that it does not show here.
    if !advice.is_empty() || layout.profile == Profile::ActiveDirectory {
        return advice;
    }
    let named = layout.create.object_classes.iter().map(String::as_str);
    let demands = classes.demands(named, &schema);
    let made: Vec<(String, &str)> = layout
        .accounts
        .attributes
        .iter()
        .map(|(field, of)| (format!("accounts.attributes.{field}"), of.as_str()))
        .chain(layout.create.attributes.keys().map(|of| (format!("create.attributes.{of}"), of.as_str())))
        .collect();
    let classes = layout.create.object_classes.join(", ");
    for attribute in demands.must.iter().filter(|must| *must != "objectclass") {
        if !made.iter().any(|(_, of)| name::is_same_attribute(of, attribute)) {
            advice.push(format!(
                "create.attributes: {classes} requires {attribute}, which no field sets, so every new \
                 account is rejected; set it"
            ));
        }
    }
    for (key, attribute) in made {
        if !schema.is_operational(attribute) && !demands.allows(attribute) {
            advice.push(format!(
                "{key}: {classes} does not allow {attribute}, so a new account with it is rejected; add a \
                 class that allows it to create.object_classes"
            ));
        }
    }
    advice
}

/// What the schema says about the members of a group.
fn members(
    directory: &Directory,
    classes: &Classes,
    of: &crate::layout::GroupLayout,
    dn: &str,
    of_group: &[String],
) -> Option<String> {
    let schema = directory.schema();
    if !schema.is_known() || of_group.is_empty() || !of_group.iter().all(|class| classes.has(class)) {
        return None;
    }
    let demands = classes.demands(of_group.iter().map(String::as_str), &schema);
    let key = &of.key;
    let is_ad = directory.layout().profile == Profile::ActiveDirectory;
    if !is_ad && !schema.is_operational(&of.member) && !demands.allows(&of.member) {
        return Some(format!(
            "{key}.member_attribute: {dn} cannot have {}, because its object classes do not allow it",
            of.member
        ));
    }
    let must = demands.must.iter().any(|must| must.eq_ignore_ascii_case(&of.member));
    (must && of.placeholder.is_none()).then(|| {
        format!(
            "{key}.placeholder_member: {dn} requires a member, so the last one cannot be removed; set a \
             placeholder"
        )
    })
}

/// Reasons why passwords could not be set.
fn passwords(directory: &Directory) -> Option<String> {
    let layout = directory.layout();
    let needs_encryption =
        layout.profile == Profile::Ds389 && layout.password == PasswordMethod::ExtendedOperation;
    (needs_encryption && !directory.endpoint.is_encrypted()).then(|| {
        "password: 389 Directory Server sets passwords only over encrypted connections; use ldaps://, or \
         set start_tls = true"
            .to_owned()
    })
}
