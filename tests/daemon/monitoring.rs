//! docs/monitoring compared with what the daemon really exposes, as Prometheus sees it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};
use tokio::time::Instant;

use crate::admin::{ADMIN, address, ask, get};
use crate::support::{PATIENCE, World};

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/monitoring")
}

fn promtool(arguments: &[&str], input: &str) -> Output {
    use std::io::Write;
    let mut child = Command::new("promtool")
        .args(arguments)
        .current_dir(docs())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool is there: tests/install installs it");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

fn accepted(output: &Output) {
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn alert_rules_are_valid_and_pass_their_tests() {
    accepted(&promtool(&["check", "rules", "alerts.yml"], ""));
    accepted(&promtool(&["test", "rules", "alerts.test.yml", "sync-age.test.yml"], ""));
}

/// Each rule has a test in which it fires, and a line in the README.
#[test]
fn every_alert_is_tested_and_documented() {
    let read = |name: &str| std::fs::read_to_string(docs().join(name)).expect("a file");
    let (rules, page) = (read("alerts.yml"), read("README.md"));
    let tests = read("alerts.test.yml") + &read("sync-age.test.yml");
    let names: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(names.len() >= 10, "{names:?}");
    for name in names {
        assert!(tests.contains(&format!("alertname: {name}\n        exp_alerts:\n")), "{name} never fires");
        assert!(page.contains(&format!("| `{name}` |")), "{name} is not explained");
    }
}

/// A Prometheus on a free port; stopped when dropped.
struct Prometheus {
    child: Child,
    address: String,
}

impl Prometheus {
    async fn start(world: &World, target: &str) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("an address").to_string();
        drop(free);
        let rules = docs().join("alerts.yml");
        world.write(
            "prometheus/prometheus.yml",
            &json!({
                "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
                "rule_files": [rules],
                "scrape_configs": [{"job_name": "bridgehead", "static_configs": [{"targets": [target]}]}],
            })
            .to_string(),
        );
        let child = Command::new("prometheus")
            .arg("--config.file=prometheus.yml")
            .arg("--storage.tsdb.path=data")
            .arg(format!("--web.listen-address={address}"))
            .current_dir(world.path("prometheus"))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is there: tests/install installs it");
        let started = Self { child, address };
        let deadline = Instant::now() + PATIENCE;
        while !started.is_ready().await {
            assert!(Instant::now() < deadline, "Prometheus is not ready");
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        started
    }

    async fn is_ready(&self) -> bool {
        let head = format!("GET /-/ready HTTP/1.0\r\nHost: {}", self.address);
        tokio::net::TcpStream::connect(&self.address).await.is_ok()
            && ask(&self.address, &head).await.status == 200
    }

    async fn api(&self, path: &str) -> Value {
        let head = format!("GET /api/v1/{path} HTTP/1.0\r\nHost: {}", self.address);
        ask(&self.address, &head).await.json()
    }

    /// The current number of series for an expression.
    async fn series(&self, expression: &str) -> Result<usize, String> {
        let query: String = url::form_urlencoded::byte_serialize(expression.as_bytes()).collect();
        let answer = self.api(&format!("query?query={query}")).await;
        answer["data"]["result"].as_array().map(Vec::len).ok_or_else(|| answer.to_string())
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _killed = self.child.kill();
        let _ended = self.child.wait();
    }
}

/// The dashboard's expressions, with variables replaced as Grafana would.
fn expressions() -> Vec<String> {
    let text = std::fs::read_to_string(docs().join("dashboard.json")).expect("the dashboard");
    let dashboard: Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().expect("targets").clone());
    targets
        .map(|target| {
            let expression = target["expr"].as_str().expect("an expression");
            expression.replace("$__rate_interval", "1m").replace("$instance", ".*").replace("$app", ".*")
        })
        .collect()
}

#[tokio::test]
async fn prometheus_scrapes_metrics_and_every_panel_has_data() {
    let world = World::new().await;
    world.write("people/accounts.csv", "id,email,username,status\nu0,u0@example.org,u0,active\n");
    world.configure(&format!(
        "connector = \"file\"\ntasks = {{ poll_interval = \"200ms\" }}\n[apps.hr.target]\npath = \"people\"\n{ADMIN}"
    ));
    for account in ["u0", "nobody"] {
        let payload = json!({"account": {"id": account}});
        world.sandbox.add_task(world.app, json!({"action": "suspend_account", "payload": payload}));
    }
    let daemon = world.start();
    let target = address(&daemon).await;
    world.drained().await;
    daemon.says("sync completed").await;
    accepted(&promtool(&["check", "metrics"], &get(&target, "/metrics").await.body));

    let prometheus = Prometheus::start(&world, &target).await;
    // These have no value when there is no problem to show.
    let may_be_empty = |expression: &str| expression.starts_with("bridgehead_alarm");
    let deadline = Instant::now() + PATIENCE;
    for expression in expressions() {
        loop {
            let series = prometheus.series(&expression).await.expect("Prometheus takes it");
            if series > 0 || may_be_empty(&expression) {
                break;
            }
            assert!(Instant::now() < deadline, "nothing to show: {expression}");
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        }
    }
    let rules = prometheus.api("rules").await;
    let rules = rules["data"]["groups"][0]["rules"].as_array().expect("rules").clone();
    assert!(rules.len() >= 10, "{rules:?}");
    for rule in &rules {
        assert_ne!(rule["health"], "err", "{rule}");
        assert_eq!(rule["state"], "inactive", "a daemon that is well raises nothing: {rule}");
    }
    daemon.stop().await;
}
