//! The page: what it shows with and without the token, what actions it offers, and what it refuses.

use std::fmt::Write;

use serde_json::json;

use crate::admin::{Answer, address, ask, get, status};
use crate::support::{Daemon, KEY, PATIENCE, World, eventually};

/// The token of every page of these tests; no page may ever show it.
pub(crate) const TOKEN: &str = "page-token-that-must-never-leak-2342";
/// A secret in a task.
const PASSWORD: &str = "task-password-that-must-never-leak-1";

pub(crate) const WITH_TOKEN: &str = "\n[admin]\nlisten = \"127.0.0.1:0\"\ntoken = { env = \"PAGE_TOKEN\" }\n";

pub(crate) fn people(world: &World, count: usize) {
    let mut text = "id,email,username,display_name,status\n".to_owned();
    for n in 0..count {
        writeln!(text, "u{n},u{n}@example.org,user{n},Person {n},active").expect("a string");
    }
    world.write("people/accounts.csv", &text);
}

pub(crate) fn configure(world: &World, sync: &str, admin: &str) {
    world.configure(&format!(
        "connector = \"file\"\ntasks = {{ poll_interval = \"200ms\", guard = {{ max = 1, per = \"1h\" }} }}\nsync = {{ {sync} }}\n\
         [apps.hr.target]\npath = \"people\"\n{admin}"
    ));
}

pub(crate) fn start(world: &World) -> Daemon {
    world.start_with(&[("PAGE_TOKEN", TOKEN)])
}

/// A daemon that holds deletions of `u1`, `u2`…
pub(crate) async fn holding(deletions: usize, admin: &str) -> (World, Daemon, String) {
    let world = World::new().await;
    people(&world, deletions + 5);
    configure(&world, "every = \"6h\", on_start = false", admin);
    for n in 0..=deletions {
        delete(&world, n);
    }
    let daemon = start(&world);
    let here = address(&daemon).await;
    status(&here, "all but one are held", |status| {
        status["apps"]["hr"]["tasks"]["guarded"]["held"] == deletions
            && status["apps"]["hr"]["tasks"]["counts"]["completed"] == 1
    })
    .await;
    (world, daemon, here)
}

pub(crate) fn delete(world: &World, n: usize) {
    let account = json!({"id": format!("u{n}"), "email": format!("u{n}@example.org"), "display_name": format!("Person <{n}>"),
                         "password": PASSWORD});
    let created_at = format!("2026-01-01T{:02}:{:02}:{:02}Z", n / 3600, n / 60 % 60, n % 60);
    world.sandbox.add_task(
        world.app,
        json!({"action": "delete_account", "created_at": created_at, "payload": {"account": account}}),
    );
}

/// A visitor with a browser session.
pub(crate) struct Visitor<'a> {
    here: &'a str,
    cookie: String,
}

impl<'a> Visitor<'a> {
    pub(crate) async fn signed_in(here: &'a str) -> Self {
        Self::signed_in_with(here, TOKEN).await
    }

