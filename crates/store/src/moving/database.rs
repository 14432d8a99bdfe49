//! The database side of a move, and the two moves.

use std::collections::BTreeMap;
use std::path::Path;

use futures::TryStreamExt;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row as _};
use uuid::Uuid;

use super::folder::{self, PieceError};
use super::{Kind, Moved, Row, Sum, TABLES, Table, Value};
use crate::Error;
use crate::postgres::connect::Server;
use crate::postgres::open::{self as opening, Settings};
use crate::postgres::owners;
use crate::sqlite::Sqlite;
use crate::sqlite::given_up::{self, Mark};
use crate::sqlite::open::blocking;
use crate::sqlite::receiving::{self, Receiving};

/// The number of rows that are passed on together.
const PIECE: usize = 1000;

/// Moves the state of a folder into a database that has no state.
pub async fn to_database(from: &Path, settings: &Settings) -> Result<Moved, Error> {
    let server = Server::of(settings);
    let mut connection = server.check().await?;
    opening::bring_up_tables(&server, &mut connection).await?;
    let state = Sqlite::open_to_move(from).await?.ok_or_else(|| Error::Backup {
        path: from.to_owned(),
        problem: "there is no state in this folder".to_owned(),
    })?;
    let moved = fill_database(&server, &mut connection, &state, from).await;
    state.close().await;
    drop(connection.close().await);
    let rows = moved?;
    let folder = from.to_owned();
    let kept = blocking(move || receiving::put_aside(&folder)).await?;
    Ok(Moved { rows, kept })
}

async fn fill_database(
    server: &Server,
    connection: &mut PgConnection,
    state: &Sqlite,
    from: &Path,
) -> Result<BTreeMap<&'static str, u64>, Error> {
    let fault = |error| server.fault(error);
    let mut transaction = connection.begin().await.map_err(fault)?;
    nobody_has_it(server, &mut transaction).await?;
    let lineage: Option<(String, Option<String>)> = sqlx::query_as("SELECT identity, moved_to FROM lineage")
        .fetch_optional(&mut *transaction)
        .await
        .map_err(fault)?;
    let is_left_behind = lineage.as_ref().is_some_and(|(_, moved_to)| moved_to.is_some());
    let has_state = !is_left_behind && has_state(server, &mut transaction).await?;
    if has_state {
        // An earlier move may have been interrupted when its copy was already valid.
        let mark = given_up::mark(from)?;
        if let (Some(mark), Some((identity, _))) = (mark, lineage)
            && mark.identity == identity
        {
            return Ok(BTreeMap::new());
        }
        return Err(server.unfit(
            "it already contains state, so nothing was moved; use an empty database, or drop the tables of this one",
        ));
    }
    for table in TABLES {
        transaction.execute(AssertSqlSafe(format!("TRUNCATE {}", table.name))).await.map_err(fault)?;
    }
    let identity = Uuid::new_v4().simple().to_string();
    transaction.execute("DELETE FROM lineage").await.map_err(fault)?;
    sqlx::query("INSERT INTO lineage (identity) VALUES ($1)")
        .bind(&identity)
        .execute(&mut *transaction)
        .await
        .map_err(fault)?;
    let mut rows = BTreeMap::new();
    for table in TABLES {
        let mut source = state.reader(table.is_listing).await?;
        let copied = {
            let target = &mut transaction;
            folder::pieces(&mut source, table, async |piece| {
                insert(target, table, piece).await.map_err(fault)
            })
            .await
        };
        let copied = copied.map_err(|error| match error {
            PieceError::Read(error) => state.read_fault(table.is_listing, error),
            PieceError::Take(error) => error,
        })?;
        let found = pieces(&mut transaction, table, async |_| Ok(())).await.map_err(|error| match error {
            PieceError::Read(error) => fault(error),
            PieceError::Take(error) => error,
        })?;
        same(table, copied, found)?;
        rows.insert(table.name, copied.rows);
        if let Some(numbered) = table.numbered {
            let next = format!(
                "SELECT setval(pg_get_serial_sequence('{0}', '{numbered}'), max({numbered})) FROM {0} HAVING max({numbered}) IS NOT NULL",
                table.name
            );
            transaction.execute(AssertSqlSafe(next)).await.map_err(fault)?;
        }
    }
    // This comes before the commit that makes the copy valid: from now on, no process continues with the folder.
    let mark = Mark { identity, place: server.address.to_string() };
    let folder = from.to_owned();
    blocking(move || receiving::set_mark(&folder, &mark)).await?;
    transaction.commit().await.map_err(fault)?;
    Ok(rows)
}

/// Moves the state of a database into a folder that has no state.
pub async fn to_folder(settings: &Settings, to: &Path) -> Result<Moved, Error> {
    let server = Server::of(settings);
    let fault = |error| server.fault(error);
    let mut connection = server.check().await?;
    if !opening::is_made(&server, &mut connection).await? {
        return Err(server.unfit("there is no state in it"));
    }
    opening::bring_up_tables(&server, &mut connection).await?;
    let folder = to.to_owned();
    let receiving = blocking(move || Receiving::prepare(&folder)).await?;
    let mut transaction = connection.begin().await.map_err(fault)?;
    nobody_has_it(&server, &mut transaction).await?;
    let place = to.display().to_string();
    let moved_to: Option<String> = sqlx::query_scalar("SELECT max(moved_to) FROM lineage")
        .fetch_one(&mut *transaction)
        .await
        .map_err(fault)?;
    if let Some(elsewhere) = moved_to.filter(|elsewhere| *elsewhere != place) {
        return Err(Error::Moved { from: server.address.to_string(), to: elsewhere });
    }
    let workshop = receiving.workshop();
    let state = Sqlite::open_to_help(&workshop).await?;
    let filled = fill_folder(&server, &mut transaction, &state).await;
    state.close().await;
    let rows = filled?;
    sqlx::query("UPDATE lineage SET moved_to = $1")
        .bind(&place)
        .execute(&mut *transaction)
        .await
        .map_err(fault)?;
    // This comes before the folder becomes valid: from now on, no node continues with the database.
    transaction.commit().await.map_err(fault)?;
    drop(connection.close().await);
    blocking(move || receiving.finish()).await?;
    Ok(Moved { rows, kept: None })
}

