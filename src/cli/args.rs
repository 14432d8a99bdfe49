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
First steps: `bridgehead demo` shows everything without an account or a network.

Exit codes: 0 fine, 1 failed, 2 wrong usage, 3 not everything proven,\n74 the output could not be written, 75 try again later, 78 something is wrong with\nthe configuration.";

/// What goes with every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// A TOML file, or a folder whose *.toml are merged in name order; may be given several times, later wins. Several in
    /// one text are separated by colons.
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
    /// Run the daemon: execute tasks and sync on schedule, until SIGTERM, SIGINT or SIGHUP.
    Run,
    /// Show everything on made-up people: a sandbox, the real daemon, syncs and tasks. Needs no account and no network.
    #[cfg(feature = "sandbox")]
    Demo {
        /// Leave sandbox and daemon running afterwards, until Ctrl-C.
        #[arg(long)]
        stay: bool,
    },
    /// Check everything that `run` needs, and say what to do about what is wrong: configuration, state folder, admin.listen, key,
    /// access, resource types and targets.
    ///
    /// While a daemon runs, it is asked to look at Iden and the targets with the credentials that it has. If the configuration has
    /// changed since it started, this command looks by itself, as far as it can read the secrets.
    ///
    /// With --conformance, it is the connector of one app that is proven, against its live target, with the same kit that the
    /// connectors' own tests run: what it declares it must do, and each error must say exactly what happened. Iden is not asked.
    /// [apps.NAME.conformance] in the configuration says what the kit cannot know: docs/connector-author.md. With --json, each result is
    /// printed on a line of its own as it comes, and the last line sums them up. The exit code is 1 if a check failed, and 3 if none failed but some
    /// were skipped that accept_skipped does not name: what was skipped is not proven. Stopped by a signal, the kit first removes the accounts that
    /// it has made, and names those that it could not remove.
    Check {
        /// The apps to check; all when none is named.
        #[arg(value_name = "APP")]
        apps: Vec<String>,
        /// Check the configuration only: no network, no target.
        #[cfg_attr(feature = "conformance", arg(long, conflicts_with = "conformance"))]
        #[cfg_attr(not(feature = "conformance"), arg(long))]
        offline: bool,
        #[cfg(feature = "conformance")]
        #[command(flatten)]
        kit: Kit,
    },
    /// Carry out one operation of a connector by hand: say what it answers, what the daemon would do about that, and what Iden would
    /// be told.
    ///
    /// It goes the way of a task: what is not allowed (apps.NAME.protect) is refused, the connector is asked once, and a success is
    /// read back. Iden is not asked, and the state is left alone. Nothing is tried again; what the daemon would try again is said.
    /// Operations that change the target ask for consent, unless --yes is given.
    ///
    /// Exit code 0 if the daemon would report `completed`, 1 if `failed`, 75 if it would try again, hold the task or go on looking.
    Call(Call),
    /// Sync apps once, now: through the running daemon, or by itself while none runs.
    ///
    /// While a daemon runs, it does the sync, and this command follows it; Ctrl-C makes it abandon the sync, which removes
    /// nobody. One sync of an app runs at a time: one that is under way is waited for.
    #[expect(
        clippy::option_option,
        reason = "clap says so whether the flag has a value, none, or is not there"
    )]
    Sync {
        /// The apps to sync; all when none is named.
        #[arg(value_name = "APP")]
        apps: Vec<String>,
        /// Read and validate everything, push nothing, and say what would be created, changed, removed and otherwise lost.
        #[arg(long)]
        dry_run: bool,
        /// Let this sync take away what the access guard would hold: N losses at most, exactly what has this DIGEST, or,
        /// without a value, what the last dry run or held sync has shown. Losses are records removed, accounts deactivated
        /// and accounts that lose memberships, of all types together.
        #[arg(long, value_name = "N|DIGEST", num_args = 0..=1)]
        allow_removals: Option<Option<String>>,
        /// Read one app's target as a sync does, and write what would be pushed to this file: a line of JSON a record, then a line
        /// with what was counted, what is not valid, and what shows that each listing is whole. Neither Iden nor the state is
        /// touched. "-" is standard output.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["dry_run", "allow_removals"])]
        to: Option<PathBuf>,
        /// Cancel the sync of an app that is under way in the running daemon, instead: its session is abandoned, and nobody is
        /// removed.
        #[arg(long, value_name = "APP", conflicts_with_all = ["apps", "dry_run", "allow_removals", "to"])]
        cancel: Option<String>,
    },
    /// Read and prove the audit log: who did what to whom, on what evidence, and what came of it.
    #[command(subcommand)]
    Audit(Audit),
    /// Ask the running daemon how it is: exit code 0 if all is well, 1 if somebody must act, 75 if it does not answer.
    ///
    /// It is asked over its control socket, or else over admin.listen. If neither answers, what its journal knows is shown.
    Status {
        /// The apps to show; all when none is named.
        #[arg(value_name = "APP")]
        apps: Vec<String>,
    },
    /// Look at provisioning tasks, let held ones go, repeat reports that Iden refused.
    #[command(subcommand)]
    Tasks(Tasks),
    /// Look at and create Bridge apps in Iden.
    #[command(subcommand)]
    Apps(Apps),
    /// Write the beginning of a connector, which works as it stands and passes the kit that proves connectors.
    New(New),
    /// Run a strict emulator of the Bridge API, to try things and to test connectors against.
    #[cfg(feature = "sandbox")]
    Sandbox(Sandbox),
    /// Look at the configuration.
    #[command(subcommand)]
    Config(Config),
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page.
    Man,
}

