//! PgBouncer, a connection pool between a client and PostgreSQL.

use std::fs;
use std::path::Path;

use crate::port::{free_port, listens};
use crate::postgres::Postgres;
use crate::process::{Process, require};
use crate::user::{command_as, give_to};

/// Debian's user for the server, which must not run as root.
const OWNER: &str = "postgres";

/// PgBouncer on a free loopback port, in front of a PostgreSQL.
#[derive(Debug)]
pub struct PgBouncer {
    pub port: u16,
    process: Process,
    _folder: tempfile::TempDir,
}

impl PgBouncer {
    /// Starts one with a pool mode, such as `transaction`, and this many connections to the server. It requires no password, and every
    /// client is the server's superuser.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start(server: &Postgres, mode: &str, connections: u32) -> Self {
        let login = format!("user={} password={}", server.user, server.password);
        let own = format!("auth_type = any\nmin_pool_size = {connections}\nserver_round_robin = 1\n");
        Self::start_as(server, mode, connections, &login, &own, &[]).await
    }

    /// Starts one with these users and passwords, which the server has too.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start_for(server: &Postgres, mode: &str, connections: u32, users: &[(&str, &str)]) -> Self {
        // Idle connections must not exhaust the server, and a failed one must be retried soon.
        let own = "auth_type = scram-sha-256\nserver_idle_timeout = 2\nserver_login_retry = 1\n";
        Self::start_as(server, mode, connections, "", own, users).await
    }

    async fn start_as(
        server: &Postgres,
        mode: &str,
        connections: u32,
        login: &str,
        own: &str,
        users: &[(&str, &str)],
    ) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder can be written to");
        let port = free_port();
        let known = folder.path().join("users");
        let mut lines = String::new();
        for (name, password) in users {
            lines += &format!("\"{name}\" \"{password}\"\n");
        }
        fs::write(&known, lines).expect("the folder can be written to");
        let settings = format!(
            "[databases]\n* = host=127.0.0.1 port={} {login}\n\
             [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_file = {}\n\
             pool_mode = {mode}\ndefault_pool_size = {connections}\nmax_client_conn = 200\n{own}",
            server.port,
            known.display(),
        );
        let file = folder.path().join("pgbouncer.ini");
        fs::write(&file, settings).expect("the folder can be written to");
        give_to(OWNER, folder.path());
        let mut command = command_as(OWNER, &program());
        command.arg(&file);
        let process = Process::start("pgbouncer", folder.path(), &mut command).ready(|| listens(port)).await;
        Self { port, process, _folder: folder }
    }

    /// Its log so far.
    pub fn log(&self) -> String {
        self.process.log()
    }
}

fn program() -> std::path::PathBuf {
    let usual = Path::new("/usr/sbin/pgbouncer");
    if usual.is_file() { usual.to_owned() } else { require("pgbouncer", "pgbouncer") }
}
