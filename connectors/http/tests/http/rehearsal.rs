//! Problems that `check` reports before anything goes wrong.

use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::support::{build, set};

#[tokio::test]
async fn describe_warns_about_templates_that_would_fail() {
    let server = Scripted::start(|ask, state| state.serve(&ask)).await;
    let mut target = server.target(&Value::Null, &json!({}));
    let warnings = build(&target).unwrap().describe().await.unwrap().warnings;
    assert_eq!(warnings, Vec::<String>::new());
    set(&mut target, "create_account.steps.0.json.mail", json!("{{ account.email }}"));
    set(&mut target, "update_account.steps.0.json.title", json!("{{ changes.title }} {{ changes.nick }}"));
    set(&mut target, "suspend_account.steps.0.json.who", json!("{{ current.record.nick }}"));
    let description = build(&target).unwrap().describe().await.unwrap();
    let told = description.warnings.join("\n");
    for key in [
        "create_account.steps.0.json.mail",
        "update_account.steps.0.json.title",
        "suspend_account.steps.0.json.who",
    ] {
        assert!(told.contains(key), "{key}: {told}");
    }
    // A field that is written but not read is never verified.
    assert!(description.unverifiable.contains("nick") && !description.unverifiable.contains("title"));
}

#[tokio::test]
async fn check_names_the_setting_to_correct() {
    let server = Scripted::start(|ask, state| state.serve(&ask)).await;
    for (key, value, wanted) in [
        ("accounts.record.username", json!("record.nick"), "correct accounts.record.username"),
        ("accounts.record.id", json!("record.title"), "a sync would fail"),
        ("accounts.record.status.active", json!([0]), "correct accounts.record.status"),
        (
            "accounts.list.filter",
            json!("record.title == 'new'"),
            "accounts.list.filter excludes every one of the 10",
        ),
        (
            "accounts.list.records",
            json!("answer.persons"),
            "a sync would fail: The accounts cannot be listed",
        ),
        (
            "accounts.list.query",
            json!({ "after": "{{ page.cursor | default('c0', true) }}x" }),
            "a sync would fail",
        ),
        ("find.by_id.path", json!("/people/{{ account.id }}x"), "find.by_id"),
        (
            "find.by_username.query",
            json!({ "name": "{{ account.username }}x" }),
            "find.by_username does not find",
        ),
        (
            "find.by_username.expect",
            json!({ "when": "answer.people | length > 0" }),
            "find.by_username fails for an unused name",
        ),
        ("groups.0.list.records", json!("answer.teams"), "a sync would fail: group cannot be listed"),
        (
            "groups.0.members.path",
            json!("/groups/{{ group }}/nobody"),
            "a sync would fail: The members of group g1",
        ),
        ("groups.0.members.account", json!("record ~ 'x'"), "members.account"),
    ] {
        let mut target = server.target(
            &json!({ "type": "cursor", "next": "answer.cursor" }),
            &json!({ "after": "{{ page.cursor }}" }),
        );
        set(&mut target, key, value);
        let connector = build(&target).unwrap();
        connector.check().await.unwrap();
        let told = connector.describe().await.unwrap().warnings.join("\n");
        assert!(told.contains(wanted), "{key}: {told}");
        // The last look is kept: the groups are not requested again at each description.
        let requests = server.server.received_requests().await.unwrap().len();
        connector.describe().await.unwrap();
        assert_eq!(server.server.received_requests().await.unwrap().len(), requests, "{key}");
    }
}
