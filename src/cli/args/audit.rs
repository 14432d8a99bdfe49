//! The arguments of `audit`.

use clap::{Args, Subcommand};

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
    #[arg(long, value_name = "TIME", value_parser = crate::cli::audit::since)]
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
