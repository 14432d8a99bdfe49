//! scim2-server: SCIM 2.0 as specified.

use std::fs;

use serde_json::{Value, json};

use crate::population::Population;
use crate::port::{free_port, listens};
use crate::process::Process;
use crate::python::python;

const PROGRAM: &str = include_str!("scim2.py");

/// A SCIM server that keeps its resources in memory.
///
/// Users are named as in [`Population`], with `displayName`, `name` and a work email; groups have them as members. Every feature of a
/// `ServiceProviderConfig` is supported, and announced except for paging by cursor.
#[derive(Debug)]
pub struct Scim2 {
    /// The loopback port on which it listens.
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
    /// The bearer token with all permissions.
    pub const TOKEN: &'static str = "scim2-token-of-an-administrator";
    /// The read-only bearer token.
    pub const READER: &'static str = "scim2-token-of-a-reader";

    /// Starts an empty one.
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

    /// The URL of the SCIM API.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}/v2", self.port)
    }

    /// Stops it if it runs; its content is lost.
    pub fn stop(&mut self) {
        self.process = None;
    }

    /// Restarts it on the same port with its initial content, whether it is running or not.
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
    /// Its initial content.
    pub fn population(mut self, population: Population) -> Self {
        self.population = population;
        self
    }

    /// Overrides parts of its `ServiceProviderConfig`, such as `{"patch": {"supported": false}}`.
    pub fn config(mut self, config: Value) -> Self {
        self.config = config;
        self
    }

    /// Makes users show their groups.
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
