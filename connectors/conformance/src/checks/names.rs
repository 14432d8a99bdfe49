//! Names that resemble each other, names of different people in one task, and accounts that another connector changed.

use serde_json::{Map, Value, json};

use crate::finding::{Finding, Requirement, Verdict, ensure, failed, parts};
use crate::kit::{Kit, Person, who};
use crate::listing::read;
use crate::probe::Probe;
use crate::rule::Rule;
use crate::tasks::{about, changed, differences, fields, identity, named, operation};
use bridgehead_sdk::{Account, AccountRecord, AccountStatus, Action, ResourceKind};

use super::codes::each_action;

const CREATE: Action = Action::CreateAccount;
const DELETE: Action = Action::DeleteAccount;

pub(crate) const RULES: [Rule; 7] = [
    Rule::changes(
        "part-of-a-name",
        "Part of a name, or of an id, matches no account: it finds and changes none.",
        &[CREATE],
        |kit| Box::pin(part_of_a_name(kit)),
    ),
    Rule::changes(
        "names-within-names",
        "Among accounts whose names contain each other, each is found, changed and removed by its own name.",
        &[CREATE],
        |kit| Box::pin(within_names(kit)),
    ),
    Rule::changes(
        "names-with-signs",
        "A name with a special character, an accent or many letters is stored and matches only its account, \
         or is rejected.",
        &[CREATE],
        |kit| Box::pin(with_signs(kit)),
    ),
    Rule::changes(
        "id-before-names",
        "If there is an id, it alone identifies the account, otherwise the user name: another name never \
         takes its place.",
        &[CREATE],
        |kit| Box::pin(id_before_names(kit)),
    ),
    Rule::changes(
        "suspended-are-there",
        "A suspended account is found by every name, cannot be created again, and can be changed and removed.",
        &[CREATE, Action::SuspendAccount],
        |kit| Box::pin(suspended_are_there(kit)),
    ),
    Rule::changes(
        "act-by-every-name",
        "Every action affects the account that is named, by its id, by its user name, by its email.",
        &[CREATE],
        |kit| Box::pin(act_by_every_name(kit)),
    ),
    Rule::changes(
        "seen-by-another",
        "find_account, list and every action use the current state of the target, regardless of who changed it.",
        &[CREATE],
        |kit| Box::pin(seen_by_another(kit)),
    ),
];

/// Parts of a name: without its end, without its beginning, and its middle.
fn parts_of(name: &str) -> Vec<String> {
    let characters: Vec<char> = name.chars().collect();
    let count = characters.len();
    let part = |from: usize, to: usize| -> Option<String> {
        let part = characters.get(from..to)?;
        (part.len() >= 3).then(|| part.iter().collect())
    };
    let mut parts: Vec<String> =
        [part(0, count.saturating_sub(1)), part(4, count), part(1, count.saturating_sub(1))]
            .into_iter()
            .flatten()
            .collect();
    // The part before the @ is also a name, and often a user name.
    if let Some((local, domain)) = name.split_once('@') {
        parts.push(local.to_owned());
        parts.push(domain.to_owned());
        parts.push(format!("@{domain}"));
        parts.push(format!("{local}@elsewhere.invalid"));
        parts.push(format!("{local}+kit@{domain}"));
        parts.extend(
            part(0, 4).map(|begin| format!("{begin}.{}", name.get(begin.len()..).unwrap_or_default())),
        );
    } else {
        parts.push(format!("{name}@elsewhere.invalid"));
        parts.push(format!("ELSEWHERE\\{name}"));
    }
    parts.push(name.replacen('k', "\u{137}", 1));
    parts.retain(|part| part != name);
    parts
}

async fn part_of_a_name(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    let names = [("username", person.record.username.clone()), ("email", person.record.email.clone())];
    let names = names.into_iter().filter_map(|(field, name)| Some((field, name?)));
    for (field, name) in names.chain([("id", person.record.id.to_string())]) {
        for part in parts_of(&name) {
            let account = if field == "id" { Account::by_id(part.clone()) } else { named(field, &part) };
            match kit.look(&account).await? {
                Some(found) if !account.is_same_as(&found) => {
                    return failed(format!("find_account of {} finds {}", who(&account), found.id));
                }
                // By chance, or because an account of the target has this name.
                Some(_) => continue,
                None => {}
            }
            for operation in each_action(kit, &fields(field, &part), "Kit")? {
                let call = format!("{} of {}", operation.action(), who(&account));
                let answer = kit.execute(1, &operation).await?;
                kit.unchanged(&person).await?;
                Requirement::NO_ACCOUNT.of(&call, answer)?;
            }
        }
    }
    Ok(())
}

