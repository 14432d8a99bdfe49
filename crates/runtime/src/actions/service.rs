//! Operator actions in a running daemon.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::TaskId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::Command;
use super::resolving::{self, Resolution, Resolved};
use super::{Error, audited, remote};
use crate::Runtime;
use crate::app::AppContext;
use crate::audit::{Actor, Event};
use crate::builder::Entered;
use crate::operator_commands::{self, Released, ReportRetrier, Retries, Selection};
use crate::sync::{self, Consent, Options, Summary};
use bridgehead_store::Pause;

/// How long to wait for a cancelled sync to abandon its session.
const FAREWELL: Duration = Duration::from_secs(30);

/// The result of pausing or resuming an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PauseChange {
    /// The current pause; `None` if the app is not paused.
    pub paused: Option<Pause>,
    /// Whether the command changed anything.
    pub changed: bool,
}

/// The result of cancelling a sync.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Whether a sync was running.
    pub was_under_way: bool,
    /// How it ended, if it has: `abandoned`, or `completed` if the command came too late.
    pub ended: Option<String>,
}

/// Operator actions, one method each, for both the command line and the page. Each returns its result and records it, together with the
/// actor, in the audit log. The caller is responsible for authorization and for asking for confirmation.
#[derive(Clone, Debug)]
pub struct Actions {
    runtime: Arc<Runtime>,
}

impl Actions {
    /// Creates the actions of a runtime. Drop it before the journal is closed.
    pub fn new(runtime: Arc<Runtime>) -> Self {
        Self { runtime }
    }

    /// Releases exactly the tasks that are currently held. Does nothing if their number differs from `expect`.
    pub async fn release(
        &self,
        actor: &Actor,
        app: &str,
        tasks: &Selection,
        expect: Option<u64>,
    ) -> Result<Released, Error> {
        let command = || Command::Release { tasks: tasks.clone(), expect };
        if let Some(done) = self.forward(actor, app, "release", None, command, None).await {
            return done;
        }
        let began = Instant::now();
        let done = async {
            let entered = self.enter(app).await?;
            Ok(operator_commands::release_in(&entered.app, tasks, expect).await?)
        };
        let done = done.await;
        let evidence =
            done.as_ref().map_or(Value::Null, |released: &Released| audited::released(released, expect));
        self.record(actor, app, "release", None, evidence, &done, began);
        done
    }

    /// Retries immediately: repeats rejected reports, probes the target, and ends the wait of tasks that wait for their next attempt or for
    /// the target. Does nothing if the number of rejected reports differs from `expect`.
    pub async fn retry(
        &self,
        actor: &Actor,
        app: &str,
        tasks: &Selection,
        expect: Option<u64>,
    ) -> Result<Retries, Error> {
        let command = || Command::Retry { tasks: tasks.clone(), expect };
        if let Some(done) = self.forward(actor, app, "retry", None, command, None).await {
            return done;
        }
        let began = Instant::now();
        let done = async {
            let entered = self.enter(app).await?;
            let app = &entered.app;
            let mut retries = ReportRetrier::of(app).retry(tasks, expect).await?;
            if retries.unexpected.is_none() {
                wake(app, tasks, &mut retries);
            }
            Ok(retries)
        };
        let done = done.await;
        let evidence =
            done.as_ref().map_or(Value::Null, |retries: &Retries| audited::retried(retries, expect));
        self.record(actor, app, "retry", None, evidence, &done, began);
        done
    }

    /// The tasks that wait for their next attempt or for the target.
    pub fn waiting(&self, app: &str) -> Result<Vec<TaskId>, Error> {
        Ok(self.app(app)?.operator.waiting.tasks())
    }

    /// Resolves a task whose effect is unknown. It is never executed again, and the outcome is reported to Iden.
    pub async fn resolve(
        &self,
        actor: &Actor,
        app: &str,
        task: &TaskId,
        resolution: &Resolution,
    ) -> Result<Resolved, Error> {
        let command = || Command::Resolve { task: task.clone(), resolution: resolution.clone() };
        if let Some(done) = self.forward(actor, app, "resolve", Some(task), command, None).await {
            return done;
        }
        let began = Instant::now();
        let done = async { resolving::resolve_in(&self.enter(app).await?.app, task, resolution).await };
        let done = done.await;
        let evidence = audited::resolution(resolution, done.as_ref().ok());
        self.record(actor, app, "resolve", Some(task), evidence, &done, began);
        done
    }

