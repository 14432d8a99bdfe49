//! Starts a command from the arguments of the process.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;

use super::args::{Cli, Command};
#[cfg(feature = "conformance")]
use super::conformance;
use super::failure::{Exit, Failure, Outcome};
use super::{
    apps, audit, call, check, completions, config, export, hardening, init, log_level, manual, new, orders,
    print, reload, run as daemon, state, status, support, sync, tasks,
};
#[cfg(feature = "sandbox")]
use super::{demo, sandbox};
use crate::children;
use bridgehead_config::Connectors;
use bridgehead_runtime::sync::Options;

/// Parses the arguments of the process, runs the command, and returns the exit code.
pub fn run(connectors: &Connectors) -> ExitCode {
    // Before anything else: as a launcher, this process becomes another program.
    if let Some(code) = children::launch(std::env::args_os()) {
        return code;
    }
    children::enable();
    hardening::apply();
    let cli = match init::parse(connectors) {
        Ok(cli) => cli,
        Err(told) => return answer(&told),
    };
    // One provider for all TLS connections; a second call in the same process changes nothing.
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            print::fail(&format!("bridgehead: cannot start the asynchronous runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(Box::pin(dispatch(cli, connectors)));
    // A connector that blocks a thread must not keep the process alive: the journal makes that safe.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    let unprinted = print::finish().map(|error| unprinted(&error));
    if let Some(unprinted) = &unprinted {
        print::fail(unprinted.message());
    }
    match (outcome, unprinted) {
        (Ok(()), None) => ExitCode::SUCCESS,
        (Ok(()), Some(unprinted)) => unprinted.code(),
        (Err(failure), _) => {
            if !failure.message().is_empty() {
                print::fail(failure.message());
            }
            failure.code()
        }
    }
}

/// Prints help and the version to standard output, and errors of the command line to standard error.
fn answer(told: &clap::Error) -> ExitCode {
    let printed = told.print().and_then(|()| std::io::stdout().flush());
    match printed {
        Err(error) if !told.use_stderr() && error.kind() != ErrorKind::BrokenPipe => {
            let unprinted = unprinted(&error);
            print::fail(unprinted.message());
            unprinted.code()
        }
        _ => u8::try_from(told.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

fn unprinted(error: &std::io::Error) -> Failure {
    let message = format!(
        "cannot write standard output ({error}), so this command's output is incomplete; the changes it \
         made remain"
    );
    Failure::new(Exit::Output, message)
}

async fn dispatch(cli: Cli, connectors: &Connectors) -> Outcome {
    let global = &cli.global;
    match cli.command {
        Command::Run => daemon::run(global, connectors).await,
        #[cfg(feature = "sandbox")]
        Command::Init(options) => Box::pin(init::run(global, connectors, options)).await,
        #[cfg(feature = "sandbox")]
        Command::Demo { stay } => demo::run(global, connectors, stay).await,
        #[cfg(feature = "conformance")]
        Command::Check { apps, kit: options, .. } if options.conformance => {
            conformance::run(global, connectors, &apps, &options).await
        }
        Command::Check { diff: true, .. } => reload::run(global, connectors, false).await,
        Command::LogLevel { app, level, time } => {
            log_level::run(global, connectors, &app, &level, time).await
        }
        Command::Reload => reload::run(global, connectors, true).await,
        Command::Check { apps, offline, .. } => check::run(global, connectors, &apps, offline).await,
        Command::Call(options) => call::run(global, connectors, options).await,
        Command::Sync { apps, to: Some(to), .. } => export::run(global, connectors, &apps, &to).await,
        Command::Sync { cancel: Some(app), .. } => orders::cancel_sync(global, connectors, &app).await,
        Command::Sync { mut apps, dry_run, allow_removals, to: None, cancel: None } => {
            if dry_run && allow_removals.is_some() {
                return Err(Failure::new(
                    Exit::Usage,
                    "--allow-removals cannot be used with --dry-run, which removes nothing",
                ));
            }
            let allow_removals = allow_removals.map(|value| sync::consent(value, &mut apps));
            sync::run(global, connectors, &apps, Options { dry_run, allow_removals }).await
        }
        Command::Audit(command) => audit::run(global, connectors, command).await,
        Command::Status { apps } => status::run(global, connectors, &apps).await,
        Command::Support(options) => Box::pin(support::run(global, connectors, options)).await,
        Command::Tasks(command) => tasks::run(global, connectors, command).await,
        Command::Apps(command) => apps::run(global, connectors, command).await,
        Command::New(options) => new::run(global, connectors, &options),
        #[cfg(feature = "sandbox")]
        Command::Sandbox(options) => sandbox::run(global, options).await,
        Command::State(command) => state::run(global, connectors, command).await,
        Command::Config(command) => config::run(global, connectors, &command),
        Command::Completions { shell } => {
            completions::shell(connectors, shell);
            Ok(())
        }
        Command::Man { dir: Some(dir), .. } => manual::write(connectors, &dir),
        Command::Man { command, dir: None } => manual::print(connectors, &command),
    }
}