async fn within_names(kit: &Kit<'_>) -> Verdict {
    let name = kit.name();
    // Accounts that would be found first: created earlier, or sorted before it by name.
    let mut others = Vec::new();
    for other in [format!("bhk-{name}"), format!("{name}x"), format!("{name}-2")] {
        match kit.person_called(&other).await {
            Ok(person) => others.push(person),
            // Some targets require short names.
            Err(Finding::Failed(_)) if !others.is_empty() => {}
            Err(finding) => return Err(finding),
        }
    }
    let wanted = kit.test_target.account(&name);
    kit.gone(&identity(&wanted)).await?;
    for field in ["username", "email"] {
        let Some(value) = wanted.get(field).and_then(Value::as_str) else { continue };
        kit.gone(&named(field, value)).await?;
        for operation in each_action(kit, &fields(field, value), "Kit")? {
            let call = format!("{} of {field} {value}", operation.action());
            let answer = kit.execute(1, &operation).await?;
            for other in &others {
                kit.unchanged(other).await?;
            }
            Requirement::NO_ACCOUNT.of(&call, answer)?;
        }
    }
    let person = kit.person_called(&name).await?;
    for field in ["username", "email"] {
        let Some(value) = wanted.get(field).and_then(Value::as_str) else { continue };
        let found = kit.found(&named(field, value)).await?;
        ensure(found.id == person.record.id, || {
            format!("find_account of {field} {value} finds {} instead of {}", found.id, person.record.id)
        })?;
    }
    for action in [Action::SuspendAccount, DELETE].into_iter().filter(|action| kit.offers(*action)) {
        let known = person.fields.get("username").or(person.fields.get("email")).and_then(Value::as_str);
        let field = if person.fields.contains_key("username") { "username" } else { "email" };
        kit.done(&about(action, &fields(field, known.unwrap_or_default()))?).await?;
        for other in &others {
            kit.unchanged(other).await?;
        }
        match (action, kit.look(&person.by_id()).await?) {
            (Action::SuspendAccount, Some(now)) if now.status == AccountStatus::Suspended => {}
            (DELETE, None) => {}
            _ => return failed(format!("{action} of {} did not affect it", person.record.id)),
        }
    }
    Ok(())
}

/// What is appended to a name or inserted into it, and its description for messages.
fn signs() -> Vec<(&'static str, String)> {
    let mut signs: Vec<(&str, String)> = [
        ("a plus", "+x"),
        ("an ampersand", "&x=y"),
        ("an apostrophe", "'x"),
        ("a dot", ".x"),
        ("a percent sign", "%2Bx"),
        ("a number sign", "#x"),
        ("an accent", "é"),
        ("upper case", "-XY"),
    ]
    .map(|(what, sign)| (what, sign.to_owned()))
    .into();
    signs.push(("many letters", "-long".repeat(9)));
    signs
}

/// A name with a suffix, which is placed before the @ of an email address.
fn signed(name: &str, sign: &str) -> String {
    match name.split_once('@') {
        Some((local, domain)) => format!("{local}{sign}@{domain}"),
        None => format!("{name}{sign}"),
    }
}

