//! What can be written on the command line.

#[cfg(feature = "sandbox")]
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use super::new::{Language, Template};

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
    /// Back up, restore and inspect the state folder.
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

/// What can be done with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum Tasks {
    /// List the tasks that Iden has for the configured apps, with their status in the journal.
    ///
    /// Uses the credentials of the running daemon, or its own if none runs. The text output shows the total number; --json lists all
    /// tasks, unless --limit is given.
    List(ListTasks),
    /// Show the history of one task in order: when it was created, held and tried, how each attempt ended, its outcome, Iden's
    /// answer to the report, and what happens next.
    ///
    /// Asks the running daemon. If none runs, uses the state folder and, if this command has the key, Iden.
    Show {
        /// The app, by its name in the configuration.
        #[arg(value_name = "APP")]
        app: String,
        /// The task, by the id that `bridgehead tasks list` shows.
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// Release deletions and suspensions that the deprovision limit holds (`apps.NAME.tasks.guard`).
    ///
    /// Releases only tasks that are held now: those named, or all. Later tasks are held again while the limit is reached. See them
    /// first with `bridgehead tasks list APP --held`. To remove a task instead, cancel it in Iden.
    ///
    /// With --all, the tasks are printed before they are released; on a terminal, without --expect, you are asked to confirm. Scripts
    /// are never asked: use --expect N.
    ///
    /// A running daemon executes the tasks immediately. If none runs, the release is saved and takes effect at the next start.
    Release(Selected),
    /// Retry now: make the next attempt of waiting tasks, and report again what Iden rejected (400).
    ///
    /// A waiting task is one whose last attempt failed, or whose target was not available; a running daemon retries it immediately. A rejected
    /// report is sent once more with the same outcome; the task is not executed again.
    ///
    /// `bridgehead tasks list APP --rejected` shows rejected reports with Iden's reason. Extra data that a connector added to a result
    /// was erased when the report was rejected; the account's id was kept.
    Retry(Selected),
    /// Resolve a task whose effect is unknown: an attempt was made, no response came, and the target does not show its effect.
    ///
    /// The task is never executed again. Iden receives `completed`, or `failed` with INTERNAL_ERROR, and the reason; the audit log records
    /// both. Refused if the result of the task is known. Asks for confirmation unless --yes is given.
    Resolve(Resolve),
}

/// The result of a task.
#[derive(Args, Clone, Debug)]
#[command(group(clap::ArgGroup::new("outcome").required(true).args(["completed", "failed"])))]
pub(crate) struct Resolve {
    /// The app, by its name in the configuration.
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// The task, by the id that `bridgehead tasks list` shows.
    #[arg(value_name = "TASK")]
    pub(crate) task: String,
    /// It took effect.
    #[arg(long)]
    pub(crate) completed: bool,
    /// It did not take effect.
    #[arg(long)]
    pub(crate) failed: bool,
    /// How you know. Stored, and reported to Iden.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Do not ask for confirmation.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Which tasks are listed.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListTasks {
    /// The app [default: all].
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Show only tasks with this status. Failed tasks are shown with their code and reason.
    #[arg(long, default_value = "pending", value_parser = ["pending", "scheduled", "completed", "failed"])]
    pub(crate) status: String,
    /// Show the tasks whose report Iden rejected, from the journal, instead.
    #[arg(long, conflicts_with = "status")]
    pub(crate) rejected: bool,
    /// Show only the tasks that the deprovision limit holds.
    #[arg(long, conflicts_with_all = ["status", "rejected"])]
    pub(crate) held: bool,
    /// Only tasks about this account: part of an id, a user name, an email or a name, in upper or lower case.
    #[arg(long, value_name = "TEXT")]
    pub(crate) account: Option<String>,
    /// Only tasks with this action, such as delete_account.
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only tasks that failed with this code.
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// The order [default: as Iden lists them]. Reads all tasks.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) sort: Option<SortTasks>,
    /// Print CSV, all tasks unless --limit says otherwise.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// The maximum number of tasks per app [default: 50; with --json and --csv all].
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// By what tasks are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SortTasks {
    /// Oldest first.
    Created,
    /// Newest first.
    Newest,
    /// By action.
    Action,
    /// By the account's identifier.
    Account,
    /// By the names of the account.
    Who,
    /// By status, then code.
    Status,
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

/// One operation by hand.
#[derive(Args, Clone, Debug)]
pub(crate) struct Call {
    /// The app, by its name in the configuration.
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// The operation.
    #[arg(value_name = "OPERATION")]
    pub(crate) operation: CallOperation,
    /// With `list`: the resource type [default: accounts].
    #[arg(value_name = "TYPE")]
    pub(crate) resource_type: Option<String>,
    /// The account's id in the target.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The account's user name.
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// The account's email address.
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// A field to set on create or to change on update, as text. May be repeated.
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(crate) set: Vec<String>,
    /// The same with a JSON value: a number, a list, or null to clear a field.
    #[arg(long, value_name = "FIELD=JSON")]
    pub(crate) set_json: Vec<String>,
    /// A group or license that the account should have. May be repeated. For each type that is named, an update removes all other
    /// groups or licenses of that type.
    #[arg(long, value_name = "TYPE:ID")]
    pub(crate) member: Vec<String>,
    /// A file with the payload of a task, as JSON: {"account": {...}, "memberships": {...}, "changes": {...}}. Other flags override
    /// its values. "-" is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// A file with the password that `create` or `reset-password` sets; "-" is standard input. There is no flag for the password
    /// itself, because every user of this machine could read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// With `list`: the cursor that the previous page returned.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// With `list`: the number of pages.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pages: u32,
    /// How long to wait for a change to become visible. The daemon waits up to apps.NAME.tasks.give_up_after.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) wait: Duration,
    /// Change the target without asking for confirmation, even while a daemon is running.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Print the communication between the connector and its target to standard error: HTTP exchanges, and the messages of
    /// `exec`. Secrets are removed; personal data is not.
    #[arg(long)]
    pub(crate) trace: bool,
}

/// What can be done by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CallOperation {
    /// Show the connector's name, version and capabilities.
    Describe,
    /// Check that the target is reachable and accepts the credential.
    Check,
    /// List a page of records.
    List,
    /// Find an account.
    Find,
    /// Create an account.
    Create,
    /// Change an account.
    Update,
    /// Delete an account.
    Delete,
    /// Suspend an account.
    Suspend,
    /// Undo a suspension.
    Unsuspend,
    /// Reset an account's password.
    ResetPassword,
}

