//! Which accounts a name identifies, and which it does not.

use serde_json::Value;

use crate::finding::{Requirement, Verdict, ensure, failed, parts, skipped};
use crate::kit::{Kit, who};
use crate::rule::Rule;
use crate::tasks::{about, fields, named, shown};
use bridgehead_sdk::{Account, AccountRecord, Action, Code};

pub(crate) const RULES: [Rule; 5] = [
    Rule::reads(
        "find-by-every-name",
        "An account is found by its id, by its user name and by its email.",
        |kit| Box::pin(by_every_name(kit, str::to_owned)),
    ),
    Rule::reads(
        "find-in-another-case",
        "A user name and an email are found in upper and lower case.",
        |kit| Box::pin(in_another_case(kit)),
    ),
    Rule::reads(
        "find-nobody",
        "For an account that does not exist, find_account returns none, not an error.",
        |kit| Box::pin(nobody(kit)),
    ),
    Rule::reads(
        "hostile-look-ups",
        "Wildcards, quotes and other languages' syntax in a name are part of the name, and find no account.",
        |kit| Box::pin(hostile_look_ups(kit)),
    ),
    Rule::changes(
        "hostile-deletes",
        "Wildcards, quotes and other languages' syntax in a name delete no account: the result is \
         ACCOUNT_NOT_FOUND.",
        &[Action::CreateAccount, Action::DeleteAccount],
        |kit| Box::pin(hostile_deletes(kit)),
    ),
];

/// The number of listed accounts to look up if none can be created.
const SAMPLE: usize = 3;

/// Accounts to look up: one that the kit created, or existing ones if nothing may be changed.
async fn sample(kit: &Kit<'_>) -> Verdict<Vec<AccountRecord>> {
    if kit.offers(Action::CreateAccount) && !kit.test_target.read_only() {
        return Ok(vec![kit.person().await?.record]);
    }
    let listed = kit.listed().await?;
    let step = (listed.len() / SAMPLE).max(1);
    let sample: Vec<_> = listed.into_iter().step_by(step).take(SAMPLE).collect();
    if sample.is_empty() { skipped("the target has no account to look up") } else { Ok(sample) }
}

/// Looks up each account by each of its names, formatted by `written`.
async fn by_every_name(kit: &Kit<'_>, written: fn(&str) -> String) -> Verdict {
    for record in sample(kit).await? {
        let found = kit.found(&Account::by_id(record.id.clone())).await?;
        ensure(found.id == record.id, || format!("looked up id {}, and found {}", record.id, found.id))?;
        by_names(kit, &record, written).await?;
    }
    Ok(())
}

async fn by_names(kit: &Kit<'_>, record: &AccountRecord, written: fn(&str) -> String) -> Verdict {
    for (field, name) in [("username", &record.username), ("email", &record.email)] {
        let Some(name) = name else { continue };
        let account = named(field, &written(name));
        let found = kit.found(&account).await?;
        // Two accounts of a target may share an email address: one of them must be found, and no other account.
        ensure(account.is_same_as(&found), || {
            format!("looked up {}, and found {}", who(&account), found.id)
        })?;
    }
    Ok(())
}

async fn in_another_case(kit: &Kit<'_>) -> Verdict {
    for record in sample(kit).await? {
        for written in [str::to_uppercase as fn(&str) -> String, str::to_lowercase] {
            by_names(kit, &record, written).await?;
        }
    }
    Ok(())
}

async fn nobody(kit: &Kit<'_>) -> Verdict {
    let account = kit.test_target.account(&kit.name());
    for field in ["username", "email"] {
        if let Some(name) = account.get(field).and_then(Value::as_str) {
            kit.gone(&named(field, name)).await?;
        }
    }
    kit.gone(&Account::by_id("bridgehead-kit-not-there")).await
}

/// Names that would match accounts in the syntax of a directory, a database, a path or a shell.
const HOSTILE: [&str; 19] = [
    "*",
    "%",
    "_",
    "?",
    "*)(objectClass=*",
    ")(uid=*",
    "*))(|(uid=*",
    "' OR 1=1 --",
    "' OR '1'='1",
    "\" OR \"\"=\"",
    "\\",
    "../../etc/passwd",
    "..",
    "nobody?limit=1#",
    "{{ 7 * 7 }}",
    "null",
    "__proto__",
    "constructor",
    "a\0b",
];

