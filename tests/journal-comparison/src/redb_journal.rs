//! redb: B-trees in one file that are copied on write.

use std::path::{Path, PathBuf};

use redb::{Database, Durability, TableDefinition};

use crate::Failure;
use crate::group::{Engine, Write};

const INTENTS: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("intents");
const OUTCOMES: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("outcomes");
const ENDED: TableDefinition<'_, &str, u8> = TableDefinition::new("ended");

pub struct Journal {
    database: Database,
    path: PathBuf,
}

impl Journal {
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let path = folder.join("journal.redb");
        Ok(Self { database: Database::create(&path)?, path })
    }
}

impl Engine for Journal {
    fn commit(&mut self, writes: &[Write]) -> Result<(), Failure> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut intents = transaction.open_table(INTENTS)?;
            let mut outcomes = transaction.open_table(OUTCOMES)?;
            let mut ended = transaction.open_table(ENDED)?;
            for write in writes {
                match write {
                    Write::Intent(task, payload) => drop(intents.insert(task.as_str(), payload.as_slice())?),
                    Write::Outcome(task, payload) => {
                        drop(outcomes.insert(task.as_str(), payload.as_slice())?);
                    }
                    Write::Ended(task) => {
                        outcomes.remove(task.as_str())?;
                        ended.insert(task.as_str(), 3)?;
                    }
                }
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn reader_beside(&self) -> String {
        let read = redb::ReadOnlyDatabase::open(&self.path);
        read.map_or_else(|error| error.to_string(), |_| "reads".to_owned())
    }
}
