//! The folder side of a move: reads its rows, and fills it.

use futures::TryStreamExt;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{AssertSqlSafe, Row as _};

use super::{Kind, Row, Sum, TABLES, Table, Value};
use crate::Error;
use crate::sqlite::Sqlite;
use crate::sqlite::filling::Fill;

/// The number of rows that are written together.
const PIECE: usize = 500;

fn value(row: &SqliteRow, number: usize, kind: Kind) -> Result<Value, sqlx::Error> {
    Ok(match kind {
        Kind::Integer | Kind::Flag => {
            row.try_get::<Option<i64>, _>(number)?.map_or(Value::Nothing, Value::Integer)
        }
        Kind::Word | Kind::Text => row
            .try_get::<Option<String>, _>(number)?
            .map_or(Value::Nothing, |text| Value::Bytes(text.into_bytes())),
        Kind::Bytes => row.try_get::<Option<Vec<u8>>, _>(number)?.map_or(Value::Nothing, Value::Bytes),
    })
}

fn read(row: &SqliteRow, table: &Table) -> Result<Row, sqlx::Error> {
    table.columns.iter().enumerate().map(|(number, column)| value(row, number, column.kind)).collect()
}

/// Passes all rows of a table to `take`, in pieces.
pub(super) async fn pieces<F>(
    connection: &mut SqliteConnection,
    table: &Table,
    mut take: F,
) -> Result<Sum, PieceError>
where
    F: AsyncFnMut(Vec<Row>) -> Result<(), Error>,
{
    let query = AssertSqlSafe(table.select_sqlite());
    let mut rows = sqlx::query(query).fetch(connection);
    let (mut sum, mut piece) = (Sum::default(), Vec::with_capacity(PIECE));
    while let Some(row) = rows.try_next().await.map_err(PieceError::Read)? {
        let row = read(&row, table).map_err(PieceError::Read)?;
        sum.add(&row);
        piece.push(row);
        if piece.len() == PIECE {
            take(std::mem::take(&mut piece)).await.map_err(PieceError::Take)?;
        }
    }
    if !piece.is_empty() {
        take(piece).await.map_err(PieceError::Take)?;
    }
    Ok(sum)
}

/// The side that failed.
pub(super) enum PieceError {
    Read(sqlx::Error),
    Take(Error),
}

/// Adds rows to the state in a folder.
pub(super) async fn fill(state: &Sqlite, table: &'static Table, rows: Vec<Row>) -> Result<(), Error> {
    state.fill(Fill { table, rows }).await
}

/// The checksums of the state in a folder, table by table.
pub(super) async fn sums(state: &Sqlite) -> Result<Vec<Sum>, Error> {
    let mut sums = Vec::new();
    for table in TABLES {
        let mut connection = state.reader(table.is_listing).await?;
        let sum = pieces(&mut connection, table, async |_| Ok(())).await;
        sums.push(sum.map_err(|error| match error {
            PieceError::Read(error) => state.read_fault(table.is_listing, error),
            PieceError::Take(error) => error,
        })?);
    }
    Ok(sums)
}