/// The same for one of the kit's own accounts, so that a match can only affect that account.
fn aimed(prefix: &str, name: &str) -> Vec<String> {
    let mut aimed = vec![
        format!("{prefix}*"),
        format!("{prefix}%"),
        format!("{name}*"),
        name.replace('-', "_"),
        name.replace('-', "?"),
        format!("{name})(uid={name}"),
        format!("{name}' --"),
        format!("nobody' OR username='{name}"),
        format!("{name}\0"),
        format!("{name}\0x"),
        format!("{name}/"),
        format!("./{name}"),
        format!("nobody/../{name}"),
        format!("{name}?x=y"),
        format!("{name}#x"),
        format!("{name},cn=x"),
        format!("{name}\n"),
        format!("{prefix}{{{{ '-' }}}}"),
    ];
    // For an identifier without '-', some of these equal the identifier itself.
    aimed.retain(|hostile| hostile != name);
    aimed
}

/// A string that some targets reject in a lookup.
fn may_be_refused(name: &str) -> bool {
    name.chars().any(char::is_control)
}

async fn hostile_look_ups(kit: &Kit<'_>) -> Verdict {
    let mut names: Vec<String> = HOSTILE.map(str::to_owned).into();
    names.push("x".repeat(4_000));
    for record in sample(kit).await?.into_iter().take(1) {
        // On a live target only its own accounts can be used, and a lookup changes nothing.
        let name = record.username.as_deref().or(record.email.as_deref()).unwrap_or(record.id.as_str());
        let begin: String = name.chars().take(name.chars().count() / 2).collect();
        names.extend(aimed(&begin, name).into_iter().filter(|aimed| aimed != name));
        names.extend(
            aimed(&begin, record.id.as_str()).into_iter().filter(|aimed| aimed != record.id.as_str()),
        );
    }
    for name in names {
        for account in [named("username", &name), named("email", &name), Account::by_id(name.clone())] {
            match kit.working.find(&account).await? {
                Ok(None) => {}
                Ok(Some(found)) if account.is_same_as(&found) => {}
                Ok(Some(found)) => {
                    return failed(format!("find_account of {} finds {}", who(&account), found.id));
                }
                Err(error) if may_be_refused(&name) && Requirement::REFUSED.is_met_by(&error) => {}
                Err(error) => return failed(format!("find_account of {}: {}", who(&account), parts(&error))),
            }
        }
    }
    Ok(())
}

async fn hostile_deletes(kit: &Kit<'_>) -> Verdict {
    let people = [kit.person().await?, kit.person().await?];
    let Some(first) = people.first() else { return Ok(()) };
    let name = first.record.username.clone().or(first.record.email.clone()).unwrap_or_default();
    let mut tried: Vec<(&str, String)> = Vec::new();
    for hostile in aimed(&kit.prefix(), &name) {
        tried.push(("username", hostile.clone()));
        tried.push(("id", hostile));
    }
    tried.extend(aimed(&kit.prefix(), first.record.id.as_str()).into_iter().map(|hostile| ("id", hostile)));
    for (field, hostile) in tried {
        let call = format!("delete_account of {field} {}", shown(&hostile.as_str().into()));
        let answer = kit.execute(1, &about(Action::DeleteAccount, &fields(field, &hostile))?).await?;
        for person in &people {
            let there = kit.look(&person.by_id()).await?;
            ensure(there.is_some(), || format!("{call} deleted {}", person.record.id))?;
        }
        match answer {
            Err(error)
                if may_be_refused(&hostile)
                    && error.code() != Code::AccountNotFound
                    && Requirement::REFUSED.is_met_by(&error) => {}
            answer => Requirement::NO_ACCOUNT.of(&call, answer)?,
        }
    }
    for person in &people {
        kit.unchanged(person).await?;
    }
    Ok(())
}
