//! The page in a real browser: its appearance, use with the keyboard, accessibility rules (axe-core), on a phone, light and dark.
//!
//! Chromium is driven over WebDriver. `tests/install` installs Chromium, its driver and axe-core. Screenshots are kept in `target/tmp/page`
//! for inspection.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use base64::Engine;
use serde_json::{Value, json};

use crate::admin::{address, get, status};
use crate::page::{TOKEN, delete, people, start};
use crate::support::{PATIENCE, World};

const MISSING: &str = "is missing: run tests/install, which installs Chromium, its driver and axe-core";

/// The script of axe-core, from where npm puts what `tests/install` installs.
fn axe() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("target/test-servers/node/node_modules/axe-core/axe.min.js");
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{} {MISSING} ({error})", path.display()))
}

/// A separate browser; stopped when dropped.
struct Browser {
    driver: Child,
    session: String,
    client: reqwest::Client,
    shots: PathBuf,
}

impl Browser {
    async fn start() -> Self {
        let port = {
            let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            free.local_addr().expect("an address").port()
        };
        let driver = Command::new("chromedriver")
            .arg(format!("--port={port}"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("chromedriver {MISSING} ({error})"));
        let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("page");
        std::fs::create_dir_all(&shots).expect("a folder");
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        let base = format!("http://127.0.0.1:{port}");
        let mut browser = Self { driver, session: base.clone(), client, shots };
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while browser.client.get(format!("{base}/status")).send().await.is_err() {
            assert!(tokio::time::Instant::now() < deadline, "chromedriver does not listen");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        // Chromium cannot use its sandbox as root; the pages are our own.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
        ];
        let options = json!({"args": arguments});
        let logs = json!({"browser": "ALL", "performance": "ALL"});
        // A script may take long on a busy machine; the default is 30 s.
        let timeouts = json!({"script": 300_000});
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "goog:loggingPrefs": logs, "timeouts": timeouts,
        }}});
        let id = browser.post("/session", wanted).await["sessionId"].as_str().expect("a session").to_owned();
        browser.session = format!("{base}/session/{id}");
        browser
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let answer = self.attempt(path, &body).await;
        assert!(answer["error"].is_null(), "{path}: {answer:#}");
        answer
    }

    async fn attempt(&self, path: &str, body: &Value) -> Value {
        let answer = self.client.post(format!("{}{path}", self.session)).json(body).send().await;
        let answer: Value = answer.expect("the driver answers").json().await.expect("JSON");
        answer["value"].clone()
    }

    /// Acts on an element as soon as it exists: a click returns before the next page has loaded.
    async fn with(&self, selector: &str, what: &str, body: &Value) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let id = self.find(selector).await;
            let answer = self.attempt(&format!("/element/{id}/{what}"), body).await;
            if answer["error"] != "stale element reference" {
                assert!(answer["error"].is_null(), "{selector}: {answer:#}");
                return;
            }
            assert!(tokio::time::Instant::now() < deadline, "{selector} does not stay");
        }
    }

    async fn script(&self, script: &str) -> Value {
        self.post("/execute/sync", json!({"script": script, "args": []})).await
    }

    async fn devtools(&self, command: &str, parameters: Value) -> Value {
        self.post("/goog/cdp/execute", json!({"cmd": command, "params": parameters})).await
    }

    async fn open(&self, url: &str) {
        self.post("/url", json!({"url": url})).await;
    }

    /// Sets the screen's width and color scheme.
    async fn screen(&self, width: u32, scheme: &str) {
        let metrics = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600});
        self.devtools("Emulation.setDeviceMetricsOverride", metrics).await;
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    async fn shoot(&self, name: &str) {
        let whole = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.devtools("Page.captureScreenshot", whole).await;
        let bytes = base64::prelude::BASE64_STANDARD
            .decode(shot["data"].as_str().expect("a picture"))
            .expect("base64");
        std::fs::write(self.shots.join(format!("{name}.png")), bytes).expect("a file");
    }

    /// What axe-core finds on the page, by its rules for WCAG 2.2 AA and its best practices.
    async fn violations(&self, axe: &str) -> Vec<String> {
        let is_there = self.script("return typeof axe === 'object'").await;
        if is_there != json!(true) {
            self.script(axe).await;
        }
        let run = "const done = arguments[arguments.length - 1]; axe.run(document, {resultTypes: ['violations']}).then(r => done(r.violations.map(v => `${v.id}: ${v.help}: ${v.nodes.map(n => n.html + ' ' + n.failureSummary).join(' | ')}`)))";
        let found = self.post("/execute/async", json!({"script": run, "args": []})).await;
        found.as_array().expect("a list").iter().map(|one| one.as_str().expect("text").to_owned()).collect()
    }

    /// The browser's warnings and errors, and the URLs that it requested.
    async fn heard(&self) -> (Vec<String>, Vec<String>) {
        let entries = |log: Value| log.as_array().cloned().unwrap_or_default();
        let complaints = entries(self.post("/se/log", json!({"type": "browser"})).await);
        let complaints =
            complaints.iter().filter(|one| one["level"] == "SEVERE" || one["level"] == "WARNING");
        let complaints = complaints.map(|one| one["message"].to_string()).collect();
        let mut asked = Vec::new();
        for entry in entries(self.post("/se/log", json!({"type": "performance"})).await) {
            let message: Value =
                serde_json::from_str(entry["message"].as_str().expect("text")).expect("JSON");
            if message["message"]["method"] == "Network.requestWillBeSent" {
                asked
                    .push(message["message"]["params"]["request"]["url"].as_str().expect("a URL").to_owned());
            }
        }
        (complaints, asked)
    }

    async fn press(&self, key: &str) {
        let keys = json!([{"type": "keyDown", "value": key}, {"type": "keyUp", "value": key}]);
        self.post("/actions", json!({"actions": [{"type": "key", "id": "keyboard", "actions": keys}]})).await;
    }

    async fn until(&self, what: &str, script: &str) {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while self.script(&format!("return !!({script})")).await != json!(true) {
            assert!(tokio::time::Instant::now() < deadline, "this did not happen in time: {what}");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    }

    async fn sign_in(&self, here: &str) {
        self.open(&format!("http://{here}/login?next=/apps/hr")).await;
        self.script(&format!(
            "document.getElementById('token').value = '{TOKEN}'; document.querySelector('main form').submit()"
        ))
        .await;
        self.until(
            "one is signed in",
            "location.pathname === '/apps/hr' && document.querySelector('a[href=\"/logout\"]')",
        )
        .await;
    }

    async fn close(mut self) {
        let _closed = self.client.delete(&self.session).send().await;
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.driver.kill());
        drop(self.driver.wait());
    }
}

