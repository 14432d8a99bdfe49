//! `bridgehead check`: what works, what does not, and what to do about it.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::Connector;
use serde::Serialize;

use super::args::Global;
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{logging, print};
use crate::bridge::{Api, AppId, Client};
use crate::config::{self, Connectors};

/// No answer of a target within this time is an answer too.
const PATIENCE: Duration = Duration::from_secs(30);

/// What came of looking at one thing.
#[derive(Debug, Serialize)]
struct Finding {
    /// `ok`, `warning`, `failed`, or `skipped` where something before it failed.
    result: &'static str,
    /// What was looked at.
    what: String,
    /// What was found.
    found: String,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        result: &'static str,
        what: impl Into<String>,
        found: impl Into<String>,
        advice: Option<String>,
    ) {
        self.0.push(Finding { result, what: what.into(), found: found.into(), advice });
    }

    fn ok(&mut self, what: impl Into<String>, found: impl Into<String>) {
        self.add("ok", what, found, None);
    }

    fn failed(&mut self, what: impl Into<String>, found: impl Into<String>, advice: impl Into<String>) {
        let advice = advice.into();
        self.add("failed", what, found, Some(advice).filter(|advice| !advice.is_empty()));
    }
}

pub(crate) async fn run(
    global: &Global,
    connectors: &Connectors,
    names: &[String],
    offline: bool,
) -> Outcome {
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    let names = context.names(names)?;
    let mut findings = Findings::default();
    findings.ok(
        "configuration",
        format!("valid; {} of {} apps looked at", names.len(), context.config.apps.len()),
    );
    for warning in context.config.warnings(&context.environment) {
        findings.add("warning", "configuration", warning, None);
    }
    let network = check_network(&context, &mut findings);
    let bridge = match &network {
        Some(_) => check_key(&context, &mut findings, offline).await,
        None => None,
    };
    for name in &names {
        let Some(network) = &network else { break };
        let app = &context.config.apps[name];
        let connector = match config::build_connector(name, app, connectors, network, &context.redactor) {
            Ok(connector) => connector,
            Err(error) => {
                findings.failed(format!("{name}: target"), error.to_string(), "");
                continue;
            }
        };
        findings.ok(format!("{name}: settings of '{}'", app.connector), "valid");
        if offline {
            continue;
        }
        let types = check_target(&context, name, &connector, &mut findings).await;
        if let Some(bridge) = &bridge {
            check_app(bridge, name, app, types, &mut findings).await;
        } else {
            findings.add("skipped", format!("{name}: access in Iden"), "the Bridge could not be used", None);
        }
        connector.shutdown().await;
    }
    let failed = findings.0.iter().any(|finding| finding.result == "failed");
    if global.json {
        print::json(&findings.0);
    } else {
        show(&findings);
    }
    let exit = if offline { Exit::Configuration } else { Exit::Failed };
    if failed { Err(Failure::silent(exit)) } else { Ok(()) }
}

/// Without it, nothing can be reached, and the rest is not looked at.
fn check_network(context: &Context, findings: &mut Findings) -> Option<bridgehead_sdk::Network> {
    let network = match context.network() {
        Ok(network) => network,
        Err(failure) => {
            findings.failed("network", failure.message(), "");
            return None;
        }
    };
    let proxy = network.proxy.as_ref().and_then(url::Url::host_str);
    let trusted =
        context.config.network.ca_file.as_ref().map(|path| format!("{} is trusted", path.display()));
    let through = proxy.map(|host| format!("HTTP goes through {host}"));
    let said: Vec<String> = trusted.into_iter().chain(through).collect();
    if !said.is_empty() {
        findings.ok("network", said.join("; "));
    }
    Some(network)
}

