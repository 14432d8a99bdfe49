//! The arguments of `call` and of `check --conformance`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;

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
