//! From the arguments to the report.

use bridgehead_sdk::conformance::{self, Outcome as Found};

use super::super::args::{Global, Kit};
use super::super::context::Context;
use super::super::failure::{Exit, Failure, Outcome};
use super::super::logging;
use super::bench::LiveBench;
use super::noted::Progress;
use super::{consent, show};
use crate::config::Connectors;

pub(crate) async fn run(
    global: &Global,
    connectors: &Connectors,
    names: &[String],
    options: &Kit,
) -> Outcome {
    let [name] = names else {
        let message = "--conformance takes the name of one app: the kit has one target at a time";
        return Err(Failure::new(Exit::Usage, message));
    };
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    context.names(names)?;
    let progress = Progress::new(!global.json);
    let bench = LiveBench::new(&context, connectors, name, options.read_only, progress)?;
    if !options.read_only {
        consent::obtain(&context, name, options.yes).await?;
    }
    context.end_orphans().await?;
    let report = tokio::select! {
        report = conformance::run(&bench) => report,
        interrupted = tokio::signal::ctrl_c() => {
            drop(interrupted);
            bench.close().await;
            return Err(stopped(name, &bench));
        }
    };
    bench.close().await;
    show::report(global, name, &context.redactor, options.read_only, &report);
    let passed = report.checks.iter().any(|check| check.outcome == Found::Passed);
    if passed && report.failed().is_empty() { Ok(()) } else { Err(Failure::silent(Exit::Failed)) }
}

fn stopped(name: &str, bench: &LiveBench<'_>) -> Failure {
    let names = bench.names();
    let message = match names.first() {
        None => "stopped; nothing was changed".to_owned(),
        Some(first) => {
            format!("stopped in the middle: look in {name} for accounts of the kit, such as {first}")
        }
    };
    Failure::new(Exit::Failed, message)
}
