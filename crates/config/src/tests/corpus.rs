//! Reads thousands of configurations, most of them invalid, and compares the results and errors with a record. The record was made by an
//! earlier reader without serde; it shows whether another reader is as strict, reports as much, and points to the same locations.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::schemas::leaves;
use super::support::{document, environment};
use crate::keys::Keys;
use crate::{App, Config, Connectors, Document, Error, Origin, Schedule, parse, schema};

/// The values that each key gets in turn.
const VALUES: [&str; 12] = [
    "\"zq-text\"",
    "\"\"",
    "\"2d\"",
    "5",
    "-1",
    "1.5",
    "true",
    "[]",
    "[\"zq-text\", 5, \"\"]",
    "{}",
    "{ env = \"KEY\" }",
    "1979-05-27",
];

fn connectors() -> Connectors {
    let named: [(&str, Arc<dyn bridgehead_sdk::Factory>); 7] = [
        ("file", bridgehead_file::factory()),
        ("exec", bridgehead_exec::factory()),
        ("http", bridgehead_http::factory()),
        ("ldap", bridgehead_ldap::factory()),
        ("scim", bridgehead_scim::factory()),
        ("simulated", bridgehead_simulated::factory()),
        ("sql", bridgehead_sql::factory()),
    ];
    named.map(|(name, factory)| (name.to_owned(), factory)).into()
}

/// The files of `config/`; the one with all keys includes its commented-out tables.
fn examples() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config");
    let mut files = vec![folder.join("bridgehead.toml")];
    let more = std::fs::read_dir(folder.join("examples")).unwrap().map(|entry| entry.unwrap().path());
    files.extend(more.filter(|path| path.extension().is_some_and(|extension| extension == "toml")));
    files[1..].sort();
    let read = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let name = path.file_name().unwrap().display().to_string();
        let text = if name == "bridgehead.toml" { super::example::uncommented(&text) } else { text };
        (name, text)
    };
    files.iter().map(read).collect()
}

/// All settings of a configuration, one per line.
fn facts(config: &Config) -> BTreeSet<String> {
    let mut text = String::new();
    let bridge = &config.bridge;
    writeln!(text, "bridge {} {:?} {:?}", bridge.base_url, bridge.api_key, bridge.request_timeout).unwrap();
    writeln!(text, "bridge {:?} {:?}", bridge.rate_limit, bridge.refs).unwrap();
    let network = &config.network;
    writeln!(text, "network {:?} {:?}", network.ca_file, network.proxy.as_ref().map(url::Url::as_str))
        .unwrap();
    writeln!(text, "network {:?} {:?}", network.proxy_username, network.proxy_password).unwrap();
    writeln!(text, "network {:?}", network.no_proxy).unwrap();
    writeln!(text, "state {:?}", config.state.path).unwrap();
    writeln!(text, "admin {:?}", config.admin.as_ref().map(|admin| admin.listen)).unwrap();
    writeln!(text, "log {:?} {:?}", config.log.format, config.log.level).unwrap();
    writeln!(text, "runtime {:?}", config.runtime.shutdown_grace).unwrap();
    for (name, app) in &config.apps {
        of_app(name, app, &mut text);
    }
    text.lines().map(str::to_owned).collect()
}

fn of_app(name: &str, app: &App, text: &mut String) {
    let mut line = |what: String| writeln!(text, "{name} {what}").unwrap();
    line(format!("{} {} {}", app.app_id, app.connector, app.register_resource_types));
    let tasks = &app.tasks;
    line(format!("tasks {} {:?} {}", tasks.enabled, tasks.poll_interval, tasks.concurrency));
    line(format!("tasks {:?} {:?} {:?}", tasks.timeout, tasks.give_up_after, tasks.hold_for));
    line(format!("tasks {} {:?}", tasks.verify, tasks.guard));
    let sync = &app.sync;
    line(match &sync.schedule {
        Schedule::Every(every) => format!("sync every {every:?}"),
        Schedule::Cron { expression, timezone } => format!("sync {expression} {:?}", timezone.iana_name()),
    });
    line(format!("sync {} {} {}", sync.enabled, sync.on_start, sync.push_concurrency));
    line(format!("sync {:?} {:?}", sync.on_invalid, sync.complete_without_proof));
    line(format!("{:?}", sync.guard));
    line(format!("protect {:?} {:?}", app.protect.accounts, app.protect.actions));
    let told = &app.conformance;
    line(format!("conformance account {:?}", told.account));
    line(format!("conformance changes {:?} {:?}", told.changes, told.free_text_fields));
    line(format!("conformance refs {:?} {:?}", told.missing_refs, told.usable_refs));
    line(format!("conformance {:?} {:?} {:?}", told.address, told.accept_skipped, told.page_size));
    line(format!("conformance {:?} {:?}", told.check_timeout, told.timeout));
    let target = |target: &crate::Target| match target.resolve() {
        Ok(resolved) => Value::Object(resolved.settings).to_string(),
        Err(error) => error.to_string(),
    };
    line(format!("target {} {:?}", app.target.base.display(), app.target.rate_limit));
    line(format!("target {}", target(&app.target)));
    for situation in crate::conformance::SITUATIONS {
        if let Some(changed) = told.target(&app.target, situation, "127.0.0.1:4711".parse().ok()) {
            line(format!("{situation} {}", target(&changed)));
        }
    }
}

