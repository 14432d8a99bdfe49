//! Tests the connector with the conformance kit, like bridgehead's own connectors.

use std::path::PathBuf;
use std::sync::Arc;

use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
use bridgehead_sdk::{Connector, Setup, async_trait};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

#[tokio::test]
async fn the_connector_keeps_the_contract() {
    let test_target = People::new();
    conformance::run(&test_target).await.assert_passed();
}

/// A target for each situation of the kit. Situations that cannot be tried here are skipped, which proves nothing: a target with a
/// credential should not skip `BadCredential` and `RefusedPermission`, one with an address should not skip `Silent` and `Through`.
struct People(TempDir);

impl People {
    fn new() -> Self {
        let people = Self(TempDir::new().unwrap());
        people.write("working.json", 3);
        people.write("cut.json", 3);
        let whole = std::fs::read(people.path("cut.json")).unwrap();
        std::fs::write(people.path("cut.json"), &whole[..whole.len() - 20]).unwrap();
        people
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn write(&self, file: &str, accounts: usize) {
        let account = |number: usize| {
            let name = format!("person-{number}");
            let account = json!({ "username": name, "email": format!("{name}@example.org"), "status": "active" });
            (format!("a{number}"), account)
        };
        let accounts: Map<String, Value> = (1..=accounts).map(account).collect();
        let state = json!({
            "next": accounts.len(),
            "team": { "t1": { "name": "Engineering" }, "t2": { "name": "Sales" } },
            "account": accounts,
        });
        std::fs::write(self.path(file), state.to_string()).unwrap();
    }

    fn connector(&self, file: &str) -> Arc<dyn Connector> {
        let target = Map::from_iter([("path".to_owned(), json!(self.path(file)))]);
        bridgehead_@@identifier@@::factory()
            .build(Setup::new("@@name@@", target))
            .unwrap()
    }
}

#[async_trait]
impl TestTarget for People {
    async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
        match situation {
            Situation::Working => Ok(self.connector("working.json")),
            Situation::Unreachable(_) => Ok(self.connector("not-there.json")),
            Situation::CutListing => Ok(self.connector("cut.json")),
            Situation::BadCredential | Situation::RefusedPermission => {
                Err(Skip::because("the file asks for no credential"))
            }
            _ => Err(Skip::because("the file is not reached over a network")),
        }
    }

    async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
        let file = format!("with-{accounts}.json");
        self.write(&file, accounts);
        Ok(self.connector(&file))
    }
}
