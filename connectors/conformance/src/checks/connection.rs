//! The connection to the target: rejected, unreachable, silent, or cut.

use crate::Situation;
use crate::bad::Bad;
use crate::finding::{Finding, Requirement, Verdict, failed, skipped};
use crate::kit::Kit;
use crate::network::{Nobody, Peer};
use crate::probe::{Answer, Probe};
use crate::rule::Rule;
use crate::tasks::{about, fields, identity};
use bridgehead_sdk::{Account, Action};

use super::codes::{each_action, half_done};

pub(crate) const RULES: [Rule; 4] = [
    Rule::reads(
        "bad-credential",
        "A credential that the target rejects is PERMISSION_DENIED, subject connection, retry later, in \
         every call.",
        |kit| Box::pin(bad_credential(kit)),
    ),
    Rule::reads(
        "unreachable",
        "A target that is unreachable is TIMEOUT, not applied, subject connection, retry later, in every \
         call.",
        |kit| Box::pin(unreachable(kit)),
    ),
    Rule::reads(
        "silence",
        "A call to a target that never responds ends in TIMEOUT, or waits until it is dropped; it blocks no \
         thread.",
        |kit| Box::pin(silence(kit)),
    ),
    Rule::reads(
        "find-never-guesses",
        "find_account reports that an account does not exist only when it could look.",
        |kit| Box::pin(find_never_guesses(kit)),
    ),
];

async fn bad_credential(kit: &Kit<'_>) -> Verdict {
    let skipped = match kit.connect(Situation::BadCredential).await {
        Err(Finding::Skipped(why)) => why,
        probe => return every_call(kit, &probe?, Requirement::BAD_CREDENTIAL).await,
    };
    // If the target speaks HTTP, the relay can reject the credential.
    let Ok(http) = kit.http_alone().await else { return Err(Finding::Skipped(skipped)) };
    http.relay.always(Bad::Status(401));
    let verdict = every_call(kit, &http.probe, Requirement::BAD_CREDENTIAL).await;
    http.relay.pass();
    verdict
}

async fn unreachable(kit: &Kit<'_>) -> Verdict {
    let nobody = Nobody::new()?;
    let probe = kit.connect(Situation::Unreachable(nobody.address)).await?;
    every_call(kit, &probe, Requirement::UNREACHABLE).await
}

async fn every_call(kit: &Kit<'_>, probe: &Probe, demand: Requirement) -> Verdict {
    demand.of("check", probe.check().await?)?;
    for of in &kit.description.resource_types {
        demand.of(&format!("list {}", of.slug), probe.list(of, None).await?)?;
    }
    let name = kit.name();
    let nobody = kit.test_target.account(&name);
    // A result without an error is judged by `find-never-guesses`.
    if let Err(error) = probe.find(&identity(&nobody)).await? {
        demand.of::<()>("find_account", Err(error))?;
    }
    if kit.test_target.read_only() {
        return Ok(());
    }
    let mut operations = each_action(kit, &nobody, &name)?;
    if kit.offers(Action::CreateAccount) {
        operations.push(about(Action::CreateAccount, &kit.with_password(&nobody))?);
    }
    for operation in &operations {
        demand.of(operation.action().as_str(), probe.execute(1, operation).await?)?;
    }
    half_done(kit, &nobody).await
}

async fn silence(kit: &Kit<'_>) -> Verdict {
    let patience = kit.test_target.silence();
    let peer = Peer::silent(2 * patience)?;
    let probe = kit.connect(Situation::Silent(peer.address)).await?.within(patience);
    let name = kit.name();
    let nobody = kit.test_target.account(&name);
    let account = identity(&nobody);
    let create = about(Action::CreateAccount, &kit.with_password(&nobody))?;
    let change = async {
        let may = kit.offers(Action::CreateAccount) && !kit.test_target.read_only();
        if may { waited("create_account", probe.execute(1, &create).await) } else { Ok(()) }
    };
    let list = async {
        match kit.description.resource_types.first() {
            Some(of) => waited("list", probe.list(of, None).await),
            None => Ok(()),
        }
    };
    let check = async { waited("check", probe.check().await) };
    let find = async { waited("find_account", probe.find(&account).await) };
    // All concurrently, because each may take as long as the kit waits.
    let (check, list, find, change) = tokio::join!(check, list, find, change);
    check.and(list).and(find).and(change)
}

/// Fails unless the call waited until it was dropped, or gave up.
fn waited<T>(call: &str, answer: Answer<T>) -> Verdict {
    match answer {
        Err(Finding::Late(_)) => Ok(()),
        Err(finding) => Err(finding),
        Ok(answer) => Requirement::SILENT.of(call, answer),
    }
}

async fn find_never_guesses(kit: &Kit<'_>) -> Verdict {
    let nobody = Nobody::new()?;
    let silent = Peer::silent(2 * kit.test_target.silence())?;
    let situations = [
        ("whose credential is rejected", Situation::BadCredential),
        ("that is unreachable", Situation::Unreachable(nobody.address)),
        ("that never responds", Situation::Silent(silent.address)),
    ];
    let account = kit.test_target.account(&kit.name());
    let mut looks: Vec<Account> = vec![identity(&account)];
    looks.extend(["username", "email"].iter().filter_map(|field| {
        let named = fields(field, account.get(*field)?.as_str()?);
        Account::from_fields(named).ok()
    }));
    let mut reasons = Vec::new();
    let mut tried = false;
    for (which, situation) in situations {
        let probe = match kit.connect(situation).await {
            Ok(probe) => probe.within(kit.test_target.silence()),
            Err(Finding::Skipped(why)) => {
                reasons.push(why);
                continue;
            }
            Err(finding) => return Err(finding),
        };
        tried = true;
        let looks = if matches!(situation, Situation::Silent(_)) { &looks[..1] } else { &looks[..] };
        for account in looks {
            match probe.find(account).await {
                Ok(Err(_)) | Err(Finding::Late(_)) => {}
                Err(finding) => return Err(finding),
                Ok(Ok(found)) => {
                    let found = found.map_or("that the account does not exist".to_owned(), |found| {
                        format!("{}", found.id)
                    });
                    return failed(format!("at a target {which}, find_account returned {found}"));
                }
            }
        }
    }
    if tried { Ok(()) } else { skipped(reasons.first().cloned().unwrap_or_default()) }
}
