//! MariaDB, which also represents MySQL: Debian has no MySQL.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::authority::Authority;
use crate::port::{free_port, listens};
use crate::process::{Process, require, run};
use crate::user::{command_as, give_to};

/// Debian's user for the server, which must not run as root.
const OWNER: &str = "mysql";

const USER_NAME: &str = "admin";
const PASSWORD: &str = "admin-secret-1";

/// MariaDB on a free loopback port, with one user that has all permissions. TLS is available but not required; the certificate is for
/// `localhost` and `127.0.0.1`.
#[derive(Debug)]
pub struct MariaDb {
    pub address: Ipv4Addr,
    pub port: u16,
    /// The user with all permissions, from any host.
    pub user: String,
    /// Its password.
    pub password: String,
    /// The certificate of the authority that signed the server's.
    pub ca: PathBuf,
    settings: Vec<String>,
    process: Option<Process>,
    folder: tempfile::TempDir,
}

impl MariaDb {
    /// Starts one with default options.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// Starts one with options of `mariadbd`, such as `--max-connections=10`.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start_with(settings: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder can be written to");
        let authority = Authority::new();
        let files = authority.write_to(folder.path());
        // A server that starts removes the files of other servers in the folder for temporary tables.
        std::fs::create_dir(folder.path().join("tmp")).expect("the folder can be written to");
        give_to(OWNER, folder.path());
        let mut install = command_as(OWNER, &require("mariadb-install-db", "mariadb-server"));
        install.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"]);
        install.arg(format!("--tmpdir={}", folder.path().join("tmp").display()));
        run(install.arg(format!("--datadir={}", folder.path().join("data").display())));
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
        server.settings.push(format!("--ssl-cert={}", files.certificate.display()));
        server.settings.push(format!("--ssl-key={}", files.key.display()));
        server.restart().await;
        let Self { user, password, .. } = &server;
        server.as_root(&format!(
            "CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'; GRANT ALL ON *.* TO '{user}'@'%' WITH GRANT OPTION"
        ));
        server
    }

    /// Stops it; its data stay, and [`MariaDb::restart`] starts it again on the same port.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Restarts it with the same data on the same port, whether it is running or not.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.stop();
        let mut command = command_as(OWNER, &require("mariadbd", "mariadb-server"));
        command.arg("--no-defaults").arg(format!("--datadir={}", self.folder.path().join("data").display()));
        command.arg(format!("--socket={}", self.socket().display())).arg(format!("--port={}", self.port));
        command.arg(format!("--tmpdir={}", self.folder.path().join("tmp").display()));
        command.arg(format!("--bind-address={}", self.address));
        // These data need not survive a power failure.
        command.args(["--innodb-flush-log-at-trx-commit=0", "--skip-log-bin", "--skip-name-resolve"]);
        command.args(["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=16M"]).args(&self.settings);
        let process = Process::start("mariadbd", self.folder.path(), &mut command);
        self.process = Some(process.ready(|| listens(self.port)).await);
    }

    /// Restarts it with additional options, such as `--innodb-read-only=ON`, which it keeps.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart_with(&mut self, settings: &[&str]) {
        self.settings.extend(settings.iter().map(ToString::to_string));
        self.restart().await;
    }

    /// Runs statements in a database as the user with all permissions, and returns their output: rows with tab-separated columns.
    ///
    /// # Panics
    /// With the server's message, if a statement fails.
    pub fn sql(&self, database: &str, statements: &str) -> String {
        let mut client = Self::client();
        client.args(["--host=127.0.0.1", "--protocol=tcp", &format!("--port={}", self.port)]);
        client.args([&format!("--user={}", self.user), &format!("--database={database}")]);
        client.env("MYSQL_PWD", &self.password);
        run(client.args(["-e", statements]))
    }

    fn as_root(&self, statements: &str) {
        let mut client = Self::client();
        client.arg(format!("--socket={}", self.socket().display())).arg("--user=root");
        run(client.args(["-e", statements]));
    }

    fn client() -> Command {
        let mut client = Command::new(require("mariadb", "mariadb-client"));
        client.args(["--no-defaults", "--batch", "--skip-column-names", "--default-character-set=utf8mb4"]);
        client
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

    /// The path of its socket.
    pub fn socket(&self) -> PathBuf {
        Path::new(self.folder.path()).join("socket")
    }
}
