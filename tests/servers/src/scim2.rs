//! scim2-server: SCIM 2.0 as its documents have it.

use std::fs;

use serde_json::{Value, json};

use crate::population::Population;
use crate::port::{free_port, listens};
use crate::process::Process;
use crate::python::python;

const PROGRAM: &str = include_str!("scim2.py");

/// A SCIM server that keeps its resources in memory.
///
/// Users are called as [`Population`] says, with `displayName`, `name` and a work email; groups have them as members. Everything a
/// `ServiceProviderConfig` can announce is supported, and announced but for the paging by cursor.
#[derive(Debug)]
pub struct Scim2 {
    /// The port of loopback at which it listens.
    pub port: u16,
    process: Option<Process>,
    folder: tempfile::TempDir,
    arguments: Value,
}

/// Options of a SCIM server.
#[derive(Debug)]
pub struct Scim2Options {
    population: Population,
    config: Value,
    groups_on_users: bool,
}

impl Scim2 {
    /// The bearer token that may do everything.
    pub const TOKEN: &'static str = "scim2-token-of-an-administrator";
    /// The bearer token that may read, and not write.
    pub const READER: &'static str = "scim2-token-of-a-reader";

    /// Starts one that is empty.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// Starts one with options.
    pub fn builder() -> Scim2Options {
        Scim2Options { population: Population::default(), config: json!({}), groups_on_users: false }
    }

    /// Where SCIM is spoken.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v2", self.port)
    }

    /// Ends it if it runs; what it held is gone.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Ends it if it runs, and starts it at the same port with what it held at first.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn restart(&mut self) {
        self.stop();
        let program = self.folder.path().join("scim2.py");
        fs::write(&program, PROGRAM).expect("the folder can be written to");
        let mut command = python();
        command.arg(program).arg(self.arguments.to_string());
        let process = Process::start("scim2", self.folder.path(), &mut command);
        let port = self.port;
        self.process = Some(process.ready(|| listens(port)).await);
    }
}

impl Scim2Options {
    /// What it starts with.
    pub fn population(mut self, population: Population) -> Self {
        self.population = population;
        self
    }

    /// What its `ServiceProviderConfig` says in another way, such as `{"patch": {"supported": false}}`.
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Has users show the groups they are in.
    pub fn groups_on_users(mut self) -> Self {
        self.groups_on_users = true;
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// If it is not installed or does not start.
    pub async fn start(self) -> Scim2 {
        let port = free_port();
        let arguments = json!({
            "port": port, "token": Scim2::TOKEN, "reader": Scim2::READER, "users": self.population.accounts,
            "groups": self.population.groups, "members": self.population.members, "config": self.config,
            "groups_on_users": self.groups_on_users,
        });
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let mut server = Scim2 { port, process: None, folder, arguments };
        server.restart().await;
        server
    }
}