    /// Pauses an app: no tasks or syncs are started, and running work is finished. It stays paused across restarts.
    pub async fn pause(&self, actor: &Actor, app: &str, reason: Option<&str>) -> Result<PauseChange, Error> {
        let command = || Command::Pause { reason: reason.map(str::to_owned) };
        if let Some(done) = self.forward(actor, app, "pause", None, command, None).await {
            return done;
        }
        let began = Instant::now();
        let done = async {
            let entered = self.enter(app).await?;
            let app = &entered.app;
            let reason = audited::reason(reason, &app.shared.redactor)?;
            let _change = app.operator.pausing.change().await;
            let pause = Pause { since: app.shared.clock.now(), by: actor.as_str().to_owned(), reason };
            let before = app.operator.pausing.now();
            // Keep the existing pause, unless the command adds a reason.
            let pause = match before {
                Some(before) if pause.reason.is_none() => before,
                Some(before) => Pause { since: before.since, ..pause },
                None => pause,
            };
            let changed = app.operator.pausing.now().as_ref() != Some(&pause);
            if changed {
                app.store.set_pause(Some(&pause)).await?;
                app.operator.pausing.set(Some(pause.clone()));
                tracing::warn!(app = %app.name, by = pause.by, "the app is paused: no task and no sync starts until it is resumed");
            }
            Ok(PauseChange { paused: Some(pause), changed })
        };
        let done = done.await;
        let evidence = json!({ "reason": reason });
        self.record(actor, app, "pause", None, evidence, &done, began);
        done
    }

    /// Resumes a paused app.
    pub async fn resume(&self, actor: &Actor, app: &str) -> Result<PauseChange, Error> {
        let command = || Command::Resume;
        if let Some(done) = self.forward(actor, app, "resume", None, command, None).await {
            return done;
        }
        let began = Instant::now();
        let done = async {
            let entered = self.enter(app).await?;
            let app = &entered.app;
            let _change = app.operator.pausing.change().await;
            let changed = app.operator.pausing.now().is_some();
            app.store.set_pause(None).await?;
            app.operator.pausing.set(None);
            if changed {
                tracing::info!(app = %app.name, by = actor.as_str(), "the app is resumed");
            }
            Ok(PauseChange { paused: None, changed })
        };
        let done = done.await;
        self.record(actor, app, "resume", None, Value::Null, &done, began);
        done
    }

    /// Whether a sync of this app may be requested now.
    pub fn may_sync(&self, app: &str, options: Options) -> Result<(), Error> {
        let context = self.app(app)?;
        if self.runtime.elsewhere(app).is_some() {
            // The node that runs it decides.
            return Ok(());
        }
        match context.operator.pausing.now() {
            Some(pause) if !options.dry_run => Err(Error::Paused { app: app.to_owned(), pause }),
            _ => Ok(()),
        }
    }

    /// Syncs an app once, immediately; waits for a running sync first. A dry run is not an action, and is not recorded.
    pub async fn sync(
        &self,
        actor: &Actor,
        app: &str,
        options: Options,
        stop: &CancellationToken,
    ) -> Result<Summary, Error> {
        let command = || Command::Sync { dry_run: options.dry_run, allow_removals: options.allow_removals };
        if let Some(done) = self.forward(actor, app, "sync", None, command, Some(stop)).await {
            return done;
        }
        let began = Instant::now();
        let done = async {
            self.may_sync(app, options)?;
            let summary = Box::pin(self.runtime.sync(app, options, stop)).await;
            summary.ok_or_else(|| Error::UnknownApp(app.to_owned()))
        };
        let done: Result<Summary, Error> = done.await;
        if !options.dry_run {
            let allowed = options.allow_removals.map(|consent| match consent {
                Consent::Shown => "what was shown".to_owned(),
                Consent::AtMost(most) => format!("at most {most}"),
                Consent::Exactly(digest) => format!("exactly {digest}"),
            });
            let result = done.as_ref().map(|summary| summary.result.as_str()).unwrap_or_default();
            let evidence = json!({ "allow_removals": allowed, "result": result });
            self.record(actor, app, "sync", None, evidence, &done, began);
        }
        done
    }

