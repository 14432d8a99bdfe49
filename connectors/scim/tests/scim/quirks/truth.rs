//! Compares what the connector reports with the state of the server.

use std::collections::{BTreeMap, BTreeSet};

use bridgehead_sdk::{
    Account, AccountRecord, AccountStatus, Action, Code, Connector, Cursor, Description, Effect, Error,
    Evidence, Record, RejectedRecord, ResourceType,
};
use serde_json::Value;

use super::tasks::{PASSWORD, Sight, Task};
use crate::scripted::{PEOPLE, Scripted, State};
use crate::support::run;

/// The results of a listing.
struct Listed {
    records: Vec<Record>,
    rejected: Vec<RejectedRecord>,
    evidence: Evidence,
}

/// Reads a listing to its end, like the runtime; the end must be proven.
async fn read(connector: &dyn Connector, of: &ResourceType) -> Result<Listed, Error> {
    let (mut records, mut rejected, mut cursor) = (Vec::new(), Vec::new(), None::<Cursor>);
    let mut cursors = BTreeSet::new();
    loop {
        let page = connector.list(of, cursor.as_ref()).await?;
        records.extend(page.records);
        rejected.extend(page.rejected);
        let Some(next) = page.next else {
            let distinct: BTreeSet<&str> = records.iter().map(Record::id).collect();
            assert_eq!(distinct.len(), records.len(), "somebody comes twice");
            let all = (distinct.len() + rejected.len()) as u64;
            assert!(page.total.is_none_or(|total| total <= all), "fewer than the total");
            let evidence = page.evidence.expect("the end of a listing has proof");
            return Ok(Listed { records, rejected, evidence });
        };
        assert!(cursors.insert(next.as_str().to_owned()), "a cursor comes a second time");
        assert!(cursors.len() < 200, "the listing finds no end");
        cursor = Some(next);
    }
}

/// The result of `check`, and the warnings of the description.
pub(super) async fn check(connector: &dyn Connector) -> Vec<String> {
    let failed = connector.check().await.err();
    let warnings = match connector.describe().await {
        Ok(description) => description.warnings,
        Err(error) => vec![format!("cannot be described: {error}")],
    };
    let failed = failed.map(|error| format!("    check: fails; {error}"));
    failed.into_iter().chain(warnings.into_iter().map(|one| format!("    check: {one}"))).collect()
}

/// The results of the listings of accounts and groups, one line each.
pub(super) async fn listings(server: &Scripted, connector: &dyn Connector) -> Vec<String> {
    let mut lines = Vec::new();
    let groups = server.state().groups.len();
    let accounts = read(connector, &ResourceType::account("account", "Account")).await;
    lines.push(told("accounts", &accounts, PEOPLE));
    if let Ok(listed) = &accounts {
        let state = server.state().clone();
        lines.extend(wrong(listed, &state, connector).await);
    }
    let listed = read(connector, &ResourceType::group("group", "Group")).await;
    lines.push(told("groups", &listed, groups));
    lines
}

fn told(what: &str, listed: &Result<Listed, Error>, all: usize) -> String {
    match listed {
        Ok(Listed { records, rejected, evidence }) => {
            assert_eq!(records.len() + rejected.len(), all, "{what} are missing, and nothing says so");
            let rejected =
                rejected.iter().fold(String::new(), |all, one| all + "; rejected: " + &one.to_string());
            format!("    {what}: all {}, {}{rejected}", records.len(), evidence.as_str())
        }
        Err(error) => {
            assert_eq!(error.effect(), Effect::NotApplied, "{what}: {error}");
            format!("    {what}: {error}")
        }
    }
}

/// Differences between the listing and the server. The connector must report these fields as unverifiable, and warn about them.
async fn wrong(listed: &Listed, state: &State, connector: &dyn Connector) -> Option<String> {
    let mut unseen = BTreeSet::new();
    for record in &listed.records {
        let Record::Account(account) = record else { panic!("{} is no account", record.id()) };
        let (is, shown) = (of_state(state, account.id.as_str()), shown(account));
        let is = is.unwrap_or_else(|| panic!("{} is not there", account.id));
        if is.groups != shown.groups {
            unseen.insert("memberships.group");
        }
        if is.active != shown.active {
            unseen.insert("status");
        }
    }
    if unseen.is_empty() {
        return None;
    }
    let Description { unverifiable, warnings, .. } = connector.describe().await.unwrap();
    for field in &unseen {
        assert!(unverifiable.contains(*field), "{field} is listed otherwise than it is, and nothing says so");
    }
    assert!(warnings.len() >= unseen.len(), "{warnings:?}");
    Some(format!("    warnings: {}", warnings.join("; ")))
}

