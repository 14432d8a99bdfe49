//! Actions on a task or an app from the page: the same as on the command line, and recorded in the audit log with the page as their source.

use bridgehead::sandbox::{Effect, Fault};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use crate::actions::{PATIENT, error, phases, story_until, unknown_with};
use crate::admin::{address, get, status};
use crate::page::{TOKEN, Visitor, WITH_TOKEN, start};
use crate::support::{World, eventually};

const VARIABLES: &[(&str, &str)] = &[("PAGE_TOKEN", TOKEN)];

/// The audit log's entries for an operator's action.
async fn audited(world: &World, action: &str) -> Vec<Value> {
    let exported = world.run(&["audit", "export"]).await;
    assert_eq!(exported.status.code(), Some(0), "{exported:?}");
    let text = String::from_utf8_lossy(&exported.stdout).into_owned();
    let entries = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("a line of JSON"));
    entries.filter(|entry| entry["action"] == action && entry["actor"] == "page").collect()
}

/// Confirms an action with the form's fields, and more.
async fn act(visitor: &Visitor<'_>, path: &str, more: &str) -> String {
    let form = visitor.form(path).await;
    let done = visitor.post(path.split('?').next().expect("a path"), &format!("{form}{more}")).await;
    assert_eq!(done.status, 303, "{path}: {}", done.body);
    visitor.get("/apps/hr").await.body
}

#[tokio::test]
async fn app_is_paused_with_a_reason_and_resumed_on_the_page() {
    let world = World::new().await;
    world.script(PATIENT, WITH_TOKEN);
    let daemon = start(&world);
    let here = address(&daemon).await;
    let visitor = Visitor::signed_in(&here).await;
    let page = visitor.get("/apps/hr").await.body;
    assert!(page.contains("/actions/pause") && !page.contains("/actions/resume"), "{page}");
    let page = act(&visitor, "/apps/hr/actions/pause", "&reason=migration+of+HR").await;
    assert!(page.contains("hr is paused.") && page.contains("migration of HR"), "{page}");
    assert!(page.contains("/actions/resume") && !page.contains("/actions/pause"), "{page}");
    assert!(!page.contains("/actions/sync\""), "no sync starts: {page}");
    let task = world.task_for("create_account", json!("ann"));
    let shown = status(&here, "it is paused", |status| status["apps"]["hr"]["paused"].is_object()).await;
    assert_eq!(shown["apps"]["hr"]["paused"]["by"], "page");
    let page = act(&visitor, "/apps/hr/actions/resume", "").await;
    assert!(page.contains("hr is resumed."), "{page}");
    world.drained().await;
    assert_eq!(world.task(&task)["status"], "completed");
    assert_eq!(audited(&world, "pause").await[0]["evidence"]["reason"], "migration of HR");
    assert_eq!(audited(&world, "resume").await.len(), 1);
    daemon.stop().await;
}

#[tokio::test]
async fn waiting_task_is_shown_and_retried_on_the_page() {
    let world = World::new().await;
    world.script(PATIENT, WITH_TOKEN);
    world.rules(&json!([
        {"method": "create_account", "account": "ann", "error": error("RATE_LIMITED", json!({"retry_after": 900})), "times": 1},
    ]));
    let task = world.task_for("create_account", json!("ann"));
    let daemon = start(&world);
    let here = address(&daemon).await;
    story_until(&world, &task, |story| phases(story).last() == Some(&"wait")).await;
    let path = format!("/apps/hr/tasks/{task}");
    let stranger = get(&here, &path).await;
    assert!(stranger.status == 200 && stranger.body.contains("RATE_LIMITED"), "{}", stranger.body);
    assert!(!stranger.body.contains(">ann<") && !stranger.body.contains("HR says"), "{}", stranger.body);
    let visitor = Visitor::signed_in(&here).await;
    let page = visitor.get(&path).await.body;
    assert!(page.contains(">ann<") && page.contains("HR says RATE_LIMITED"), "{page}");
    assert!(page.contains(&format!("/apps/hr/actions/retry?task={task}")), "{page}");
    let path = format!("/apps/hr/actions/retry?task={task}");
    let question = visitor.get(&path).await.body;
    assert!(question.contains("Retry 1 task of hr now?") && question.contains(">ann<"), "{question}");
    let page = act(&visitor, &path, "").await;
    assert!(page.contains("1 task retried now."), "{page}");
    world.drained().await;
    assert_eq!(world.attempts(&task), [1, 2]);
    assert_eq!(audited(&world, "retry").await.len(), 1);
    let late = visitor.get(&path).await;
    assert_eq!(late.status, 409, "it does not wait any more: {}", late.body);
    assert_eq!(visitor.get("/apps/hr/tasks/no-such-task").await.status, 404);
    daemon.stop().await;
}

