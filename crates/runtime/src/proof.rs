//! Types that prove that a required earlier step has happened.
//!
//! Each can only be constructed by the part of the runtime that performed the step, so the compiler checks the order. No other code can
//! construct one:
//!
//! ```
//! use bridgehead_runtime::proof::{CompletionPermit, IntentRecorded, OutcomeRecorded};
//!
//! fn said(proof: &OutcomeRecorded) -> &bridgehead_store::Outcome {
//!     proof.outcome()
//! }
//! ```
//!
//! ```compile_fail,E0451
//! let forged = bridgehead_runtime::proof::IntentRecorded { task: "t-1".into(), attempt: 1 };
//! ```
//!
//! ```compile_fail,E0451
//! let forged = bridgehead_runtime::proof::OutcomeRecorded {
//!     outcome: bridgehead_store::Outcome::Completed { result: None },
//! };
//! ```
//!
//! ```compile_fail,E0451
//! let (tasks, reports) = (tokio::sync::RwLock::new(()), tokio::sync::RwLock::new(()));
//! let forged = bridgehead_runtime::proof::CompletionPermit {
//!     _quiet: tasks.try_write().unwrap(),
//!     _reports: reports.try_write().unwrap(),
//! };
//! ```
//!
//! A sync goes through its phases in a fixed order. The last one completes the session:
//!
//! ```
//! use bridgehead_runtime::proof::Completing;
//! use tokio_util::sync::CancellationToken;
//!
//! async fn end(phase: Completing<'_, '_>, stop: &CancellationToken) {
//!     drop(phase.complete(stop).await);
//! }
//! ```
//!
//! While the target is still being read, it cannot be completed:
//!
//! ```compile_fail,E0599
//! use bridgehead_runtime::proof::Reading;
//! use tokio_util::sync::CancellationToken;
//!
//! async fn end(phase: Reading<'_, '_>, stop: &CancellationToken) {
//!     drop(phase.complete(stop).await);
//! }
//! ```

use bridgehead_sdk::TaskId;

pub use crate::sync::phases::checking::CompletionPermit;
pub use crate::sync::phases::completing::Completing;
pub use crate::sync::phases::reading::Reading;
use bridgehead_store::{Entry, Intent, Outcome, State};

/// The intent of an attempt is durable, so the connector may be called.
#[derive(Debug)]
#[must_use]
pub struct IntentRecorded {
    task: TaskId,
    attempt: u32,
}

impl IntentRecorded {
    /// Only for the store.
    pub(super) fn by_the_store(intent: &Intent) -> Self {
        Self { task: intent.task.clone(), attempt: intent.attempt }
    }

    /// Whether this intent belongs to the given attempt.
    pub fn is_of(&self, task: &TaskId, attempt: u32) -> bool {
        self.task == *task && self.attempt == attempt
    }
}

/// The outcome of a task is durable, so it may be reported to Iden.
#[derive(Debug)]
#[must_use]
pub struct OutcomeRecorded {
    outcome: Outcome,
}

impl OutcomeRecorded {
    /// Only for the store.
    pub(super) fn by_the_store(outcome: Outcome) -> Self {
        Self { outcome }
    }

    /// An outcome read from the journal is durable.
    pub(super) fn in_journal(entry: &Entry) -> Option<Self> {
        match &entry.state {
            State::Decided(outcome) => Some(Self { outcome: outcome.clone() }),
            State::Ended(_) => entry.kept.as_ref().map(|kept| Self { outcome: kept.outcome() }),
            State::Intended => None,
        }
    }

    /// The outcome to report.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }
}
