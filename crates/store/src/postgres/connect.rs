//! Connects to the server, and checks whether it can be trusted with state.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};
use url::{Host, Url};
use uuid::Uuid;

use super::super::Error;
use super::failover::Timeline;
use super::open::Settings;

/// The oldest supported version, as in `server_version_num`.
const OLDEST: i64 = 130_000;
/// The minimum idle timeout, however short the lease is.
const SHORTEST_IDLE: Duration = Duration::from_millis(500);
/// The timeout for connecting.
const CONNECT: Duration = Duration::from_secs(10);

/// The address of the database. `Debug` shows no password.
#[derive(Clone)]
pub struct Address {
    options: PgConnectOptions,
    place: String,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Address").field(&self.place).finish()
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.place)
    }
}

impl Address {
    /// Parses `postgresql://user:password@host:port/database?sslmode=verify-full&sslrootcert=/etc/ssl/ca.pem`.
    ///
    /// The default of `sslmode` is `verify-full`, or `disable` for an address of this machine. `roots` are the certificates, in PEM format,
    /// that are trusted if the address does not name a file. Errors never contain any part of the address.
    pub fn parse(text: &str, roots: Vec<u8>) -> Result<Self, Error> {
        let refuse = |problem: &str| Error::Unfit {
            place: "the URL of the state database".to_owned(),
            problem: format!("{problem}; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE"),
        };
        let url = Url::parse(text).map_err(|_| refuse("it is not a valid URL"))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(refuse("it does not start with postgresql://"));
        }
        let read =
            |part: &str| decoded(part).ok_or_else(|| refuse("a part of it is not percent-encoded UTF-8"));
        let host = match url.host() {
            Some(Host::Domain(name)) => read(name)?,
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => return Err(refuse("the host is missing")),
        };
        let (user, password) = (read(url.username())?, read(url.password().unwrap_or_default())?);
        let database = read(url.path().trim_start_matches('/'))?;
        if user.is_empty() || database.is_empty() {
            return Err(refuse("the user or the database is missing"));
        }
        let port = url.port().unwrap_or(5432);
        let mut is_verified = !is_this_machine(&host);
        let mut root_file = None;
        for (name, value) in url.query_pairs() {
            match (&*name, &*value) {
                ("sslmode", "verify-full") => is_verified = true,
                ("sslmode", "disable") => is_verified = false,
                ("sslmode", _) => {
                    return Err(refuse(
                        "sslmode must be verify-full or disable; other modes do not verify the server",
                    ));
                }
                ("sslrootcert", file) => root_file = Some(PathBuf::from(file)),
                _ => return Err(refuse("only the parameters sslmode and sslrootcert are supported")),
            }
        }
        // All options are set explicitly, so the environment variables of libpq have no effect.
        let options = PgConnectOptions::new_without_pgpass()
            .host(&host)
            .port(port)
            .username(&user)
            .password(&password)
            .database(&database)
            .application_name("bridgehead")
            // Some connection pools reject connections that set it.
            .extra_float_digits(None)
            .ssl_mode(if is_verified { PgSslMode::VerifyFull } else { PgSslMode::Disable })
            .disable_statement_logging();
        let options = match root_file {
            Some(file) => options.ssl_root_cert(file),
            None if !roots.is_empty() => options.ssl_root_cert_from_pem(roots),
            None => options,
        };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        Ok(Self { options, place: format!("{host}:{port}/{database}") })
    }

    pub(super) fn options(&self) -> PgConnectOptions {
        self.options.clone()
    }
}

fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Decodes percent-encoding.
fn decoded(part: &str) -> Option<String> {
    percent_encoding::percent_decode_str(part).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// A server that connections are made to.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) address: Address,
    /// How long a transaction may wait for its client before the server ends it: a node that makes no progress must not keep another node
    /// from taking over.
    pub(super) idle: Duration,
    /// How it was last seen.
    timeline: Mutex<Option<Timeline>>,
}

impl Server {
    /// The server that these settings name.
    pub(crate) fn of(settings: &Settings) -> Self {
        Self {
            address: settings.address.clone(),
            idle: settings.terms.lease.max(SHORTEST_IDLE),
            timeline: Mutex::default(),
        }
    }

    /// The timeline on which this process last used it.
    pub(super) fn timeline(&self) -> Option<Timeline> {
        *self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remembers the timeline. Returns false if it was known.
    pub(super) fn remember(&self, timeline: Timeline) -> bool {
        let mut known = self.timeline.lock().unwrap_or_else(PoisonError::into_inner);
        known.replace(timeline) != Some(timeline)
    }

    /// Opens a connection for writing.
    pub(super) async fn connect(&self) -> Result<PgConnection, Error> {
        let mut connection = self.plain().await?;
        // Checked for each connection: a replaced server may be configured differently.
        self.check_durable(&mut connection).await?;
        let idle = format!("SET idle_in_transaction_session_timeout = {}", self.idle.as_millis());
        connection.execute(sqlx::AssertSqlSafe(idle)).await.map_err(|error| self.fault(error))?;
        Ok(connection)
    }

    pub(super) async fn plain(&self) -> Result<PgConnection, Error> {
        let options = self.address.options();
        match tokio::time::timeout(CONNECT, options.connect()).await {
            Ok(connected) => connected.map_err(|error| self.fault(error)),
            Err(_) => Err(self.fault(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()))),
        }
    }

    /// Converts an error of the server.
    pub(crate) fn fault(&self, error: sqlx::Error) -> Error {
        const DISK_FULL: &str = "53100";
        let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
        match (&error, code.as_deref()) {
            (sqlx::Error::PoolClosed, _) => Error::Closed,
            (_, Some(DISK_FULL)) => Error::Full { path: self.address.place.clone().into() },
            _ => Error::Postgres { place: self.address.place.clone(), source: Arc::new(error) },
        }
    }

