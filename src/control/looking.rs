//! Responses to read requests: with the credentials of the daemon, and with bounded memory, whatever the size of the result.

use std::sync::Arc;

use bridgehead_sdk::TaskId;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::protocol::Identity;
use super::server::{Lines, failed, tell, unknown_app};
use super::{Event, Request};
use bridgehead_bridge::Api;
use bridgehead_runtime::Runtime;
use bridgehead_runtime::inspection::{self, AppRow, Finding, Verdict, Which};

/// The maximum number of findings that wait for a slow command.
const WAITING: usize = 16;

/// Facts about a daemon other than its apps.
pub(crate) struct About {
    /// The fingerprint of the configuration that it runs with.
    pub(crate) configuration: String,
    /// Iden's base URL.
    pub(crate) base_url: Url,
    /// The client that its apps use.
    pub(crate) bridge: Arc<dyn Api>,
    /// The network settings, as determined at startup.
    pub(crate) network: Vec<Finding>,
}

impl std::fmt::Debug for About {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("About").field("configuration", &self.configuration).finish_non_exhaustive()
    }
}

/// The last event of a read request. It ends early when the daemon stops, and when the command disconnects.
pub(super) async fn answer(
    lines: &mut Lines,
    runtime: &Runtime,
    about: &About,
    request: Request,
    stop: &CancellationToken,
) -> Event {
    let found = async {
        match request {
            Request::Status => given(&runtime.observer().overview().await),
            Request::Apps => apps(about).await,
            Request::AuditHead => given(&runtime.audit().status()),
            Request::Check { apps } => check(lines, runtime, about, &apps).await,
            Request::Show { app, task } => show(runtime, about, &app, &task).await,
            Request::Tasks { app, which, limit } => tasks(lines, runtime, about, &app, which, limit).await,
            _ => given(&Identity {
                version: env!("CARGO_PKG_VERSION").to_owned(),
                pid: std::process::id(),
                configuration: about.configuration.clone(),
            }),
        }
    };
    tokio::select! {
        found = found => found,
        () = stop.cancelled() => failed("the daemon is stopping".to_owned(), true),
    }
}

pub(super) fn given<T: serde::Serialize>(answer: &T) -> Event {
    match serde_json::to_value(answer) {
        Ok(answer) => Event::Done { answer },
        Err(error) => failed(format!("the response cannot be written as JSON: {error}"), false),
    }
}

async fn apps(about: &About) -> Event {
    match about.bridge.list_apps().await {
        Ok(apps) => given(&apps.iter().map(AppRow::from).collect::<Vec<_>>()),
        Err(error) => failed(format!("{error}\n{}", error.advice()), error.is_transient()),
    }
}

async fn show(runtime: &Runtime, about: &About, app: &str, task: &TaskId) -> Event {
    let Some(inspected) = runtime.inspected(app) else { return unknown_app(app) };
    match inspected.task_story(&*about.bridge, task).await {
        Err(error) => failed(error.to_string(), error.is_temporary()),
        Ok(story) => given(&story),
    }
}

async fn tasks(
    lines: &mut Lines,
    runtime: &Runtime,
    about: &About,
    app: &str,
    which: Which,
    limit: Option<u64>,
) -> Event {
    let told = |error: inspection::Error| failed(error.to_string(), error.is_temporary());
    let Some(inspected) = runtime.inspected(app) else { return unknown_app(app) };
    let mut listing = match inspected.list_tasks(&*about.bridge, which, limit).await {
        Err(error) => return told(error),
        Ok(listing) => listing,
    };
    loop {
        match listing.next().await {
            Err(error) => return told(error),
            Ok(None) => return given(&listing.end()),
            // A response to a command that has disconnected would never be read.
            Ok(Some(rows)) => {
                if !tell(lines, &Event::Tasks { rows }).await {
                    return failed("the command disconnected".to_owned(), false);
                }
            }
        }
    }
}

async fn check(lines: &mut Lines, runtime: &Runtime, about: &About, apps: &[String]) -> Event {
    let (sender, mut findings) = mpsc::channel(WAITING);
    let checking = async move {
        for finding in &about.network {
            drop(sender.send(finding.clone()).await);
        }
        let found = inspection::check_bridge(&*about.bridge, &about.base_url).await;
        let bridge = (found.result == Verdict::Ok).then_some(&*about.bridge);
        drop(sender.send(found).await);
        if let Some(finding) = inspection::check_clock(&*about.bridge) {
            drop(sender.send(finding).await);
        }
        for app in apps {
            if sender.is_closed() {
                return;
            }
            if runtime.check_app(app, bridge, &sender).await.is_none() {
                let found = "the running daemon does not know this app, which was added after the daemon \
                             started";
                let finding =
                    Finding::warning(format!("{app}: daemon"), found).advising("Run `bridgehead reload`.");
                drop(sender.send(finding).await);
            }
        }
    };
    let telling = async {
        while let Some(finding) = findings.recv().await {
            if !tell(lines, &Event::Finding { finding }).await {
                findings.close();
                break;
            }
        }
    };
    tokio::join!(checking, telling);
    given(&())
}
