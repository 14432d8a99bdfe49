//! `bridgehead check`: what works, what does not, and how to fix it.
//!
//! It finds what `run` would: [`state`] looks at the state folder, [`database`] at the database that has the state instead, [`admin`] at `admin.listen`, [`network`] at the way out, all on this
//! machine and without a secret. Iden and the targets are looked at by the running daemon, with the credentials that it has, or by the
//! command itself while none runs.

mod admin;
mod credentials;
mod database;
mod network;
mod report;
mod state;

use bridgehead_sdk::counted;
use tokio::sync::mpsc;

use self::credentials::Credentials;
use self::report::Report;
use super::args::Global;
use super::context::{self, Context};
use super::failure::{Exit, Failure, Outcome};
use super::{daemon, logging, looking, telemetry};
use crate::control::{Event, Identity, Request};
use bridgehead_bridge::Api;
use bridgehead_config::Connectors;
use bridgehead_runtime::inspection::{self, CheckedApp, Finding, Verdict};

pub(crate) use self::network::findings as network;

pub(crate) async fn run(
    global: &Global,
    connectors: &Connectors,
    names: &[String],
    offline: bool,
) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let names = context.names(names)?;
    let mut report = Report::new(global.json);
    Box::pin(look(global, &context, connectors, &names, offline, &mut report)).await?;
    report.end(if offline { Exit::Configuration } else { Exit::Failed })
}

/// The findings about all apps, for another command to show.
pub(crate) async fn examine(
    global: &Global,
    context: &Context,
    connectors: &Connectors,
) -> Result<Vec<Finding>, Failure> {
    let names = context.names(&[])?;
    let mut report = Report::silent();
    Box::pin(look(global, context, connectors, &names, false, &mut report)).await?;
    Ok(report.findings())
}

async fn look(
    global: &Global,
    context: &Context,
    connectors: &Connectors,
    names: &[String],
    offline: bool,
    report: &mut Report,
) -> Outcome {
    report.add(Finding::ok(
        "configuration",
        format!("valid; {} of {} checked", names.len(), counted(context.config.apps.len(), "app", "apps")),
    ));
    let warnings = context.config.warnings(&context.environment).into_iter();
    for warning in warnings.chain(telemetry::warning(&context.environment)) {
        report.add(Finding::warning("configuration", warning));
    }
    if let Some(problem) = telemetry::problem(&context.environment) {
        report.add(Finding::failed("traces", problem));
    }
    let (daemon, is_hidden) = match running(context).await {
        Ok(daemon) => (daemon, false),
        Err(failure) => {
            report.add(
                Finding::warning("daemon", failure.message())
                    .advising("The checks below were made by this command, without the daemon."),
            );
            (None, true)
        }
    };
    let is_current =
        daemon.as_ref().is_some_and(|it| it.configuration == context::fingerprint(global, connectors));
    let own = Credentials::gather(context, connectors, names);
    if let Some(finding) = admin::token(context, daemon.as_ref()) {
        report.add(finding);
    }
    if offline {
        own.tell(context, names, daemon.as_ref(), is_current, report);
        return Ok(());
    }
    for finding in state::check(context, daemon.as_ref()).await {
        report.add(finding);
    }
    for finding in database::check(context).await {
        report.add(finding);
    }
    if let Some(finding) = admin::check(context, daemon.as_ref(), is_hidden).await {
        report.add(finding);
    }
    own.tell(context, names, daemon.as_ref(), is_current, report);
    match &daemon {
        // A changed configuration is checked before the daemon gets it, if that is possible here.
        Some(_) if is_current || !own.are_complete() => {
            by_daemon(context, names.to_vec(), is_current, report).await?;
        }
        running => {
            if running.is_some() {
                report.add(
                    changed("the checks below apply to the configuration shown here")
                        .advising("Run `bridgehead reload` for it to count, once everything here is right."),
                );
            }
            by_ourselves(context, &own, names, report).await;
        }
    }
    own.close().await;
    Ok(())
}

/// The daemon that uses the state folder, if one is running. The failure is that it cannot be asked.
async fn running(context: &Context) -> Result<Option<Identity>, Failure> {
    looking::ask(context, &Request::Identity).await
}

fn changed(about: &str) -> Finding {
    let found = format!("the configuration differs from the one that the running daemon uses; {about}");
    Finding::warning("daemon", found)
}

async fn by_daemon(
    context: &Context,
    names: Vec<String>,
    is_current: bool,
    report: &mut Report,
) -> Result<(), Failure> {
    if !is_current {
        let about = "the checks below apply to the daemon's configuration, because some secrets are not \
                     readable here";
        report.add(changed(about).advising("Run `bridgehead reload`, then check again."));
    }
    let Some(client) = daemon::connect(context).await? else {
        report.add(Finding::failed("daemon", "it has just stopped").advising("Run this again."));
        return Ok(());
    };
    let heard = |event| {
        if let Event::Finding { finding } = event {
            report.add(finding);
        }
        true
    };
    let _: Option<()> = client.look(&Request::Check { apps: names }, heard).await?;
    Ok(())
}

async fn by_ourselves(context: &Context, own: &Credentials, names: &[String], report: &mut Report) {
    let Ok(network) = &own.network else { return };
    for finding in network::findings(context, network) {
        report.add(finding);
    }
    let mut bridge = None;
    if let Ok(client) = &own.bridge {
        let found = inspection::check_bridge(client, &context.config.bridge.base_url).await;
        if found.result == Verdict::Ok {
            bridge = Some(client as &dyn Api);
        }
        report.add(found);
        if let Some(finding) = inspection::check_clock(client) {
            report.add(finding);
        }
    }
    for name in names {
        let Some(Ok(connector)) = own.connectors.get(name) else { continue };
        let settings = &context.config.apps[name];
        let app = CheckedApp { name, settings, connector, redactor: &context.redactor };
        let (sender, mut findings) = mpsc::channel(1);
        let checking = async {
            inspection::check_app(&app, bridge, &sender).await;
            drop(sender);
        };
        let telling = async {
            while let Some(finding) = findings.recv().await {
                report.add(finding);
            }
        };
        tokio::join!(checking, telling);
    }
}