    pub(crate) fn unfit(&self, problem: impl Into<String>) -> Error {
        Error::Unfit { place: self.address.place.clone(), problem: problem.into() }
    }

    /// Checks that the server does not lose confirmed commits.
    async fn check_durable(&self, connection: &mut PgConnection) -> Result<(), Error> {
        let row = sqlx::raw_sql(
            "SELECT current_setting('fsync'), current_setting('synchronous_commit'), pg_is_in_recovery()",
        )
        .fetch_one(connection)
        .await
        .map_err(|error| self.fault(error))?;
        let column = |number: usize| row.try_get::<String, _>(number).map_err(|error| self.fault(error));
        if column(0)? == "off" {
            return Err(self.unfit(
                "fsync is off, so the server may lose confirmed commits and tasks may be executed twice; set fsync = on",
            ));
        }
        if column(1)? == "off" {
            return Err(self.unfit(
                "synchronous_commit is off, so the server may lose confirmed commits and tasks may be executed \
                 twice; set synchronous_commit = on, for the server or for this role",
            ));
        }
        if row.try_get(2).map_err(|error| self.fault(error))? {
            return Err(Error::Standby { place: self.address.place.clone() });
        }
        Ok(())
    }

    /// Checks whether the server can hold state at all. Returns a connection for writing.
    pub(crate) async fn check(&self) -> Result<PgConnection, Error> {
        let fault = |error| self.fault(error);
        let mut connection = self.connect().await?;
        let row = sqlx::raw_sql(
            "SELECT current_setting('server_version_num')::bigint, current_setting('server_encoding'), \
             current_setting('server_version')",
        )
        .fetch_one(&mut connection)
        .await
        .map_err(fault)?;
        if row.try_get::<i64, _>(0).map_err(fault)? < OLDEST {
            let version: String = row.try_get(2).map_err(fault)?;
            return Err(self.unfit(format!("it is PostgreSQL {version}; version 13 or later is required")));
        }
        let encoding: String = row.try_get(1).map_err(fault)?;
        if encoding != "UTF8" {
            return Err(
                self.unfit(format!("its encoding is {encoding}; create a database with ENCODING 'UTF8'"))
            );
        }
        self.check_sessions(&mut connection).await?;
        Ok(connection)
    }

    /// Checks that each connection has its own session. Through a pool in transaction mode, two connections may share one session, or one
    /// connection may use several.
    async fn check_sessions(&self, one: &mut PgConnection) -> Result<(), Error> {
        let fault = |error| self.fault(error);
        let mut other = self.plain().await?;
        let mark = Uuid::new_v4().simple();
        let set = format!("SET bridgehead.session = '{mark}'");
        one.execute(sqlx::AssertSqlSafe(set)).await.map_err(fault)?;
        let first = session(one).await.map_err(fault)?;
        let second = session(&mut other).await.map_err(fault)?;
        let mut is_shared = first.0 == second.0 || second.1.as_deref() == Some(&*mark.to_string());
        if !is_shared {
            // A pool reuses the server connection that was returned last, so the other connection now has it.
            other.execute("BEGIN").await.map_err(fault)?;
            session(&mut other).await.map_err(fault)?;
            let again = tokio::time::timeout(CONNECT, session(one)).await;
            is_shared = again.is_err() || again.is_ok_and(|again| again.is_ok_and(|again| again != first));
            other.execute("ROLLBACK").await.map_err(fault)?;
        }
        drop(other.close().await);
        if is_shared {
            return Err(self.unfit(
                "a connection pooler in front of it uses transaction pooling, but the state needs its own sessions; set \
                 the pool mode to session, or connect to the server directly",
            ));
        }
        Ok(())
    }
}

/// The server process behind a connection, and the mark that was set in its session.
async fn session(connection: &mut PgConnection) -> Result<(i64, Option<String>), sqlx::Error> {
    let row = sqlx::raw_sql(
        "SELECT pg_backend_pid()::bigint, nullif(current_setting('bridgehead.session', true), '')",
    )
    .fetch_one(connection)
    .await?;
    Ok((row.try_get(0)?, row.try_get(1)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Address, String> {
        Address::parse(text, Vec::new()).map_err(|error| error.to_string())
    }

    #[test]
    fn an_address_says_who_and_where_and_shows_no_password() {
        let address = parse("postgresql://bridge%40head:s%2Fcret@db.example.org/state").unwrap();
        assert_eq!(address.to_string(), "db.example.org:5432/state");
        assert!(!format!("{address:?}").contains("cret"), "{address:?}");
        assert_eq!(address.options.get_username(), "bridge@head");
        assert!(matches!(address.options.get_ssl_mode(), PgSslMode::VerifyFull));
        let local = parse("postgres://u@[::1]:6000/state").unwrap();
        assert!(matches!(local.options.get_ssl_mode(), PgSslMode::Disable));
        let asked = parse("postgres://u@127.0.0.1/state?sslmode=verify-full").unwrap();
        assert!(matches!(asked.options.get_ssl_mode(), PgSslMode::VerifyFull));
    }

    #[test]
    fn a_wrong_address_is_refused_without_quoting_it() {
        for text in [
            "s3cret",
            "mysql://u:s3cret@h/d",
            "postgres://u:s3cret@h",
            "postgres://:s3cret@h/d",
            "postgres://u:s3cret@h/d?sslmode=require",
            "postgres://u:s3cret@h/d?options=-csearch_path",
            "postgres://u:s3cret%ff@h/d",
        ] {
            let error = parse(text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
