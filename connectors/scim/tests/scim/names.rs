//! User names that differ only in case, and users who do not show their status.

use bridgehead_sdk::{Account, Action, Code, Error};
use serde_json::json;

use crate::scripted::Scripted;
use crate::support::run;

/// The id of the user with a name, on a server where every user name is compared exactly.
async fn id_of(name: &str, there: &[(&str, &str)]) -> Result<Option<String>, Error> {
    let server = Scripted::start(&json!({}), |ask, state| state.serve(&ask)).await;
    for (id, name) in there {
        server.state().users.push(json!({ "id": id, "userName": name, "active": true }));
    }
    let connector = server.connector(&json!({ "lookup": "list" }));
    let found = connector.find_account(&Account::by_username(name)).await?;
    Ok(found.map(|found| found.id.into_string()))
}

#[tokio::test]
async fn exact_user_name_takes_precedence_over_other_case() {
    let both = [("x1", "Ann"), ("x2", "ann")];
    assert_eq!(id_of("ann", &both).await.unwrap().as_deref(), Some("x2"));
    assert_eq!(id_of("Ann", &both).await.unwrap().as_deref(), Some("x1"));
    assert_eq!(id_of("ANN", &both[..1]).await.unwrap().as_deref(), Some("x1"), "usually there is only one");
    let error = id_of("ANN", &both).await.unwrap_err();
    assert_eq!(error.code(), Code::InternalError);
    assert!(error.message().contains("ANN identifies several users"), "{error}");
}

#[tokio::test]
async fn update_to_active_is_sent_if_the_user_shows_no_status() {
    let server = Scripted::start(&json!({}), |ask, state| {
        let reply = state.serve(&ask);
        if ask.method == "GET" { reply.hiding("active") } else { reply }
    })
    .await;
    let connector = server.connector(&json!({}));
    // u05 is suspended.
    let payload = json!({ "account": { "id": "u05" }, "changes": { "status": "active" } });
    run(&*connector, Action::UpdateAccount, payload).await.unwrap();
    assert_eq!(server.state().user("u05")["active"], true);
}

#[tokio::test]
async fn name_in_another_unicode_form_is_found_and_ambiguous_if_both_exist() {
    let (one, other) = ("Jos\u{e9}", "Jose\u{301}");
    for lookup in ["list", "filter"] {
        // The server compares character by character.
        let server = Scripted::start(&json!({}), |ask, state| state.serve(&ask)).await;
        server.state().users.push(json!({ "id": "x1", "userName": one, "active": true }));
        let connector = server.connector(&json!({ "lookup": lookup }));
        let find = async |name: &str| connector.find_account(&Account::by_username(name)).await;
        for name in [one, other, "JOS\u{c9}", "JOSE\u{301}"] {
            // A filter of this server ignores the case of ASCII letters only.
            if lookup == "list" || name.contains("os") {
                assert_eq!(find(name).await.unwrap().unwrap().id.as_str(), "x1", "{lookup} {name}");
            }
        }
        assert!(find("jose").await.unwrap().is_none());
        let create = json!({ "account": { "username": other } });
        let error = run(&*connector, Action::CreateAccount, create).await.unwrap_err();
        assert_eq!(error.code(), Code::AccountAlreadyExists, "{error}");
        server.state().users.push(json!({ "id": "x2", "userName": other, "active": true }));
        for name in [one, other] {
            let error = find(name).await.unwrap_err();
            assert!(error.message().contains("identifies several users"), "{lookup} {error}");
            let delete = json!({ "account": { "username": name } });
            run(&*connector, Action::DeleteAccount, delete).await.unwrap_err();
        }
        assert_eq!(
            server.state().users.iter().filter(|user| user["id"] == "x1" || user["id"] == "x2").count(),
            2
        );
    }
}
