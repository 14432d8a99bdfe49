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
mod doubts;
mod entry;
mod fence;
mod files;
mod grouped;
mod history;
mod holds;
mod lineage;
mod lock;
mod losses;
mod noted;
mod open;
mod process;
mod read_only_copy;
mod retention;
mod runs;
mod secure_delete;
mod snapshots;
mod store;
mod tasks;
#[cfg(test)]
mod tests;
mod time;
mod told;
mod versions;
mod witness;
mod writer;

pub use backup::{Backup, Restored, back_up, last_backup, read_backup, restore};
pub use files::TASKS as TASKS_FILE;
pub use open::{Sqlite, Stats};
pub use writer::{CommitPhase, Observer, Step};
