//! Runs the kit: from the arguments to the report.

use std::sync::Arc;

use bridgehead_conformance::{Report, Run};
use tokio_util::sync::CancellationToken;

use super::super::args::{Global, Kit};
use super::super::context::Context;
use super::super::failure::{Exit, Failure, Outcome};
use super::super::signals::Told;
use super::super::{logging, print};
use super::progress::{Progress, Results};
use super::show::Counts;
use super::test_target::LiveTestTarget;
use super::{consent, selection, show};
use bridgehead_config::Connectors;

pub(crate) async fn run(
    global: &Global,
    connectors: &Connectors,
    names: &[String],
    options: &Kit,
) -> Outcome {
    let only = selection::of(&options.only)?;
    if options.list {
        selection::list(global, only.as_deref());
        return Ok(());
    }
    let [name] = names else {
        let message = "--conformance takes the name of one app: the kit tests one target at a time";
        return Err(Failure::new(Exit::Usage, message));
    };
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    context.names(names)?;
    let progress = Arc::new(Progress::new(!global.json && !options.trace));
    let test_target = LiveTestTarget::new(
        &context,
        connectors,
        name,
        options.read_only,
        options.trace,
        Arc::clone(&progress),
    )?;
    if !options.read_only {
        consent::obtain(&context, name, options.yes).await?;
    }
    context.end_orphans().await?;
    let results = Results { app: name, json: global.json, redactor: &context.redactor, progress };
    let (stop, abandon) = (CancellationToken::new(), CancellationToken::new());
    let _signals = Told::listen()?.cancels_one_by_one([stop.clone(), abandon.clone()]);
    let mut run = Run::of(&test_target).observed_by(&results).until(stop.clone().cancelled_owned());
    if let Some(only) = only {
        run = run.only(only);
    }
    let report = tokio::select! {
        report = run.report() => report,
        () = abandon.cancelled() => {
            test_target.close().await;
            return Err(abandoned(name, &test_target));
        }
    };
    test_target.close().await;
    let counts = Counts::of(&report, &context.config.apps[name].conformance);
    if global.json {
        let summary = show::summary(name, &context.redactor, options.read_only, &report, &counts);
        print::json_line(&summary);
    } else {
        show::report(name, &context.redactor, &report, &counts);
    }
    if let Some(to) = &options.junit {
        show::junit(name, &context.redactor, &report, to)?;
    }
    if stop.is_cancelled() { Err(stopped(name, &report)) } else { counts.outcome() }
}

fn stopped(name: &str, report: &Report) -> Failure {
    let message = match report.left.len() {
        0 => format!("stopped; the kit left nothing in {name}"),
        1 => format!("stopped; one account, named above, is left in {name}"),
        count => format!("stopped; {count} accounts, named above, are left in {name}"),
    };
    Failure::new(Exit::Failed, message)
}

/// After a second signal, the kit does not clean up.
fn abandoned(name: &str, test_target: &LiveTestTarget<'_>) -> Failure {
    let names = test_target.names();
    let message = match names.first() {
        None => "stopped; nothing was changed".to_owned(),
        Some(first) => {
            format!("stopped during cleanup: look in {name} for accounts of the kit, such as {first}")
        }
    };
    Failure::new(Exit::Failed, message)
}