/// What can be done with tasks.
#[derive(Debug, Subcommand)]
pub(crate) enum Tasks {
    /// List the tasks that Iden has for the configured apps, and what the journal knows of them.
    ///
    /// A running daemon is asked, which has the credentials for it; while none runs, this command uses its own. Text shows how many
    /// there are in all; with --json all are listed, unless --limit says otherwise.
    List(ListTasks),
    /// Tell the story of one task in order: when it was made, held, tried and how each attempt ended, its outcome, what Iden said to
    /// the report, and what happens next.
    ///
    /// A running daemon is asked; while none runs, its state and Iden are, as far as this command has the key.
    Show {
        /// The app, by its name in the configuration.
        #[arg(value_name = "APP")]
        app: String,
        /// The task, by the id that `bridgehead tasks list` shows.
        #[arg(value_name = "TASK")]
        task: String,
    },
    /// Let deletions and suspensions go that the guard holds (`apps.NAME.tasks.guard`).
    ///
    /// Exactly the tasks that are held at this moment may go, of those named or of all; later ones are held again while the
    /// limit is reached. `bridgehead tasks list APP --held` shows them first. To get rid of one instead, cancel it in Iden.
    ///
    /// With --all, what is about to be released is printed first; on a terminal, without --expect, you are asked to confirm. A script
    /// is never asked: give it --expect N.
    ///
    /// A running daemon executes them at once. While none runs, the release is written into its state, and counts from its
    /// next start.
    Release(Selected),
    /// Now: report again what Iden refused (400), and end the wait of tasks that wait for their next try or for the target.
    ///
    /// A report is made once, as it was decided then, and nothing is executed again for it. `bridgehead tasks list APP --rejected` shows
    /// these reports, with what Iden said. What a connector added to a result was erased when the report was refused; the account's id
    /// was kept.
    ///
    /// A task that waits is tried at once; if the target is out of reach, it is probed. That needs a running daemon. --expect N is about
    /// the reports alone.
    Retry(Selected),
    /// Say what became of a task whose effect nobody knows: an attempt was made, no answer came, and the target does not show it.
    ///
    /// The task is never executed again. Iden is told `completed`, or `failed` with INTERNAL_ERROR, with the reason; both are recorded in
    /// the audit log. Refused for a task of which it is known what became. You are asked for consent, unless --yes is given.
    Resolve(Resolve),
}

