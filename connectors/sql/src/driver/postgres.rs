//! A connection to PostgreSQL.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, PgSslMode, PgTypeInfo};
use sqlx::{
    Arguments, AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, Row, SqlSafeStr,
    Statement, Type, TypeInfo,
};

use super::postgres_values;
use super::session::{Answer, Columns, Session, Transaction};
use super::target::{Place, Target};
use crate::fault::{Fault, read};
use crate::plan::Kind;
use crate::settings::Engine;
use crate::value::{Bound, Scalar};

/// How long a listing may pause between two pages, in milliseconds. After that, the server ends its transaction.
const LISTING_PAUSE: u128 = 15 * 60 * 1000;

/// A connection whose transactions may each use a different server connection, because an unknown pool such as PgBouncer may be in between.
/// So nothing is kept outside of a transaction: statements have no name, and settings are `LOCAL`.
struct Postgres {
    connection: PgConnection,
    /// `statement_timeout`, in milliseconds.
    timeout: u128,
    /// The statements whose types are known. For a type that is not built in, sqlx queries the server in the middle of a statement, which
    /// discards an unnamed one.
    known: HashSet<Arc<str>>,
}

/// Opens a connection.
pub(super) async fn connect(target: &Target, roots: Vec<u8>) -> Result<Box<dyn Session>, Fault> {
    // All options are explicit: libpq's environment variables are ignored.
    let mut options = PgConnectOptions::new_without_pgpass()
        .username(&target.user)
        .password(target.password.as_deref().unwrap_or_default())
        .database(target.database.as_deref().unwrap_or_default())
        .application_name("bridgehead")
        // Pools reject this startup parameter, and numbers are read in binary anyway.
        .extra_float_digits(None)
        .ssl_mode(if target.tls { PgSslMode::VerifyFull } else { PgSslMode::Disable })
        .ssl_root_cert_from_pem(roots)
        .disable_statement_logging();
    options = match &target.place {
        Place::Server { host, port } => options.host(host).port(*port),
        Place::Socket { path, port } => options.socket(path).port(*port),
        Place::File(path) => options.socket(path),
    };
    let connection = options.connect().await.map_err(|error| fault(error, true))?;
    Ok(Box::new(Postgres {
        connection,
        timeout: target.statement_timeout.as_millis(),
        known: HashSet::new(),
    }))
}

impl Postgres {
    async fn execute(&mut self, sql: impl SqlSafeStr + Send) -> Result<(), Fault> {
        let done = self.connection.execute(sql.into_sql_str()).await;
        done.map(drop).map_err(|error| fault(error, false))
    }

    async fn fetch(&mut self, sql: Arc<str>, values: &[Bound]) -> Result<Answer, Fault> {
        let mut arguments = PgArguments::default();
        for bound in values {
            add(&mut arguments, bound)?;
        }
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

    /// Ends the transaction, after discarding what sqlx prepared in it for its own queries: the next transaction may use a server
    /// connection on which those names belong to another client.
    async fn end(&mut self, with: &'static str) -> Result<(), Fault> {
        if self.connection.cached_statements_size() > 0 {
            self.connection.clear_cached_statements().await.map_err(|error| fault(error, false))?;
        }
        self.execute(with).await
    }
}

fn fault(error: sqlx::Error, connecting: bool) -> Fault {
    read(Engine::Postgresql, error, connecting)
}

/// A value with the same type in every call: PostgreSQL prepares a statement for its types.
fn add(arguments: &mut PgArguments, bound: &Bound) -> Result<(), Fault> {
    if bound.has_nul() {
        return Err(Fault::Nul);
    }
    let added = match (bound.kind, &bound.value) {
        (Kind::Integer, Scalar::Integer(number)) => arguments.add(Some(*number)),
        (Kind::Integer, _) => arguments.add(None::<i64>),
        (Kind::Uuid, Scalar::Uuid(uuid)) => arguments.add(Some(uuid.uuid)),
        (Kind::Uuid, _) => arguments.add(None::<sqlx::types::Uuid>),
        (Kind::Natural, _) => arguments.add(bound.text().as_deref()),
    };
    added.map_err(|error| Fault::Unreadable(error.to_string()))
}

fn type_of(kind: Kind) -> PgTypeInfo {
    match kind {
        Kind::Natural => <String as Type<sqlx::Postgres>>::type_info(),
        Kind::Integer => <i64 as Type<sqlx::Postgres>>::type_info(),
        Kind::Uuid => <sqlx::types::Uuid as Type<sqlx::Postgres>>::type_info(),
    }
}

fn push(answer: &mut Answer, row: &PgRow) -> Result<(), Fault> {
    answer.push(row.columns().iter().enumerate().map(|(index, column)| {
        let value = row.try_get_raw(index).map_err(|error| fault(error, false))?;
        Ok((column.name().to_owned(), postgres_values::json(column.name(), &value)?))
    }))
}

#[async_trait]
impl Session for Postgres {
    async fn run(&mut self, sql: Arc<str>, values: Vec<Bound>) -> Result<Answer, Fault> {
        if !self.known.contains(&sql) {
            let kinds: Vec<Kind> = values.iter().map(|bound| bound.kind).collect();
            self.prepare(Arc::clone(&sql), &kinds).await?;
            self.known.insert(Arc::clone(&sql));
        }
        self.fetch(sql, &values).await
    }

    async fn run_made(&mut self, sql: Arc<str>) -> Result<Answer, Fault> {
        self.fetch(sql, &[]).await
    }

    async fn prepare(&mut self, sql: Arc<str>, kinds: &[Kind]) -> Result<Columns, Fault> {
        let types: Vec<PgTypeInfo> = kinds.iter().copied().map(type_of).collect();
        let prepared = self.connection.prepare_with(AssertSqlSafe(sql).into_sql_str(), &types).await;
        let prepared = prepared.map_err(|error| fault(error, false))?;
        let columns = prepared.columns().iter();
        Ok(columns.map(|one| (one.name().to_owned(), one.type_info().name().to_owned())).collect())
    }

    async fn begin(&mut self, transaction: Transaction) -> Result<(), Fault> {
        let timeout = self.timeout;
        let (isolation, idle) = match transaction {
            Transaction::Change => ("", timeout.saturating_mul(2)),
            Transaction::Look => (" ISOLATION LEVEL REPEATABLE READ", timeout.saturating_mul(2)),
            Transaction::Listing => {
                (" ISOLATION LEVEL REPEATABLE READ", LISTING_PAUSE.max(timeout.saturating_mul(2)))
            }
        };
        // With the old setting, the server would interpret backslashes in '…' differently from the connector.
        let begin = format!(
            "BEGIN{isolation}; SET LOCAL statement_timeout = {timeout}; SET LOCAL lock_timeout = {timeout}; \
             SET LOCAL idle_in_transaction_session_timeout = {idle}; SET LOCAL standard_conforming_strings = on; \
             SET LOCAL TIME ZONE 'UTC'"
        );
        self.execute(AssertSqlSafe(begin)).await.map_err(|fault| match fault {
            // PgBouncer only reports this in the message.
            Fault::ServerMessage(told) if told.message.contains("statement pooling") => Fault::NoTransactions,
            fault => fault,
        })
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        self.end("COMMIT").await
    }

    async fn roll_back(&mut self) -> Result<(), Fault> {
        self.end("ROLLBACK").await
    }

    async fn ping(&mut self) -> Result<(), Fault> {
        self.connection.ping().await.map_err(|error| fault(error, false))
    }

    async fn close(self: Box<Self>) {
        drop(self.connection.close().await);
    }
}
