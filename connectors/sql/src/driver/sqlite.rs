//! A connection to an SQLite file.

use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures::TryStreamExt;
use serde_json::{Number, Value};
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteValueRef};
use sqlx::{
    Arguments, AssertSqlSafe, Column, ConnectOptions, Connection, Decode, Either, Executor, Row, SqlSafeStr,
    Sqlite as Db, Statement, TypeInfo, ValueRef,
};
use tokio::time::Instant;

use super::session::{Answer, Columns, Session, Transaction, hexadecimal, unreadable};
use super::target::{Place, Target};
use crate::fault::{Fault, Kind as FaultKind, read};
use crate::plan::Kind;
use crate::settings::Engine;
use crate::value::{Bound, Scalar};

/// The number of virtual machine steps between two checks of the clock: some tenths of a millisecond.
const STEPS: i32 = 10_000;

/// A case-insensitive collation for all of Unicode: SQLite's own NOCASE and `lower()` only cover ASCII.
const NO_CASE: &str = "UNICODE_NOCASE";

struct Sqlite {
    connection: SqliteConnection,
    path: PathBuf,
    /// Device and inode of the opened file: a file that replaces it is a different database.
    identity: (u64, u64),
    timeout: Duration,
    /// When to interrupt the running statement: SQLite has no time limit itself.
    deadline: Arc<Mutex<Option<Instant>>>,
}

/// Opens the file.
pub(super) async fn connect(target: &Target) -> Result<Box<dyn Session>, Fault> {
    let Place::File(path) = &target.place else {
        return Err(Fault::Unreachable("no file is configured".to_owned()));
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .foreign_keys(true)
        .busy_timeout(target.statement_timeout)
        .collation(NO_CASE, |one, other| lower(one).cmp(lower(other)))
        .disable_statement_logging();
    let identity = identity(path);
    let mut connection = options.connect().await.map_err(|error| explained(fault(error, true), path))?;
    let deadline = Arc::new(Mutex::new(None::<Instant>));
    let seen = Arc::clone(&deadline);
    let mut handle = connection.lock_handle().await.map_err(|error| fault(error, true))?;
    handle.set_progress_handler(STEPS, move || {
        seen.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|deadline| Instant::now() < deadline)
    });
    drop(handle);
    let identity = identity.unwrap_or_default();
    let path = path.clone();
    Ok(Box::new(Sqlite { connection, path, identity, timeout: target.statement_timeout, deadline }))
}

/// SQLite only says that it cannot open a file; the operating system says why.
fn explained(fault: Fault, path: &Path) -> Fault {
    let Fault::ServerMessage(mut told) = fault else { return fault };
    if told.kind == FaultKind::NoDatabase {
        let why = match std::fs::File::open(path).and_then(|file| file.metadata()) {
            Ok(file) if file.is_file() => "SQLite cannot open it".to_owned(),
            Ok(_) => "it is not a file".to_owned(),
            Err(error) => {
                // Anything else may be a file system whose server is down.
                if !matches!(
                    error.kind(),
                    ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory
                ) {
                    told.kind = FaultKind::Unavailable;
                }
                error.to_string()
            }
        };
        told.message = format!("{}: {why}", path.display());
    }
    Fault::ServerMessage(told)
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).map(|file| (file.dev(), file.ino())).ok()
}

fn lower(text: &str) -> impl Iterator<Item = char> {
    text.chars().flat_map(char::to_lowercase)
}

fn fault(error: sqlx::Error, connecting: bool) -> Fault {
    read(Engine::Sqlite, error, connecting)
}

