//! Shared helpers for tests of all databases.

use std::collections::BTreeSet;
use std::time::Duration;

use bridgehead_sdk::{
    Account, AccountRecord, Action, Completion, Connector, Context, Error, Operation, Record, RejectedRecord,
    ResourceType,
};
use serde_json::{Value, json};

pub(crate) fn context() -> Context {
    Context::first("t1", Duration::from_secs(60))
}

pub(crate) async fn execute(
    connector: &dyn Connector,
    action: Action,
    payload: Value,
) -> Result<Completion, Error> {
    let operation = Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap();
    connector.execute(&context(), &operation).await
}

/// Creates an account, and returns its identifier.
pub(crate) async fn create(connector: &dyn Connector, name: &str) -> String {
    let account = json!({ "username": name, "email": format!("{name}@example.com") });
    let done = execute(connector, Action::CreateAccount, json!({ "account": account })).await.unwrap();
    done.result["account_id"].as_str().unwrap().to_owned()
}

pub(crate) async fn find(connector: &dyn Connector, name: &str) -> Option<AccountRecord> {
    let account = Account::by_username(name);
    connector.find_account(&account).await.unwrap()
}

/// A complete listing: the records, the rejected ones, and the number of pages.
pub(crate) async fn list(
    connector: &dyn Connector,
    of: &ResourceType,
) -> Result<(Vec<Record>, Vec<RejectedRecord>, usize), Error> {
    let (mut records, mut rejected, mut pages) = (Vec::new(), Vec::new(), 0);
    let mut cursor = None;
    let mut seen = BTreeSet::new();
    loop {
        let page = connector.list(of, cursor.as_ref()).await?;
        records.extend(page.records);
        rejected.extend(page.rejected);
        pages += 1;
        match page.next {
            None => return Ok((records, rejected, pages)),
            Some(next) => {
                assert!(seen.insert(next.as_str().to_owned()), "a cursor comes twice: {next:?}");
                cursor = Some(next);
            }
        }
    }
}

pub(crate) fn accounts() -> ResourceType {
    ResourceType::account("account", "Account")
}

pub(crate) fn ids(records: &[Record]) -> BTreeSet<String> {
    records.iter().map(|record| record.id().to_owned()).collect()
}