    /// Syncs an app once, and allows exactly the losses that were shown with this digest.
    pub async fn allow_removals(
        &self,
        actor: &Actor,
        app: &str,
        digest: sync::Digest,
        stop: &CancellationToken,
    ) -> Result<Summary, Error> {
        let options = Options { dry_run: false, allow_removals: Some(Consent::Exactly(digest)) };
        self.sync(actor, app, options, stop).await
    }

    /// Cancels the running sync: its session is abandoned, and no account is removed.
    pub async fn cancel_sync(&self, actor: &Actor, app: &str) -> Result<Cancelled, Error> {
        let command = || Command::CancelSync;
        if let Some(done) = self.forward(actor, app, "cancel_sync", None, command, None).await {
            return done;
        }
        let began = Instant::now();
        let done = async {
            let app = self.app(app)?;
            let Some(ended) = app.operator.cancelling.cancel() else {
                return Ok(Cancelled { was_under_way: false, ended: None });
            };
            tracing::warn!(app = %app.name, by = actor.as_str(), "the running sync is cancelled");
            let ended = tokio::time::timeout(FAREWELL, ended.cancelled()).await.is_ok();
            let last = app.status.last_sync().borrow().as_ref().map(|last| last.result.as_str().to_owned());
            Ok(Cancelled { was_under_way: true, ended: last.filter(|_| ended) })
        };
        let done = done.await;
        let evidence = done.as_ref().map_or(Value::Null, |done: &Cancelled| json!(done));
        self.record(actor, app, "cancel_sync", None, evidence, &done, began);
        done
    }

    fn app(&self, name: &str) -> Result<Arc<AppContext>, Error> {
        self.runtime.app(name).ok_or_else(|| Error::UnknownApp(name.to_owned()))
    }

    /// Returns the app, which does not end while the result exists. While a reload replaces the app, this waits for the new one.
    async fn enter(&self, name: &str) -> Result<Entered, Error> {
        // It may have moved since `forward` was called.
        if self.runtime.elsewhere(name).is_some() {
            return Err(Error::Elsewhere { app: name.to_owned() });
        }
        self.runtime.enter(name).await.ok_or_else(|| Error::UnknownApp(name.to_owned()))
    }

    /// Passes the action to the node that runs the app; `None` if this node does. Both nodes record it in their audit logs.
    async fn forward<T: DeserializeOwned>(
        &self,
        actor: &Actor,
        app: &str,
        action: &str,
        task: Option<&TaskId>,
        command: impl FnOnce() -> Command,
        stop: Option<&CancellationToken>,
    ) -> Option<Result<T, Error>> {
        let node = self.runtime.elsewhere(app)?;
        let (ownership, context) = (self.runtime.ownership.as_deref()?, self.runtime.app(app)?);
        let began = Instant::now();
        let done = remote::perform(ownership, &context, actor, &command(), stop).await;
        self.record(actor, app, action, task, json!({ "forwarded_to": node }), &done, began);
        Some(done)
    }

    #[expect(clippy::too_many_arguments, reason = "each is a field of the entry")]
    fn record<T>(
        &self,
        actor: &Actor,
        app: &str,
        action: &str,
        task: Option<&TaskId>,
        evidence: Value,
        done: &Result<T, Error>,
        began: Instant,
    ) {
        let duration = u64::try_from(began.elapsed().as_millis()).ok();
        let event = audited::command(actor, app, action, task, evidence, done.as_ref().err());
        self.runtime.audit().record_command(Event { duration_ms: duration, ..event });
    }
}

/// Ends the wait of the selected waiting tasks.
fn wake(app: &AppContext, tasks: &Selection, retries: &mut Retries) {
    let candidates = match tasks {
        Selection::All => app.operator.waiting.tasks(),
        Selection::These(_) => std::mem::take(&mut retries.not_rejected),
    };
    let (woken, rest): (Vec<TaskId>, Vec<TaskId>) =
        candidates.into_iter().partition(|task| app.operator.waiting.wake(task));
    if matches!(tasks, Selection::These(_)) {
        retries.not_rejected = rest;
    }
    if !woken.is_empty() {
        tracing::info!(app = %app.name, tasks = woken.len(), "an operator retries waiting tasks now");
        if app.target.outage().is_some() {
            app.target.breaker().ask();
        }
    }
    retries.woken = woken;
}
