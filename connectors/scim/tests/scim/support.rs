//! Connectors and tasks for tests.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Cursor, Error, Operation, Record,
    ResourceType, Setup,
};
use serde_json::{Value, json};

/// A connector with these settings, which include `url`.
pub(crate) fn connector(target: Value) -> Arc<dyn Connector> {
    let Value::Object(target) = target else { panic!("not a table") };
    bridgehead_scim::factory().build(Setup::new("acme-app", target)).unwrap()
}

/// Settings for a server at `url` with a bearer token, and more keys.
pub(crate) fn target(url: &str, token: &str, more: Value) -> Value {
    let mut target = json!({ "url": url, "auth": { "bearer": token } });
    let Value::Object(more) = more else { panic!("not a table") };
    for (key, value) in more {
        target[key] = value;
    }
    target
}

/// Executes a task as its first attempt.
pub(crate) async fn run(
    connector: &dyn Connector,
    action: Action,
    payload: Value,
) -> Result<Completion, Error> {
    attempt(connector, 1, action, payload).await
}

/// Executes an attempt at a task.
pub(crate) async fn attempt(
    connector: &dyn Connector,
    attempt: u32,
    action: Action,
    payload: Value,
) -> Result<Completion, Error> {
    let operation = Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap();
    let context = Context::first("task-1", Duration::from_secs(60))
        .with_attempt(attempt)
        .with_may_have_applied(attempt > 1);
    connector.execute(&context, &operation).await
}

/// The identifier in the result of a creation.
pub(crate) fn created(completion: &Completion) -> String {
    completion.result["account_id"].as_str().unwrap().to_owned()
}

/// The account with this user name.
pub(crate) async fn find(connector: &dyn Connector, username: &str) -> Option<AccountRecord> {
    let account = Account::by_username(username);
    connector.find_account(&account).await.unwrap()
}

/// Every record of a resource type, page by page.
pub(crate) async fn list(
    connector: &dyn Connector,
    resource_type: &ResourceType,
) -> Result<Vec<Record>, Error> {
    let mut records = Vec::new();
    let mut cursor: Option<Cursor> = None;
    loop {
        let page = connector.list(resource_type, cursor.as_ref()).await?;
        assert!(page.rejected.is_empty(), "{:?}", page.rejected);
        records.extend(page.records);
        match page.next {
            None => return Ok(records),
            next => cursor = next,
        }
    }
}

/// The accounts of a listing.
pub(crate) async fn accounts(connector: &dyn Connector) -> Result<Vec<AccountRecord>, Error> {
    let records = list(connector, &ResourceType::account("account", "Account")).await?;
    let accounts = records.into_iter().map(|record| match record {
        Record::Account(account) => *account,
        Record::Entity(entity) => panic!("{} is no account", entity.id),
    });
    Ok(accounts.collect())
}

/// The groups of a listing: their identifiers by name.
pub(crate) async fn groups(connector: &dyn Connector) -> std::collections::BTreeMap<String, String> {
    let records = list(connector, &ResourceType::group("group", "Group")).await.unwrap();
    let groups = records.into_iter().map(|record| match record {
        Record::Entity(entity) => (entity.name, entity.id),
        Record::Account(account) => panic!("{} is no group", account.id),
    });
    groups.collect()
}
