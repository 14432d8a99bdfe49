//! The whole of the durable state, wherever it is.

use async_trait::async_trait;

use super::{AppKey, Error, HistoryStore, SnapshotStore, Sqlite, TaskJournal};

/// All three of the traits, as one value: for those to whom it is one whether the state is in a folder or in a database.
#[async_trait]
pub trait StateStore: TaskJournal + SnapshotStore + HistoryStore {
    /// The apps that the state knows of.
    async fn known_apps(&self) -> Result<Vec<AppKey>, Error>;

    /// The versions of its tables, by what they hold.
    async fn versions(&self) -> Result<std::collections::BTreeMap<&'static str, i64>, Error>;

    /// Runs what waits, and gives the state back. Every other clone gets [`Error::Closed`] after that. Unless everything that was
    /// begun `is_over`, another node waits until no call of this one can be under way any more.
    async fn shut(&self, is_over: bool);
}

#[async_trait]
impl StateStore for Sqlite {
    async fn known_apps(&self) -> Result<Vec<AppKey>, Error> {
        self.apps().await
    }

    async fn versions(&self) -> Result<std::collections::BTreeMap<&'static str, i64>, Error> {
        self.schema_versions().await
    }

    async fn shut(&self, _is_over: bool) {
        self.clone().close().await;
    }
}
