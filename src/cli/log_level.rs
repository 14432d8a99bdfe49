//! `bridgehead log-level`: changes the running daemon's log level for one app, for a limited time.

use std::time::Duration;

use clap::ValueEnum;

use super::args::Global;
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{logging, looking, print};
use crate::control::{LogLevel, Request};
use bridgehead_config::Connectors;

pub(crate) async fn run(
    global: &Global,
    connectors: &Connectors,
    app: &str,
    level: &str,
    time: Duration,
) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    context.names(&[app.to_owned()])?;
    let level = LogLevel::from_str(level, true).ok();
    let request = Request::LogLevel { app: app.to_owned(), level, seconds: time.as_secs() };
    let changed: Option<()> = looking::ask(&context, &request).await?;
    if changed.is_none() {
        let message =
            "No daemon runs whose log could be changed; set log.level in the configuration instead.";
        return Err(Failure::new(Exit::Temporary, message));
    }
    if global.json {
        print::json(&serde_json::json!({ "app": app, "level": level, "seconds": time.as_secs() }));
    } else {
        print::line(match level {
            Some(level) => {
                format!("The daemon logs {level} of {app} for {time:?}, then falls back to log.level.")
            }
            None => format!("The daemon logs of {app} what log.level says."),
        });
    }
    Ok(())
}
