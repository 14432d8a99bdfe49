//! What can be written on the command line.

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

Exit codes: 0 fine, 1 failed, 2 wrong usage, 74 the output could not be written, 75 try again later, 78 something is wrong with\nthe configuration.";

/// What goes with every command.
#[derive(Args, Clone, Debug)]
pub(crate) struct Global {
    /// A TOML file, or a folder whose *.toml are merged in name order; may be given several times, later wins.
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        default_value = "/etc/bridgehead",
        env = "BRIDGEHEAD_CONFIG",
        value_delimiter = ':'
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
    /// [apps.NAME.conformance] in the configuration says what the kit cannot know: docs/connector-author.md.
    Check {
        /// The apps to check; all when none is named.
        #[arg(value_name = "APP")]
        apps: Vec<String>,
        /// Check the configuration only: no network, no target.
        #[arg(long, conflicts_with = "conformance")]
        offline: bool,
        #[command(flatten)]
        kit: Kit,
    },
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
    },
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
    /// Report again what Iden refused (400), once, as it was decided then. Nothing is executed again.
    ///
    /// `bridgehead tasks list APP --rejected` shows these reports, with what Iden said. What a connector added to a result was
    /// erased when the report was refused; the account's id was kept.
    Retry(Selected),
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
    /// How many at most, of each app [default: 50; with --json all].
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// How a connector is proven.
#[derive(Args, Clone, Debug)]
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
