//! Records for the removal guard what tasks have done to accounts.

use bridgehead_sdk::{Account, AccountId, AccountStatus, Completion, Description, Operation, ResourceKind};
use bridgehead_store::{AccessFacts, Changes};
use tokio_util::sync::CancellationToken;

use super::attempts::AttemptContext;
use crate::app::AppContext;
use crate::saving::save;

/// What a task has done to an account, for the removal guard.
#[derive(Debug)]
enum Noted {
    /// Contains the access that the task has read of the account, if it has.
    Created(Option<AccessFacts>),
    Deleted,
    Changed(Changes),
}

/// Records changes to accounts for the removal guard. Iden knows an account as soon as its creation is reported, and the guard must know it
/// before the first sync that lists it; otherwise a truncated listing could remove any number of new accounts. So this comes before the
/// outcome and is not given up either.
pub(super) async fn note(
    app: &AppContext,
    description: &Description,
    context: &AttemptContext<'_>,
    completion: &Completion,
) {
    let mut types = description.resource_types.iter();
    let Some(of) = types.find(|of| of.kind == ResourceKind::Account) else { return };
    let Some((id, noted)) = noted(app, context, completion) else { return };
    let write = || async {
        let (key, slug, id) = (&app.key, of.slug.as_str(), id.as_str());
        match &noted {
            Noted::Created(access) => app.snapshots.note_created(key, slug, id, access.as_ref()).await,
            Noted::Deleted => app.snapshots.note_deleted(key, slug, id).await,
            Noted::Changed(changes) => app.snapshots.note_changed(key, slug, id, changes.clone()).await,
        }
    };
    let never = CancellationToken::new();
    if let Err(error) = save(app, &never, "the change made by a task", write).await {
        tracing::warn!(app = %app.name, %error, "the change made by a task could not be recorded for the \
                                                 removal guard");
    }
}

/// What a task has done, and the identifier of the account.
fn noted(app: &AppContext, context: &AttemptContext<'_>, completion: &Completion) -> Option<(String, Noted)> {
    let told = completion.result.get("account_id").and_then(serde_json::Value::as_str);
    let (read, access) = context.read.as_ref().map(|(id, access)| (id.as_str(), access)).unzip();
    let (id, noted) = match &*context.operation {
        // A new account has the identifier that the target assigned, whatever the task requested.
        Operation::CreateAccount(create) => {
            let id = told?.to_owned();
            app.created_accounts.came(&create.account, &id);
            let access = access.filter(|_| read == Some(id.as_str()));
            (id, Noted::Created(access.cloned()))
        }
        Operation::DeleteAccount(delete) => {
            // Even an account that is deleted by name is recorded under its identifier.
            let created = app.created_accounts.went(&delete.account);
            let asked = delete.account.id.as_ref().map(AccountId::as_str);
            (told.or(asked).or(created.as_deref())?.to_owned(), Noted::Deleted)
        }
        // Access that a task removes is expected, and must not trigger the removal guard. Access that it gives can be lost later.
        operation => {
            let (account, changes) = access_changes(operation)?;
            let id = told.or(account.id.as_ref().map(AccountId::as_str)).or(read)?;
            (id.to_owned(), Noted::Changed(changes))
        }
    };
    Some((id, noted))
}

/// The changes to an account's access, if the operation makes any.
fn access_changes(operation: &Operation) -> Option<(&Account, Changes)> {
    match operation {
        // Many targets remove a suspended account from its groups.
        Operation::SuspendAccount(suspend) => Some((&suspend.account, Changes::unread())),
        Operation::UnsuspendAccount(unsuspend) => {
            Some((&unsuspend.account, Changes { is_active: Some(true), refs: None }))
        }
        Operation::UpdateAccount(update) => {
            let status = update.changes.get("status");
            let changes_refs = update.memberships.is_some()
                || ["memberships", "assignments"].iter().any(|field| update.changes.contains_key(*field));
            let changes = Changes {
                is_active: status.map(|status| {
                    status.as_str().and_then(AccountStatus::from_name) == Some(AccountStatus::Active)
                }),
                // It is not known which are left, so none counts until a sync has read them.
                refs: changes_refs.then(Vec::new),
            };
            (changes != Changes::default()).then_some((&update.account, changes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::Action;
    use serde_json::json;

    use super::*;

    #[test]
    fn each_operation_says_what_it_changes_about_access() {
        let changes =
            |is_active, refs: Option<&[u64]>| Changes { is_active, refs: refs.map(<[u64]>::to_vec) };
        for (action, more, wanted) in [
            (Action::SuspendAccount, json!({}), Some(changes(Some(false), Some(&[])))),
            (Action::UnsuspendAccount, json!({}), Some(changes(Some(true), None))),
            (Action::UpdateAccount, json!({"status": "active"}), Some(changes(Some(true), None))),
            (Action::UpdateAccount, json!({"status": "suspended"}), Some(changes(Some(false), None))),
            (Action::UpdateAccount, json!({"status": null}), Some(changes(Some(false), None))),
            (Action::UpdateAccount, json!({"memberships": {"team": []}}), Some(changes(None, Some(&[])))),
            (Action::UpdateAccount, json!({"email": "a@example.org"}), None),
        ] {
            let payload = json!({"account": {"id": "u1"}, "changes": more});
            let operation = Operation::parse(action, serde_json::from_value(payload).unwrap()).unwrap();
            assert_eq!(access_changes(&operation).map(|(_, changes)| changes), wanted, "{operation:?}");
        }
    }
}
