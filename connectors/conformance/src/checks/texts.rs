//! Strings that occur in real names, and how they are stored.

use serde_json::{Map, Value, json};

use crate::finding::{Requirement, Verdict, failed, skipped};
use crate::kit::Kit;
use crate::rule::Rule;
use crate::tasks::{about, changed, differences, identity, operation};
use bridgehead_sdk::{AccountRecord, Action};

const CREATE: Action = Action::CreateAccount;

pub(crate) const RULES: [Rule; 2] = [
    Rule::changes(
        "texts-on-create",
        "Any text is stored exactly as written, or rejected cleanly, and then no account is created.",
        &[CREATE],
        |kit| Box::pin(on_create(kit)),
    ),
    Rule::changes(
        "texts-on-update",
        "Any text is stored exactly as written, or rejected cleanly, and then nothing is changed.",
        &[CREATE, Action::UpdateAccount],
        |kit| Box::pin(on_update(kit)),
    ),
];

/// Their description for messages, and the strings.
fn texts() -> Vec<(&'static str, String)> {
    let mut texts: Vec<(&str, String)> = [
        ("quotes", "O'Brien \"Bob\" `Bo` ‘Bö’"),
        ("commas", "Doe, Jane; née Roe=x+y"),
        ("backslashes", "back\\slash \\\\ \\n \\' \\2a"),
        ("asterisks and parentheses", "*()(|(uid=*))"),
        ("NUL", "a\0b"),
        ("SQL", "Robert'); DROP TABLE accounts; -- %_"),
        ("a template", "{{ 7 * 7 }} {% raw %} ${x} %s $1 :name <b>&amp;"),
        ("a formula", "=1+1"),
        ("emoji", "👩‍👩‍👧‍👦 🏳️‍🌈 🦄"),
        ("right-to-left", "שלום مرحبا \u{202e}abc\u{202c}"),
        ("combining marks", "e\u{301} n\u{303} Å"),
        ("spaces at its ends", "  spaced  "),
        ("a line break", "one\ntwo\tthree"),
        ("other line breaks", "one\u{2028}two\u{2029}three\u{85}four\u{b}five"),
        ("# in front", "#hash"),
        ("the word null", "null"),
    ]
    .map(|(what, text)| (what, text.to_owned()))
    .into();
    texts.push(("255 letters", "abcdefghij klmn".repeat(17)));
    texts.push(("255 letters of two bytes", "é".repeat(255)));
    texts
}

async fn on_create(kit: &Kit<'_>) -> Verdict {
    let mut kept = Vec::new();
    for field in kit.test_target.free_text_fields() {
        for (what, text) in texts() {
            let mut account = kit.test_target.account(&kit.name());
            let task = {
                let mut account = account.clone();
                account.insert(field.to_owned(), json!(text));
                about(CREATE, &account)?
            };
            let call = format!("create_account with {what} in {field}");
            match kit.execute(1, &task).await? {
                Ok(_) => {
                    account.insert(field.to_owned(), json!(text));
                    let found = kit.found(&identity(&account)).await?;
                    exactly(&format!("{call}, then find_account"), field, &text, &found)?;
                    kept.push((what, field, text, found));
                }
                Err(error) => {
                    Requirement::REFUSED.of::<()>(&format!("{call}, which may be rejected"), Err(error))?;
                    kit.gone(&identity(&account)).await?;
                }
            }
        }
    }
    if kept.is_empty() {
        return skipped("there is no free-text field, or none of them accepts any of these texts");
    }
    for record in kit.listed().await? {
        for (what, field, text, found) in &kept {
            if found.id == record.id {
                exactly(&format!("list, after create_account with {what}"), field, text, &record)?;
            }
        }
    }
    Ok(())
}

async fn on_update(kit: &Kit<'_>) -> Verdict {
    let mut person = kit.person().await?;
    let changeable = kit.test_target.changes("Kit");
    let fields: Vec<&str> = kit
        .test_target
        .free_text_fields()
        .into_iter()
        .filter(|field| changeable.contains_key(*field))
        .collect();
    if fields.is_empty() {
        return skipped("no free-text field is among those that the test target changes");
    }
    for field in fields {
        for (what, text) in texts() {
            let task = json!({ "account": person.known(), "changes": { field: text } });
            let call = format!("update_account with {what} in {field}");
            let answer = kit.execute(1, &operation(Action::UpdateAccount, task)?).await?;
            let now = kit.found(&person.by_id()).await?;
            match answer {
                Ok(_) => exactly(&format!("{call}, then find_account"), field, &text, &now)?,
                Err(error) => {
                    Requirement::REFUSED.of::<()>(&format!("{call}, which may be rejected"), Err(error))?;
                    let changed = changed(&person.record, &now);
                    if !changed.is_empty() {
                        return failed(format!("{call} was rejected, but changed {}", changed.join(", ")));
                    }
                }
            }
            person.record = now;
        }
    }
    Ok(())
}

fn exactly(call: &str, field: &str, text: &str, record: &AccountRecord) -> Verdict {
    let wanted = Map::from_iter([(field.to_owned(), Value::from(text))]);
    match differences(&wanted, record, true).first() {
        None => Ok(()),
        Some(difference) => failed(format!("{call}: {difference}")),
    }
}
