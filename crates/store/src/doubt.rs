//! Whether the journal may lack tasks that were started.

use jiff::{SignedDuration, Timestamp};

/// The tolerated difference by which Iden's clock may be ahead of this machine's.
pub(super) const CLOCKS: SignedDuration = SignedDuration::from_hours(1);

/// Tasks may have been started that this journal does not contain: it is new, was lost, or is an old copy.
///
/// # Flow
/// Before the first attempt at a task that the journal does not know, call [`TaskJournal::doubted`](super::TaskJournal::doubted). If there
/// is a doubt that [covers](Self::covers) the task, read the account back first, exactly as after a crash: an earlier attempt may have been
/// applied.
///
/// A doubt with the reason [`Reason::New`] is a question. A folder without state is a new installation only if Iden has never synced the
/// app: ask Iden for the app's `last_synced_at`, and pass the answer to [`TaskJournal::settle_new`](super::TaskJournal::settle_new), which
/// stores it. Until Iden answers, treat the question as a doubt: an error does not prove that nothing was lost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// When it was found.
    pub found_at: Timestamp,
    /// The time before which Iden may have created tasks that a lost journal contained. Includes an hour for clock differences.
    pub until: Timestamp,
    /// What was found.
    pub reason: Reason,
}

impl Doubt {
    /// Whether a task created at this time may have been started with a lost journal. Always true without a time.
    pub fn covers(&self, created_at: Option<Timestamp>) -> bool {
        created_at.is_none_or(|created_at| created_at <= self.until)
    }

    /// Whether Iden must still be asked if the app was ever synced.
    pub fn is_question(&self) -> bool {
        self.reason == Reason::New
    }
}

/// Why a journal is doubted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The folder contained no state at all, and it is not known yet whether the app was synced before.
    #[error("the state folder was empty")]
    New,
    /// The folder contained no state at all, and an earlier state had synced with Iden.
    #[error("the state folder was empty, although the app had been synced before")]
    NewButSynced,
    /// The rest of the state exists, but the journal is missing or empty.
    #[error("the task journal tasks.db was missing or empty, although other state was present")]
    Missing,
    /// The journal lacks earlier commits: it is an old copy, or its write-ahead log is missing.
    #[error(
        "the task journal tasks.db is out of date: it is an old copy, or its write-ahead log was removed"
    )]
    Older,
    /// The journal belongs to another folder.
    #[error("the task journal belongs to a different state folder or database")]
    Foreign,
    /// Nothing records the journal's last commit.
    #[error("the file 'witness', which records the last commit of the task journal, is missing")]
    WitnessMissing,
    /// The record of the journal's last commit cannot be read.
    #[error(
        "the witness file in the state folder, which records the last commit of the task journal, is damaged"
    )]
    WitnessDamaged,
    /// The state was restored from a backup.
    #[error("the state was restored from a backup, which knows nothing of what was done after it was made")]
    Restored,
}

impl Reason {
    /// All reasons.
    pub const ALL: [Self; 8] = [
        Self::New,
        Self::NewButSynced,
        Self::Missing,
        Self::Older,
        Self::Foreign,
        Self::WitnessMissing,
        Self::WitnessDamaged,
        Self::Restored,
    ];

    /// The name, such as `missing`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::NewButSynced => "new_but_synced",
            Self::Missing => "missing",
            Self::Older => "older",
            Self::Foreign => "foreign",
            Self::WitnessMissing => "witness_missing",
            Self::WitnessDamaged => "witness_damaged",
            Self::Restored => "restored",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubt_covers_tasks_the_lost_journal_may_have_started() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let doubt = Doubt { found_at: at(10), until: at(20), reason: Reason::Missing };
        assert!(doubt.covers(Some(at(20))) && doubt.covers(None), "nothing says that it is younger");
        assert!(!doubt.covers(Some(at(21))));
    }
}
