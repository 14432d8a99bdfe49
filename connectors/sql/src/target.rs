//! The database, with everything that is known about it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::OnceCell;

use crate::fault::Verdicts;
use crate::plan::Plan;
use crate::pool::Pool;
use crate::snapshots::Snapshots;

/// The database, and the statements that run in it.
pub(crate) struct Database {
    pub(crate) plan: Plan,
    pub(crate) pool: Arc<Pool>,
    pub(crate) verdicts: Verdicts,
    pub(crate) snapshots: Snapshots,
    /// The fields whose columns are MySQL time stamps, which are returned with a zone but only accepted without one.
    pub(crate) stamps: OnceCell<BTreeSet<String>>,
    /// Whether it was already logged that accounts cannot be locked.
    pub(crate) lock_is_refused: AtomicBool,
}
