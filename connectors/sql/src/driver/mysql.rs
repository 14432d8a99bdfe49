//! A connection to MySQL or MariaDB.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::mysql::{MySqlArguments, MySqlConnectOptions, MySqlConnection, MySqlRow, MySqlSslMode};
use sqlx::{
    Arguments, AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, Row, SqlSafeStr,
    Statement, TypeInfo,
};

use super::mysql_values;
use super::session::{Answer, Columns, Session, Transaction};
use super::target::{Place, Target};
use crate::fault::{Fault, read};
use crate::plan::Kind;
use crate::settings::Engine;
use crate::value::{Bound, Scalar};

/// The SQL mode: strict, so that the server rejects values that it would otherwise truncate or round.
const MODE: &str = "STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION";

/// At most how many bytes a value adds to a statement, beside those of a text.
const ABOUT_A_VALUE: usize = 64;

struct MySql {
    connection: MySqlConnection,
    /// `max_allowed_packet`: the largest statement, with its values, that the server accepts.
    largest: usize,
}

/// Opens a connection.
pub(super) async fn connect(target: &Target, roots: Vec<u8>) -> Result<Box<dyn Session>, Fault> {
    let mut options = MySqlConnectOptions::new()
        .username(&target.user)
        .database(target.database.as_deref().unwrap_or_default())
        .ssl_mode(if target.tls { MySqlSslMode::VerifyIdentity } else { MySqlSslMode::Disabled })
        .ssl_ca_from_pem(roots)
        .pipes_as_concat(false)
        .no_engine_substitution(false)
        .disable_statement_logging();
    if let Some(password) = &target.password {
        options = options.password(password);
    }
    options = match &target.place {
        Place::Server { host, port } => options.host(host).port(*port),
        Place::Socket { path, .. } => options.socket(path),
        Place::File(path) => options.socket(path),
    };
    let mut connection = options.connect().await.map_err(|error| fault(error, true))?;
    let asked = "SELECT VERSION() AS version, CAST(@@max_allowed_packet AS UNSIGNED) AS largest";
    let about = sqlx::query(asked).fetch_one(&mut connection).await.map_err(|error| fault(error, true))?;
    let version: String = about.try_get("version").map_err(|error| fault(error, true))?;
    let largest: u64 = about.try_get("largest").map_err(|error| fault(error, true))?;
    let seconds = target.statement_timeout.as_secs_f64();
    let limit = if version.contains("MariaDB") {
        format!("max_statement_time = {seconds}")
    } else {
        // MySQL only cancels reads; lock waits are limited in both servers.
        format!("max_execution_time = {}", target.statement_timeout.as_millis())
    };
    let locks = target.statement_timeout.as_secs().max(1);
    let setting = format!(
        "SET SESSION sql_mode = '{MODE}', time_zone = '+00:00', innodb_lock_wait_timeout = {locks}, {limit}"
    );
    connection.execute(AssertSqlSafe(setting)).await.map_err(|error| fault(error, true))?;
    Ok(Box::new(MySql { connection, largest: usize::try_from(largest).unwrap_or(usize::MAX) }))
}

fn fault(error: sqlx::Error, connecting: bool) -> Fault {
    read(Engine::Mysql, error, connecting)
}

fn add(arguments: &mut MySqlArguments, bound: &Bound) -> Result<(), Fault> {
    let added = match &bound.value {
        Scalar::Null => arguments.add(None::<String>),
        Scalar::Text(text) => arguments.add(text.as_str()),
        Scalar::Integer(number) => arguments.add(*number),
        Scalar::Float(number) => arguments.add(*number),
        Scalar::Bool(yes) => arguments.add(*yes),
        Scalar::Uuid(uuid) => arguments.add(uuid.given.as_str()),
    };
    added.map_err(|error| Fault::Unreadable(error.to_string()))
}

fn size_of_value(bound: &Bound) -> usize {
    match &bound.value {
        Scalar::Text(text) => text.len(),
        _ => 0,
    }
}

fn push(answer: &mut Answer, row: &MySqlRow) -> Result<(), Fault> {
    answer.push(row.columns().iter().enumerate().map(|(index, column)| {
        let value = row.try_get_raw(index).map_err(|error| fault(error, false))?;
        Ok((column.name().to_owned(), mysql_values::json(column.name(), value)?))
    }))
}

impl MySql {
    async fn execute(&mut self, sql: &'static str) -> Result<(), Fault> {
        self.connection.execute(sql).await.map(drop).map_err(|error| fault(error, false))
    }
}

#[async_trait]
impl Session for MySql {
    async fn run(&mut self, sql: Arc<str>, values: Vec<Bound>) -> Result<Answer, Fault> {
        // The rest of a statement with values: its identifier, and the type and the length of each.
        let size: usize = values.iter().map(|bound| size_of_value(bound) + ABOUT_A_VALUE).sum();
        if size.saturating_add(sql.len()) >= self.largest {
            return Err(Fault::too_large(self.largest));
        }
        let mut arguments = MySqlArguments::default();
        for bound in &values {
            add(&mut arguments, bound)?;
        }
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(true);
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
        let prepared = self.connection.prepare(AssertSqlSafe(sql).into_sql_str()).await;
        let prepared = prepared.map_err(|error| fault(error, false))?;
        let columns = prepared.columns().iter();
        Ok(columns.map(|one| (one.name().to_owned(), one.type_info().name().to_owned())).collect())
    }

    async fn begin(&mut self, transaction: Transaction) -> Result<(), Fault> {
        match transaction {
            Transaction::Change => self.execute("START TRANSACTION").await,
            Transaction::Look | Transaction::Listing => {
                // Only applies to the next transaction.
                self.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ").await?;
                self.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT").await
            }
        }
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        self.execute("COMMIT").await
    }

    async fn roll_back(&mut self) -> Result<(), Fault> {
        self.execute("ROLLBACK").await
    }

    async fn ping(&mut self) -> Result<(), Fault> {
        self.connection.ping().await.map_err(|error| fault(error, false))
    }

    async fn close(self: Box<Self>) {
        drop(self.connection.close().await);
    }
}