    pub(crate) async fn signed_in_with(here: &'a str, token: &str) -> Self {
        let answer = post(here, "/login", "", &format!("token={token}&next=/apps/hr"), here).await;
        assert_eq!(answer.status, 303, "{}{}", answer.head, answer.body);
        assert!(answer.head.contains("location: /apps/hr\r\n"), "{}", answer.head);
        let line = answer.head.lines().find_map(|line| line.strip_prefix("set-cookie: ")).expect("a cookie");
        assert!(line.contains("httponly") && line.contains("samesite=strict"), "{line}");
        Self { here, cookie: line.split(';').next().expect("a value").to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        ask(self.here, &format!("GET {path} HTTP/1.1\r\nHost: {}\r\nCookie: {}", self.here, self.cookie))
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        post(self.here, path, &self.cookie, body, self.here).await
    }

    /// The bytes of such a request.
    pub(crate) fn request(&self, path: &str, body: &str) -> String {
        request(self.here, path, &self.cookie, body, self.here)
    }

    /// The form of a page as the body that a browser posts.
    pub(crate) async fn form(&self, path: &str) -> String {
        let page = self.get(path).await;
        assert_eq!(page.status, 200, "{}", page.body);
        fields(&page.body)
    }
}

/// The hidden fields of the form that a page posts.
fn fields(page: &str) -> String {
    let (_, form) = page.split_once("method=\"post\"").expect("a form");
    let form = form.split("</form>").next().expect("its end");
    let hidden = form.split("<input type=\"hidden\" name=\"").skip(1).map(|input| {
        let (name, rest) = input.split_once("\" value=\"").expect("a value");
        format!("{name}={}", rest.split('"').next().expect("its end"))
    });
    hidden.collect::<Vec<_>>().join("&")
}

pub(crate) async fn post(here: &str, path: &str, cookie: &str, body: &str, origin: &str) -> Answer {
    ask(here, request(here, path, cookie, body, origin).trim_end()).await
}

fn request(here: &str, path: &str, cookie: &str, body: &str, origin: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {here}\r\nOrigin: http://{origin}\r\nCookie: {cookie}\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn tasks(page: &str) -> Vec<String> {
    page.split("data-label=\"Task\"><a href=\"/apps/hr/tasks/")
        .skip(1)
        .map(|rest| rest.split('"').next().expect("an id").to_owned())
        .collect()
}

#[tokio::test]
async fn page_without_a_token_is_read_only_and_shows_no_names() {
    let (_world, daemon, here) = holding(3, crate::admin::ADMIN).await;
    let list = get(&here, "/apps/hr/tasks?status=held").await;
    assert_eq!((list.status, tasks(&list.body).len()), (200, 3), "{}", list.body);
    let mut all = list.body;
    for path in [
        "/",
        "/apps/hr",
        "/apps/hr/tasks.csv?status=held",
        "/apps/hr/syncs",
        "/apps/hr/syncs.csv",
        "/apps/hr/history.csv",
    ] {
        let answer = get(&here, path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        all += &answer.body;
    }
    for name in ["Person", "example.org", "checkbox", PASSWORD, KEY] {
        assert!(!all.contains(name), "{name}: {all}");
    }
    assert!(all.contains("no <code>[admin] token</code> is configured"), "{all}");
    for path in ["/login", "/apps/hr/actions/release", "/apps/hr/actions/sync"] {
        assert_eq!(get(&here, path).await.status, 403, "{path}");
        assert_eq!(post(&here, path, "", "token=&all=1", &here).await.status, 403, "{path}");
    }
    for path in [
        "/apps/none",
        "/apps/none/tasks",
        "/apps/none/tasks.csv",
        "/apps/none/syncs",
        "/apps/hr/syncs/1",
        "/apps/hr/syncs/x",
    ] {
        assert_eq!(get(&here, path).await.status, 404, "{path}");
    }
    daemon.stop().await;
}

#[tokio::test]
async fn sign_in_requires_the_token_and_same_origin() {
    let (_world, daemon, here) = holding(1, WITH_TOKEN).await;
    for body in ["", "token=", "token=wrong", &format!("token={TOKEN}x"), &format!("token={}", &TOKEN[1..])] {
        let refused = post(&here, "/login", "", body, &here).await;
        assert!(refused.status == 403 && !refused.head.contains("set-cookie"), "{body}: {}", refused.head);
    }
    for origin in ["evil.example", "127.0.0.1:1", "null"] {
        let refused = post(&here, "/login", "", &format!("token={TOKEN}"), origin).await;
        assert!(refused.status == 403 && !refused.head.contains("set-cookie"), "{origin}: {}", refused.head);
    }
    let away = post(&here, "/login", "", &format!("token={TOKEN}&next=//evil.example/"), &here).await;
    assert!(away.head.contains("location: /\r\n"), "{}", away.head);
    let answer = get(&here, "/apps/hr/actions/release?all=1").await;
    assert!(answer.status == 303 && answer.head.contains("location: /login?next="), "{}", answer.head);
    let visitor = Visitor::signed_in(&here).await;
    let list = visitor.get("/apps/hr/tasks?status=held").await.body;
    assert!(
        list.contains("Person &lt;1&gt;") && list.contains("u1@example.org") && !list.contains("Person <"),
        "{list}"
    );
    let mut all = list;
    for path in [
        "/",
        "/apps/hr",
        "/login",
        "/logout",
        "/apps/hr/tasks.csv",
        "/status",
        "/metrics",
        "/apps/hr/actions/release?all=1",
    ] {
        let answer = visitor.get(path).await;
        all += &(answer.head + &answer.body);
    }
    assert!(!all.contains(TOKEN) && !all.contains(PASSWORD) && !all.contains(KEY), "{all}");
    let left = visitor.post("/logout", &visitor.form("/logout").await).await;
    assert_eq!(left.status, 303, "{}", left.body);
    assert!(
        !visitor.get("/apps/hr/tasks?status=held").await.body.contains("Person"),
        "the session has ended"
    );
    let log = daemon.stop().await;
    assert!(!log.contains(TOKEN) && !log.contains(PASSWORD), "{log}");
    assert!(log.contains("a sign-in on the page was refused: wrong token"), "{log}");
    assert!(log.contains("an operator has signed in on the page"), "{log}");
}

#[tokio::test]
async fn only_selected_tasks_are_released_after_confirmation() {
    let (world, daemon, here) = holding(3, WITH_TOKEN).await;
    let visitor = Visitor::signed_in(&here).await;
    let held = tasks(&visitor.get("/apps/hr/tasks?status=held&sort=name").await.body);
    let path = format!("/apps/hr/actions/release?task={}&task={}", held[0], held[1]);
    let page = visitor.get(&path).await;
    assert!(page.body.contains("Release 2 held tasks of hr?"), "{}", page.body);
    assert!(
        page.body.contains("Person &lt;1&gt;") && page.body.contains("Person &lt;2&gt;"),
        "{}",
        page.body
    );
    assert!(!page.body.contains("Person &lt;3&gt;"));
    assert_eq!(world.tasks_that_are("pending"), 3, "looking changes nothing");
    let form = fields(&page.body);
    let done = visitor.post("/apps/hr/actions/release", &form).await;
    assert_eq!((done.status, done.head.contains("location: /apps/hr\r\n")), (303, true), "{}", done.body);
    assert!(visitor.get("/apps/hr").await.body.contains("Released 2 tasks."));
    eventually("they are executed", || world.tasks_that_are("pending") == 1).await;
    assert_eq!(world.task(&held[2])["status"], "pending");
    let again = visitor.post("/apps/hr/actions/release", &form).await;
    assert!(again.status == 403 && again.body.contains("Nothing was done this time"), "{}", again.body);
    let log = daemon.stop().await;
    assert!(log.contains("an operator on the page: Released 2 tasks."), "{log}");
}

#[tokio::test]
async fn forged_or_cross_origin_form_does_nothing() {
    let (world, daemon, here) = holding(2, WITH_TOKEN).await;
    let (visitor, other) = (Visitor::signed_in(&here).await, Visitor::signed_in(&here).await);
    let path = "/apps/hr/actions/release";
    let form = visitor.form(&format!("{path}?all=1")).await;
    let without: Vec<&str> = form.split('&').filter(|field| !field.starts_with("form=")).collect();
    let without = without.join("&");
    let foreign = other.form(&format!("{path}?all=1")).await;
    let of_another = visitor.form("/apps/hr/actions/sync").await;
    let forged = format!("{without}&form={}", "0".repeat(64));
    for (what, body) in [
        ("none", &without),
        ("another session's", &foreign),
        ("another action's", &of_another),
        ("forged", &forged),
    ] {
        let refused = visitor.post(path, body).await;
        assert_eq!(refused.status, 403, "{what}: {}", refused.body);
    }
    for origin in ["evil.example", "localhost", "127.0.0.1:1"] {
        assert_eq!(post(&here, path, &visitor.cookie, &form, origin).await.status, 403, "{origin}");
    }
    let bare = |head: &str| {
        format!("POST {path} HTTP/1.1\r\nHost: {head}\r\nContent-Length: {}\r\n\r\n{form}", form.len())
    };
    let no_origin = ask(&here, &bare(&format!("{here}\r\nCookie: {}", visitor.cookie))).await;
    assert_eq!(no_origin.status, 403);
    let rebound = ask(
        &here,
        &bare(&format!("evil.example\r\nOrigin: http://evil.example\r\nCookie: {}", visitor.cookie)),
    )
    .await;
    assert_eq!(rebound.status, 421);
    assert_eq!(post(&here, path, "", &form, &here).await.status, 403, "without a session");
    assert_eq!(post(&here, path, "bridgehead=x; a=b", &form, &here).await.status, 403);
    assert_eq!(visitor.get(&format!("{path}?{form}")).await.status, 200, "a link only asks");
    let huge = visitor.post(path, &format!("{form}&x={}", "x".repeat(100_000))).await;
    assert_eq!(huge.status, 413);
    assert_eq!(world.tasks_that_are("pending"), 2, "nothing of all that was done: {}", daemon.log());
    let done = visitor.post(path, &form).await;
    assert_eq!(done.status, 303, "the right one still is: {}", done.body);
    world.drained().await;
    daemon.stop().await;
}

#[tokio::test]
async fn action_is_refused_if_its_tasks_changed_since_confirmation() {
    let (world, daemon, here) = holding(2, WITH_TOKEN).await;
    let visitor = Visitor::signed_in(&here).await;
    let form = visitor.form("/apps/hr/actions/release?all=1").await;
    delete(&world, 5);
    status(&here, "a third one is held", |status| status["apps"]["hr"]["tasks"]["guarded"]["held"] == 3)
        .await;
    let refused = visitor.post("/apps/hr/actions/release", &form).await;
    assert!(
        refused.status == 409 && refused.body.contains("The list has changed since you looked."),
        "{}",
        refused.body
    );
    assert_eq!(world.tasks_that_are("pending"), 3);
    let gone = visitor.get("/apps/hr/actions/release?task=no-such-task").await;
    assert_eq!(gone.status, 409, "{}", gone.body);
    daemon.stop().await;
}

#[tokio::test]
async fn page_lists_are_complete_sorted_filtered_and_exported() {
    let (_world, daemon, here) = holding(120, WITH_TOKEN).await;
    let visitor = Visitor::signed_in(&here).await;
    let mut seen = Vec::new();
    for page in 1..=3 {
        seen.extend(tasks(
            &visitor.get(&format!("/apps/hr/tasks?status=held&sort=created&page={page}")).await.body,
        ));
    }
    let distinct: std::collections::BTreeSet<&String> = seen.iter().collect();
    assert_eq!((seen.len(), distinct.len()), (120, 120));
    let newest = tasks(&visitor.get("/apps/hr/tasks?status=held&sort=-created").await.body);
    assert_eq!(newest[0], seen[119]);
    let found = visitor.get("/apps/hr/tasks?status=held&q=U77%40example").await.body;
    assert_eq!(tasks(&found), [seen[76].clone()], "{found}");
    let csv = visitor.get("/apps/hr/tasks.csv?status=held").await;
    assert!(
        csv.head.contains("content-type: text/csv") && csv.head.contains("filename=\"hr-held-tasks.csv\""),
        "{}",
        csv.head
    );
    let rows = csv.body.lines().filter(|line| line.contains(",delete_account,u")).count();
    assert_eq!(rows, 120, "{}", csv.body);
    assert!(csv.body.contains("u77@example.org,Person <77>,pending,2026-01-01T00:01:17Z"), "{}", csv.body);
    let filtered = visitor.get("/apps/hr/tasks.csv?status=held&q=u77%40example").await;
    assert_eq!(filtered.body.matches("delete_account").count(), 1, "{}", filtered.body);
    assert_eq!(tasks(&visitor.get("/apps/hr/tasks?status=completed").await.body).len(), 1);
    // In the order of Iden's list, across pages.
    let mut pending = Vec::new();
    for page in 1..=3 {
        pending.extend(tasks(&visitor.get(&format!("/apps/hr/tasks?page={page}")).await.body));
    }
    assert_eq!(pending.iter().collect::<std::collections::BTreeSet<_>>().len(), 120);
    daemon.stop().await;
}

#[tokio::test]
async fn sync_is_started_held_shown_and_allowed_on_the_page() {
    let world = World::new().await;
    people(&world, 50);
    configure(&world, "enabled = false", WITH_TOKEN);
    let daemon = start(&world);
    let here = address(&daemon).await;
    daemon.says("ready: connected to the Bridge").await;
    let visitor = Visitor::signed_in(&here).await;
    let begin = async |action: &str| {
        let path = format!("/apps/hr/actions/{action}");
        let done = visitor.post(&path, &visitor.form(&path).await).await;
        assert_eq!(done.status, 303, "{action}: {}", done.body);
    };
    begin("sync").await;
    let completed =
        |status: &serde_json::Value| status["apps"]["hr"]["sync"]["last"]["result"] == "completed";
    status(&here, "the sync has completed", completed).await;
    let nothing = visitor.get("/apps/hr/actions/allow-removals").await;
    assert_eq!(nothing.status, 409, "nothing was shown: {}", nothing.body);
    people(&world, 35);
    begin("dry-run").await;
    let mut page = String::new();
    for _ in 0..600 {
        page = visitor.get("/apps/hr").await.body;
        if page.contains("15 of 50 removed") {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert!(
        page.contains("What a sync would remove")
            && page.contains("15 of 50 removed")
            && page.contains(">u35<"),
        "{page}"
    );
    assert!(!get(&here, "/apps/hr").await.body.contains(">u35<"), "a stranger is told numbers alone");
    begin("sync").await;
    status(&here, "the guard holds it", |status| status["apps"]["hr"]["sync"]["last"]["result"] == "held")
        .await;
    let question = visitor.get("/apps/hr/actions/allow-removals").await.body;
    assert!(question.contains("u49") && question.contains("15 of 50 removed"), "{question}");
    people(&world, 34);
    begin("dry-run").await;
    eventually_changed(&visitor).await;
    let stale = visitor.post("/apps/hr/actions/allow-removals", &fields(&question)).await;
    assert_eq!(stale.status, 409, "one more would go by now: {}", stale.body);
    begin("allow-removals").await;
    status(&here, "it has completed", |status| {
        completed(status) && status["apps"]["hr"]["sync"]["last_completed"]["counts"]["account"] == 34
    })
    .await;
    let list = visitor.get("/apps/hr/syncs?result=held").await.body;
    let id = list.split("/syncs/").nth(1).and_then(|rest| rest.split('"').next()).expect("a held sync");
    let one = visitor.get(&format!("/apps/hr/syncs/{id}")).await;
    assert!(one.body.contains("Removals held") && one.body.contains(">15<"), "{}", one.body);
    let csv = get(&here, "/apps/hr/syncs.csv").await.body;
    assert_eq!(csv.lines().filter(|line| line.contains(",completed,account,")).count(), 2, "{csv}");
    let log = daemon.stop().await;
    assert_eq!(log.matches("an operator on the page: The sync has started.").count(), 3, "{log}");
}

/// Waits until the page shows the second dry run.
async fn eventually_changed(visitor: &Visitor<'_>) {
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while !visitor.get("/apps/hr").await.body.contains("16 of 50 removed") {
        assert!(tokio::time::Instant::now() < deadline, "the second dry run is never shown");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn history_survives_and_adds_up_across_restarts() {
    let world = World::new().await;
    people(&world, 5);
    configure(&world, "every = \"6h\"", WITH_TOKEN);
    for round in 1..=2_usize {
        let account = json!({"id": format!("u{round}"), "display_name": "New Name"});
        world.sandbox.add_task(world.app, json!({"action": "update_account", "payload": {"account": account, "changes": {"display_name": "New Name"}}}));
        let account = json!({"id": "nobody"});
        world.sandbox.add_task(world.app, json!({"action": "update_account", "payload": {"account": account, "changes": {"display_name": "X"}}}));
        let daemon = start(&world);
        let here = address(&daemon).await;
        status(&here, "both have ended and a sync is done", |status| {
            let app = &status["apps"]["hr"];
            app["tasks"]["counts"]["completed"] == 1
                && app["tasks"]["counts"]["failed"]["ACCOUNT_NOT_FOUND"] == 1
                && app["sync"]["last"]["result"] == "completed"
        })
        .await;
        daemon.stop().await;
    }
    let daemon = start(&world);
    let here = address(&daemon).await;
    let csv = get(&here, "/apps/hr/history.csv").await.body;
    let head = csv.lines().next().expect("a head");
    assert_eq!(head, "hour,completed,failed,retried,held_at_once,oldest_pending_seconds,ACCOUNT_NOT_FOUND");
    let sum = |column: usize| -> u64 {
        csv.lines()
            .skip(1)
            .map(|line| line.split(',').nth(column).expect("a cell").parse::<u64>().expect("a number"))
            .sum()
    };
    assert_eq!((sum(1), sum(2), sum(6)), (2, 2, 2), "{csv}");
    let page = get(&here, "/apps/hr?range=day").await.body;
    assert!(
        page.contains("ACCOUNT_NOT_FOUND")
            && page.contains("<svg class=\"chart\"")
            && page.contains("Show the numbers"),
        "{page}"
    );
    assert!(!csv.contains("New Name") && !page.contains("New Name"));
    let state = world.bytes_below("state");
    let text = String::from_utf8_lossy(&state);
    assert!(!text.contains("New Name"), "no name is kept");
    daemon.stop().await;
}
