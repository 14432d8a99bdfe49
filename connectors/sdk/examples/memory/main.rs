//! A connector whose target is a map in memory, and what a daemon does with it: it creates the connector from a configuration, executes
//! tasks, and lists the target.
//!
//! ```sh
//! cargo run --example memory
//! ```
//!
//! In your own crate, `main` is the daemon: `bridgehead::Daemon::builder().connector("memory", factory()).run_from_args()`.

#![expect(clippy::print_stdout, reason = "it is what the example shows")]

mod connector;

use std::time::Duration;

use bridgehead_sdk::serde_json::json;
use bridgehead_sdk::{Action, Context, Operation, Payload, Setup};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    // In the configuration: target = { seats = 2, teams = { t1 = "Sales" } }
    let target = json!({ "seats": 2, "teams": { "t1": "Sales" } }).as_object().cloned().unwrap_or_default();
    let connector = connector::factory().build(Setup::new("Memory", target))?;

    let context = Context::first("task-1", Duration::from_secs(60));
    let account = json!({ "username": "ann", "email": "ann@example.org" });
    let create = Payload::new(account).with_memberships(json!({ "team": ["t1"] }));
    let tasks = [
        (Action::CreateAccount, create.clone()),
        (Action::CreateAccount, create),
        (Action::SuspendAccount, Payload::new(json!({ "username": "ann" }))),
        (Action::DeleteAccount, Payload::new(json!({ "username": "bob" }))),
    ];
    for (action, payload) in tasks {
        match connector.execute(&context, &Operation::parse(action, payload)?).await {
            Ok(completion) => println!("{action}: completed, {}", json!(completion.result)),
            Err(error) => println!("{action}: {error}"),
        }
    }

    for of in connector.describe().await?.resource_types {
        let page = connector.list(&of, None).await?;
        println!("{}: {} listed, read to the end: {}", of.name, page.records.len(), page.evidence.is_some());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn example_runs_to_completion() {
        super::main().unwrap();
    }

    mod conformance {
        use std::sync::Arc;

        use bridgehead_conformance::{self as conformance, Situation, Skip, TestTarget};
        use bridgehead_sdk::serde_json::json;
        use bridgehead_sdk::{Action, Connector, Context, Operation, Payload, Setup, async_trait};

        /// Targets for the kit. Memory cannot be unreachable, silent or truncated, so the kit skips these rules, and
        /// does not prove them.
        struct InMemory(Arc<dyn Connector>);

        fn connector() -> Arc<dyn Connector> {
            let target =
                json!({ "seats": 20_000, "teams": { "t1": "Sales", "t2": "Support", "t3": "Board" } });
            let target = target.as_object().cloned().unwrap();
            crate::connector::factory().build(Setup::new("Memory", target)).unwrap()
        }

        #[async_trait]
        impl TestTarget for InMemory {
            async fn connect(&self, situation: Situation) -> Result<Arc<dyn Connector>, Skip> {
                match situation {
                    Situation::Working => Ok(Arc::clone(&self.0)),
                    _ => Err(Skip::because("memory is always there, whole, and asks for no credential")),
                }
            }

            async fn populated(&self, accounts: usize) -> Result<Arc<dyn Connector>, Skip> {
                let full = connector();
                let context = Context::first("fill", self.deadline());
                for number in 0..accounts {
                    let payload = Payload::new(json!({ "username": format!("person-{number}") }));
                    let create = Operation::parse(Action::CreateAccount, payload).unwrap();
                    full.execute(&context, &create).await.unwrap();
                }
                Ok(full)
            }

            fn many(&self) -> usize {
                1_000
            }
        }

        #[tokio::test]
        async fn the_connector_keeps_the_contract() {
            conformance::run(&InMemory(connector())).await.assert_passed();
        }
    }
}
