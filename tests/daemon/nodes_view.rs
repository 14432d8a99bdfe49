//! What one node shows of the others: its status, its page and its metrics.

use serde_json::{Value, json};

use crate::admin::{ADMIN, address, get};
use crate::nodes::{command, many, owned_by, send, start, status, two_nodes};
use crate::support::{PATIENCE, World, eventually};

/// Waits until the status that node `b` shows of the app is as expected.
async fn shown(world: &World, is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    loop {
        let seen = status(world, "b").await;
        if is_so(&seen["apps"]["hr"]) {
            return seen;
        }
        assert!(tokio::time::Instant::now() < deadline, "{seen:#}");
    }
}

#[tokio::test]
async fn any_node_shows_how_the_apps_of_the_others_are_doing() {
    let (_server, world) = two_nodes().await;
    let own = world.read("b.toml") + ADMIN;
    world.write("b.toml", &own);
    let a = start(&world, "a");
    owned_by(&world, "a", "a").await;
    let b = start(&world, "b");
    owned_by(&world, "b", "a").await;
    many(&world, 0..3);
    world.drained().await;
    let done = command(&world, "a", &["apps", "pause", "hr", "--reason", "migration"]).await;
    assert!(done.status.success());

    let seen =
        shown(&world, |app| app["tasks"]["counts"]["completed"] == 3 && !app["paused"].is_null()).await;
    let app = &seen["apps"]["hr"];
    assert!(app["reported_at"].is_string() && app["tasks"]["polled_at"].is_string(), "{app:#}");
    assert_eq!(app["paused"]["reason"], "migration");
    assert_eq!(app["alarms"][0]["kind"], "paused", "{app:#}");
    assert!(!seen.to_string().contains("\"lost\":true"), "{seen:#}");
    let text = String::from_utf8(command(&world, "b", &["status"]).await.stdout).unwrap();
    assert!(text.contains("Nodes: a (1 app, running), b (0 apps, running, this one)"), "{text}");
    assert!(text.contains("NODE\n") && text.contains("  a\n") && text.contains("migration"), "{text}");

    let page = address(&b).await;
    let overview = get(&page, "/").await.body;
    for part in ["Nodes that share the state", "running, this one", "Paused", "3 completed", "a, since "] {
        assert!(overview.contains(part), "{part}: {overview}");
    }
    let metrics = get(&page, "/metrics").await.body;
    assert!(metrics.contains("bridgehead_app_owner{app=\"hr\",node=\"a\"} 1"), "{metrics}");
    assert!(metrics.contains("bridgehead_node_lost{node=\"a\"} 0"), "{metrics}");
    for counted_by_the_owner in ["bridgehead_tasks_total{", "bridgehead_alarm{", "bridgehead_paused{"] {
        assert!(!metrics.contains(counted_by_the_owner), "{counted_by_the_owner} {metrics}");
    }

    send(&a, "KILL");
    let seen = shown(&world, |app| app["owner"]["node"] == "b" && app["elsewhere"].is_null()).await;
    assert_eq!(seen["apps"]["hr"]["paused"]["reason"], "migration", "a pause survives: {seen:#}");
    eventually("the crash is shown", || b.log().contains("this node runs the app now")).await;
    // The lease may have been renewed some time before the last contact.
    let is_shown = async {
        loop {
            let text = String::from_utf8(command(&world, "b", &["status"]).await.stdout).unwrap();
            if text.contains("a (0 apps, no contact for ") {
                break;
            }
        }
    };
    tokio::time::timeout(PATIENCE, is_shown).await.expect("the status shows that there is no contact");
    let metrics = get(&page, "/metrics").await.body;
    assert!(metrics.contains("bridgehead_node_lost{node=\"a\"} 1"), "{metrics}");
    assert!(metrics.contains("bridgehead_paused{app=\"hr\"} 1"), "{metrics}");
    assert_eq!(json!(b.stop().await.contains("panicked")), json!(false));
}
