//! Calls that run concurrently, and calls that are dropped.

use tokio::task::JoinSet;

use crate::finding::{Verdict, ensure, failed, parts};
use crate::kit::Kit;
use crate::probe::asks_to_wait;
use crate::rule::Rule;
use crate::tasks::{about, identity};
use bridgehead_sdk::{Action, Effect, Operation, ResourceKind, Retry};

use super::life::holds;

const CREATE: Action = Action::CreateAccount;

pub(crate) const RULES: [Rule; 2] = [
    Rule::changes(
        "many-at-once",
        "Operations on different accounts, look-ups and listings run at the same time, and none is lost.",
        &[CREATE],
        |kit| Box::pin(many_at_once(kit)),
    ),
    Rule::changes(
        "dropped-call",
        "A call that is dropped leaves nothing half done, and the connector as usable as before.",
        &[CREATE],
        |kit| Box::pin(dropped_call(kit)),
    ),
];

/// The number of calls that the runtime executes concurrently by default.
const AT_ONCE: usize = 8;

async fn many_at_once(kit: &Kit<'_>) -> Verdict {
    let mut people = Vec::new();
    for _ in 0..AT_ONCE {
        let fields = kit.test_target.account(&kit.name());
        people.push((identity(&fields), fields));
    }
    let creations = people.iter().map(|(_, fields)| about(CREATE, fields)).collect::<Verdict<Vec<_>>>()?;
    let mut reads = JoinSet::new();
    for of in kit.types(ResourceKind::Account) {
        let (probe, of) = (kit.working.clone(), of.clone());
        reads.spawn(async move { probe.list(&of, None).await.map(|answer| answer.map(drop)) });
    }
    for (account, _) in &people {
        let (probe, account) = (kit.working.clone(), account.clone());
        reads.spawn(async move { probe.find(&account).await.map(|answer| answer.map(drop)) });
    }
    all_done(kit, creations).await?;
    while let Some(read) = reads.join_next().await {
        match read {
            Ok(Ok(Ok(()))) => {}
            // A listing that cannot be proven complete while accounts are added is retried.
            Ok(Ok(Err(error))) if error.effect() == Effect::NotApplied && error.retry() != Retry::Never => {}
            Ok(Ok(Err(error))) => return failed(format!("reading at the same time: {}", parts(&error))),
            Ok(Err(finding)) => return Err(finding),
            Err(error) => return failed(error.to_string()),
        }
    }
    let mut ids = std::collections::HashSet::new();
    for (account, fields) in &people {
        let found = kit.found(account).await?;
        holds("find_account", &found, fields, false)?;
        ensure(ids.insert(found.id.clone()), || format!("two accounts have the id {}", found.id))?;
    }
    let listed = kit.listed().await?;
    let missing = ids.iter().find(|id| listed.iter().all(|record| record.id != **id));
    if let Some(missing) = missing.filter(|_| kit.types(ResourceKind::Account).next().is_some()) {
        return failed(format!("list leaves out {missing}, which exists"));
    }
    if kit.offers(Action::DeleteAccount) {
        let deletions = ids.iter().map(|id| {
            let fields = crate::tasks::fields("id", id.as_str());
            about(Action::DeleteAccount, &fields)
        });
        all_done(kit, deletions.collect::<Verdict<Vec<_>>>()?).await?;
        for (account, _) in &people {
            kit.gone(account).await?;
        }
    }
    Ok(())
}

/// Executes operations concurrently; each must succeed.
async fn all_done(kit: &Kit<'_>, operations: Vec<Operation>) -> Verdict {
    let mut calls = JoinSet::new();
    for operation in operations {
        let probe = kit.working.clone();
        calls.spawn(async move { (operation.action(), probe.execute(1, &operation).await) });
    }
    while let Some(call) = calls.join_next().await {
        match call {
            Ok((_, Ok(Ok(_)))) => {}
            Ok((action, Ok(Err(error)))) => {
                return failed(format!(
                    "{action}, {AT_ONCE} at the same time: expected success; got {}",
                    parts(&error)
                ));
            }
            Ok((_, Err(finding))) => return Err(finding),
            Err(error) => return failed(error.to_string()),
        }
    }
    Ok(())
}

/// How often a call may be pending before it is dropped: the lower the number, the less was done.
const PATIENCE: [usize; 6] = [0, 1, 2, 3, 5, 8];

async fn dropped_call(kit: &Kit<'_>) -> Verdict {
    for patience in PATIENCE {
        let fields = kit.test_target.account(&kit.name());
        let create = about(CREATE, &fields)?;
        let ended = kit.working.drop_after(patience, &create).await?;
        if let Some(wait) = ended.as_ref().and_then(|ended| ended.as_ref().err()).and_then(asks_to_wait) {
            kit.watch.wait(wait).await;
            continue;
        }
        if let Some(Err(error)) = &ended {
            return failed(format!("create_account: expected success; got {}", parts(error)));
        }
        // The runtime repeats the task, which may find the work done.
        let again = kit.execute(2, &create).await?;
        let Some(found) = kit.look(&identity(&fields)).await? else {
            let came = again.as_ref().map_or_else(parts, |_| "success".to_owned());
            return failed(format!(
                "a call was dropped, and then delivered again: the account does not exist, after {came}"
            ));
        };
        holds("a call was dropped; find_account", &found, &fields, false)?;
        if ended.is_some() {
            break;
        }
    }
    match kit.working.check().await? {
        Ok(()) => Ok(()),
        Err(error) => failed(format!("after calls were dropped, check: {}", parts(&error))),
    }
}
