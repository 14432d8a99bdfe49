//! PostgreSQL.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::authority::Authority;
use crate::port::{free_port, listens};
use crate::process::{Process, require, run};
use crate::user::{command_as, give_to};

/// Debian's user for the server, which must not run as root.
const OWNER: &str = "postgres";

const USER_NAME: &str = "admin";
const PASSWORD: &str = "admin-secret-1";

/// How long a replica may take until it streams.
const STREAMING: Duration = Duration::from_secs(60);

/// PostgreSQL on a free loopback port, with one superuser and the database `postgres`. Passwords are verified with SCRAM-SHA-256. TLS is
/// available but not required; the certificate is for `localhost` and `127.0.0.1`.
#[derive(Debug)]
pub struct Postgres {
    pub address: Ipv4Addr,
    pub port: u16,
    /// The superuser.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The certificate of the authority that signed the server's.
    pub ca: PathBuf,
    settings: Vec<String>,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl Postgres {
    /// Starts one with default settings.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with settings of `postgresql.conf`, such as `max_connections=10`.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start_with(settings: &[&str]) -> Self {
        Self::start_in(&std::env::temp_dir(), settings).await
    }

    /// Starts one with settings, whose data are in a new folder in this one: where the machine has a folder in memory, waiting for
    /// the disk takes no time there.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start_in(parent: &Path, settings: &[&str]) -> Self {
        let folder = tempfile::tempdir_in(parent).expect("the temporary folder can be written to");
        let authority = Authority::new();
        let files = authority.write_to(folder.path());
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("the folder can be written to");
        give_to(OWNER, folder.path());
        let mut init = command_as(OWNER, &program("initdb"));
        init.arg("-D").arg(folder.path().join("data")).args(["-U", USER_NAME, "-A", "scram-sha-256"]);
        init.args(["-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "--no-instructions"]);
        run(init.arg("--pwfile").arg(&password));
        let mut server = Self {
            address: Ipv4Addr::LOCALHOST,
            port: free_port(),
            user: USER_NAME.to_owned(),
            password: PASSWORD.to_owned(),
            ca: files.ca.clone(),
            settings: settings.iter().map(ToString::to_string).collect(),
            process: None,
            folder,
        };
        for (name, path) in [("ssl_cert_file", &files.certificate), ("ssl_key_file", &files.key)] {
            server.settings.push(format!("{name}={}", path.display()));
        }
        server.restart().await;
        server
    }

    /// Starts a replica of it on another port: a hot standby that streams what this server writes, from this port of loopback, which may be
    /// that of a [`Link`](crate::Link). Its settings are the same. This server has to outlive it.
    ///
    /// # Panics
    /// If it does not start, or is not streaming within a minute.
    pub async fn replica(&self, from: u16) -> Self {
        let folder = tempfile::tempdir_in(self.folder.path().parent().unwrap_or(Path::new("/")));
        let folder = folder.expect("the temporary folder can be written to");
        give_to(OWNER, folder.path());
        // Another user's processes do not get this one's environment, so the password is a part of the address.
        let address =
            |port| format!("host=127.0.0.1 port={port} user={} password={}", self.user, self.password);
        let mut copy = command_as(OWNER, &program("pg_basebackup"));
        copy.arg("-D").arg(folder.path().join("data")).args(["-d", &address(self.port)]);
        run(copy.args(["--write-recovery-conf", "--checkpoint=fast", "--no-sync", "--no-password"]));
        let mut settings = self.settings.clone();
        settings.push(format!("primary_conninfo={}", address(from)));
        let mut replica = Self {
            address: self.address,
            port: free_port(),
            user: self.user.clone(),
            password: self.password.clone(),
            ca: self.ca.clone(),
            settings,
            process: None,
            folder,
        };
        replica.restart().await;
        let deadline = tokio::time::Instant::now() + STREAMING;
        let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        while self.sql("postgres", streaming).trim() == "0" {
            assert!(
                tokio::time::Instant::now() < deadline,
                "the replica does not stream:\n{}",
                replica.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        replica
    }

    /// Makes a replica the primary.
    ///
    /// # Panics
    /// If it is not a replica, or takes longer than a minute.
    pub fn promote(&self) {
        let promoted = self.sql("postgres", "SELECT pg_promote(true, 60)");
        assert_eq!(promoted.trim(), "t", "the replica was not promoted:\n{}", self.log());
    }

    /// Stops it; its data stay, and [`Postgres::restart`] starts it again on the same port.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Crashes it: sessions end at once, nothing is written to the data files, and [`Postgres::restart`] recovers them from the log.
    pub fn crash(&mut self) {
        if let Some(process) = self.process.take() {
            process.quit();
        }
    }

    /// Restarts it with the same data on the same port, whether it is running or not.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.stop();
        let mut command = command_as(OWNER, &program("postgres"));
        command.arg("-D").arg(self.folder.path().join("data")).args(["-p", &self.port.to_string()]);
        command.arg("-k").arg(self.folder.path()).args(["-h", &self.address.to_string()]);
        // These data need not survive a power failure.
        for setting in ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "ssl=on"] {
            command.args(["-c", setting]);
        }
        for setting in &self.settings {
            command.args(["-c", setting]);
        }
        let process = Process::start("postgres", self.folder.path(), &mut command).ended_by_interrupt();
        let ready = program("pg_isready");
        let port = self.port;
        let is_ready = || {
            listens(port) && {
                let mut ask = Command::new(&ready);
                ask.args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()]);
                ask.status().is_ok_and(|status| status.success())
            }
        };
        self.process = Some(process.ready(is_ready).await);
    }

    /// Runs statements in a database as the superuser, and returns their output: rows with tab-separated columns.
    ///
    /// # Panics
    /// With the server's message, if a statement fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args(["-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1"]);
        psql.args(["-h", "127.0.0.1", "-p", &self.port.to_string(), "-U", &self.user, "-d", database]);
        psql.env("PGPASSWORD", &self.password).args(["-c", statements]);
        run(&mut psql)
    }

    /// The process, to pause it or get its id.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn process(&self) -> &Process {
        self.process.as_ref().expect("the server was stopped")
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process().log()
    }

    /// The folder of its socket.
    pub fn socket(&self) -> &Path {
        self.folder.path()
    }
}

/// Debian installs PostgreSQL's programs in separate folders by version; the newest is used.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> =
        versions.map(|version| version.path().join("bin").join(name)).filter(|path| path.is_file()).collect();
    found.sort();
    found.pop().unwrap_or_else(|| require(name, "postgresql"))
}
