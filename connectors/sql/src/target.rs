//! The database with all that is known of it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use tokio::sync::OnceCell;

use crate::fault::Verdicts;
use crate::plan::Plan;
use crate::pool::Pool;
use crate::snapshots::Snapshots;

/// The database, and what is read and run in it.
pub(crate) struct Database {
    pub(crate) plan: Plan,
    pub(crate) pool: Arc<Pool>,
    pub(crate) verdicts: Verdicts,
    pub(crate) snapshots: Snapshots,
    /// The fields whose columns are time stamps of MySQL, which takes them without the zone that it gives them with.
    pub(crate) stamps: OnceCell<BTreeSet<String>>,
    /// Whether it was said that accounts cannot be locked.
    pub(crate) lock_is_refused: AtomicBool,
}