/// What became of a task.
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
    /// How you know. It is kept, and Iden is told.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: String,
    /// Agree beforehand.
    #[arg(long)]
    pub(crate) yes: bool,
}

/// Which tasks are listed.
#[derive(Args, Clone, Debug)]
pub(crate) struct ListTasks {
    /// The app; all when absent.
    #[arg(value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only tasks of this status. Failed ones are shown with their code and the reason.
    #[arg(long, default_value = "pending", value_parser = ["pending", "scheduled", "completed", "failed"])]
    pub(crate) status: String,
    /// Show the tasks whose report Iden did not accept, from the journal, instead.
    #[arg(long, conflicts_with = "status")]
    pub(crate) rejected: bool,
    /// Show only the tasks that the guard on destructive tasks holds.
    #[arg(long, conflicts_with_all = ["status", "rejected"])]
    pub(crate) held: bool,
    /// Only tasks about this account: part of an id, a user name, an e-mail or a name, in upper or lower case.
    #[arg(long, value_name = "TEXT")]
    pub(crate) account: Option<String>,
    /// Only tasks that ask for this, such as delete_account.
    #[arg(long, value_name = "ACTION")]
    pub(crate) action: Option<String>,
    /// Only tasks that failed with this code.
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// In which order; as Iden lists them when absent. All tasks are read for that.
    #[arg(long, value_name = "COLUMN")]
    pub(crate) sort: Option<SortTasks>,
    /// Print CSV, all tasks unless --limit says otherwise.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// How many at most, of each app [default: 50; with --json and --csv all].
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// By what tasks are put in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum SortTasks {
    /// Oldest first.
    Created,
    /// Newest first.
    Newest,
    /// By what they ask for.
    Action,
    /// By the account's identifier.
    Account,
    /// By the names of the account.
    Who,
    /// By status, then code.
    Status,
}

/// One operation by hand.
#[derive(Args, Clone, Debug)]
pub(crate) struct Call {
    /// The app, by its name in the configuration.
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// What is to be done.
    #[arg(value_name = "OPERATION")]
    pub(crate) operation: CallOperation,
    /// With `list`: the resource type. Accounts when absent.
    #[arg(value_name = "TYPE")]
    pub(crate) resource_type: Option<String>,
    /// The account's identifier in the target.
    #[arg(long)]
    pub(crate) id: Option<String>,
    /// The account's user name.
    #[arg(long)]
    pub(crate) username: Option<String>,
    /// The account's e-mail address.
    #[arg(long)]
    pub(crate) email: Option<String>,
    /// A field of the new account, or what an update changes, as text; may be given several times.
    #[arg(long, value_name = "FIELD=VALUE")]
    pub(crate) set: Vec<String>,
    /// The same as JSON: a number, a list, or null to clear a field.
    #[arg(long, value_name = "FIELD=JSON")]
    pub(crate) set_json: Vec<String>,
    /// A group or licence that the account is to have; may be given several times. Of a type that is named, an update takes away all
    /// others.
    #[arg(long, value_name = "TYPE:ID")]
    pub(crate) member: Vec<String>,
    /// The payload as a task has it, as JSON: {"account": {...}, "memberships": {...}, "changes": {...}}. The other flags are laid over
    /// it. "-" is standard input.
    #[arg(long, value_name = "FILE")]
    pub(crate) payload: Option<PathBuf>,
    /// A file with the password that `create` or `reset-password` sets; "-" is standard input. There is no flag for the password
    /// itself: everybody on this machine could read it.
    #[arg(long, value_name = "FILE")]
    pub(crate) password_file: Option<PathBuf>,
    /// With `list`: where to go on, as the page before has said.
    #[arg(long, value_name = "CURSOR")]
    pub(crate) cursor: Option<String>,
    /// With `list`: how many pages.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) pages: u32,
    /// How long to look for a change that is not seen yet. The daemon looks for as long as apps.NAME.tasks.give_up_after says.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = duration)]
    pub(crate) wait: Duration,
    /// Agree beforehand to the target being changed, also beside a running daemon.
    #[arg(long)]
    pub(crate) yes: bool,
    /// Show on standard error what the connector and its target say to each other: HTTP exchanges, and the messages of `exec`.
    /// Secrets are taken out; personal data is not.
    #[arg(long)]
    pub(crate) trace: bool,
}

