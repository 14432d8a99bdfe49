//! Finds existing owners of names that the server requires to be unique, including entries outside the bases of the settings.

use bridgehead_sdk::Account;
use ldap3::Scope;

use crate::directory::{Directory, named};
use crate::entry::Entry;
use crate::new_entry;
use crate::session::{Search, Session};

/// Active Directory: the login name, unique in the whole forest.
const PRINCIPAL: &str = "userPrincipalName";

/// The names of a new account that may have to be unique, with their attributes.
pub(crate) fn of_account(directory: &Directory, account: &Account) -> Vec<(String, String)> {
    let layout = directory.layout();
    let fields = new_entry::fields(account);
    let mapped = ["username", "email"].into_iter().filter_map(|field| {
        let value = new_entry::field_text(layout, &fields, field)?;
        Some((layout.attribute(field)?.to_owned(), value))
    });
    let principal = layout.create.attributes.iter().filter(|(name, _)| name.eq_ignore_ascii_case(PRINCIPAL));
    let made = principal.filter_map(|(name, template)| {
        Some((name.clone(), template.render(|field| new_entry::field_text(layout, &fields, field))?))
    });
    mapped.chain(made).collect()
}

/// Whether an attribute contains one of those names.
pub(crate) fn is_name(directory: &Directory, attribute: &str) -> bool {
    let layout = directory.layout();
    let mapped = ["username", "email"].iter().filter_map(|field| layout.attribute(field));
    attribute.eq_ignore_ascii_case(PRINCIPAL)
        || mapped.into_iter().any(|name| name.eq_ignore_ascii_case(attribute))
}

/// Entries that have one of these names, anywhere below the base. They only explain a refusal, so failures are ignored.
pub(crate) async fn elsewhere(
    directory: &Directory,
    session: &Session,
    names: &[(String, String)],
) -> Vec<Entry> {
    if names.is_empty() {
        return Vec::new();
    }
    let layout = directory.layout();
    let conditions: String = names.iter().map(|(attribute, value)| named(attribute, value)).collect();
    let filter = format!("(|{conditions})");
    let attributes: Vec<&str> = names.iter().map(|(attribute, _)| attribute.as_str()).collect();
    let search = Search {
        base: &layout.base,
        scope: Scope::Subtree,
        filter: &filter,
        attributes: &attributes,
        limit: 4,
    };
    session.search_here(&search).await.map(|(found, _)| found).unwrap_or_default()
}