async fn check_key(context: &Context, findings: &mut Findings, offline: bool) -> Option<Client> {
    let bridge = match context.bridge() {
        Ok(bridge) => bridge,
        Err(failure) => {
            findings.failed("API key", failure.message(), "");
            return None;
        }
    };
    if offline {
        findings.ok("API key", "is there; whether Iden accepts it was not asked");
        return None;
    }
    let url = &context.config.bridge.base_url;
    match bridge.list_apps().await {
        Ok(apps) => {
            findings
                .ok("Bridge", format!("{url} answers and accepts the key, which sees {} apps", apps.len()));
            Some(bridge)
        }
        Err(error) => {
            findings.failed("Bridge", error.to_string(), error.advice());
            None
        }
    }
}

async fn check_target(
    context: &Context,
    name: &str,
    connector: &Arc<dyn Connector>,
    findings: &mut Findings,
) -> Option<Vec<bridgehead_sdk::ResourceType>> {
    let silent = || bridgehead_sdk::Error::timeout(format!("no answer within {PATIENCE:?}"));
    let asked = tokio::time::timeout(PATIENCE, connector.describe()).await.unwrap_or_else(|_| Err(silent()));
    let redacted = |error: &bridgehead_sdk::Error| {
        format!("{}: {}", error.code(), context.redactor.redact(error.message()))
    };
    let description = match asked {
        Ok(description) => description,
        Err(error) => {
            findings.failed(
                format!("{name}: connector"),
                redacted(&error),
                "The connector must start and say what it offers.",
            );
            return None;
        }
    };
    let actions: Vec<&str> = description.actions.iter().map(|action| action.as_str()).collect();
    let version = format!("{} {}", description.name, description.version);
    findings.ok(format!("{name}: connector"), format!("{version} offers {}", actions.join(", ")));
    for warning in &description.warnings {
        findings.add("warning", format!("{name}: target"), context.redactor.redact(warning), None);
    }
    match tokio::time::timeout(PATIENCE, connector.check()).await.unwrap_or_else(|_| Err(silent())) {
        Ok(()) => findings.ok(format!("{name}: target"), "can be reached, and accepts the connector"),
        Err(error) => findings.failed(
            format!("{name}: target"),
            redacted(&error),
            "Until this is mended, tasks are held and syncs fail; nobody is removed.",
        ),
    }
    Some(description.resource_types)
}

async fn check_app(
    bridge: &Client,
    name: &str,
    app: &config::App,
    types: Option<Vec<bridgehead_sdk::ResourceType>>,
    findings: &mut Findings,
) {
    let registered = match bridge.list_resource_types(AppId::from(app.app_id)).await {
        Ok(registered) => registered,
        Err(error) => {
            findings.failed(format!("{name}: access in Iden"), error.to_string(), error.advice());
            return;
        }
    };
    findings.ok(format!("{name}: access in Iden"), format!("app {} can be used", app.app_id));
    let Some(types) = types else { return };
    let missing: Vec<&str> = types
        .iter()
        .filter(|of| !registered.iter().any(|known| known.slug == of.slug))
        .map(|of| of.slug.as_str())
        .collect();
    let of_another_kind =
        types.iter().find(|of| registered.iter().any(|known| known.slug == of.slug && known.kind != of.kind));
    let what = format!("{name}: resource types");
    if let Some(of) = of_another_kind {
        findings.failed(
            what,
            format!("'{}' is registered as another kind than {}", of.slug, of.kind),
            "Give the connector's type another slug; a registered type cannot change its kind.",
        );
    } else if missing.is_empty() {
        findings.ok(what, "all are registered");
    } else if app.register_resource_types {
        findings.ok(what, format!("{} will be registered by the first sync", missing.join(", ")));
    } else {
        findings.failed(
            what,
            format!("{} are not registered", missing.join(", ")),
            format!("Register them in Iden, or set apps.{name}.register_resource_types = true."),
        );
    }
}

fn show(findings: &Findings) {
    for Finding { result, what, found, advice } in &findings.0 {
        print::line(format!("{result:8} {what}: {found}"));
        if let Some(advice) = advice {
            print::line(format!("         {advice}"));
        }
    }
}
