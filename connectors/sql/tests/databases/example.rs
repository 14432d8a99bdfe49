//! The examples in the repository, changed to use a test's own server.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bridgehead_sdk::{Connector, Network, SettingsError, Setup};
use serde_json::{Map, Value, json};

/// The `target` table of an example, which can be changed and built.
#[derive(Clone)]
pub(crate) struct Example {
    pub(crate) target: Map<String, Value>,
    pub(crate) network: Network,
    pub(crate) base: PathBuf,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config/examples")
}

/// The statements that create the tables of an example.
pub(crate) fn tables(name: &str) -> String {
    std::fs::read_to_string(folder().join("sql").join(name)).unwrap()
}

impl Example {
    /// Reads the only app of an example.
    pub(crate) fn read(name: &str) -> Self {
        let example = Self::parse(&std::fs::read_to_string(folder().join(name)).unwrap());
        // Tests use short time limits.
        example.with("connect_timeout", "3s").with("statement_timeout", "5s")
    }

    /// Reads the only app of a configuration.
    pub(crate) fn parse(text: &str) -> Self {
        let file: toml::Table = text.parse().unwrap();
        let app = file["apps"].as_table().unwrap().values().next().unwrap();
        let target = serde_json::to_value(&app["target"]).unwrap();
        let target = target.as_object().unwrap().clone();
        Self { target, network: Network::default(), base: PathBuf::from(".") }
    }

    /// Sets a key, such as `accounts.list`, or removes it.
    pub(crate) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        let value = value.into();
        let mut table = &mut self.target;
        let mut path: Vec<&str> = key.split('.').collect();
        let last = path.pop().unwrap();
        for part in path {
            table = table.entry(part).or_insert_with(|| json!({})).as_object_mut().unwrap();
        }
        if value.is_null() {
            table.remove(last);
        } else {
            table.insert(last.to_owned(), value);
        }
        self
    }

    /// Sets longer time limits, for a busy machine.
    pub(crate) fn patient(self) -> Self {
        self.with("connect_timeout", "60s").with("statement_timeout", "60s")
    }

    /// Uses a port on loopback, without TLS.
    pub(crate) fn at(self, port: u16) -> Self {
        self.with("host", "127.0.0.1").with("port", port).with("tls", Value::Null)
    }

    /// Uses this login.
    pub(crate) fn login(self, user: &str, password: &str) -> Self {
        self.with("user", user).with("password", password)
    }

    pub(crate) fn build(&self) -> Result<Arc<dyn Connector>, SettingsError> {
        let mut setup = Setup::new("crm", self.target.clone());
        setup.network = self.network.clone();
        setup.base.clone_from(&self.base);
        bridgehead_sql::factory().build(setup)
    }

    pub(crate) fn connector(&self) -> Arc<dyn Connector> {
        self.build().unwrap()
    }
}
