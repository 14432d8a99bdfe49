//! Taking over rows that were state elsewhere.

use async_trait::async_trait;
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, SqliteConnection};

use super::super::Error;
use super::super::moving::{Kind, Row, Table, Value};
use super::open::Sqlite;
use super::writer::{Problem, Write};

/// Rows of one table.
pub(crate) struct Fill {
    pub(crate) table: &'static Table,
    pub(crate) rows: Vec<Row>,
}

#[async_trait]
impl Write for Fill {
    type Answer = ();
    const NAME: &'static str = "fill";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        let insert = self.table.insert_sqlite();
        for row in &self.rows {
            let mut query = sqlx::query(AssertSqlSafe(insert.as_str().to_owned()));
            for (value, column) in row.iter().zip(self.table.columns) {
                query = match (value, column.kind) {
                    (Value::Nothing, _) => query.bind(None::<i64>),
                    (Value::Integer(number), _) => query.bind(*number),
                    (Value::Bytes(bytes), Kind::Word | Kind::Text) => query
                        .bind(String::from_utf8(bytes.clone()).map_err(|_| self.unreadable(column.sqlite))?),
                    (Value::Bytes(bytes), _) => query.bind(bytes.clone()),
                };
            }
            query.execute(&mut *connection).await?;
        }
        Ok(())
    }
}

impl Fill {
    fn unreadable(&self, column: &str) -> Error {
        Error::Unreadable {
            what: format!("a row of the table {}", self.table.name),
            detail: format!("its {column} is not text"),
        }
    }
}

/// Begins without what new state begins with.
pub(crate) struct Empty;

#[async_trait]
impl Write for Empty {
    type Answer = ();
    const NAME: &'static str = "empty";

    async fn run(&mut self, connection: &mut SqliteConnection) -> Result<(), Problem> {
        sqlx::query("DELETE FROM doubts").execute(connection).await?;
        Ok(())
    }
}

impl Sqlite {
    /// Forgets that it is new.
    pub(crate) async fn empty(&self) -> Result<(), Error> {
        self.tasks().write(Empty).await
    }

    pub(crate) async fn fill(&self, rows: Fill) -> Result<(), Error> {
        let store = if rows.table.is_listing { self.listings() } else { self.tasks() };
        store.write(rows).await
    }

    /// A connection that reads.
    pub(crate) async fn reader(&self, is_listing: bool) -> Result<PoolConnection<sqlx::Sqlite>, Error> {
        let store = if is_listing { self.listings() } else { self.tasks() };
        store.readers().acquire().await.map_err(|error| store.fault(error))
    }

    /// What an error of such a connection means.
    pub(crate) fn read_fault(&self, is_listing: bool, error: sqlx::Error) -> Error {
        let store = if is_listing { self.listings() } else { self.tasks() };
        store.fault(error)
    }
}
