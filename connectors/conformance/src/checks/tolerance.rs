//! Parts of a task that the connector does not know.

use serde_json::{Value, json};

use crate::finding::{Requirement, Verdict, ensure, failed, parts};
use crate::kit::Kit;
use crate::rule::Rule;
use crate::tasks::{changed, identity, operation};
use bridgehead_sdk::Action;

use super::life::{holds, keeps};

const CREATE: Action = Action::CreateAccount;
const UPDATE: Action = Action::UpdateAccount;

pub(crate) const RULES: [Rule; 3] = [
    Rule::changes("empty-update", "An update that changes nothing is a success.", &[CREATE, UPDATE], |kit| {
        Box::pin(empty_update(kit))
    }),
    Rule::changes(
        "unknown-change",
        "A change of a field that the target does not know is stored or rejected cleanly, and changes \
         nothing else.",
        &[CREATE, UPDATE],
        |kit| Box::pin(unknown_change(kit)),
    ),
    Rule::changes("unknown-fields", "Unknown fields of a task do no harm.", &[CREATE], |kit| {
        Box::pin(unknown_fields(kit))
    }),
];

async fn empty_update(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    for changes in [json!({}), Value::Null] {
        let task = json!({ "account": person.known(), "changes": changes, "memberships": null });
        kit.done(&operation(UPDATE, task)?).await?;
        keeps("find_account", &person.record, &kit.found(&person.by_id()).await?)?;
    }
    Ok(())
}

async fn unknown_change(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    let task = json!({ "account": person.known(), "changes": { "bhk_no_such_field": "x" } });
    let answer = kit.execute(1, &operation(UPDATE, task)?).await?;
    let now = kit.found(&person.by_id()).await?;
    keeps("find_account", &person.record, &now)?;
    let Err(error) = answer else { return Ok(()) };
    let changed = changed(&person.record, &now);
    ensure(changed.is_empty(), || format!("it was rejected, but changed {}", changed.join(", ")))?;
    Requirement::REFUSED.of::<()>("update_account of an unknown field, which may be rejected", Err(error))
}

async fn unknown_fields(kit: &Kit<'_>) -> Verdict {
    let fields = kit.test_target.account(&kit.name());
    let mut account = fields.clone();
    account.insert("bhk_later".to_owned(), json!({ "nested": [1, null, "x"] }));
    let unknown =
        json!({ "account": account, "changes": null, "memberships": null, "bhk_later": [{ "a": 1 }, null] });
    if let Err(error) = kit.execute(1, &operation(CREATE, unknown)?).await? {
        return failed(format!("create_account: expected success; got {}", parts(&error)));
    }
    let found = kit.found(&identity(&fields)).await?;
    holds("find_account", &found, &fields, false)?;
    if !kit.offers(Action::DeleteAccount) {
        return Ok(());
    }
    let known = json!({ "id": found.id, "bhk_later": { "x": 1 } });
    let task = json!({ "account": known, "bhk_later": { "reason": "left" }, "changes": { "bhk_later": 1 } });
    kit.done(&operation(Action::DeleteAccount, task)?).await?;
    kit.gone(&identity(&fields)).await
}
