//! One table in SQLite, with the settings of the journal: a write-ahead log, synced with each commit, and erased cells.

use std::path::Path;

use rusqlite::{Connection, params};

use crate::Failure;
use crate::group::{Engine, Write};

pub struct Table(Connection);

impl Table {
    pub fn open(folder: &Path) -> Result<Self, Failure> {
        let connection = Connection::open(folder.join("journal.db"))?;
        connection.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA cache_size = -8192; \
             CREATE TABLE tasks (task TEXT PRIMARY KEY, state INTEGER NOT NULL, intent BLOB NOT NULL, outcome BLOB) WITHOUT ROWID",
        )?;
        Ok(Self(connection))
    }
}

impl Engine for Table {
    fn commit(&mut self, writes: &[Write]) -> Result<(), Failure> {
        let transaction = self.0.transaction()?;
        {
            let mut intent = transaction.prepare_cached(
                "INSERT INTO tasks VALUES (?1, 1, ?2, NULL) ON CONFLICT DO UPDATE SET intent = excluded.intent",
            )?;
            let mut outcome =
                transaction.prepare_cached("UPDATE tasks SET state = 2, outcome = ?2 WHERE task = ?1")?;
            let mut ended =
                transaction.prepare_cached("UPDATE tasks SET state = 3, outcome = NULL WHERE task = ?1")?;
            for write in writes {
                match write {
                    Write::Intent(task, payload) => intent.execute(params![task, payload])?,
                    Write::Outcome(task, payload) => outcome.execute(params![task, payload])?,
                    Write::Ended(task) => ended.execute(params![task])?,
                };
            }
        }
        transaction.commit()?;
        Ok(())
    }

    fn reader_beside(&self) -> String {
        let path = self.0.path().unwrap_or_default();
        let read = Connection::open(path).and_then(|reader| {
            reader.query_row("SELECT count(*) FROM tasks", [], |row| row.get::<_, i64>(0))
        });
        read.map_or_else(|error| error.to_string(), |_| "reads".to_owned())
    }
}
