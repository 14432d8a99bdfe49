//! The exact code, effect, retry and subject of errors from a working target.

use serde_json::{Map, Value, json};

use crate::Situation;
use crate::bad::Bad;
use crate::finding::{Finding, Requirement, Verdict, ensure, failed, skipped};
use crate::kit::{Kit, Person};
use crate::probe::Probe;
use crate::relay::Act;
use crate::rule::Rule;
use crate::tasks::{about, fields, identity, operation, with_refs};
use bridgehead_sdk::{AccountStatus, Action, Operation, ResourceKind};

const CREATE: Action = Action::CreateAccount;

pub(crate) const RULES: [Rule; 10] = [
    Rule::changes(
        "duplicate-create",
        "Creating an account that already exists is ACCOUNT_ALREADY_EXISTS, and leaves the account \
         unchanged.",
        &[CREATE],
        |kit| Box::pin(duplicate_create(kit)),
    ),
    Rule::changes(
        "missing-account",
        "Every action on an account that does not exist is ACCOUNT_NOT_FOUND, subject account.",
        &[],
        |kit| Box::pin(missing_account(kit)),
    ),
    Rule::changes(
        "missing-group",
        "A group that does not exist is INTERNAL_ERROR, subject group, and nothing is half done.",
        &[CREATE],
        |kit| Box::pin(missing_ref(kit, ResourceKind::Group, Requirement::NO_GROUP)),
    ),
    Rule::changes(
        "missing-license",
        "A license that does not exist is INTERNAL_ERROR, subject license, and nothing is half done.",
        &[CREATE],
        |kit| Box::pin(missing_ref(kit, ResourceKind::License, Requirement::NO_LICENSE)),
    ),
    Rule::changes(
        "refused-permission",
        "What the target does not allow the connector to do is PERMISSION_DENIED, subject account, and \
         nothing is changed.",
        &[CREATE],
        |kit| Box::pin(refused_permission(kit)),
    ),
    Rule::changes(
        "create-again",
        "A second delivery of a creation is ACCOUNT_ALREADY_EXISTS, and the account is found under the same id.",
        &[CREATE],
        |kit| Box::pin(create_again(kit)),
    ),
    Rule::changes(
        "attempt-number",
        "That an attempt is not the first proves nothing: only may_have_applied means that an existing \
         account may be the task's own work.",
        &[CREATE],
        |kit| Box::pin(attempt_number(kit)),
    ),
    Rule::changes(
        "suspend-again",
        "Requesting the state that an account is already in is a success.",
        &[CREATE, Action::SuspendAccount],
        |kit| Box::pin(suspend_again(kit)),
    ),
    Rule::changes(
        "delete-again",
        "Deleting an account that no longer exists is ACCOUNT_NOT_FOUND: the runtime knows whether an \
         earlier attempt deleted it.",
        &[CREATE, Action::DeleteAccount],
        |kit| Box::pin(delete_again(kit)),
    ),
    Rule::changes(
        "undeclared-actions",
        "An action that is not declared is rejected, and changes nothing.",
        &[CREATE],
        |kit| Box::pin(undeclared_actions(kit)),
    ),
];

async fn duplicate_create(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    let mut other = person.fields.clone();
    other.insert("display_name".to_owned(), json!("Another Person"));
    Requirement::DUPLICATE
        .of("create_account", kit.execute(1, &about(CREATE, &kit.with_password(&other))?).await?)?;
    kit.unchanged(&person).await
}

async fn create_again(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    Requirement::DUPLICATE
        .of("create_account, second attempt", kit.execute(2, &about(CREATE, &person.fields)?).await?)?;
    let found = kit.found(&identity(&person.fields)).await?;
    ensure(found.id == person.record.id, || {
        format!("it was {} first, and is {} now", person.record.id, found.id)
    })
}

async fn attempt_number(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    // Exactly the same account: a connector that relies on the number of the attempt would treat it as its own work.
    let answer = kit.execute_later(3, &about(CREATE, &person.fields)?).await?;
    Requirement::DUPLICATE
        .of("create_account, third attempt, after two attempts that were not applied", answer)?;
    kit.unchanged(&person).await?;
    let name = kit.name();
    let nobody = kit.test_target.account(&name);
    let Some((field, value)) =
        ["username", "email"].into_iter().find_map(|field| Some((field, nobody.get(field)?.as_str()?)))
    else {
        return Ok(());
    };
    for operation in each_action(kit, &fields(field, value), &name)? {
        let what = format!("{}, third attempt, after two attempts that were not applied", operation.action());
        Requirement::NO_ACCOUNT.of(&what, kit.execute_later(3, &operation).await?)?;
    }
    Ok(())
}

async fn suspend_again(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    let states = [
        (Action::SuspendAccount, AccountStatus::Suspended),
        (Action::UnsuspendAccount, AccountStatus::Active),
    ];
    for (action, status) in states.into_iter().filter(|(action, _)| kit.offers(*action)) {
        for attempt in 1..=2 {
            if let Err(error) = kit.execute(attempt, &about(action, &person.known())?).await? {
                let parts = crate::finding::parts(&error);
                return failed(format!("{action}, attempt {attempt}: expected success; got {parts}"));
            }
        }
        let found = kit.found(&person.by_id()).await?;
        ensure(found.status == status, || format!("after {action} twice it is {}", found.status))?;
    }
    Ok(())
}

async fn delete_again(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    let delete = about(Action::DeleteAccount, &person.known())?;
    kit.done(&delete).await?;
    Requirement::NO_ACCOUNT.of("delete_account, second attempt", kit.execute(2, &delete).await?)
}

