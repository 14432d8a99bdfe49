//! One action on an account that exists for it, for tests with a failing target.

use serde_json::{Map, Value, json};

use crate::finding::Verdict;
use crate::kit::Kit;
use crate::tasks::{about, changed, differences, identity, operation};
use bridgehead_sdk::{Account, AccountRecord, AccountStatus, Action, Operation, ResourceKind};

use super::refs::member_of;

/// The number of requests of a call that are made to fail, from the first; the last one is made to fail as well.
const MOST: usize = 5;

/// Which of `count` requests are made to fail.
pub(super) fn picks(count: usize) -> impl Iterator<Item = usize> {
    (0..count).filter(move |number| *number < MOST || *number + 1 == count)
}

/// What a trial does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Action(Action),
    /// A creation with groups and licenses.
    CreateMember,
    /// An update of fields, groups and licenses in one task.
    UpdateMember,
}

/// All trials that the connector supports.
pub(super) fn trials(kit: &Kit<'_>) -> Vec<Kind> {
    let mut kinds: Vec<Kind> =
        Action::ALL.iter().copied().filter(|action| kit.offers(*action)).map(Kind::Action).collect();
    if kit.types(ResourceKind::Group).chain(kit.types(ResourceKind::License)).next().is_some() {
        kinds.push(Kind::CreateMember);
        if kit.offers(Action::UpdateAccount) {
            kinds.push(Kind::UpdateMember);
        }
    }
    kinds
}

/// An operation, and the account as it was before.
pub(super) struct Trial {
    pub(super) action: Action,
    pub(super) call: String,
    pub(super) operation: Operation,
    account: Account,
    before: Option<AccountRecord>,
    /// The fields that an update changes, without those that the target does not show.
    changes: Map<String, Value>,
}

impl Kind {
    /// Prepares a trial; `wishes` are the references to use.
    pub(super) async fn prepare(self, kit: &Kit<'_>, wishes: &Map<String, Value>) -> Verdict<Trial> {
        let action = match self {
            Self::Action(action) => action,
            Self::CreateMember => Action::CreateAccount,
            Self::UpdateMember => Action::UpdateAccount,
        };
        // There may be few licenses, and earlier trials may have used them.
        kit.clean_up().await;
        let refs = if matches!(self, Self::Action(_)) { Map::new() } else { wishes.clone() };
        let call = if refs.is_empty() { action.to_string() } else { format!("{action} with references") };
        if action == Action::CreateAccount {
            let fields = kit.with_password(&kit.test_target.account(&kit.name()));
            let mut task = json!({ "account": fields });
            lay_over(&mut task, &refs);
            let operation = operation(action, task)?;
            let account = identity(&fields);
            return Ok(Trial { action, call, operation, account, before: None, changes: Map::new() });
        }
        let mut person = if action == Action::UpdateAccount {
            kit.person().await?
        } else {
            member_of(kit, wishes).await?
        };
        if action == Action::UnsuspendAccount && kit.offers(Action::SuspendAccount) {
            kit.done(&about(Action::SuspendAccount, &person.known())?).await?;
            person.record = kit.found(&person.by_id()).await?;
        }
        let mut changes = Map::new();
        let operation = match action {
            Action::UpdateAccount => {
                changes = kit
                    .test_target
                    .changes(person.fields.get("username").and_then(Value::as_str).unwrap_or("Kit"));
                let mut task = json!({ "account": person.known(), "changes": changes });
                lay_over(&mut task, &refs);
                changes.retain(|field, _| !kit.is_hidden(field));
                operation(action, task)?
            }
            Action::ResetPassword => {
                let mut account = person.known();
                account.insert("password".to_owned(), json!(kit.password()));
                about(action, &account)?
            }
            _ => about(action, &person.known())?,
        };
        Ok(Trial { action, call, operation, account: person.by_id(), before: Some(person.record), changes })
    }
}

fn lay_over(task: &mut Value, refs: &Map<String, Value>) {
    if let Some(task) = task.as_object_mut() {
        task.extend(refs.clone());
    }
}

impl Trial {
    /// The account as it is now.
    pub(super) async fn now(&self, kit: &Kit<'_>) -> Verdict<Option<AccountRecord>> {
        kit.look(&self.account).await
    }

    /// Whether the account differs from before.
    pub(super) fn is_changed(&self, now: Option<&AccountRecord>) -> bool {
        match (&self.before, now) {
            (None, None) => false,
            (Some(before), Some(now)) => !changed(before, now).is_empty(),
            _ => true,
        }
    }

    /// Whether the account is in the requested state; `None` if it cannot show that.
    pub(super) fn shows(&self, now: Option<&AccountRecord>) -> Option<bool> {
        match self.action {
            Action::CreateAccount => Some(now.is_some()),
            Action::DeleteAccount => Some(now.is_none()),
            Action::SuspendAccount => Some(now.is_some_and(|now| now.status == AccountStatus::Suspended)),
            Action::UnsuspendAccount => Some(now.is_some_and(|now| now.status == AccountStatus::Active)),
            Action::UpdateAccount if self.changes.is_empty() => None,
            Action::UpdateAccount => {
                Some(now.is_some_and(|now| differences(&self.changes, now, true).is_empty()))
            }
            // An action that this version of the kit does not know cannot be judged.
            _ => None,
        }
    }
}
