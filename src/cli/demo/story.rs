//! The steps of the demo.

use std::sync::Arc;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use tokio::time::Instant;
use uuid::Uuid;

use super::super::args::Global;
use super::super::failure::{Exit, Failure, Outcome};
use super::super::{print, table};
use super::daemon::{self, Daemon};
use super::people::Place;
use super::script::{self, App, End, Planned};
use bridgehead_bridge::{Api, ApiKey, AppId, Client, Report, Settings};
use bridgehead_config::Connectors;
use bridgehead_sandbox::{Options, Sandbox};

/// No step of the demo takes this long, even on a slow machine.
const PATIENCE: Duration = Duration::from_mins(2);
/// The person who leaves between the two syncs. No task affects this account.
const LEAVER: &str = "p0200";

pub(crate) async fn run(global: &Global, connectors: &Connectors, stay: bool) -> Outcome {
    for needed in ["file", "simulated"] {
        if !connectors.contains_key(needed) {
            let message =
                format!("the demo needs the connector '{needed}', which this build does not include");
            return Err(Failure::new(Exit::Failed, message));
        }
    }
    let sandbox = Sandbox::start(Options::default())
        .await
        .map_err(|error| Failure::new(Exit::Failed, error.to_string()))?;
    let place = Place::prepare(&sandbox.base_url())
        .map_err(|error| Failure::new(Exit::Failed, format!("cannot write the demo's folder: {error}")))?;
    sandbox.add_app(place.people, "People");
    sandbox.add_app(place.crm, "CRM");
    let mut demo = Demo { sandbox, place, quiet: global.json, began: Instant::now() };
    let told = tokio::select! {
        told = demo.tell() => told?,
        _ = tokio::signal::ctrl_c() => return Err(Failure::new(Exit::Failed, "interrupted before the end")),
    };
    if global.json {
        print::json(&told);
    }
    if stay {
        demo.stay().await?;
    }
    demo.sandbox.stop().await;
    if told["as_expected"] == true { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

struct Demo {
    sandbox: Sandbox,
    place: Place,
    quiet: bool,
    began: Instant,
}

impl Demo {
    async fn tell(&mut self) -> Result<Value, Failure> {
        self.say(format!("A sandbox of the Bridge API is listening on {}.", self.sandbox.address()));
        self.say(format!("The daemon is running on {}.\n", self.place.configuration().display()));
        let mut daemon = Daemon::start(&self.place, self.sandbox.api_key())?;

        let expected = self.expected_records();
        let bar = self.bar("first sync", expected);
        self.until(&mut daemon, "the first sync ends", |demo| {
            bar.set_position(demo.active(demo.place.people));
            [demo.place.people, demo.place.crm].into_iter().all(|app| demo.has_synced(app))
        })
        .await?;
        bar.finish_and_clear();
        let first = self.active(self.place.people);
        self.say(format!(
            "First sync: {first} of {expected} records are in Iden (500 people, 12 teams, 5 \
                          licenses of 3 types)."
        ));

        let planned = script::tasks();
        let ids = self.add(&planned);
        let bar = self.bar("tasks", ids.len() as u64);
        self.resolve_one_elsewhere(&planned, &ids, &mut daemon).await?;
        self.until(&mut daemon, "every task is resolved and reported", |demo| {
            let told = demo.told(&ids);
            bar.set_position(told as u64);
            told == ids.len()
        })
        .await?;
        bar.finish_and_clear();
        let took = self.began.elapsed();
        let ends: Vec<Value> = planned.iter().zip(&ids).map(|(task, id)| self.end_of(task, id)).collect();
        self.show_tasks(&ends);

        daemon.stop(&self.place).await?;
        self.say("\nThe daemon was stopped with SIGTERM and shut down cleanly.");
        let before = self.inactive(self.place.people);
        self.place
            .remove(LEAVER)
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot write accounts.csv: {error}")))?;
        self.say(format!(
            "{LEAVER} leaves: their line is removed from accounts.csv. `bridgehead sync people` prints:\n"
        ));
        self.sync().await?;
        let removed = self.inactive(self.place.people);
        let gone: Vec<&String> = removed.iter().filter(|id| !before.contains(id)).collect();
        let exactly = gone == [LEAVER];
        self.say(format!(
            "\nInactive in Iden since: {}",
            gone.iter().map(|id| id.as_str()).collect::<Vec<_>>().join(", ")
        ));

        let fine = ends.iter().filter(|end| end["as_expected"] == true).count();
        let as_expected = fine == ends.len() && exactly && first == expected;
        self.say(format!(
            "\n{first} records synced, {} tasks executed, {fine} of them with the expected result, {} \
             record removed, in {:.1} s.",
            ends.len(),
            gone.len(),
            took.max(self.began.elapsed()).as_secs_f64()
        ));
        if !as_expected {
            self.say(format!(
                "The demo did not go as expected. The end of the daemon's log:\n{}",
                daemon::tail(&self.place)
            ));
        }
        Ok(json!({ "as_expected": as_expected, "records": first, "tasks": ends, "removed": gone,
                   "seconds": self.began.elapsed().as_secs_f64() }))
    }

    fn say(&self, text: impl std::fmt::Display) {
        if !self.quiet {
            print::line(text);
        }
    }

    fn bar(&self, what: &'static str, length: u64) -> ProgressBar {
        let bar = if self.quiet { ProgressBar::hidden() } else { ProgressBar::new(length) };
        if let Ok(style) = ProgressStyle::with_template("{prefix:12} {bar:40} {pos}/{len}") {
            bar.set_style(style.progress_chars("━╸─"));
        }
        bar.set_prefix(what);
        bar
    }

    async fn until(
        &self,
        daemon: &mut Daemon,
        what: &str,
        is_so: impl Fn(&Self) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            daemon.check(&self.place)?;
            if Instant::now() > deadline {
                let log = daemon::tail(&self.place);
                return Err(Failure::new(
                    Exit::Failed,
                    format!("the demo timed out waiting until {what}:\n{log}"),
                ));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    fn slugs(&self, app: Uuid) -> Vec<String> {
        let stats = self.sandbox.stats(app);
        stats.map(|stats| stats.records.into_iter().map(|of| of.slug).collect()).unwrap_or_default()
    }

    fn ids_that(&self, app: Uuid, active: bool) -> Vec<String> {
        let slugs = self.slugs(app);
        let records = slugs.iter().flat_map(|slug| self.sandbox.records(app, slug));
        records
            .filter(|record| record["active"] == active)
            .filter_map(|record| Some(record["id"].as_str()?.to_owned()))
            .collect()
    }

    fn active(&self, app: Uuid) -> u64 {
        self.ids_that(app, true).len() as u64
    }

    fn inactive(&self, app: Uuid) -> Vec<String> {
        self.ids_that(app, false)
    }

    fn has_synced(&self, app: Uuid) -> bool {
        self.sandbox.stats(app).is_some_and(|stats| stats.last_synced_at.is_some())
    }

    /// The lines of all files, without the headers.
    fn expected_records(&self) -> u64 {
        let folder = std::fs::read_dir(self.place.path("people")).into_iter().flatten().flatten();
        let lines = folder.filter_map(|file| std::fs::read_to_string(file.path()).ok());
        lines.map(|text| (text.lines().count() as u64).saturating_sub(1)).sum()
    }

    fn app(&self, app: App) -> Uuid {
        match app {
            App::People => self.place.people,
            App::Crm => self.place.crm,
        }
    }

    fn add(&self, planned: &[Planned]) -> Vec<String> {
        planned.iter().map(|task| self.sandbox.add_task(self.app(task.app), task.to_json())).collect()
    }

    /// The number of tasks that the daemon has reported, including reports that came too late.
    fn told(&self, ids: &[String]) -> usize {
        let by_daemon = |id: &&String| !self.sandbox.reports(id).is_empty() && !self.is_awaited(id);
        ids.iter().filter(by_daemon).count()
    }

    /// Whether only the other client has resolved it so far.
    fn is_awaited(&self, id: &str) -> bool {
        let reports = self.sandbox.reports(id);
        reports.len() == 1 && reports[0].body.to_string().contains(ELSEWHERE)
    }

    /// Resolves the slow task in the sandbox while the connector is working on it.
    async fn resolve_one_elsewhere(
        &self,
        planned: &[Planned],
        ids: &[String],
        daemon: &mut Daemon,
    ) -> Outcome {
        let Some(index) = planned.iter().position(|task| task.end == End::Conflict) else { return Ok(()) };
        let app = self.app(planned[index].app);
        let list = format!("/apps/{app}/tasks/");
        let asked = |demo: &Self| {
            demo.sandbox
                .ledger()
                .iter()
                .filter(|entry| entry.method == "GET" && entry.path.ends_with(&list))
                .count()
        };
        let before = asked(self);
        // One poll may have been in progress when the task was added; the next one includes it.
        self.until(daemon, "the task is polled", |demo| asked(demo) >= before + 2).await?;
        let failed = |what: String| {
            Failure::new(Exit::Failed, format!("the other one cannot reach the sandbox: {what}"))
        };
        let url =
            self.sandbox.base_url().parse().map_err(|error: url::ParseError| failed(error.to_string()))?;
        let key = ApiKey::new(self.sandbox.api_key()).map_err(|error| failed(error.to_string()))?;
        let other =
            Client::new(Settings::new(url), Arc::new(key)).map_err(|error| failed(error.to_string()))?;
        let result = json!({ "resolved_by": ELSEWHERE }).as_object().cloned();
        other.report(AppId::from(app), &ids[index].clone().into(), &Report::Completed { result }).await?;
        Ok(())
    }

    fn end_of(&self, task: &Planned, id: &str) -> Value {
        let reports = self.sandbox.reports(id);
        let last = reports.last();
        let (outcome, as_expected) = match last {
            Some(report) if report.status == Some(409) => ("conflict".to_owned(), task.end == End::Conflict),
            Some(report) if report.body["status"] == "completed" => {
                ("completed".to_owned(), task.end == End::Completed)
            }
            Some(report) => {
                let code = report.body["error"]["code"].as_str().unwrap_or("?").to_owned();
                let as_expected = matches!(task.end, End::Failed(wanted) if wanted.as_str() == code);
                (code, as_expected)
            }
            None => ("not reported".to_owned(), false),
        };
        json!({
            "action": task.action, "account": task.account, "outcome": outcome, "as_expected": as_expected,
            "message": last.and_then(|report| report.body["error"]["message"].as_str()), "note": task.note,
        })
    }

    fn show_tasks(&self, ends: &[Value]) {
        if self.quiet {
            return;
        }
        let mut actions: Vec<&str> = ends.iter().filter_map(|end| end["action"].as_str()).collect();
        actions.sort_unstable();
        actions.dedup();
        let mut counts = table::table(["action", "tasks", "completed", "failed", "409"]);
        for action in actions {
            let of = |wanted: &dyn Fn(&str) -> bool| {
                let all = ends.iter().filter(|end| end["action"] == action);
                all.filter(|end| wanted(end["outcome"].as_str().unwrap_or_default())).count().to_string()
            };
            counts.add_row([
                action.to_owned(),
                of(&|_| true),
                of(&|outcome| outcome == "completed"),
                of(&|outcome| outcome.chars().all(|c| c.is_ascii_uppercase() || c == '_')),
                of(&|outcome| outcome == "conflict"),
            ]);
        }
        self.say(format!("\n60 tasks of all six actions:\n{}\n", counts.trim_fmt()));
        let mut odd = table::table(["outcome", "account", "result, or where to see it"]).with_prose(1);
        for end in ends {
            let text = |field: &str| end[field].as_str().unwrap_or_default().to_owned();
            let is_ordinary = end["outcome"] == "completed" && end["note"].is_null();
            if is_ordinary || text("note").starts_with("waits for") {
                continue;
            }
            let said = if end["message"].is_string() { text("message") } else { text("note") };
            odd.add_row([text("outcome"), text("account"), said]);
        }
        self.say(odd.trim_fmt());
    }

    async fn sync(&self) -> Outcome {
        let output = daemon::command(&self.place, self.sandbox.api_key())?
            .args(["sync", "people"])
            .output()
            .await
            .map_err(|error| Failure::new(Exit::Failed, format!("cannot start the sync: {error}")))?;
        self.say(String::from_utf8_lossy(&output.stdout).trim_end());
        if output.status.success() {
            return Ok(());
        }
        Err(Failure::new(
            Exit::Failed,
            format!("the sync failed: {}", String::from_utf8_lossy(&output.stderr)),
        ))
    }

    async fn stay(&mut self) -> Outcome {
        let daemon = Daemon::start(&self.place, self.sandbox.api_key())?;
        self.say(format!(
            "\nSandbox and daemon run until Ctrl-C.\n  configuration  {}\n  people         {}\n  daemon's log   {}\n  sandbox        http://{}/sandbox/v1/ (docs/sandbox.md)\n  key            export IDEN_API_KEY={}",
            self.place.configuration().display(),
            self.place.path("people").display(),
            self.place.path("daemon.log").display(),
            self.sandbox.address(),
            self.sandbox.api_key(),
        ));
        drop(tokio::signal::ctrl_c().await);
        self.say(format!("\nStopping; removing {}.", self.place.root().display()));
        daemon.stop(&self.place).await
    }
}

/// How the other, faster client identifies itself.
const ELSEWHERE: &str = "somebody-else";
