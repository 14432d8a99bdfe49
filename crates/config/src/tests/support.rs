//! Helpers for the tests: connectors that record their settings, and ways to load a text.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use bridgehead_sdk::{
    Account, AccountRecord, Completion, Connector, Context, Cursor, Description, Error, Factory, Operation,
    Page, ResourceType, SettingsError, Setup, async_trait, factory,
};

use crate::{Config, Connectors, Document, Errors, parse};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read as settings")]
struct FileSettings {
    /// A folder.
    path: Option<String>,
    /// The password that gives access to the folder.
    password: Option<String>,
    /// How passwords are set.
    set_password: Option<SetPassword>,
    pool: Option<Pool>,
    parts: Option<Vec<Pool>>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read as settings")]
struct Pool {
    size: u32,
    note: Option<String>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only read as settings")]
struct ExecSettings {
    command: Vec<String>,
    max_in_flight: Option<u32>,
    settings: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
enum SetPassword {
    /// By an extended operation.
    Exop,
    /// Not at all.
    None,
}

struct Nothing;

#[async_trait]
impl Connector for Nothing {
    async fn describe(&self) -> Result<Description, Error> {
        Err(Error::internal("not asked in these tests"))
    }
    async fn check(&self) -> Result<(), Error> {
        Ok(())
    }
    async fn list(&self, _: &ResourceType, _: Option<&Cursor>) -> Result<Page, Error> {
        Err(Error::internal("not asked in these tests"))
    }
    async fn find_account(&self, _: &Account) -> Result<Option<AccountRecord>, Error> {
        Ok(None)
    }
    async fn execute(&self, _: &Context, _: &Operation) -> Result<Completion, Error> {
        Ok(Completion::done())
    }
}

/// The arguments that factories received.
pub(super) type Built = Arc<Mutex<Vec<Setup>>>;

pub(super) fn recording() -> (Connectors, Built) {
    let built = Built::default();
    let (file, exec) = (built.clone(), built.clone());
    let file = factory(move |settings: FileSettings, setup| {
        // A careless connector that quotes a value.
        if settings.path.as_deref() == Some("nowhere") {
            let message =
                format!("no such folder; the password was {}", settings.password.unwrap_or_default());
            return Err(SettingsError::new("path", message));
        }
        file.lock().unwrap().push(setup);
        Ok(Nothing)
    });
    let exec = factory(move |_: ExecSettings, setup| {
        exec.lock().unwrap().push(setup);
        Ok(Nothing)
    });
    let named: [(&str, Arc<dyn Factory>); 2] = [("file", file), ("exec", exec)];
    let connectors = named.map(|(name, factory)| (name.to_owned(), factory)).into();
    (connectors, built)
}

pub(super) fn connectors() -> Connectors {
    recording().0
}

pub(super) fn environment(variables: &[(&str, &str)]) -> BTreeMap<String, String> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

pub(super) fn document(path: &str, text: &str) -> Document {
    Document { path: PathBuf::from(path), text: text.to_owned() }
}

/// Loads texts: the first as `a.toml`, the second as `b.toml`.
pub(super) fn layered(texts: &[&str], variables: &[(&str, &str)]) -> Result<Config, Errors> {
    let names = ["/etc/a.toml", "/etc/b.toml", "/etc/c.toml"];
    let documents: Vec<Document> = names.iter().zip(texts).map(|(name, text)| document(name, text)).collect();
    parse(&documents, &environment(variables), &connectors())
}

/// The minimal configuration.
pub(super) const BRIDGE: &str = r#"[bridge]
base_url = "https://developer.idenhq.com/org/acme"
api_key = { env = "IDEN_API_KEY" }
"#;

/// The minimal app.
pub(super) const APP: &str = r#"[apps.acme-hr]
app_id = "11111111-1111-4111-8111-111111111111"
connector = "file"
"#;

/// Loads a text that follows the minimal configuration, which has six lines.
pub(super) fn with_app(text: &str, variables: &[(&str, &str)]) -> Result<Config, Errors> {
    layered(&[&format!("{BRIDGE}{APP}{text}")], variables)
}
