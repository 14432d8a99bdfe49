//! What `check` says before anything goes wrong.

use serde_json::{Value, json};

use crate::scripted::Scripted;
use crate::support::{build, set};

#[tokio::test]
async fn what_a_task_would_stumble_over_is_told_beforehand() {
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
    // A field that is written and not read is never proven.
    assert!(description.unverifiable.contains("nick") && !description.unverifiable.contains("title"));
}
