//! The command-line arguments.

mod audit;
mod call;
mod tasks;

#[cfg(feature = "sandbox")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use super::new::{Language, Template};
pub(crate) use audit::{Audit, AuditFilter, AuditFormat};
#[cfg(feature = "conformance")]
pub(crate) use call::Kit;
pub(crate) use call::{Call, CallOperation};
pub(crate) use tasks::{ListTasks, Resolve, Selected, SortTasks, Tasks};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(name = "bridgehead", version, about, max_term_width = 110, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
First steps: `bridgehead demo` shows how everything works, without an account or a network.

Exit codes: 0 success, 1 failure, 2 incorrect usage, 3 not everything was proven,\n74 cannot write the output, 75 temporary failure (try again later), 78 configuration\nerror.";

/// What goes with every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// A TOML file, or a folder whose *.toml files are merged in name order. May be repeated; later values win. Separate
    /// several paths in one value with colons.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/etc/bridgehead",
        env = "BRIDGEHEAD_CONFIG"
    )]
    pub(crate) config: Vec<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon: execute tasks and sync on schedule, until SIGTERM or SIGINT. SIGHUP reloads the configuration.
    Run,
    /// Run a demo with sample data: a sandbox, the real daemon, syncs and tasks. Needs no account and no network.
    #[cfg(feature = "sandbox")]
    Demo {
        /// Keep the sandbox and the daemon running afterwards, until Ctrl-C.
        #[arg(long)]
        stay: bool,
    },
    /// Connect a first target: answer questions, discover the target, write a commented configuration, check it and show a dry run.
    ///
    /// Nothing is changed in the target or in the daemon's state. Each question is also a flag. Enter "<" to go back one question.
    /// A secret that you type is not shown; it is stored in its own file next to the configuration, which refers to it. Instead of a
    /// secret, enter "env:NAME", "file:PATH" or "credential:NAME" to say where it is.
    ///
    /// No file is overwritten. With --json, three documents are printed: what was written, the results of `check`, and the dry run.
    #[cfg(feature = "sandbox")]
    Init(Init),
    /// Check everything that `run` needs and say how to fix problems: configuration, state folder, admin.listen, API key, access,
    /// resource types and targets.
    ///
    /// A running daemon checks Iden and the targets with its own credentials. If the configuration has changed since the daemon
    /// loaded it, this command runs the checks itself, as far as it can read the secrets.
    ///
    /// With --conformance, prove the connector of one app against its live target, with the same kit that the connectors' own tests
    /// run: the connector must do what it declares, and each error must say exactly what happened. The kit does not contact Iden.
    /// [apps.NAME.conformance] in the configuration tells the kit about the target: see docs/connector-author.md. With --json, each
    /// result is printed on its own line as it arrives, and the last line is a summary. The exit code is 1 if a check failed, and 3 if
    /// none failed but some were skipped that accept_skipped does not name: a skipped check proves nothing. When stopped by a signal,
    /// the kit first removes the accounts that it created, and names those that it could not remove.
    Check {
        /// The apps to check [default: all].
        #[arg(value_name = "APP")]
        apps: Vec<String>,
        /// Show what a reload would change in the running daemon, and check nothing else.
        #[arg(long, conflicts_with_all = ["offline", "apps"])]
        diff: bool,
        /// Check the configuration only: no network, no target.
        #[cfg_attr(feature = "conformance", arg(long, conflicts_with = "conformance"))]
        #[cfg_attr(not(feature = "conformance"), arg(long))]
        offline: bool,
        #[cfg(feature = "conformance")]
        #[command(flatten)]
        kit: Kit,
    },
    /// Run one operation of a connector manually, and show its response, what the daemon would do next, and what it would report to
    /// Iden.
    ///
    /// The operation is handled like a task: apps.NAME.protect applies, the connector is called once, and a success is verified.
    /// Iden is not contacted, and the state folder is not changed. Nothing is retried; the output says what the daemon would retry.
    /// Operations that change the target ask for confirmation, unless --yes is given.
    ///
    /// Exit code 0 if the daemon would report `completed`, 1 if `failed`, 75 if it would retry, hold the task or look again.
    Call(Call),
    /// Sync apps once, now: through the running daemon, or without one.
    ///
    /// A running daemon performs the sync, and this command follows it; Ctrl-C makes the daemon abandon the sync, which removes no
    /// account. Only one sync of an app runs at a time: this command waits for a sync that is already running.
    #[expect(
        clippy::option_option,
        reason = "clap says so whether the flag has a value, none, or is not there"
    )]
    Sync {
        /// The apps to sync [default: all].
        #[arg(value_name = "APP")]
        apps: Vec<String>,
        /// Read and validate everything, push nothing, and show what would be created, changed, removed or otherwise lost.
        #[arg(long)]
        dry_run: bool,
        /// Override the removal guard for this sync: allow at most N losses, exactly the losses with this DIGEST, or, without a
        /// value, those that the last dry run or held sync showed. Losses are records removed, accounts deactivated and accounts
        /// that lose memberships, counted over all types.
        #[arg(long, value_name = "N|DIGEST", num_args = 0..=1)]
        allow_removals: Option<Option<String>>,
        /// Read one app's target as a sync does, and write what would be pushed to this file: one line of JSON per record, then a
        /// line with the counts, the invalid records, and the proof that each listing is complete. Changes neither Iden nor the
        /// state. "-" is standard output.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "allow_removals"])]
        to: Option<PathBuf>,
        /// Instead of syncing, cancel the sync of this app that is running in the daemon: its session is abandoned, and no account
        /// is removed.
        #[arg(long, value_name = "APP", conflicts_with_all = ["apps", "dry_run", "allow_removals", "to"])]
        cancel: Option<String>,
    },
    /// Read and verify the audit log: who did what to whom, on what evidence, and with what result.
    #[command(subcommand)]
    Audit(Audit),
    /// Show the status of the running daemon: exit code 0 if all is good, 1 if action is required, 75 if it does not respond.
    ///
    /// Uses the control socket, or else admin.listen. If neither responds, the status in the journal is shown.
    Status {
        /// The apps to show [default: all].
        #[arg(value_name = "APP")]
        apps: Vec<String>,
    },
    /// Make the running daemon apply the changed configuration, app by app.
    ///
    /// Unchanged apps are not touched. A changed app shuts down cleanly and starts with its new settings; apps are added and removed;
    /// rotated secrets are read. A wrong configuration changes nothing. An app whose connector cannot be built continues with its
    /// current settings. Settings that need a restart are named. `bridgehead check --diff` shows all of this in advance.
    ///
    /// Exit code 0 if everything was applied, 1 if an app could not be changed, 78 if the configuration is wrong and nothing was
    /// changed, 75 if no daemon runs.
    Reload,
    /// Make the running daemon log more of one app, or less, for a limited time.
    ///
    /// Afterwards, and at a restart, the level goes back to `log.level`. Messages of libraries are not affected.
    LogLevel {
        /// The app, by its name in the configuration.
        #[arg(value_name = "APP")]
        app: String,
        /// The level; `default` goes back to the configured level now.
        #[arg(value_name = "LEVEL", value_parser = ["off", "error", "warn", "info", "debug", "trace", "default"])]
        level: String,
        /// For how long, at most 24 hours.
        #[arg(long = "for", value_name = "DURATION", default_value = "10m", value_parser = log_time)]
        time: Duration,
    },
    /// Write an archive for a bug report: versions, results of `check`, settings, status, metrics, counts and log entries.
    ///
    /// Secrets, names, mail addresses, ids of accounts, tasks' payloads and sentences that may name people are left out. The contents
    /// are listed with their sizes before anything is written, and you are asked for consent. Only you can read the file. It works
    /// whether the daemon runs or not, and with a configuration that is wrong.
    Support(Support),
    /// List provisioning tasks, release held tasks, retry rejected reports.
    #[command(subcommand)]
    Tasks(Tasks),
    /// List and create Bridge apps in Iden.
    #[command(subcommand)]
    Apps(Apps),
    /// Generate a connector project that works and passes the conformance kit.
    New(New),
    /// Run a strict emulator of the Bridge API, for experiments and connector tests.
    #[cfg(feature = "sandbox")]
    Sandbox(Sandbox),
    /// Back up, restore, inspect and move the state.
    #[command(subcommand)]
    State(State),
    /// Show the configuration and its schema.
    #[command(subcommand)]
    Config(Config),
    /// Print shell completions.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page of a command, or write the pages of all.
    Man {
        /// The command, such as `tasks list`; bridgehead itself by default.
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
        /// Write the pages of all commands into this folder, which must exist.
        #[arg(long, value_name = "DIR", conflicts_with = "command")]
        dir: Option<PathBuf>,
    },
}