/// What can be done by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum CallOperation {
    /// Say what the connector is and can do.
    Describe,
    /// See whether the target can be reached and takes the credential.
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
    /// Give an account another password.
    ResetPassword,
}

/// How a connector is proven.
#[cfg(feature = "conformance")]
#[derive(Args, Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command line")]
pub(crate) struct Kit {
    /// Prove the connector of one app against its live target. Creates, changes and deletes accounts of its own there.
    #[arg(long)]
    pub(crate) conformance: bool,
    /// Change nothing in the target: only what reads is proven.
    #[arg(long, requires = "conformance")]
    pub(crate) read_only: bool,
    /// Agree beforehand to accounts being created, changed and deleted.
    #[arg(long, requires = "conformance", conflicts_with = "read_only")]
    pub(crate) yes: bool,
    /// Make only these checks; "*" stands for any text, as in "paging-*".
    #[arg(long, requires = "conformance", value_name = "CHECK", value_delimiter = ',')]
    pub(crate) only: Vec<String>,
    /// List the checks with their rules, and make none.
    #[arg(long, requires = "conformance", conflicts_with_all = ["read_only", "yes", "junit"])]
    pub(crate) list: bool,
    /// Write the results to this file, as JUnit XML.
    #[arg(long, requires = "conformance", value_name = "FILE")]
    pub(crate) junit: Option<PathBuf>,
    /// Show on standard error what the connector and its target say to each other: HTTP exchanges, and the messages of `exec`.
    /// Secrets are taken out; personal data is not.
    #[arg(long, requires = "conformance")]
    pub(crate) trace: bool,
}

/// Tasks of an app.
#[derive(Args, Clone, Debug)]
pub(crate) struct Selected {
    /// The app, by its name in the configuration.
    #[arg(value_name = "APP")]
    pub(crate) app: String,
    /// The tasks, by the ids that `bridgehead tasks list` shows.
    #[arg(value_name = "TASK", required_unless_present = "all", conflicts_with = "all")]
    pub(crate) tasks: Vec<String>,
    /// All to which it applies.
    #[arg(long)]
    pub(crate) all: bool,
    /// Do nothing unless there are exactly this many: the number that `bridgehead tasks list` showed.
    #[arg(long, value_name = "N", conflicts_with = "tasks")]
    pub(crate) expect: Option<u64>,
}