async fn with_signs(kit: &Kit<'_>) -> Verdict {
    // If the connector cannot delete, created accounts stay, so only a few are created.
    let most = if kit.offers(DELETE) { usize::MAX } else { 2 };
    for (what, sign) in signs().into_iter().take(most) {
        for field in ["username", "email"] {
            let mut wanted = kit.test_target.account(&kit.name());
            let Some(plain) = wanted.get(field).and_then(Value::as_str).map(str::to_owned) else { continue };
            let name = signed(&plain, &sign);
            wanted.insert(field.to_owned(), json!(name));
            kit.keep(&wanted);
            let call = format!("create_account with {what} in the {field}");
            if let Err(error) = kit.execute(1, &about(CREATE, &wanted)?).await? {
                Requirement::REFUSED.of::<()>(&format!("{call}, which may be rejected"), Err(error))?;
                kit.gone(&identity(&wanted)).await?;
                continue;
            }
            let record = kit.made(&wanted).await?;
            super::life::holds(&call, &record, &wanted, false)?;
            let mine = named(field, &name);
            let found = kit.found(&mine).await?;
            ensure(found.id == record.id, || {
                format!("{call}: find_account of {} finds {} instead of {}", who(&mine), found.id, record.id)
            })?;
            // The plain name, and the name with what the sign may be mistaken for, belong to no account.
            for other in ["", " x"] {
                let other = named(field, &signed(&plain, other));
                let found = kit.look(&other).await?;
                ensure(found.is_none(), || format!("{call}: find_account of {} finds it", who(&other)))?;
            }
            if kit.offers(DELETE) {
                kit.done(&about(DELETE, &fields(field, &name))?).await?;
                kit.gone(&Account::by_id(record.id)).await?;
            }
        }
    }
    Ok(())
}

fn together(parts: &[(&str, Option<&Value>)]) -> Option<Map<String, Value>> {
    parts.iter().map(|(field, value)| Some(((*field).to_owned(), (*value)?.clone()))).collect()
}

async fn id_before_names(kit: &Kit<'_>) -> Verdict {
    let (one, other) = (kit.person().await?, kit.person().await?);
    let nobody = kit.test_target.account(&kit.name());
    let (one_id, gone_id) = (json!(one.record.id), json!("bridgehead-kit-not-there"));
    let mut gone = vec![gone_id];
    if kit.offers(DELETE) {
        let deleted = kit.person().await?;
        kit.done(&about(DELETE, &fields("id", deleted.record.id.as_str()))?).await?;
        gone.push(json!(deleted.record.id));
    }
    let of = |person: &Person, field: &str| person.fields.get(field).cloned();
    let (name, email) = (of(&other, "username"), of(&other, "email"));
    let mut meant = vec![
        together(&[("id", Some(&one_id)), ("username", name.as_ref())]),
        together(&[("id", Some(&one_id)), ("email", email.as_ref())]),
        together(&[("username", one.fields.get("username")), ("email", email.as_ref())]),
    ];
    meant.retain(Option::is_some);
    for known in meant.into_iter().flatten() {
        let found = kit.found(&identity(&known)).await?;
        ensure(found.id == one.record.id, || {
            format!(
                "find_account of {} finds {} instead of {}",
                who(&identity(&known)),
                found.id,
                one.record.id
            )
        })?;
    }
    let mut nobodies = vec![together(&[("username", nobody.get("username")), ("email", email.as_ref())])];
    // If the identifier is the user name, the name is not a different one.
    let mistaken = other
        .record
        .username
        .as_deref()
        .filter(|name| *name != other.record.id.as_str())
        .map(|name| json!(name));
    nobodies.push(together(&[("id", mistaken.as_ref())]));
    for gone in &gone {
        nobodies.push(together(&[("id", Some(gone)), ("username", name.as_ref())]));
        nobodies.push(together(&[("id", Some(gone)), ("email", email.as_ref())]));
    }
    for known in nobodies.into_iter().flatten() {
        kit.gone(&identity(&known)).await?;
        for operation in each_action(kit, &known, "Kit")? {
            let answer = kit.execute(1, &operation).await?;
            kit.unchanged(&other).await?;
            let call = format!("{} of {}", operation.action(), who(&identity(&known)));
            Requirement::NO_ACCOUNT.of(&call, answer)?;
        }
    }
    Ok(())
}