/// How a first configuration is written. Each question of a connector is a flag as well: see `init::flags`.
#[cfg(feature = "sandbox")]
#[derive(Args, Clone, Debug)]
pub(crate) struct Init {
    /// The file to write, or a folder that `run` reads as a whole. When absent, what --config names, /etc/bridgehead if you may write
    /// there, or else bridgehead.toml in the current folder.
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Try everything against a sandbox instead of Iden: the same as `--iden-url sandbox`. It is started here and ends with this command.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:8900")]
    pub(crate) sandbox: Option<SocketAddr>,
    /// Certificates (PEM) to trust in addition to those of the operating system.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca_file: Option<PathBuf>,
    /// Only write the configuration: no check and no dry run.
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Ask nothing: a question without a flag takes its default, or is an error.
    #[arg(long)]
    pub(crate) non_interactive: bool,
    /// What the flags of the questions answer, by the question's key.
    #[arg(skip)]
    pub(crate) answers: std::collections::BTreeMap<String, String>,
}

/// How the archive for a bug report is written.
#[derive(Args, Clone, Debug)]
pub(crate) struct Support {
    /// The file to write, which must not exist [default: bridgehead-support-TIME.tar.gz in the current folder].
    #[arg(long, value_name = "PATH")]
    pub(crate) output: Option<PathBuf>,
    /// Do not ask for confirmation.
    #[arg(long)]
    pub(crate) yes: bool,
    /// List the contents, and write nothing.
    #[arg(long, conflicts_with = "yes")]
    pub(crate) dry_run: bool,
}