/// Two apps with something to see: charts, failures, held tasks, a held sync, an alarm.
async fn eventful() -> (World, crate::support::Daemon, String) {
    let world = World::new().await;
    people(&world, 60);
    let second = uuid::Uuid::new_v4();
    world.sandbox.add_app(second, "Finance");
    world.configure(&format!(
        "connector = \"file\"\ntasks = {{ poll_interval = \"200ms\", guard = {{ max = 3, per = \"1h\" }} }}\nsync = {{ every = \"6h\" }}\n\
         [apps.hr.target]\npath = \"people\"\n\
         [apps.finance-and-controlling]\napp_id = \"{second}\"\nconnector = \"file\"\nsync = {{ enabled = false }}\n\
         [apps.finance-and-controlling.target]\npath = \"people\"\n\
         [admin]\nlisten = \"127.0.0.1:0\"\ntoken = {{ env = \"PAGE_TOKEN\" }}\n"
    ));
    for n in 0..40 {
        let id = if n % 8 == 0 { format!("nobody{n}") } else { format!("u{n}") };
        let payload =
            json!({"account": {"id": id}, "changes": {"display_name": format!("Person Number {n}")}});
        world.sandbox.add_task(world.app, json!({"action": "update_account", "payload": payload}));
    }
    let daemon = start(&world);
    let here = address(&daemon).await;
    status(&here, "the first sync is done", |status| {
        status["apps"]["hr"]["sync"]["last"]["result"] == "completed"
    })
    .await;
    for n in 40..59 {
        delete(&world, n);
    }
    status(&here, "some are held", |status| status["apps"]["hr"]["tasks"]["guarded"]["held"] == 16).await;
    people(&world, 30);
    let visible = world.run(&["sync", "hr"]).await;
    assert!(String::from_utf8_lossy(&visible.stdout).contains("held"), "{visible:?}");
    // Counters are written once a minute and when the daemon ends.
    daemon.stop().await;
    let daemon = start(&world);
    let here = address(&daemon).await;
    status(&here, "they are held again", |status| status["apps"]["hr"]["tasks"]["guarded"]["held"] == 16)
        .await;
    let dry = world.run(&["sync", "hr", "--dry-run"]).await;
    assert!(!dry.stdout.is_empty(), "{dry:?}");
    (world, daemon, here)
}

