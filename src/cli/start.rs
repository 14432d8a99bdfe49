//! From the arguments to a command.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use clap::Parser;

use super::args::{Cli, Command};
#[cfg(feature = "conformance")]
use super::conformance;
use super::failure::{Exit, Failure, Outcome};
use super::{
    apps, audit, call, check, completions, config, export, hardening, new, orders, print, run as daemon,
    status, sync, tasks,
};
#[cfg(feature = "sandbox")]
use super::{demo, sandbox};
use crate::children;
use bridgehead_config::Connectors;
use bridgehead_runtime::sync::Options;

/// Parses the arguments of the process, does what they say, and gives the exit code.
pub fn run(connectors: &Connectors) -> ExitCode {
    // Before anything else: as a launcher, this is another program.
    if let Some(code) = children::launch(std::env::args_os()) {
        return code;
    }
    children::enable();
    hardening::apply();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => return answer(&told),
    };
    // One provider for everything that speaks TLS; a second call of the same process changes nothing.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::complain(format!("bridgehead: the asynchronous runtime cannot be started: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(Box::pin(dispatch(cli, connectors)));
    // A connector that blocks a thread must not keep the process: the journal makes that safe.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    let unprinted = print::finish().map(|error| unprinted(&error));
    if let Some(unprinted) = &unprinted {
        print::complain(unprinted.message());
    }
    match (outcome, unprinted) {
        (Ok(()), None) => ExitCode::SUCCESS,
        (Ok(()), Some(unprinted)) => unprinted.code(),
        (Err(failure), _) => {
            if !failure.message().is_empty() {
                print::complain(failure.message());
            }
            failure.code()
        }
    }
}

/// Help and the version go to standard output; what is wrong with the command line to standard error.
fn answer(told: &clap::Error) -> ExitCode {
    let printed = told.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(error) if !told.use_stderr() && error.kind() != ErrorKind::BrokenPipe => {
            let unprinted = unprinted(&error);
            print::complain(unprinted.message());
            unprinted.code()
        }
        _ => u8::try_from(told.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

fn unprinted(error: &std::io::Error) -> Failure {
    let message = format!(
        "standard output cannot be written ({error}), so what this command had to say is not complete; what it did stays done"
    );
    Failure::new(Exit::Output, message)
}

async fn dispatch(cli: Cli, connectors: &Connectors) -> Outcome {
    let global = &cli.global;
    match cli.command {
        Command::Run => daemon::run(global, connectors).await,
        #[cfg(feature = "sandbox")]
        Command::Demo { stay } => demo::run(global, connectors, stay).await,
        #[cfg(feature = "conformance")]
        Command::Check { apps, kit: options, .. } if options.conformance => {
            conformance::run(global, connectors, &apps, &options).await
        }
        Command::Check { apps, offline, .. } => check::run(global, connectors, &apps, offline).await,
        Command::Call(options) => call::run(global, connectors, options).await,
        Command::Sync { apps, to: Some(to), .. } => export::run(global, connectors, &apps, &to).await,
        Command::Sync { cancel: Some(app), .. } => orders::cancel_sync(global, connectors, &app).await,
        Command::Sync { mut apps, dry_run, allow_removals, to: None, cancel: None } => {
            if dry_run && allow_removals.is_some() {
                return Err(Failure::new(
                    Exit::Usage,
                    "--dry-run removes nothing, so --allow-removals does not go with it",
                ));
            }
            let allow_removals = allow_removals.map(|value| sync::consent(value, &mut apps));
            sync::run(global, connectors, &apps, Options { dry_run, allow_removals }).await
        }
        Command::Audit(command) => audit::run(global, connectors, command).await,
        Command::Status { apps } => status::run(global, connectors, &apps).await,
        Command::Tasks(command) => tasks::run(global, connectors, command).await,
        Command::Apps(command) => apps::run(global, connectors, command).await,
        Command::New(options) => new::run(global, connectors, &options),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(options) => sandbox::run(global, options).await,
        Command::Config(command) => config::run(global, connectors, &command),
        Command::Completions { shell } => {
            completions::shell(shell);
            Ok(())
        }
        Command::Man => completions::manual(),
    }
}