async fn suspended_are_there(kit: &Kit<'_>) -> Verdict {
    let person = kit.person().await?;
    kit.done(&about(Action::SuspendAccount, &person.known())?).await?;
    let suspended = |record: &AccountRecord, what: &str| {
        ensure(record.status == AccountStatus::Suspended && record.id == person.record.id, || {
            format!("{what}: account {} is {}", record.id, record.status)
        })
    };
    for field in ["username", "email"] {
        let Some(value) = person.fields.get(field).and_then(Value::as_str) else { continue };
        for value in [value.to_owned(), value.to_uppercase()] {
            suspended(&kit.found(&named(field, &value)).await?, "find_account of a suspended account")?;
        }
    }
    if kit.types(ResourceKind::Account).next().is_some() {
        let listed = kit.listed().await?.into_iter().find(|record| record.id == person.record.id);
        match listed {
            Some(record) => suspended(&record, "list")?,
            None => return failed(format!("list leaves out {}, which is suspended", person.record.id)),
        }
    }
    Requirement::DUPLICATE.of(
        "create_account of a suspended account",
        kit.execute(1, &about(CREATE, &person.fields)?).await?,
    )?;
    suspended(&kit.found(&person.by_id()).await?, "after an attempt to create it again")?;
    let name = person.fields.get("username").map_or("email", |_| "username");
    let known = fields(name, person.fields.get(name).and_then(Value::as_str).unwrap_or_default());
    if kit.offers(Action::UpdateAccount) {
        let changes = kit.test_target.changes("Kit");
        kit.done(&operation(Action::UpdateAccount, json!({ "account": known, "changes": changes }))?).await?;
        suspended(&kit.found(&person.by_id()).await?, "after an update that does not change the status")?;
    }
    if kit.offers(Action::ResetPassword) {
        let mut account = known.clone();
        account.insert("password".to_owned(), json!(kit.password()));
        kit.done(&about(Action::ResetPassword, &account)?).await?;
        suspended(&kit.found(&person.by_id()).await?, "after its password was set")?;
    }
    if kit.offers(DELETE) {
        kit.done(&about(DELETE, &known)?).await?;
        kit.gone(&person.by_id()).await?;
    }
    Ok(())
}

async fn act_by_every_name(kit: &Kit<'_>) -> Verdict {
    for field in ["id", "username", "email"] {
        let person = kit.person().await?;
        let value = if field == "id" {
            Some(person.record.id.to_string())
        } else {
            person.fields.get(field).and_then(Value::as_str).map(str::to_owned)
        };
        let Some(value) = value else { continue };
        let bystander = kit.person().await?;
        // The task identifies the account by this field alone.
        let known = fields(field, &value);
        let changes = kit.test_target.changes(&value);
        let mut shown = changes.clone();
        shown.retain(|field, _| !kit.is_hidden(field));
        let order = [
            Action::UpdateAccount,
            Action::ResetPassword,
            Action::SuspendAccount,
            Action::UnsuspendAccount,
            DELETE,
        ];
        for action in order.into_iter().filter(|action| kit.offers(*action)) {
            let task = match action {
                Action::UpdateAccount => {
                    // If the update changed this name, the next task would not find the account.
                    let mut changes = changes.clone();
                    changes.retain(|name, _| name != field);
                    shown.retain(|name, _| name != field);
                    json!({ "account": known, "changes": changes })
                }
                Action::ResetPassword => {
                    let mut account = known.clone();
                    account.insert("password".to_owned(), json!(kit.password()));
                    json!({ "account": account })
                }
                _ => json!({ "account": known }),
            };
            let call = format!("{action} by {field}");
            if let Err(error) = kit.execute(1, &operation(action, task)?).await? {
                return failed(format!("{call}: expected success; got {}", parts(&error)));
            }
            let now = kit.look(&person.by_id()).await?;
            let done = match (action, &now) {
                (DELETE, now) => now.is_none(),
                (_, None) => false,
                (Action::UpdateAccount, Some(now)) => differences(&shown, now, true).is_empty(),
                (Action::SuspendAccount, Some(now)) => now.status == AccountStatus::Suspended,
                (Action::UnsuspendAccount, Some(now)) => now.status == AccountStatus::Active,
                (_, Some(_)) => true,
            };
            ensure(done, || {
                format!("{call}: success is reported, but {} was not affected", person.record.id)
            })?;
            kit.unchanged(&bystander).await?;
        }
    }
    Ok(())
}

async fn find_by(probe: &Probe, account: &Account) -> Verdict<Option<AccountRecord>> {
    match probe.find(account).await? {
        Ok(found) => Ok(found),
        Err(error) => failed(format!("find_account of {}: {}", who(account), parts(&error))),
    }
}