impl Sqlite {
    fn start(&self) {
        let until = Instant::now() + self.timeout;
        *self.deadline.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    async fn execute(&mut self, sql: &'static str) -> Result<(), Fault> {
        self.start();
        self.connection.execute(sql).await.map(drop).map_err(|error| fault(error, false))
    }
}

fn add(arguments: &mut SqliteArguments, bound: &Bound) -> Result<(), Fault> {
    let added = match &bound.value {
        Scalar::Null => arguments.add(None::<String>),
        Scalar::Text(text) => arguments.add(text.clone()),
        Scalar::Integer(number) => arguments.add(*number),
        Scalar::Float(number) => arguments.add(*number),
        Scalar::Bool(yes) => arguments.add(*yes),
        Scalar::Uuid(uuid) => arguments.add(uuid.given.clone()),
    };
    added.map_err(|error| Fault::Unreadable(error.to_string()))
}

fn push(answer: &mut Answer, row: &SqliteRow) -> Result<(), Fault> {
    answer.push(row.columns().iter().enumerate().map(|(index, column)| {
        let value = row.try_get_raw(index).map_err(|error| fault(error, false))?;
        let type_name = value.type_info().name().to_owned();
        let declared = column.type_info().name().to_owned();
        let read = json(value, &type_name, &declared);
        Ok((column.name().to_owned(), read.ok_or_else(|| unreadable(column.name(), &type_name))?))
    }))
}

/// The JSON value with its stored type; 0 and 1 in a column declared as BOOLEAN are booleans.
fn json(value: SqliteValueRef<'_>, type_name: &str, declared: &str) -> Option<Value> {
    if value.is_null() {
        return Some(Value::Null);
    }
    Some(match type_name {
        "INTEGER" => match (<i64 as Decode<Db>>::decode(value).ok()?, declared) {
            (number @ (0 | 1), "BOOLEAN") => Value::from(number == 1),
            (number, _) => Value::from(number),
        },
        "REAL" => Value::Number(Number::from_f64(<f64 as Decode<Db>>::decode(value).ok()?)?),
        "TEXT" => Value::from(<String as Decode<Db>>::decode(value).ok()?),
        "BLOB" => Value::from(hexadecimal(<&[u8] as Decode<Db>>::decode(value).ok()?)),
        _ => return None,
    })
}

#[async_trait]
impl Session for Sqlite {
    async fn run(&mut self, sql: Arc<str>, values: Vec<Bound>) -> Result<Answer, Fault> {
        let mut arguments = SqliteArguments::default();
        for bound in &values {
            add(&mut arguments, bound)?;
        }
        self.start();
        // Prepared again each time: SQLite adapts a prepared statement to a changed schema, but sqlx keeps the old column names.
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(false);
        let mut stream = (&mut self.connection).fetch_many(query);
        let mut answer = Answer::default();
        while let Some(step) = stream.try_next().await.map_err(|error| fault(error, false))? {
            match step {
                Either::Left(done) => answer.affected += done.rows_affected(),
                Either::Right(row) => push(&mut answer, &row)?,
            }
        }
        Ok(answer)
    }

    async fn prepare(&mut self, sql: Arc<str>, _: &[Kind]) -> Result<Columns, Fault> {
        self.start();
        let prepared = (&mut self.connection).prepare(AssertSqlSafe(sql).into_sql_str()).await;
        let prepared = prepared.map_err(|error| fault(error, false))?;
        let columns = prepared.columns().iter();
        Ok(columns.map(|one| (one.name().to_owned(), one.type_info().name().to_owned())).collect())
    }

    async fn begin(&mut self, transaction: Transaction) -> Result<(), Fault> {
        self.execute(match transaction {
            // The lock is taken immediately: if it were only taken by the first change, that could fail after a read.
            Transaction::Change => "BEGIN IMMEDIATE",
            Transaction::Look | Transaction::Listing => "BEGIN",
        })
        .await?;
        // Reloads the schema if it has changed. It then stays the same until the end of the transaction, so every statement is prepared for
        // the schema that it runs with.
        self.execute("SELECT 1 FROM sqlite_schema LIMIT 1").await
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        self.execute("COMMIT").await
    }

    async fn roll_back(&mut self) -> Result<(), Fault> {
        self.execute("ROLLBACK").await
    }

    async fn ping(&mut self) -> Result<(), Fault> {
        if identity(&self.path) != Some(self.identity) {
            return Err(Fault::Lost("the database file was replaced by another file".to_owned()));
        }
        self.connection.ping().await.map_err(|error| fault(error, false))
    }

    async fn close(self: Box<Self>) {
        drop(self.connection.close().await);
    }
}
