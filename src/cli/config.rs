//! `bridgehead config show | schema`.

use super::args::{Config, Global};
use super::context;
use super::failure::{Exit, Failure, Outcome};
use super::print;
use bridgehead_config::{self as config, Connectors};

pub(crate) fn run(global: &Global, connectors: &Connectors, command: &Config) -> Outcome {
    match command {
        Config::Schema { markdown: None } => print::json(&config::schema(connectors)),
        Config::Schema { markdown: Some(name) } if name == "conformance" => {
            print::raw(config::conformance_keys().as_bytes());
        }
        Config::Schema { markdown: Some(name) } => match config::target_keys(connectors, name) {
            Some(table) => print::raw(table.as_bytes()),
            None => return Err(Failure::new(Exit::Usage, format!("unknown connector '{name}'"))),
        },
        Config::Show => {
            let shown = config::show(&context::sources(global), connectors)?;
            if global.json {
                let origins: serde_json::Map<String, serde_json::Value> = shown
                    .origins()
                    .into_iter()
                    .map(|(key, origin)| (key, serde_json::Value::from(origin.to_string())))
                    .collect();
                print::json(&serde_json::json!({ "configuration": shown.to_json(), "origins": origins }));
            } else {
                print::raw(shown.to_toml(true).as_bytes());
            }
        }
    }
    Ok(())
}
