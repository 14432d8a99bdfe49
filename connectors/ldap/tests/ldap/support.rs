//! A connector for a directory that a test has started.

#![expect(clippy::unwrap_used, clippy::panic, reason = "what fails here fails the test that asked for it")]

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Error, Operation, Page, Record,
    SettingsError, Setup,
};
use bridgehead_test_servers::{Directory, Login};
use serde_json::{Map, Value, json};

/// The settings that every test starts with: LDAPS, a login that can write, short time limits.
pub(crate) fn settings(profile: &str, directory: &Directory) -> Map<String, Value> {
    let settings = json!({
        "profile": profile,
        "url": directory.ldaps_url(),
        "bind_dn": directory.writer.dn,
        "bind_password": directory.writer.password,
        "base": directory.suffix,
        "accounts": { "base": directory.people },
    });
    settings.as_object().unwrap().clone()
}

/// The same settings with some values replaced.
pub(crate) fn with(mut settings: Map<String, Value>, other: &Value) -> Map<String, Value> {
    settings.extend(other.as_object().unwrap().clone());
    settings
}

/// The same settings with another login.
pub(crate) fn bound_as(settings: Map<String, Value>, login: &Login) -> Map<String, Value> {
    with(settings, &json!({ "bind_dn": login.dn, "bind_password": login.password }))
}

/// A connector that trusts the test's certificate authority.
pub(crate) fn connector(directory: &Directory, settings: Map<String, Value>) -> Arc<dyn Connector> {
    build(&std::fs::read(&directory.ca).unwrap(), settings).unwrap()
}

/// A connector that trusts these certificates.
pub(crate) fn build(
    authorities: &[u8],
    settings: Map<String, Value>,
) -> Result<Arc<dyn Connector>, SettingsError> {
    let mut setup = Setup::new("acme-ldap", settings);
    setup.network.authorities = authorities.into();
    bridgehead_ldap::factory().build(setup)
}

pub(crate) async fn run(
    connector: &Arc<dyn Connector>,
    action: Action,
    payload: Value,
) -> Result<Completion, Error> {
    attempt(connector, 1, action, payload).await
}

pub(crate) async fn attempt(
    connector: &Arc<dyn Connector>,
    attempt: u32,
    action: Action,
    payload: Value,
) -> Result<Completion, Error> {
    let context = Context::first("task-1", Duration::from_mins(1))
        .with_attempt(attempt)
        .with_may_have_applied(attempt > 1);
    let operation = Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap();
    connector.execute(&context, &operation).await
}

/// The id of the account that a creation returned.
pub(crate) fn id(completion: &Completion) -> String {
    completion.result["account_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn find(connector: &Arc<dyn Connector>, id: &str) -> Option<AccountRecord> {
    connector.find_account(&Account::by_id(id)).await.unwrap()
}

/// The next page. Empty pages, returned while the groups are still being read, as on a slow machine, are skipped.
pub(crate) async fn page(
    connector: &Arc<dyn Connector>,
    slug: &str,
    cursor: Option<&bridgehead_sdk::Cursor>,
) -> Result<Page, Error> {
    let description = connector.describe().await.unwrap();
    let of = description.resource_types.iter().find(|of| of.slug.as_str() == slug).unwrap();
    let mut page = connector.list(of, cursor).await?;
    while page.records.is_empty() && page.rejected.is_empty() && page.next.is_some() {
        page = connector.list(of, page.next.as_ref()).await?;
    }
    Ok(page)
}

/// Lists a type to its end.
pub(crate) async fn list(connector: &Arc<dyn Connector>, slug: &str) -> Result<Vec<Record>, Error> {
    let mut next = None;
    let mut records = Vec::new();
    loop {
        let mut page = page(connector, slug, next.as_ref()).await?;
        assert_eq!(page.rejected, []);
        records.append(&mut page.records);
        next = page.next;
        if next.is_none() {
            return Ok(records);
        }
    }
}

/// The identifier of the group with this name.
pub(crate) async fn group_id(connector: &Arc<dyn Connector>, slug: &str, name: &str) -> String {
    let records = list(connector, slug).await.unwrap();
    let found = records.iter().find_map(|record| match record {
        Record::Entity(entity) if entity.name == name => Some(entity.id.clone()),
        _ => None,
    });
    found.unwrap_or_else(|| panic!("no {slug} is called {name}"))
}