/// How a connector is proven.
#[cfg(feature = "conformance")]
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Kit {
    /// Prove the connector of one app against its live target. Creates, changes and deletes test accounts there.
    #[arg(long)]
    pub(crate) conformance: bool,
    /// Do not change the target: run only checks that read.
    #[arg(long, requires = "conformance")]
    pub(crate) read_only: bool,
    /// Create, change and delete accounts without asking for confirmation.
    #[arg(long, requires = "conformance", conflicts_with = "read_only")]
    pub(crate) yes: bool,
    /// Run only these checks; "*" stands for any text, as in "paging-*".
    #[arg(long, requires = "conformance", value_name = "CHECK", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// List the checks with their rules, without running them.
    #[arg(long, requires = "conformance", conflicts_with_all = ["read_only", "yes", "junit"])]
    pub(crate) list: bool,
    /// Write the results to this file, as JUnit XML.
    #[arg(long, requires = "conformance", value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Print the communication between the connector and its target to standard error: HTTP exchanges, and the messages of
    /// `exec`. Secrets are removed; personal data is not.
    #[arg(long, requires = "conformance")]
    pub(crate) trace: bool,
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

/// Tasks of an app.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selected {
    /// The app, by its name in the configuration.
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// The ids of the tasks, as shown by `bridgehead tasks list`.
    #[arg(value_name = "TASK", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) tasks: Vec<String>,
    /// Select all tasks to which the command applies.
    #[arg(long)]
    pub(crate) all: bool,
    /// Do nothing unless there are exactly N tasks, the number that `bridgehead tasks list` showed.
    #[arg(long, value_name = "N", conflicts_with = "tasks")]
    pub(crate) expect: Option<u64>,
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

/// Commands for the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Verify that no entry was changed, added or removed. Exits with 1, and names the first broken entry, if one was.
    ///
    /// A log that was cut off at the end can only be detected with its head, which the daemon publishes as the metric bridgehead_audit_head. A
    /// running daemon is asked for its head; with --head, pass one that you stored elsewhere.
    Verify {
        /// An entry that the log must contain: its number and hash, as shown by the metric.
        #[arg(long, value_name = "SEQ:HASH")]
        head: Option<bridgehead_runtime::audit::Head>,
    },
    /// Show entries, oldest first.
    Show(AuditFilter),
    /// Write entries to standard output: JSON Lines, or CSV.
    Export {
        #[command(flatten)]
        filter: AuditFilter,
        /// The output format.
        #[arg(long, default_value = "json")]
        format: AuditFormat,
    },
}

/// Which entries to show.
#[derive(Args, Clone, Debug)]
pub(crate) struct AuditFilter {
    /// Only entries of this app.
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only entries of this task.
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,
    /// Only entries of this account.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Only entries since then: a time such as 2026-11-27T09:00:00Z, a date, or a span such as 24h or 30d.
    #[arg(long, value_name = "TIME", value_parser = super::audit::since)]
    pub(crate) since: Option<jiff::Timestamp>,
}

/// The format of exported entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AuditFormat {
    /// One line of JSON per entry, as in the log.
    Json,
    /// For spreadsheets.
    Csv,
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
        /// The folder; that of state.path when absent.
        #[arg(value_name = "DIR")]
        folder: Option<PathBuf>,
    },
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