/// Executes a task; `None` if it is reported as done, and is done.
pub(super) async fn act(server: &Scripted, connector: &dyn Connector, task: &Task) -> Option<String> {
    let (name, who) = (task.name, task.who);
    let before = server.state().clone();
    let done = run(connector, task.action, task.payload.clone()).await;
    let after = server.state().clone();
    let changed = changes(&before, &after, who);
    assert!(changed.is_empty(), "{name}: somebody else was changed: {changed:?}");
    let completion = match done {
        Ok(completion) => completion,
        Err(error) if error.effect() == Effect::Unknown => {
            return Some(format!("perhaps done; {error}"));
        }
        Err(error) => {
            let is_there = before.users.iter().any(|user| user["id"] == who);
            assert!(error.code() != Code::AccountNotFound || !is_there, "{name}: {who} is there: {error}");
            let changed = changes(&before, &after, "");
            assert!(changed.is_empty(), "{name}: {changed:?} is changed, in spite of: {error}");
            return Some(format!("not done; {error}"));
        }
    };
    let id = completion.result.get("account_id").and_then(Value::as_str).unwrap_or(who);
    let user = after.users.iter().find(|user| user["id"] == id);
    if task.action == Action::ResetPassword {
        let is_set = user.is_some_and(|user| user["password"] == PASSWORD);
        return (!is_set).then(|| "not done, and no look can tell".to_owned());
    }
    let is = user.and_then(|user| of_state(&after, user["id"].as_str()?));
    if (task.is_done)(is.as_ref()) {
        return None;
    }
    // The account as the runtime reads it back.
    match connector.find_account(&Account::by_id(id)).await {
        Err(error) => Some(format!("not done, and a look fails; {error}")),
        Ok(found) => {
            let found = found.as_ref().map(shown);
            assert!(!(task.is_done)(found.as_ref()), "{name}: a look shows what is not so: {found:?}");
            Some("not done, and a look shows it".to_owned())
        }
    }
}

/// The state of an account as shown.
fn shown(account: &AccountRecord) -> Sight {
    let mut groups: Vec<String> = account.memberships.of("group").iter().map(|one| one.id.clone()).collect();
    groups.sort();
    let title = account.extra.get("title").and_then(Value::as_str).unwrap_or_default().to_owned();
    Sight { title, active: account.status == AccountStatus::Active, groups }
}

/// The state of an account in the target.
fn of_state(state: &State, id: &str) -> Option<Sight> {
    let user = state.users.iter().find(|user| user["id"] == id)?;
    let members = state.members();
    let of = members.iter().filter(|(_, members)| members.iter().any(|member| member == id));
    let groups = of.map(|(group, _)| group.clone()).collect();
    let title = user["title"].as_str().unwrap_or_default().to_owned();
    Some(Sight { title, active: user["active"] != false, groups })
}

/// The accounts and groups that differ, ignoring one account.
fn changes(before: &State, after: &State, who: &str) -> Vec<String> {
    let ((users, groups), (users_now, groups_now)) = (others(before, who), others(after, who));
    let ids = users.keys().chain(users_now.keys()).filter(|id| users.get(*id) != users_now.get(*id));
    let groups = groups.iter().filter(|(id, members)| groups_now.get(*id) != Some(members)).map(|(id, _)| id);
    ids.chain(groups).cloned().collect()
}

/// All accounts except one, and the members of the groups without it.
fn others(state: &State, who: &str) -> (BTreeMap<String, Value>, BTreeMap<String, Vec<String>>) {
    let is_named = |user: &Value| user["userName"].as_str().is_some_and(|name| name.starts_with(who));
    let is_own = |user: &Value| !who.is_empty() && (user["id"] == who || is_named(user));
    let id = |user: &Value| user["id"].as_str().unwrap().to_owned();
    let own: Vec<String> = state.users.iter().filter(|user| is_own(user)).map(id).collect();
    let others = state.users.iter().filter(|user| !is_own(user)).map(|user| {
        let mut user = user.clone();
        // The server changes the version itself.
        user.as_object_mut().unwrap().shift_remove("meta");
        (id(&user), user)
    });
    let mut members = state.members();
    for members in members.values_mut() {
        members.retain(|member| !own.contains(member) && member != who);
    }
    (others.collect(), members)
}