/// A fact in the format of the record: long ones are hashed.
fn short(fact: &str) -> String {
    if fact.len() <= 100 {
        return fact.to_owned();
    }
    let start: String = fact.chars().take(30).collect();
    format!("{start}… {:016x}", xxhash_rust::xxh3::xxh3_64(fact.as_bytes()))
}

struct Corpus {
    connectors: Connectors,
    record: String,
    cases: usize,
}

impl Corpus {
    /// Records the effect of a mutation: what differs from the original, or the locations of errors. Other tests cover the messages.
    fn add(
        &mut self,
        name: &str,
        usual: &BTreeSet<String>,
        documents: &[Document],
        variables: &[(&str, &str)],
    ) {
        self.cases += 1;
        let told: Vec<String> = match parse(documents, &environment(variables), &self.connectors) {
            Ok(config) => facts(&config).difference(usual).map(|fact| short(fact)).collect(),
            Err(errors) => {
                assert!(!errors.to_string().contains("zq-text"), "{name}: {errors}");
                let place = |error: &Error| match (error.origin(), error.key()) {
                    (Some(Origin::Environment { .. }), key) => format!("! {}", key.unwrap_or_default()),
                    (Some(origin), key) => {
                        format!("! {origin} {}", key.unwrap_or_default()).replace("/etc/", "")
                    }
                    (None, _) => format!("! {error}"),
                };
                let places: BTreeSet<String> = errors.iter().map(place).collect();
                places.into_iter().collect()
            }
        };
        writeln!(self.record, "{name}: {}", told.join("; ")).unwrap();
    }

    fn parse(&self, text: &str) -> BTreeSet<String> {
        let config = parse(&[document("/etc/a.toml", text)], &environment(&[]), &self.connectors);
        facts(&config.unwrap_or_else(|errors| panic!("{errors}")))
    }

    /// Sets every key to every value, in a second file and in the environment.
    fn values(&mut self, text: &str) {
        let usual = self.parse(text);
        let known = schema(&self.connectors);
        let mut keys = Vec::new();
        leaves(Keys::of(&known), "", &mut keys);
        let tables =
            ["bridge", "network", "state", "admin", "log", "runtime", "apps", "apps.acme-hr", "apps.new"];
        keys.extend(tables.map(str::to_owned));
        let tables = ["tasks", "tasks.guard", "sync", "sync.guard", "protect", "target", "conformance"];
        keys.extend(tables.map(|table| format!("apps.acme-hr.{table}")));
        keys.extend(["apps.acme-hr.target.rate_limit", "unknown", "bridge.unknown"].map(str::to_owned));
        for key in &keys {
            for value in VALUES {
                let second = document("/etc/b.toml", &format!("{key} = {value}"));
                self.add(&format!("{key} = {value}"), &usual, &[document("/etc/a.toml", text), second], &[]);
                let variable =
                    format!("BRIDGEHEAD__{}", key.replace('.', "__").replace('-', "_").to_uppercase());
                let documents = [document("/etc/a.toml", text)];
                self.add("  by variable", &usual, &documents, &[(&variable, value)]);
            }
        }
    }

    /// Removes every line and misspells every key.
    fn lines(&mut self, file: &str, text: &str) {
        let usual = self.parse(text);
        for (index, line) in text.lines().enumerate() {
            if line.is_empty() || line.starts_with(['#', ' ', ']', '}', '"']) {
                continue;
            }
            let with = |line: &str| {
                let mut lines: Vec<&str> = text.lines().collect();
                lines[index] = line;
                [document("/etc/a.toml", &lines.join("\n"))]
            };
            self.add(&format!("{file}:{} left out", index + 1), &usual, &with(""), &[]);
            let misspelt = line.chars().take(1).chain(line.chars().skip(2)).collect::<String>();
            self.add(&format!("{file}:{} misspelt", index + 1), &usual, &with(&misspelt), &[]);
        }
    }
}

#[test]
fn accepted_and_refused_configurations_match_the_snapshot() {
    let mut corpus = Corpus { connectors: connectors(), record: String::new(), cases: 0 };
    let examples = examples();
    for (name, text) in &examples {
        corpus.add(name, &BTreeSet::new(), &[document("/etc/a.toml", text)], &[]);
    }
    corpus.values(&examples[0].1);
    corpus.values(&format!("{}{}", super::support::BRIDGE, super::support::APP));
    for (name, text) in &examples {
        corpus.lines(name, text);
    }
    assert!(corpus.cases > 3000, "{}", corpus.cases);
    insta::assert_snapshot!(corpus.record);
}