#[tokio::test]
async fn pages_are_accessible_at_every_size_and_load_nothing_external() {
    let axe = axe();
    let (_world, daemon, here) = eventful().await;
    let browser = Browser::start().await;
    let held = get(&here, "/apps/hr/tasks?status=held").await.body;
    let task = held.split("data-label=\"Task\"><a href=\"").nth(1).and_then(|rest| rest.split('"').next());
    let pages = [
        ("task", task.expect("a held task")),
        ("pause", "/apps/hr/actions/pause"),
        ("overview", "/"),
        ("app", "/apps/hr"),
        ("app-day", "/apps/hr?range=day"),
        ("held", "/apps/hr/tasks?status=held"),
        ("failed", "/apps/hr/tasks?status=failed&sort=-created"),
        ("none", "/apps/hr/tasks?status=scheduled&q=nobody"),
        ("syncs", "/apps/hr/syncs"),
        ("sync", "/apps/hr/syncs/1"),
        ("release", "/apps/hr/actions/release?all=1"),
        ("allow", "/apps/hr/actions/allow-removals"),
        ("alarms", "/alarms#removal_guard"),
        ("login", "/login"),
        ("logout", "/logout"),
        ("missing", "/apps/nobody"),
    ];
    let mut wrong = Vec::new();
    for is_signed_in in [false, true] {
        if is_signed_in {
            browser.sign_in(&here).await;
        }
        for (width, scheme) in [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")] {
            browser.screen(width, scheme).await;
            for (name, path) in pages {
                // Visitors who are not signed in are redirected to the same page; once is enough.
                if !is_signed_in && (width == 375 || scheme == "dark") && name != "overview" {
                    continue;
                }
                browser.open(&format!("http://{here}{path}")).await;
                let place =
                    format!("{name}-{}-{width}-{scheme}", if is_signed_in { "operator" } else { "visitor" });
                browser.shoot(&place).await;
                browser.script("document.querySelectorAll('details').forEach(one => one.open = true)").await;
                wrong.extend(browser.violations(&axe).await.into_iter().map(|one| format!("{place}: {one}")));
                let wide = browser.script("return document.documentElement.scrollWidth").await;
                if wide.as_u64().is_none_or(|wide| wide > u64::from(width)) {
                    wrong.push(format!("{place}: it is {wide} wide"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // A page with deliberate faults shows that the checks find them.
    browser.open(&format!("http://{here}/")).await;
    browser.script("document.querySelector('main').append(document.createElement('input')); document.documentElement.removeAttribute('lang')").await;
    let found = browser.violations(&axe).await.join("\n");
    assert!(found.contains("label: ") && found.contains("html-has-lang"), "{found}");
    let (complaints, asked) = browser.heard().await;
    let complaints: Vec<String> = complaints.into_iter().filter(|one| !is_expected(one)).collect();
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(asked.iter().any(|url| url.ends_with("/events")), "the page is live");
    let elsewhere: Vec<&String> =
        asked.iter().filter(|url| !url.starts_with(&format!("http://{here}/"))).collect();
    assert!(
        elsewhere.iter().all(|url| url.starts_with("data:") || url.starts_with("chrome:")),
        "{elsewhere:?}"
    );
    browser.close().await;
    daemon.stop().await;
}

/// Some of the visited pages intentionally return an error status.
fn is_expected(complaint: &str) -> bool {
    ["404", "403", "409"].iter().any(|status| complaint.contains(&format!("status of {status}")))
}

#[tokio::test]
async fn keyboard_reaches_everything_with_visible_focus() {
    let (_world, daemon, here) = eventful().await;
    let browser = Browser::start().await;
    browser.screen(1280, "light").await;
    browser.sign_in(&here).await;
    browser.open(&format!("http://{here}/apps/hr/tasks?status=held")).await;
    browser.press("\u{e004}").await;
    let active = "document.activeElement";
    assert_eq!(browser.script(&format!("return {active}.textContent")).await, "Skip to content");
    let is_seen = format!(
        "{active}.getBoundingClientRect().left >= 0 && getComputedStyle({active}).outlineStyle !== 'none'"
    );
    browser.until("the link is seen", &is_seen).await;
    browser.press("\u{e007}").await;
    browser.until("the contents have the focus", &format!("{active}.id === 'main'")).await;
    // Tab reaches every link, field and button, and each shows that it has the focus.
    let wanted = browser.script("return [...document.querySelectorAll('main a, main button, main input:not([type=hidden])')].length").await;
    let mut seen = 0;
    for _ in 0..wanted.as_u64().expect("a number") {
        browser.press("\u{e004}").await;
        let shows = format!(
            "return document.querySelector('main').contains({active}) && getComputedStyle({active}).outlineStyle !== 'none'"
        );
        seen += u64::from(browser.script(&shows).await == json!(true));
    }
    assert_eq!(json!(seen), wanted);
    browser.script("document.querySelector('main input[type=checkbox]').focus()").await;
    browser.press(" ").await;
    browser.script("document.querySelector('main form[action$=release] button').focus()").await;
    browser.press("\u{e007}").await;
    browser
        .until(
            "it is confirmed first",
            "document.querySelector('h1').textContent.startsWith('Release 1 held task of hr?')",
        )
        .await;
    browser.script("document.querySelector('main button').focus()").await;
    browser.press("\u{e007}").await;
    browser.until("it is done", "document.querySelector('.note') && document.querySelector('.note').textContent.startsWith('Released 1 task.')").await;
    browser.close().await;
    daemon.stop().await;
}

#[tokio::test]
async fn page_updates_itself_and_works_without_javascript() {
    let (world, daemon, here) = eventful().await;
    let browser = Browser::start().await;
    browser.screen(1280, "light").await;
    browser.open(&format!("http://{here}/apps/hr")).await;
    browser.script("window.untouched = true; document.querySelector('#tasks-numbers').open = true").await;
    let payload = json!({"account": {"username": "new", "email": "new@example.org"}});
    world.sandbox.add_task(world.app, json!({"action": "create_account", "payload": payload}));
    browser
        .until(
            "it is seen without loading the page again",
            "window.untouched && document.querySelector('main').textContent.includes('1 completed')",
        )
        .await;
    assert_eq!(
        browser.script("return document.querySelector('#tasks-numbers').open").await,
        true,
        "what was open stays so"
    );
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({"value": true})).await;
    browser.sign_in_without_script(&here).await;
    browser.close().await;
    daemon.stop().await;
}

impl Browser {
    /// Signs in with scripts disabled, and releases a task.
    async fn sign_in_without_script(&self, here: &str) {
        self.open(&format!("http://{here}/login?next=/apps/hr/tasks?status=held")).await;
        self.send("#token", TOKEN).await;
        self.click("main form button").await;
        self.click("main input[type=checkbox]").await;
        self.click("main form[action$=release] button").await;
        self.click("main form[method=post][action$=release] button").await;
        let note = self.find(".note").await;
        let text =
            self.client.get(format!("{}/element/{note}/text", self.session)).send().await.expect("an answer");
        let text: Value = text.json().await.expect("JSON");
        assert_eq!(text["value"], "Released 1 task.");
    }

    async fn find(&self, selector: &str) -> String {
        let wanted = json!({"using": "css selector", "value": selector});
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let found = self.attempt("/element", &wanted).await;
            if found["error"] != "no such element" {
                assert!(found["error"].is_null(), "{selector}: {found:#}");
                let (_, id) = found.as_object().and_then(|found| found.iter().next()).expect("an element");
                return id.as_str().expect("an id").to_owned();
            }
            assert!(tokio::time::Instant::now() < deadline, "there is no {selector}");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    async fn send(&self, selector: &str, text: &str) {
        self.with(selector, "value", &json!({"text": text})).await;
    }

    async fn click(&self, selector: &str) {
        self.with(selector, "click", &json!({})).await;
    }
}