#[tokio::test]
async fn task_of_unknown_effect_is_resolved_on_the_page() {
    let world = World::new().await;
    let (daemon, task) = unknown_with(&world, WITH_TOKEN, VARIABLES).await;
    let here = address(&daemon).await;
    let visitor = Visitor::signed_in(&here).await;
    let page = visitor.get(&format!("/apps/hr/tasks/{task}")).await.body;
    assert!(page.contains("Effect unknown") && page.contains("/actions/resolve?task="), "{page}");
    let path = format!("/apps/hr/actions/resolve?task={task}");
    for incomplete in ["", "&outcome=completed", "&outcome=perhaps&reason=seen", "&reason=seen"] {
        let form = visitor.form(&path).await;
        let refused = visitor.post("/apps/hr/actions/resolve", &format!("{form}{incomplete}")).await;
        assert_eq!(refused.status, 400, "{incomplete}: {}", refused.body);
        assert_eq!(world.task(&task)["status"], "pending", "{incomplete}");
    }
    let page = act(&visitor, &path, "&outcome=completed&reason=seen+in+HR").await;
    assert!(page.contains("as completed."), "{page}");
    eventually("Iden has its result", || world.task(&task)["status"] == "completed").await;
    assert_eq!(world.task(&task)["result"]["reason"], "seen in HR");
    let entries = audited(&world, "resolve").await;
    assert_eq!(entries.last().expect("an entry")["task"], json!(task), "{entries:#?}");
    let again = visitor.get(&path).await;
    assert_eq!(again.status, 409, "{}", again.body);
    daemon.stop().await;
    assert_eq!(world.attempts(&task), [1]);
}

#[tokio::test]
async fn sync_cancelled_on_the_page_removes_no_account() {
    let world = World::new().await;
    world.configure(&format!("{}{WITH_TOKEN}", crate::actions::SLOW_SYNC));
    let daemon = start(&world);
    let here = address(&daemon).await;
    daemon.says("ready").await;
    let visitor = Visitor::signed_in(&here).await;
    assert_eq!(visitor.get("/apps/hr/actions/cancel-sync").await.status, 409, "none is running");
    act(&visitor, "/apps/hr/actions/sync", "").await;
    eventually("something is pushed", || world.sandbox.ledger().iter().any(|entry| entry.method == "PUT"))
        .await;
    let page = act(&visitor, "/apps/hr/actions/cancel-sync", "").await;
    assert!(page.contains("The sync has ended: abandoned."), "{page}");
    assert!(!world.sandbox.ledger().iter().any(|entry| entry.path.ends_with("/complete/")));
    assert_eq!(audited(&world, "cancel_sync").await.len(), 1);
    daemon.stop().await;
}

/// The next sync of the queue starts at once, so a look at the progress alone does not show that the cancelled one has ended.
#[tokio::test]
async fn sync_is_cancelled_on_the_page_while_another_one_waits() {
    let world = World::new().await;
    world.configure(&format!("{}{WITH_TOKEN}", crate::actions::SLOW_SYNC));
    let daemon = start(&world);
    let here = address(&daemon).await;
    daemon.says("ready").await;
    let visitor = Visitor::signed_in(&here).await;
    let pushes = || world.sandbox.ledger().iter().filter(|entry| entry.method == "PUT").count();
    act(&visitor, "/apps/hr/actions/sync", "").await;
    eventually("something is pushed", || pushes() > 0).await;
    act(&visitor, "/apps/hr/actions/sync", "").await;
    let page = act(&visitor, "/apps/hr/actions/cancel-sync", "").await;
    assert!(page.contains("The sync has ended: abandoned."), "{page}");
    let entries = audited(&world, "cancel_sync").await;
    assert_eq!(entries.len(), 1);
    assert_eq!(entries[0]["evidence"]["ended"], "abandoned");
    daemon.stop().await;
}

#[tokio::test]
async fn action_ends_and_is_recorded_although_the_browser_has_gone() {
    let world = World::new().await;
    world.configure(&format!("{}{WITH_TOKEN}", crate::actions::SLOW_SYNC));
    let daemon = start(&world);
    let here = address(&daemon).await;
    daemon.says("ready").await;
    let visitor = Visitor::signed_in(&here).await;
    act(&visitor, "/apps/hr/actions/sync", "").await;
    let has = |part: &str| world.sandbox.ledger().iter().any(|entry| entry.path.contains(part));
    eventually("the session is open", || has("/sync/")).await;
    // The cancellation waits for Iden until the test lets it go on.
    let unavailable = Fault::new(Effect::answer_json(503, json!({"detail": "later"})));
    let unavailable = world.sandbox.add_fault(unavailable.method("POST").path("**/abandon/"));
    let form = visitor.form("/apps/hr/actions/cancel-sync").await;
    let mut browser = tokio::net::TcpStream::connect(&here).await.expect("it listens");
    let request = visitor.request("/apps/hr/actions/cancel-sync", &form);
    browser.write_all(request.as_bytes()).await.expect("it takes the request");
    eventually("Iden is asked to abandon the session", || has("/abandon/")).await;
    drop(browser);
    assert!(world.sandbox.remove_fault(unavailable));
    daemon.says("an operator on the page: The sync has ended: abandoned.").await;
    assert_eq!(audited(&world, "cancel_sync").await.len(), 1);
    daemon.stop().await;
}