async fn fill_folder(
    server: &Server,
    connection: &mut PgConnection,
    state: &Sqlite,
) -> Result<BTreeMap<&'static str, u64>, Error> {
    state.empty().await?;
    let mut copied = Vec::new();
    for table in TABLES {
        copied.push(copy_table(server, connection, table, state).await?);
    }
    let mut rows = BTreeMap::new();
    for ((table, copied), found) in TABLES.iter().zip(copied).zip(folder::sums(state).await?) {
        same(table, copied, found)?;
        rows.insert(table.name, copied.rows);
    }
    Ok(rows)
}

/// Copies a table from a database into a folder.
pub(crate) async fn copy_table(
    server: &Server,
    connection: &mut PgConnection,
    table: &'static Table,
    state: &Sqlite,
) -> Result<Sum, Error> {
    let copied = pieces(connection, table, async |piece| folder::fill(state, table, piece).await).await;
    copied.map_err(|error| match error {
        PieceError::Read(error) => server.fault(error),
        PieceError::Take(error) => error,
    })
}

fn same(table: &Table, copied: Sum, found: Sum) -> Result<(), Error> {
    if copied == found {
        return Ok(());
    }
    Err(Error::Unreadable {
        what: format!("what was copied of the table {}", table.name),
        detail: format!(
            "{} rows were copied, {} are there, or their content differs; nothing was moved",
            copied.rows, found.rows
        ),
    })
}

/// Prevents all nodes from taking a lease until the transaction ends, and checks that no node has one.
async fn nobody_has_it(server: &Server, connection: &mut PgConnection) -> Result<(), Error> {
    connection.execute("LOCK TABLE owners IN EXCLUSIVE MODE").await.map_err(|error| server.fault(error))?;
    let owners = owners::all(server, connection).await?;
    match owners.into_iter().find(|owner| !owner.lasts_for.is_zero()) {
        None => Ok(()),
        Some(owner) => Err(Error::Owned {
            place: server.address.to_string(),
            node: owner.node,
            lasts_for: owner.lasts_for,
        }),
    }
}

/// Whether the tables contain anything apart from the rows that new state starts with.
async fn has_state(server: &Server, connection: &mut PgConnection) -> Result<bool, Error> {
    for table in TABLES.iter().filter(|table| table.name != "doubts") {
        let query = format!("SELECT EXISTS (SELECT 1 FROM {})", table.name);
        let found: bool = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(&mut *connection)
            .await
            .map_err(|error| server.fault(error))?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Passes all rows of a table to `take`, in pieces.
async fn pieces<F>(connection: &mut PgConnection, table: &Table, mut take: F) -> Result<Sum, PieceError>
where
    F: AsyncFnMut(Vec<Row>) -> Result<(), Error>,
{
    let query = AssertSqlSafe(table.select_postgres());
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

fn read(row: &PgRow, table: &Table) -> Result<Row, sqlx::Error> {
    let value = |number: usize, kind: Kind| -> Result<Value, sqlx::Error> {
        let integer = |found: Option<i64>| found.map_or(Value::Nothing, Value::Integer);
        let bytes = |found: Option<Vec<u8>>| found.map_or(Value::Nothing, Value::Bytes);
        Ok(match kind {
            Kind::Integer => integer(row.try_get(number)?),
            Kind::Flag => integer(row.try_get::<Option<bool>, _>(number)?.map(i64::from)),
            Kind::Word => bytes(row.try_get::<Option<String>, _>(number)?.map(String::into_bytes)),
            Kind::Text | Kind::Bytes => bytes(row.try_get(number)?),
        })
    };
    table.columns.iter().enumerate().map(|(number, column)| value(number, column.kind)).collect()
}

/// Adds rows, each column as one array.
async fn insert(connection: &mut PgConnection, table: &Table, rows: Vec<Row>) -> Result<(), sqlx::Error> {
    let mut columns: Vec<Vec<Value>> = table.columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let mut query = sqlx::query(AssertSqlSafe(table.insert_postgres()));
    for (column, values) in table.columns.iter().zip(columns) {
        let integers = |value: Value| if let Value::Integer(number) = value { Some(number) } else { None };
        let bytes = |value: Value| if let Value::Bytes(bytes) = value { Some(bytes) } else { None };
        query = match column.kind {
            Kind::Integer => query.bind(values.into_iter().map(integers).collect::<Vec<_>>()),
            Kind::Flag => query.bind(
                values.into_iter().map(|value| integers(value).map(|number| number != 0)).collect::<Vec<_>>(),
            ),
            Kind::Word => {
                let text = |value| match bytes(value).map(String::from_utf8) {
                    Some(Ok(text)) => Ok(Some(text)),
                    Some(Err(error)) => Err(sqlx::Error::Decode(Box::new(error))),
                    None => Ok(None),
                };
                query.bind(values.into_iter().map(text).collect::<Result<Vec<_>, _>>()?)
            }
            Kind::Text | Kind::Bytes => query.bind(values.into_iter().map(bytes).collect::<Vec<_>>()),
        };
    }
    query.execute(connection).await?;
    Ok(())
}