/// Commands for Bridge apps.
#[derive(Debug, Subcommand)]
pub(crate) enum Apps {
    /// List the Bridge apps that the key can access.
    List,
    /// Pause an app: no task and no sync starts until you resume it. Running ones are finished.
    ///
    /// The pause survives restarts. Tasks stay pending in Iden. The status shows the pause, and raises no alarms about missing progress.
    Pause {
        /// The app, by its name in the configuration.
        #[arg(value_name = "APP")]
        app: String,
        /// Why, for the status and the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Resume a paused app.
    Resume {
        /// The app, by its name in the configuration.
        #[arg(value_name = "APP")]
        app: String,
    },
    /// Create a Bridge app, and print what to add to the configuration.
    Create {
        /// Its name in Iden, 1 to 255 characters.
        name: String,
        /// The id of an app whose clone group it joins.
        #[arg(long, value_name = "APP_ID")]
        clone_from: Option<uuid::Uuid>,
    },
}

/// What to generate.
#[derive(Args, Debug)]
pub(crate) struct New {
    /// The connector's name: lowercase letters, digits and hyphens, such as "jira".
    pub(crate) name: String,
    /// rust generates a crate with its own daemon; python and node generate a program for the connector "exec".
    #[arg(long, default_value = "rust")]
    pub(crate) lang: Language,
    /// What the generated connector connects to: a web API, with a small sample API, or (in Rust) a JSON file.
    #[arg(long, default_value = "http")]
    pub(crate) template: Template,
    /// The folder to write to, which must be new or empty [default: a folder with the connector's name].
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
    /// The bridgehead source to compile the crate against: a checkout, or the URL of a git repository. By default, the checkout
    /// that this program was built in; if there is none, the source included in this program is written next to the crate.
    #[arg(long, value_name = "PATH|URL")]
    pub(crate) sdk: Option<String>,
    /// The tag or commit of the git repository, such as "v0.1.0".
    #[arg(long, value_name = "REV", requires = "sdk")]
    pub(crate) rev: Option<String>,
}

/// How the sandbox is run.
#[cfg(feature = "sandbox")]
#[derive(Args, Debug)]
pub(crate) struct Sandbox {
    /// The address to listen on. The sandbox is not safe on a network: use loopback.
    #[arg(long, default_value = "127.0.0.1:8900")]
    pub(crate) listen: SocketAddr,
    /// The tenant in the base URL.
    #[arg(long, default_value = "sandbox")]
    pub(crate) tenant: String,
    /// The API key that the sandbox accepts.
    #[arg(long, default_value = "sandbox-key")]
    pub(crate) api_key: String,
    /// The id of an app to start with. May be repeated.
    #[arg(long = "app", value_name = "APP_ID")]
    pub(crate) apps: Vec<uuid::Uuid>,
    /// How long the cleanup after `complete` takes.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) cleanup_delay: Duration,
}

/// Commands for the state folder.
#[derive(Debug, Subcommand)]
pub(crate) enum State {
    /// Back up the state into a new folder, even while the daemon runs.
    Backup {
        /// The folder to create; it must be new or empty.
        #[arg(value_name = "DIR")]
        to: PathBuf,
    },
    /// Replace the state with a backup, while no daemon runs, and explain what that means for tasks and syncs.
    ///
    /// The replaced state is kept next to it. The daemon treats the restored state as an old copy: each task that may have been started
    /// since is looked up in the target before its first attempt, and syncs are held if Iden has a later one.
    Restore {
        /// The folder that `state backup` created.
        #[arg(value_name = "DIR")]
        from: PathBuf,
        /// Do not ask for confirmation.
        #[arg(long)]
        yes: bool,
    },
    /// Show what is in the state folder, or in a backup: counts and times, no names and no secrets.
    Inspect {
        /// The folder; the state of this configuration when absent.
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
    /// Move the state from the folder of state.path into the database of state.url, or back, while no daemon runs.
    ///
    /// What was copied is read back and compared before it counts. What is left behind is kept, and no daemon continues with it.
    Migrate {
        /// Where the state is to be.
        #[arg(long)]
        to: Destination,
    },
}

/// Where state can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Destination {
    /// The database of state.url.
    Url,
    /// The folder of state.path.
    Path,
}

/// What can be seen of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show the effective configuration from files, environment and defaults, with the origin of each key. Secrets are hidden.
    Show,
    /// Print the JSON Schema of the configuration, for editors.
    Schema {
        /// Print the keys of a connector's `target` as a table in Markdown instead, or of `conformance`.
        #[arg(long, hide = true, value_name = "CONNECTOR")]
        markdown: Option<String>,
    },
}

fn log_time(text: &str) -> Result<Duration, String> {
    let time = duration(text)?;
    if time < Duration::from_secs(1) || time > super::log_levels::LONGEST {
        return Err("must be between \"1s\" and \"24h\"".to_owned());
    }
    Ok(time)
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| "must be a duration such as \"500ms\" or \"30s\"")?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}
