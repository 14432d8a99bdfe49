//! fjall: log-structured merge trees behind one write-ahead log.

use std::path::{Path, PathBuf};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use crate::Failure;
use crate::group::{Engine, Write};

pub struct Journal {
    database: Database,
    intents: Keyspace,
    outcomes: Keyspace,
    ended: Keyspace,
    path: PathBuf,
}

impl Journal {
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("journal.fjall");
        let database = Database::builder(&path).open()?;
        let keyspace = |name| database.keyspace(name, KeyspaceCreateOptions::default);
        let (intents, outcomes, ended) = (keyspace("intents")?, keyspace("outcomes")?, keyspace("ended")?);
        Ok(Self { database, intents, outcomes, ended, path })
    }
}

impl Engine for Journal {
    fn commit(&mut self, writes: &[Write]) -> Result<(), Failure> {
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        for write in writes {
            match write {
                Write::Intent(task, payload) => {
                    batch.insert(&self.intents, task.as_str(), payload.as_slice());
                }
                Write::Outcome(task, payload) => {
                    batch.insert(&self.outcomes, task.as_str(), payload.as_slice());
                }
                Write::Ended(task) => {
                    batch.remove(&self.outcomes, task.as_str());
                    batch.insert(&self.ended, task.as_str(), [3]);
                }
            }
        }
        batch.commit()?;
        Ok(())
    }

    fn reader_beside(&self) -> String {
        let read = Database::builder(&self.path).open();
        read.map_or_else(|error| format!("{error:?}"), |_| "reads".to_owned())
    }
}