/// One task for each action on an existing account.
pub(super) fn each_action(
    kit: &Kit<'_>,
    account: &Map<String, Value>,
    name: &str,
) -> Verdict<Vec<Operation>> {
    let actions = kit.description.actions.iter().filter(|action| **action != CREATE);
    actions.map(|action| change(kit, *action, account, name)).collect()
}

/// An operation with everything that its action needs.
fn change(kit: &Kit<'_>, action: Action, account: &Map<String, Value>, name: &str) -> Verdict<Operation> {
    match action {
        Action::UpdateAccount => {
            operation(action, json!({ "account": account, "changes": kit.test_target.changes(name) }))
        }
        Action::ResetPassword => {
            let mut account = account.clone();
            account.insert("password".to_owned(), json!(kit.password()));
            about(action, &account)
        }
        _ => about(action, account),
    }
}

async fn missing_account(kit: &Kit<'_>) -> Verdict {
    let name = kit.name();
    let nobody = kit.test_target.account(&name);
    let named: Vec<Map<String, Value>> = ["username", "email"]
        .into_iter()
        .filter_map(|field| Some(fields(field, nobody.get(field)?.as_str()?)))
        .collect();
    let operations: Vec<Operation> =
        named.iter().map(|account| each_action(kit, account, &name)).collect::<Verdict<Vec<_>>>()?.concat();
    if operations.is_empty() {
        return skipped("the connector declares no action on existing accounts");
    }
    for operation in &operations {
        Requirement::NO_ACCOUNT.of(operation.action().as_str(), kit.execute(1, operation).await?)?;
    }
    kit.gone(&identity(&nobody)).await?;
    // An identifier in the target's own format, of an account that no longer exists.
    if !kit.offers(CREATE) || !kit.offers(Action::DeleteAccount) {
        return Ok(());
    }
    let person = match kit.person().await {
        Err(Finding::Skipped(_)) => return Ok(()),
        other => other?,
    };
    let account = fields("id", person.record.id.as_str());
    kit.done(&about(Action::DeleteAccount, &account)?).await?;
    for operation in each_action(kit, &account, &name)? {
        let call = format!("{} by id", operation.action());
        Requirement::NO_ACCOUNT.of(&call, kit.execute(1, &operation).await?)?;
    }
    Ok(())
}

async fn missing_ref(kit: &Kit<'_>, kind: ResourceKind, demand: Requirement) -> Verdict {
    let mut tried = false;
    for of in kit.types(kind) {
        tried = true;
        let slug = of.slug.as_str();
        let missing = kit.test_target.missing_ref(slug);
        let name = kit.name();
        let account = kit.test_target.account(&name);
        let task = with_refs(json!({ "account": kit.with_password(&account) }), kind, slug, &[&missing]);
        let call = format!("create_account with {slug} '{missing}'");
        demand.of(&call, kit.execute(1, &operation(CREATE, task)?).await?)?;
        half_done(kit, &account).await?;
        if !kit.offers(Action::UpdateAccount) {
            continue;
        }
        let person = kit.person().await?;
        let task = json!({ "account": person.known(), "changes": kit.test_target.changes(&name) });
        let task = with_refs(task, kind, slug, &[&missing]);
        let call = format!("update_account with {slug} '{missing}'");
        demand.of(&call, kit.execute(1, &operation(Action::UpdateAccount, task)?).await?)?;
        kit.unchanged(&person).await?;
    }
    if tried { Ok(()) } else { skipped(format!("the connector lists no {kind}")) }
}

/// Fails if a rejected creation has left an account behind.
pub(super) async fn half_done(kit: &Kit<'_>, account: &Map<String, Value>) -> Verdict {
    match kit.look(&identity(account)).await? {
        None => Ok(()),
        Some(record) => failed(format!("the account was rejected, but it exists, as {}", record.id)),
    }
}

async fn refused_permission(kit: &Kit<'_>) -> Verdict {
    let skipped = match kit.connect(Situation::RefusedPermission).await {
        Err(Finding::Skipped(why)) => why,
        probe => return refused_everything(kit, &probe?).await,
    };
    // If the target speaks HTTP, the relay can reject every request that does more than read.
    let Ok(http) = kit.http_alone().await else { return Err(Finding::Skipped(skipped)) };
    http.relay.play(|_, seen| if seen.reads() { Act::Pass } else { Act::Answer(Bad::Status(403)) });
    let verdict = refused_everything(kit, &http.probe).await;
    http.relay.pass();
    verdict
}

async fn refused_everything(kit: &Kit<'_>, probe: &Probe) -> Verdict {
    let name = kit.name();
    let account = kit.test_target.account(&name);
    Requirement::NO_PERMISSION
        .of("create_account", probe.execute(1, &about(CREATE, &kit.with_password(&account))?).await?)?;
    half_done(kit, &account).await?;
    let person: Person = kit.person().await?;
    for operation in each_action(kit, &person.known(), &name)? {
        let call = operation.action().as_str();
        Requirement::NO_PERMISSION.of(call, probe.execute(1, &operation).await?)?;
        kit.unchanged(&person).await?;
    }
    Ok(())
}

async fn undeclared_actions(kit: &Kit<'_>) -> Verdict {
    let undeclared: Vec<Action> = Action::ALL.iter().copied().filter(|action| !kit.offers(*action)).collect();
    if undeclared.is_empty() {
        return skipped("every action is declared");
    }
    let person = kit.person().await?;
    for action in undeclared {
        let operation = change(kit, action, &person.known(), "Kit")?;
        Requirement::REFUSED.of(action.as_str(), kit.execute(1, &operation).await?)?;
        kit.unchanged(&person).await?;
    }
    Ok(())
}