/// What can be done with Bridge apps.
#[derive(Debug, Subcommand)]
pub(crate) enum Apps {
    /// List the Bridge apps that the key has access to.
    List,
    /// Pause an app of this daemon: no task is begun and no sync, until it is resumed. What runs is finished.
    ///
    /// It stays paused over restarts. Tasks stay pending in Iden. The status says so, and alarms about what stands still are quiet.
    Pause {
        /// The app, by its name in the configuration.
        #[arg(value_name = "APP")]
        app: String,
        /// Why, for those who wonder.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Let a paused app go on.
    Resume {
        /// The app, by its name in the configuration.
        #[arg(value_name = "APP")]
        app: String,
    },
    /// Create a Bridge app, and print what to write into the configuration.
    Create {
        /// Its name in Iden, 1 to 255 characters.
        name: String,
        /// The id of an app whose clone group it joins.
        #[arg(long, value_name = "APP_ID")]
        clone_from: Option<uuid::Uuid>,
    },
}

/// What is begun.
#[derive(Args, Debug)]
pub(crate) struct New {
    /// The connector's name: small letters, digits and hyphens, such as "jira".
    pub(crate) name: String,
    /// Rust for a crate with a daemon of its own, python or node for a program behind the connector "exec".
    #[arg(long, default_value = "rust")]
    pub(crate) lang: Language,
    /// What it speaks to as it is written: a web API, with a small one to try it on, or (in Rust) a JSON file.
    #[arg(long, default_value = "http")]
    pub(crate) template: Template,
    /// The folder to write into, which must be new or empty; the name in the current folder when absent.
    #[arg(long, value_name = "DIR")]
    pub(crate) path: Option<PathBuf>,
    /// Where bridgehead's source is, to compile a crate against: a checkout, or the URL of a git repository. When absent, the
    /// checkout that this program was built in; without one, the source that this program carries is written beside the crate.
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
    /// Where to listen. The sandbox is not made for a network: keep to loopback.
    #[arg(long, default_value = "127.0.0.1:8900")]
    pub(crate) listen: SocketAddr,
    /// The tenant in its base URL.
    #[arg(long, default_value = "sandbox")]
    pub(crate) tenant: String,
    /// The API key it takes.
    #[arg(long, default_value = "sandbox-key")]
    pub(crate) api_key: String,
    /// The id of an app to begin with; may be given several times.
    #[arg(long = "app", value_name = "APP_ID")]
    pub(crate) apps: Vec<uuid::Uuid>,
    /// How long the clean-up behind `complete` takes.
    #[arg(long, default_value = "1s", value_parser = duration)]
    pub(crate) cleanup_delay: Duration,
}

/// What can be done with the audit log.
#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Prove that no entry was changed, added or removed: exit code 1 and the first place where the chain breaks, if one was.
    ///
    /// What was cut off at the end can only be told with the head, which the daemon publishes as the metric bridgehead_audit_head. A
    /// running daemon is asked for it; with --head, it is the one that you have noted elsewhere.
    Verify {
        /// An entry that there must be: its number and hash, as the metric has shown them.
        #[arg(long, value_name = "SEQ:HASH")]
        head: Option<bridgehead_runtime::audit::Head>,
    },
    /// Show entries, oldest first.
    Show(AuditFilter),
    /// Write entries to standard output: JSON Lines, or CSV.
    Export {
        #[command(flatten)]
        filter: AuditFilter,
        /// In which form.
        #[arg(long, default_value = "json")]
        format: AuditFormat,
    },
}

/// Which entries.
#[derive(Args, Clone, Debug)]
pub(crate) struct AuditFilter {
    /// Of this app alone.
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Of this task alone.
    #[arg(long, value_name = "TASK")]
    pub(crate) task: Option<String>,
    /// Of this account alone.
    #[arg(long, value_name = "ACCOUNT")]
    pub(crate) account: Option<String>,
    /// Not older: a time such as 2026-11-27T09:00:00Z, a date, or a span such as 24h.
    #[arg(long, value_name = "TIME", value_parser = super::audit::since)]
    pub(crate) since: Option<jiff::Timestamp>,
}

/// In which form entries are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum AuditFormat {
    /// A line of JSON an entry, as it stands in the log.
    Json,
    /// For spreadsheets.
    Csv,
}

/// What can be seen of the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum Config {
    /// Show what files, environment and defaults add up to, and where each key comes from. Secrets are not shown.
    Show,
    /// Print the JSON schema of the configuration, for editors.
    Schema {
        /// Print the keys of a connector's `target` as a table in Markdown instead, or of `conformance`.
        #[arg(long, hide = true, value_name = "CONNECTOR")]
        markdown: Option<String>,
    },
}

fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration =
        text.parse().map_err(|_| "must be a duration such as \"500ms\" or \"30s\"")?;
    Duration::try_from(span).map_err(|_| "must not be negative".to_owned())
}
