//! The database with all that is known of it.

use crate::fault::Verdicts;
use crate::plan::Plan;
use crate::pool::Pool;

/// The database, and what is read and run in it.
pub(crate) struct Database {
    pub(crate) plan: Plan,
    pub(crate) pool: Pool,
    pub(crate) verdicts: Verdicts,
}
