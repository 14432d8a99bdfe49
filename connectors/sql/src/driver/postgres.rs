//! A connection to PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use futures::TryStreamExt;
use sqlx::postgres::{PgArguments, PgConnectOptions, PgConnection, PgRow, PgSslMode, PgTypeInfo};
use sqlx::{
    Arguments, AssertSqlSafe, Column, ConnectOptions, Connection, Either, Executor, Row, SqlSafeStr, Type,
};

use super::postgres_values;
use super::session::{Answer, Session};
use super::target::{Place, Target};
use crate::fault::{Fault, read};
use crate::plan::Kind;
use crate::settings::Engine;
use crate::value::{Bound, Scalar};

struct Postgres(PgConnection);

/// Makes a connection.
pub(super) async fn connect(target: &Target, roots: Vec<u8>) -> Result<Box<dyn Session>, Fault> {
    // Everything is said: what the environment of the process holds for libpq does not count.
    let mut options = PgConnectOptions::new_without_pgpass()
        .username(&target.user)
        .password(target.password.as_deref().unwrap_or_default())
        .database(target.database.as_deref().unwrap_or_default())
        .application_name("bridgehead")
        .ssl_mode(if target.tls { PgSslMode::VerifyFull } else { PgSslMode::Disable })
        .ssl_root_cert_from_pem(roots)
        .disable_statement_logging();
    options = match &target.place {
        Place::Server { host, port } => options.host(host).port(*port),
        Place::Socket { path, port } => options.socket(path).port(*port),
        Place::File(path) => options.socket(path),
    };
    let mut connection = options.connect().await.map_err(|error| fault(error, true))?;
    let timeout = target.statement_timeout.as_millis();
    // Backslashes in '…' would mean something else to the server than to the connector, were the old form on.
    let setting = format!(
        "SET statement_timeout = {timeout}; SET lock_timeout = {timeout}; \
         SET idle_in_transaction_session_timeout = {idle}; SET standard_conforming_strings = on",
        idle = timeout.saturating_mul(2)
    );
    connection.execute(AssertSqlSafe(setting)).await.map_err(|error| fault(error, true))?;
    Ok(Box::new(Postgres(connection)))
}

fn fault(error: sqlx::Error, connecting: bool) -> Fault {
    read(Engine::Postgresql, error, connecting)
}

/// A value, of the same type in every call: PostgreSQL prepares a statement for its types.
fn add(arguments: &mut PgArguments, bound: &Bound) -> Result<(), Fault> {
    if bound.has_nul() {
        return Err(Fault::Nul);
    }
    let added = match (bound.kind, &bound.value) {
        (Kind::Integer, Scalar::Integer(number)) => arguments.add(Some(*number)),
        (Kind::Integer, _) => arguments.add(None::<i64>),
        (Kind::Uuid, Scalar::Uuid(uuid)) => arguments.add(Some(*uuid)),
        (Kind::Uuid, _) => arguments.add(None::<sqlx::types::Uuid>),
        (Kind::Natural, _) => arguments.add(bound.text()),
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
    async fn run(&mut self, sql: Arc<str>, values: Vec<Bound>, kept: bool) -> Result<Answer, Fault> {
        let mut arguments = PgArguments::default();
        for bound in &values {
            add(&mut arguments, bound)?;
        }
        let query = sqlx::query_with(AssertSqlSafe(sql), arguments).persistent(kept);
        let mut stream = (&mut self.0).fetch_many(query);
        let mut answer = Answer::default();
        while let Some(step) = stream.try_next().await.map_err(|error| fault(error, false))? {
            match step {
                Either::Left(done) => answer.affected += done.rows_affected(),
                Either::Right(row) => push(&mut answer, &row)?,
            }
        }
        Ok(answer)
    }

    async fn prepare(&mut self, sql: Arc<str>, kinds: &[Kind]) -> Result<(), Fault> {
        let types: Vec<PgTypeInfo> = kinds.iter().copied().map(type_of).collect();
        let prepared = self.0.prepare_with(AssertSqlSafe(sql).into_sql_str(), &types).await;
        prepared.map(drop).map_err(|error| fault(error, false))
    }

    async fn begin(&mut self) -> Result<(), Fault> {
        self.0.execute("BEGIN").await.map(drop).map_err(|error| fault(error, false))
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        self.0.execute("COMMIT").await.map(drop).map_err(|error| fault(error, false))
    }

    async fn roll_back(&mut self) -> Result<(), Fault> {
        self.0.execute("ROLLBACK").await.map(drop).map_err(|error| fault(error, false))
    }

    async fn ping(&mut self) -> Result<(), Fault> {
        self.0.ping().await.map_err(|error| fault(error, false))
    }

    async fn close(self: Box<Self>) {
        drop(self.0.close().await);
    }
}
