//! Creating an account that exists, but that searches do not show.

use bridgehead_sdk::{Action, Code, Effect};
use serde_json::{Value, json};

use crate::scripted::{Script, Scripted};
use crate::support::{build, execute, set};

#[tokio::test]
async fn hidden_existing_account_is_refused_or_adopted_as_configured() {
    // Searches do not show locked accounts.
    let hides: Script = |ask, state| {
        let mut reply = state.serve(&ask);
        if let Some(people) = reply.body.get_mut("people").and_then(Value::as_array_mut) {
            people.retain(|person| person["locked"] == false);
        }
        reply
    };
    let server = Scripted::start(hides).await;
    let gone = || json!({ "id": "gone", "name": "gone", "locked": true });
    server.state().people[5] = gone();
    let mut target = server.target(&Value::Null, &json!({}));
    let task = json!({ "account": { "username": "gone" } });
    let error = execute(&build(&target).unwrap(), Action::CreateAccount, task.clone()).await.unwrap_err();
    // The PUT request has replaced the existing account.
    assert_eq!((error.code(), error.effect()), (Code::AccountAlreadyExists, Effect::Unknown));
    assert!(error.message().contains("expect.status"), "{error}");
    server.state().people.retain(|person| person["id"] != "gone");
    server.state().people.push(gone());
    set(&mut target, "create_account.steps.0.expect", json!({ "status": [200, 201] }));
    let done = execute(&build(&target).unwrap(), Action::CreateAccount, task).await.unwrap();
    assert_eq!(done.result["account_id"], "gone");
}
