//! State in SQLite, in one folder.
//!
//! The folder contains two databases, `tasks.db` for the [`TaskJournal`](super::TaskJournal) and `listings.db` for the
//! [`SnapshotStore`](super::SnapshotStore), and the files `lock` and `witness`. There are two databases because a sync of a million records
//! must not delay the writes of tasks, and because losing snapshots is acceptable, while losing the journal is not.
//!
//! Each database has a few read-only connections, and one writer ([`writer`]), which runs waiting writes in one transaction and responds
//! after the commit.

mod attempts;
mod backup;
mod chunks;
mod commit;
mod custody;
pub(crate) mod doubts;
pub(crate) mod entry;
mod fence;
pub(crate) mod files;
#[cfg(feature = "postgres")]
pub(crate) mod filling;
pub(crate) mod given_up;
mod grouped;
pub(crate) mod history;
mod holds;
mod lineage;
pub(crate) mod lock;
pub(crate) mod losses;
mod noted;
pub(crate) mod open;
pub(crate) mod outcomes;
mod process;
mod read_only_copy;
#[cfg(feature = "postgres")]
pub(crate) mod receiving;
mod retention;
pub(crate) mod runs;
pub(crate) mod secure_delete;
pub(crate) mod snapshots;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
pub(crate) mod time;
mod told;
mod versions;
pub(crate) mod witness;
mod writer;

pub use backup::{Backup, Restored, back_up, last_backup, read_backup, restore};
pub use files::TASKS as TASKS_FILE;
pub use open::{Sqlite, Stats};
pub use writer::{CommitPhase, Observer, Step};
