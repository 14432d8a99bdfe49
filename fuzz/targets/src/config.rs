//! Configuration as operators might write it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bridgehead_config::{Connectors, Document, parse, show_documents};
use bridgehead_sdk::is_secret_name;
use toml::{Table, Value};

use crate::invariant::{self, shows_no_secret};

/// Separates the files.
const NEXT_FILE: &str = "#---";
/// Starts a line that sets an environment variable.
const VARIABLE: &str = "#env ";

fn connectors() -> Connectors {
    let named = [
        ("file", bridgehead_file::factory()),
        ("exec", bridgehead_exec::factory()),
        ("simulated", bridgehead_simulated::factory()),
    ];
    named.into_iter().map(|(name, factory)| (name.to_owned(), factory)).collect()
}

/// Takes configuration files separated by `#---` lines, with environment variables in `#env NAME=VALUE` lines. The result is either a
/// configuration or errors that give reasons; neither may show a secret.
pub fn config(data: &[u8]) {
    invariant::begin(data);
    let text = String::from_utf8_lossy(data);
    let mut environment = BTreeMap::new();
    let mut texts = vec![String::new()];
    for line in text.lines() {
        if line.trim_end() == NEXT_FILE {
            texts.push(String::new());
        } else if let Some((name, value)) = line.strip_prefix(VARIABLE).and_then(|rest| rest.split_once('='))
        {
            environment.insert(name.to_owned(), value.to_owned());
        } else if let Some(last) = texts.last_mut() {
            last.push_str(line);
            last.push('\n');
        }
    }
    read(&texts, &environment, false);
    let tainted: Option<Vec<String>> = texts
        .iter()
        .map(|text| {
            let mut table: Table = text.parse().ok()?;
            table.iter_mut().for_each(|(name, value)| taint(value, is_secret_name(name)));
            Some(table.to_string())
        })
        .collect();
    for (name, value) in &mut environment {
        if is_secret_name(name) {
            *value = invariant::mark();
        }
    }
    if let Some(tainted) = tainted {
        read(&tainted, &environment, true);
    }
}

fn read(texts: &[String], environment: &BTreeMap<String, String>, is_tainted: bool) {
    let documents: Vec<Document> = texts
        .iter()
        .enumerate()
        .map(|(number, text)| Document {
            path: PathBuf::from(format!("/etc/bridgehead/{number}.toml")),
            text: text.clone(),
        })
        .collect();
    match parse(&documents, environment, &connectors()) {
        Ok(config) => {
            if is_tainted {
                shows_no_secret(&format!("{config:?}"));
            }
        }
        Err(errors) => {
            assert!(errors.iter().count() > 0, "refused without a reason");
            if is_tainted {
                shows_no_secret(&format!("{errors}\n{errors:?}"));
            }
        }
    }
    if is_tainted && let Ok(shown) = show_documents(&documents, environment, &connectors()) {
        shows_no_secret(&shown.to_toml(true));
        shows_no_secret(&shown.to_json().to_string());
    }
}

/// Replaces every value under the name of a secret with the mark. A table may be a reference, which says where the secret is stored but not
/// what it is.
fn taint(value: &mut Value, is_secret: bool) {
    match value {
        Value::String(text) if is_secret => *text = invariant::mark(),
        Value::Array(items) => items.iter_mut().for_each(|item| taint(item, is_secret)),
        // The name of a systemd credential is not a secret.
        Value::Table(table) if table.len() == 1 && table.contains_key("credential") => {}
        Value::Table(table) => {
            table.iter_mut().for_each(|(name, value)| taint(value, is_secret_name(name)));
        }
        _ => {}
    }
}
