//! The arguments of `tasks`.

use clap::{Args, Subcommand};

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
    #[command(allow_missing_positional = true)]
    Show {
        /// The app, by its name in the configuration. When absent, the task is looked for in all apps.
        #[arg(value_name = "APP")]
        app: Option<String>,
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
