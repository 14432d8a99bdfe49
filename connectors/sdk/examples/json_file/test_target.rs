//! Targets for the conformance kit: one file for each situation that the kit needs.

use std::io::Result;
use std::path::PathBuf;
use std::sync::Arc;

use bridgehead_conformance::{Situation, Skip, TestTarget};
use bridgehead_sdk::serde_json::{self, Map, Value, json};
use bridgehead_sdk::{Connector, Setup, async_trait};
use tempfile::TempDir;

use crate::connector::factory;
use crate::file::{People as Content, Person};

pub(crate) struct People(TempDir);

impl People {
    pub(crate) fn new() -> Result<Self> {
        let people = Self(TempDir::new()?);
        people.write("working.json", 3)?;
        people.write("cut.json", 3)?;
        let whole = std::fs::read(people.path("cut.json"))?;
        std::fs::write(people.path("cut.json"), &whole[..whole.len() - 20])?;
        Ok(people)
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, accounts: usize) -> Result<()> {
        let mut content = Content::default();
        for number in 1..=accounts {
            let login = format!("person-{number}");
            let person = Person { mail: Some(format!("{login}@example.org")), login, ..Person::default() };
            content.accounts.insert(format!("p{number}"), person);
        }
        std::fs::write(self.path(file), serde_json::to_vec(&content)?)
    }

    fn connector(&self, file: &str) -> std::result::Result<Arc<dyn Connector>, Skip> {
        let target = Map::from_iter([("path".to_owned(), json!(self.path(file)))]);
        factory().build(Setup::new("People", target)).map_err(|error| Skip::because(error.to_string()))
    }
}

#[async_trait]
impl TestTarget for People {
    async fn connect(&self, situation: Situation) -> std::result::Result<Arc<dyn Connector>, Skip> {
        match situation {
            Situation::Working => self.connector("working.json"),
            Situation::Unreachable(_) => self.connector("not-there.json"),
            Situation::CutListing => self.connector("cut.json"),
            _ => Err(Skip::because("the file is not reached over a network, and asks for no credential")),
        }
    }

    async fn populated(&self, accounts: usize) -> std::result::Result<Arc<dyn Connector>, Skip> {
        let file = format!("with-{accounts}.json");
        self.write(&file, accounts).map_err(|error| Skip::because(error.to_string()))?;
        self.connector(&file)
    }

    /// The target stores neither given names nor family names.
    fn account(&self, name: &str) -> Map<String, Value> {
        let account = json!({
            "username": name,
            "email": format!("{name}@example.org"),
            "display_name": format!("Kit {name}"),
        });
        account.as_object().cloned().unwrap_or_default()
    }

    fn many(&self) -> usize {
        1_000
    }
}
