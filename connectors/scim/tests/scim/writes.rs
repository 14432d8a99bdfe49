//! Complete writes while other clients make changes.

use bridgehead_sdk::Action;
use serde_json::json;

use crate::scripted::{Script, Scripted};
use crate::support::{attempt, created, run};

#[tokio::test]
async fn concurrent_changes_by_others_are_not_undone() {
    // Without PATCH, the user is written completely; the groups are read before.
    let script: Script = |ask, s| {
        if ask.lists() && ask.endpoint == "Groups" {
            s.user("u03")["nickName"] = "by hand".into();
            s.user("u03")["meta"]["version"] = "W/\"2\"".into();
        }
        s.serve(&ask)
    };
    let off = json!({ "supported": false });
    for config in [json!({ "patch": off }), json!({ "patch": off, "etag": off })] {
        let server = Scripted::start(&config, script).await;
        let connector = server.connector(&json!({}));
        let payload = json!({ "account": { "id": "u03" }, "changes": { "title": "new" }, "memberships": { "group": ["g2"] } });
        run(&*connector, Action::UpdateAccount, payload).await.unwrap();
        let user = server.state().user("u03").clone();
        assert_eq!((&user["title"], &user["nickName"]), (&json!("new"), &json!("by hand")), "{config}");
    }
}

#[tokio::test]
async fn hidden_list_is_extended_and_not_replaced() {
    // The application only shows entitlements on request.
    let script: Script = |ask, s| {
        let reply = s.serve(&ask);
        if ask.method == "GET" { reply.hiding("entitlements") } else { reply }
    };
    let server = Scripted::start(&json!({}), script).await;
    server.state().user("u03")["entitlements"] = json!([{ "value": "vpn" }]);
    let licenses = json!([{ "slug": "plan", "values": { "pro": "Professional" } }]);
    let connector = server.connector(&json!({ "licenses": licenses }));
    let payload = json!({ "account": { "id": "u03" }, "memberships": { "plan": ["pro"] } });
    run(&*connector, Action::UpdateAccount, payload).await.unwrap();
    let held = server.state().user("u03")["entitlements"].clone();
    assert_eq!(held, json!([{ "value": "vpn" }, { "value": "pro" }]));
}

#[tokio::test]
async fn account_is_created_suspended_even_if_the_application_ignores_it() {
    let script: Script = |mut ask, s| {
        if ask.method == "POST" {
            ask.body["active"] = true.into();
        }
        s.serve(&ask)
    };
    let off = json!({ "supported": false });
    for config in [json!({}), json!({ "patch": off })] {
        let server = Scripted::start(&config, script).await;
        let connector = server.connector(&json!({}));
        let payload = json!({ "account": { "username": "eve", "status": "suspended" }, "memberships": { "group": ["g2"] } });
        let made = created(&run(&*connector, Action::CreateAccount, payload).await.unwrap());
        assert_eq!(server.state().user(&made)["active"], false, "{config}");
        assert!(server.state().members()["g2"].contains(&made));
        // An attempt that was interrupted before that.
        server.state().user(&made)["active"] = true.into();
        let payload = json!({ "account": { "username": "eve", "status": "suspended" } });
        attempt(&*connector, 2, Action::CreateAccount, payload).await.unwrap();
        assert_eq!(server.state().user(&made)["active"], false, "{config}");
    }
}
