//! The SDK's memory example, compiled by a crate that depends only on the SDK: the code that the macros of `async_trait`, `serde` and
//! `schemars` generate must find these crates through the SDK.

#[path = "../../../examples/memory/connector.rs"]
mod connector;

use std::sync::Arc;

use bridgehead_sdk::{ExposeSecret, Factory, SecretString, schemars, serde};

/// Settings with a secret, deserialized without the crate `secrecy`.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(crate = "bridgehead_sdk::serde", deny_unknown_fields)]
#[schemars(crate = "bridgehead_sdk::schemars")]
pub struct Settings {
    /// The token.
    #[schemars(with = "String")]
    pub token: SecretString,
}

impl Settings {
    /// The value of a header.
    pub fn header(&self) -> String {
        format!("Bearer {}", self.token.expose_secret())
    }
}

/// Creates the connector.
pub fn factory() -> Arc<dyn Factory> {
    connector::factory()
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use bridgehead_sdk::serde_json::json;
    use bridgehead_sdk::{Action, Operation, Payload, Setup};

    use super::*;

    /// Runs a future that never waits, so that no runtime is needed.
    fn now<T>(future: impl Future<Output = T>) -> T {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => answer,
            Poll::Pending => panic!("it waits for something"),
        }
    }

    #[test]
    fn connector_works_with_only_the_sdk() {
        let target = json!({ "seats": 1, "teams": { "t1": "Sales" } }).as_object().cloned().unwrap();
        let connector = factory().build(Setup::new("Memory", target)).unwrap();
        let context = bridgehead_sdk::Context::first("task-1", std::time::Duration::from_secs(1));
        let create =
            Operation::parse(Action::CreateAccount, Payload::new(json!({ "username": "ann" }))).unwrap();
        let completion = now(connector.execute(&context, &create)).unwrap();
        assert_eq!(completion.result["account_id"], "a1");
    }

    #[test]
    fn secret_setting_is_read_but_hidden_in_debug() {
        let target = json!({ "token": "hunter2" }).as_object().cloned().unwrap();
        let settings: Settings = Setup::new("hr", target).settings().unwrap();
        assert_eq!(settings.header(), "Bearer hunter2");
        assert!(!format!("{settings:?}").contains("hunter2"));
    }
}
