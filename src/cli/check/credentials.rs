//! Which credentials for Iden and the targets this command can read.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::{Connector, Network};

use super::super::context::{Context, build_connector};
use super::super::failure::Failure;
use super::report::Report;
use crate::control::Identity;
use bridgehead_bridge::Client;
use bridgehead_config::{self as config, Connectors};
use bridgehead_runtime::inspection::Finding;

/// The network settings, the client of the Bridge and the connectors, or why they are not available here.
pub(super) struct Credentials {
    pub(super) network: Result<Network, Failure>,
    pub(super) bridge: Result<Client, Failure>,
    /// By app; empty if the network settings are not available.
    pub(super) connectors: BTreeMap<String, Result<Arc<dyn Connector>, config::Error>>,
}

impl Credentials {
    pub(super) fn gather(context: &Context, connectors: &Connectors, names: &[String]) -> Self {
        let network = context.network();
        let build = |network: &Network, name: &String| {
            let app = &context.config.apps[name];
            build_connector(name, app, connectors, network, &context.redactor)
        };
        let connectors = match &network {
            Ok(network) => names.iter().map(|name| (name.clone(), build(network, name))).collect(),
            Err(_) => BTreeMap::new(),
        };
        Self { network, bridge: context.bridge(), connectors }
    }

    /// Whether everything is available to check Iden and the targets.
    pub(super) fn are_complete(&self) -> bool {
        self.network.is_ok() && self.bridge.is_ok() && self.connectors.values().all(Result::is_ok)
    }

    /// Reports what is available. What a running daemon has loaded is not reported as missing.
    pub(super) fn tell(
        &self,
        context: &Context,
        names: &[String],
        daemon: Option<&Identity>,
        is_current: bool,
        report: &mut Report,
    ) {
        let missing = |what: &str, why: &str| match daemon {
            Some(_) => Finding::skipped(
                what,
                format!(
                    "cannot be read here; not needed, because the running daemon has loaded its own \
                         copy ({why})"
                ),
            ),
            None => Finding::failed(what, why),
        };
        if let Err(failure) = &self.network {
            report.add(missing("network", failure.message()));
            if daemon.is_none() {
                return;
            }
        }
        match &self.bridge {
            // Whether it is accepted is checked later.
            Ok(_) => report.add(Finding::ok("API key", "found")),
            Err(failure) if self.network.is_ok() => report.add(missing("API key", failure.message())),
            Err(_) => {}
        }
        for name in names {
            let app = &context.config.apps[name];
            let settings = format!("{name}: settings of '{}'", app.connector);
            match self.connectors.get(name) {
                Some(Ok(_)) => report.add(Finding::ok(settings, "valid")),
                _ if is_current => {
                    report.add(Finding::ok(settings, "valid, as loaded by the running daemon"));
                }
                // Only a secret is missing here: the rest is checked when the daemon reads it.
                Some(Err(error)) if daemon.is_some() && app.target.resolve().is_err() => {
                    report.add(Finding::skipped(settings, format!("a secret is not readable here: {error}")));
                }
                Some(Err(error)) => report.add(Finding::failed(format!("{name}: target"), error.to_string())),
                None => {}
            }
        }
    }

    pub(super) async fn close(self) {
        for connector in self.connectors.into_values().flatten() {
            connector.shutdown().await;
        }
    }
}