/// The accounts that a connector lists.
async fn listed_by(kit: &Kit<'_>, probe: &Probe) -> Verdict<Option<Vec<AccountRecord>>> {
    match kit.types(ResourceKind::Account).next() {
        Some(of) => Ok(Some(read(probe, of).await?.accounts().collect())),
        None => Ok(None),
    }
}

async fn seen_by_another(kit: &Kit<'_>) -> Verdict {
    let other = kit.connect(crate::Situation::Working).await?;
    let name = kit.name();
    let wanted = kit.test_target.account(&name);
    let ways = |id: Option<&str>| {
        let mut ways: Vec<Account> = ["username", "email"]
            .into_iter()
            .filter_map(|field| Some(named(field, wanted.get(field)?.as_str()?)))
            .collect();
        ways.extend(id.map(Account::by_id));
        ways
    };
    // The other connector looks first, and must not cache what it found.
    for way in ways(None) {
        let found = find_by(&other, &way).await?;
        ensure(found.is_none(), || {
            format!("find_account of {} finds an account that does not exist yet", who(&way))
        })?;
    }
    listed_by(kit, &other).await?;
    let person = kit.person_with(json!({ "account": wanted })).await?;
    let id = person.record.id.clone();
    let agree = async |what: &str| -> Verdict {
        for way in ways(Some(id.as_str())) {
            let (mine, theirs) = (find_by(&kit.working, &way).await?, find_by(&other, &way).await?);
            let same = match (&mine, &theirs) {
                (Some(mine), Some(theirs)) => changed(mine, theirs).is_empty(),
                (None, None) => true,
                _ => false,
            };
            ensure(same, || {
                format!(
                    "{what} through one connector, but another connector returns something else from \
                     find_account of {}",
                    who(&way)
                )
            })?;
        }
        let here = listed_by(kit, &other).await?;
        let listed = here.as_ref().map(|here| here.iter().find(|record| record.id == id));
        let found = find_by(&kit.working, &person.by_id()).await?;
        let same = match (listed, &found) {
            (None, _) => true,
            (Some(Some(listed)), Some(found)) => changed(listed, found).is_empty(),
            (Some(listed), found) => listed.is_none() && found.is_none(),
        };
        ensure(same, || format!("{what} through one connector, but another connector lists it differently"))
    };
    agree("an account was created").await?;
    if kit.offers(Action::UpdateAccount) {
        let task = json!({ "account": person.known(), "changes": kit.test_target.changes(&name) });
        kit.done(&operation(Action::UpdateAccount, task)?).await?;
        agree("an account was changed").await?;
    }
    if kit.offers(Action::SuspendAccount) {
        kit.done(&about(Action::SuspendAccount, &person.known())?).await?;
        agree("an account was suspended").await?;
    }
    if kit.offers(DELETE) {
        kit.done(&about(DELETE, &person.known())?).await?;
        agree("an account was deleted").await?;
        for operation in each_action(kit, &person.known(), &name)? {
            let call = format!("{} of an account that another connector deleted", operation.action());
            Requirement::NO_ACCOUNT.of(&call, other.execute(1, &operation).await?)?;
        }
        // The same names, but another account.
        let again = kit.person_with(json!({ "account": wanted })).await?;
        for way in ways(None) {
            let found = find_by(&other, &way).await?;
            ensure(found.as_ref().is_some_and(|found| found.id == again.record.id), || {
                format!(
                    "an account was deleted and created again through one connector; another connector does \
                     not find the new one by {}",
                    who(&way)
                )
            })?;
        }
        if kit.offers(Action::SuspendAccount) {
            let mut known = again.known();
            known.shift_remove("id");
            let suspended = other.execute(1, &about(Action::SuspendAccount, &known)?).await?;
            if let Err(error) = suspended {
                return failed(format!(
                    "suspend_account of an account that another connector created again: {}",
                    parts(&error)
                ));
            }
            let now = kit.found(&again.by_id()).await?;
            ensure(now.status == AccountStatus::Suspended, || {
                "suspend_account of an account that another connector created again did not affect it"
                    .to_owned()
            })?;
        }
    }
    Ok(())
}
