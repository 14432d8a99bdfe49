//! Audit entries about the page and the log: sign-ins, refusals, and changes of log levels.

use serde_json::{Value, json};

use crate::admin::{address, ask};
use crate::page::{TOKEN, Visitor, WITH_TOKEN, start};
use crate::support::World;
use crate::target::QUICK;

async fn entries(world: &World) -> Vec<Value> {
    let exported = world.run(&["audit", "export"]).await;
    assert_eq!(exported.status.code(), Some(0), "{exported:?}");
    let text = String::from_utf8_lossy(&exported.stdout).into_owned();
    assert!(!text.contains(TOKEN), "{text}");
    text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

/// The actions and outcomes of the entries from the page.
fn by_the_page(entries: &[Value]) -> Vec<(&str, &str)> {
    let of_page = entries.iter().filter(|entry| entry["actor"] == "page");
    of_page
        .map(|entry| {
            (entry["action"].as_str().expect("an action"), entry["outcome"].as_str().expect("an outcome"))
        })
        .collect()
}

#[tokio::test]
async fn who_signs_in_and_out_and_who_is_refused_is_recorded_and_nobody_can_fill_the_log() {
    let world = World::new().await;
    world.script(QUICK, WITH_TOKEN);
    let daemon = start(&world);
    let here = address(&daemon).await;
    let from = |origin: &str, path: &str, body: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: {here}\r\nOrigin: http://{origin}\r\n\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let wrong = ask(&here, &from(&here, "/login", "token=not-the-token-at-all")).await;
    assert_eq!(wrong.status, 403);
    // Anyone who can reach the port can repeat this; the log gets one entry per minute.
    for _ in 0..20 {
        let elsewhere = ask(&here, &from("evil.example", "/login", "token=x")).await;
        assert_eq!(elsewhere.status, 403);
    }
    let stranger = ask(&here, &from(&here, "/apps/hr/actions/pause", "form=x")).await;
    assert_eq!(stranger.status, 403);
    let visitor = Visitor::signed_in(&here).await;
    let out = visitor.post("/logout", &visitor.form("/logout").await).await;
    assert_eq!(out.status, 303, "{}", out.body);

    let all = entries(&world).await;
    let wanted = [("sign_in", "refused"), ("sign_in", "done"), ("sign_out", "done")];
    assert_eq!(by_the_page(&all), wanted, "{all:#?}");
    let of_page: Vec<&Value> = all.iter().filter(|entry| entry["actor"] == "page").collect();
    assert_eq!(of_page[0]["evidence"], json!({"refused": "wrong token", "refused_since_last_entry": 1}));
    assert_eq!(of_page[1]["evidence"]["refused_before"], 21, "none is forgotten");
    assert!(world.run(&["audit", "verify"]).await.status.success());
    daemon.stop().await;
}

#[tokio::test]
async fn an_action_that_is_refused_on_the_page_is_recorded_by_its_name() {
    let world = World::new().await;
    world.script(QUICK, WITH_TOKEN);
    let daemon = start(&world);
    let here = address(&daemon).await;
    let visitor = Visitor::signed_in(&here).await;
    let forged = visitor.post("/apps/hr/actions/pause", "form=guessed").await;
    assert_eq!(forged.status, 403);
    let all = entries(&world).await;
    let refused = all.last().expect("an entry");
    assert_eq!((&refused["app"], &refused["action"]), (&json!("hr"), &json!("pause")), "{refused:#}");
    assert_eq!((&refused["actor"], &refused["outcome"]), (&json!("page"), &json!("refused")));
    assert!(!all.iter().any(|entry| entry["action"] == "pause" && entry["outcome"] == "done"));
    daemon.stop().await;
}

#[tokio::test]
async fn who_changes_what_is_logged_of_an_app_is_recorded() {
    let world = World::new().await;
    world.script(QUICK, "");
    let daemon = world.start();
    daemon.says("ready").await;
    for arguments in [&["log-level", "hr", "debug", "--for", "10m"][..], &["log-level", "hr", "default"]] {
        let changed = world.run(arguments).await;
        assert_eq!(changed.status.code(), Some(0), "{changed:?}");
    }
    let all = entries(&world).await;
    let changes: Vec<&Value> = all.iter().filter(|entry| entry["action"] == "log_level").collect();
    let evidence: Vec<&Value> = changes.iter().map(|entry| &entry["evidence"]).collect();
    let wanted =
        [json!({"level": "debug", "for_seconds": 600}), json!({"level": "default", "for_seconds": null})];
    assert_eq!(evidence, wanted.iter().collect::<Vec<_>>(), "{changes:#?}");
    assert!(changes.iter().all(|entry| entry["app"] == "hr" && entry["outcome"] == "done"), "{changes:#?}");
    assert!(changes[0]["actor"].as_str().expect("an actor").contains("uid"), "{changes:#?}");
    daemon.stop().await;
}
