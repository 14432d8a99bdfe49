//! The server of the page: events, reload, security headers, and a token that is missing or too weak.

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::admin::{address, get, status};
use crate::page::{TOKEN, Visitor, WITH_TOKEN, configure, holding, people, post, start};
use crate::support::{PATIENCE, World};

#[tokio::test]
async fn page_receives_events_and_does_not_delay_shutdown() {
    let world = World::new().await;
    people(&world, 3);
    configure(&world, "enabled = false", WITH_TOKEN);
    let daemon = start(&world);
    let here = address(&daemon).await;
    daemon.says("ready: connected to the Bridge").await;
    let mut stream = tokio::net::TcpStream::connect(&here).await.expect("it listens");
    stream
        .write_all(format!("GET /events HTTP/1.1\r\nHost: {here}\r\n\r\n").as_bytes())
        .await
        .expect("it takes it");
    let mut told = String::new();
    let mut read = async |stream: &mut tokio::net::TcpStream, events: usize| {
        let mut piece = [0; 4096];
        while told.matches("event: changed").count() < events {
            let count = tokio::time::timeout(PATIENCE, stream.read(&mut piece))
                .await
                .expect("in time")
                .expect("it goes on");
            assert_ne!(count, 0, "it was closed: {told}");
            told += &String::from_utf8_lossy(&piece[..count]);
        }
        told.clone()
    };
    let first = read(&mut stream, 1).await;
    assert!(first.to_lowercase().contains("content-type: text/event-stream"), "{first}");
    let account = json!({"username": "new", "email": "new@example.org"});
    world.sandbox.add_task(world.app, json!({"action": "create_account", "payload": {"account": account}}));
    let all = read(&mut stream, 2).await;
    assert!(
        !all.contains("example.org"),
        "an event says that something has changed, and nothing of it: {all}"
    );
    daemon.stop().await;
}

#[tokio::test]
async fn reload_applies_the_new_token_and_apps_to_the_page() {
    const OTHER: &str = "another-page-token-that-must-never-leak-4223";
    let world = World::new().await;
    people(&world, 5);
    world.write("page-token", TOKEN);
    let admin = "\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = { file = \"page-token\" }\n";
    configure(&world, "enabled = false", admin);
    let update = |n: usize| {
        let account = json!({"id": format!("u{n}")});
        let payload = json!({"account": account, "changes": {"display_name": "New Name"}});
        world.sandbox.add_task(world.app, json!({"action": "update_account", "payload": payload}));
    };
    update(1);
    let daemon = world.start();
    let here = address(&daemon).await;
    let done = |app: &'static str| {
        move |status: &serde_json::Value| status["apps"][app]["tasks"]["counts"]["completed"] == 1
    };
    status(&here, "the task is done", done("hr")).await;
    let before = Visitor::signed_in(&here).await;
    assert!(before.get("/apps/hr").await.body.contains("Sign out"));
    let reload = async |old: &str, new: &str, says: &str| {
        let text = world.read("bridgehead.toml");
        assert!(text.contains(old), "{text}");
        world.write("bridgehead.toml", &text.replace(old, new));
        let output = world.run(&["reload"]).await;
        let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert!(output.status.code() == Some(0) && text.contains(says), "{text}");
        assert!(!text.contains(TOKEN) && !text.contains(OTHER), "{text}");
    };
    let completed = async |app: &str| -> u64 {
        let csv = get(&here, &format!("/apps/{app}/history.csv")).await.body;
        let cells = csv.lines().skip(1).map(|line| line.split(',').nth(1).expect("a cell"));
        cells.map(|cell| cell.parse::<u64>().expect("a number")).sum()
    };

    // The app is replaced: the old one writes its counters when it ends.
    world.write("page-token", OTHER);
    reload("\"200ms\"", "\"201ms\"", "admin.token: what it refers to has changed").await;
    assert_eq!(completed("hr").await, 1);
    assert!(!before.get("/apps/hr").await.body.contains("Sign out"), "the sessions of the old token end");
    let refused = post(&here, "/login", "", &format!("token={TOKEN}"), &here).await;
    assert!(refused.status == 403 && !refused.head.contains("set-cookie"), "{}", refused.head);
    let visitor = Visitor::signed_in_with(&here, OTHER).await;
    let path = "/apps/hr/actions/dry-run";
    let started = visitor.post(path, &visitor.form(path).await).await;
    assert_eq!(started.status, 303, "{}", started.body);
    daemon.says("the sync that was started on the page has ended").await;

    // Counting continues in the same hour, even under another name.
    update(2);
    status(&here, "the app of now does it", done("hr")).await;
    reload("[apps.hr", "[apps.staff", "staff: added").await;
    assert_eq!(get(&here, "/apps/hr").await.status, 404);
    assert_eq!(get(&here, "/apps/staff").await.status, 200);
    assert_eq!(completed("staff").await, 2);
    assert_eq!(
        visitor.get("/apps/staff/actions/sync").await.status,
        200,
        "the same token is no reason to end a session"
    );
    assert_eq!(visitor.get(path).await.status, 404);
    reload("token = { file = \"page-token\" }", "", "admin.token").await;
    assert_eq!(visitor.get("/apps/staff/actions/sync").await.status, 403);
    let log = daemon.stop().await;
    assert!(!log.contains(TOKEN) && !log.contains(OTHER), "{log}");
}

#[tokio::test]
async fn security_headers_forbid_external_requests() {
    let (_world, daemon, here) = holding(1, WITH_TOKEN).await;
    for path in ["/", "/apps/hr", "/page.js", "/page.css", "/icon.svg", "/nowhere", "/login", "/status"] {
        let answer = get(&here, path).await;
        for header in [
            "content-security-policy: default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'\r\n",
            "referrer-policy: same-origin\r\n",
            "x-content-type-options: nosniff\r\n",
            "cache-control: no-store\r\n",
        ] {
            assert!((answer.head.clone() + "\r\n").contains(header), "{path}: {header}: {}", answer.head);
        }
        assert!(!answer.body.contains("unsafe-inline") && !answer.body.contains(" style="), "{path}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn weak_or_missing_page_token_prevents_startup() {
    let world = World::new().await;
    people(&world, 1);
    configure(&world, "enabled = false", WITH_TOKEN);
    for (token, problem) in [
        (Some("short"), "at least 16"),
        (Some("with spaces in the middle"), "without spaces"),
        (None, "PAGE_TOKEN is not set"),
    ] {
        let mut command = world.command(&["run"]);
        if let Some(token) = token {
            command.env("PAGE_TOKEN", token);
        }
        let output = tokio::task::spawn_blocking(move || command.output().expect("it runs"))
            .await
            .expect("waited for");
        let text = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        assert_eq!(output.status.code(), Some(78), "{text}");
        assert!(text.contains("admin.token") && text.contains(problem), "{text}");
        assert!(token.is_none_or(|token| !text.contains(token)), "{text}");
    }
}
