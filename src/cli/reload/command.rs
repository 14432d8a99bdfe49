//! `bridgehead reload`, and `bridgehead check --diff`.

use std::path::{Path, PathBuf};

use super::super::args::Global;
use super::super::failure::{Exit, Failure, Outcome};
use super::super::{context, print};
use super::show;
use crate::control::{self, Fate, Reloaded, Request};
use bridgehead_config::{self as config, Connectors};

pub(crate) async fn run(global: &Global, connectors: &Connectors, apply: bool) -> Outcome {
    let folder = state_folder(global, connectors);
    let Some(daemon) = control::connect(&folder).await? else {
        // Errors of the configuration are reported first: they may be why no daemon is found.
        config::load(&context::sources(global), connectors)?;
        let to =
            if apply { "reload; the next start takes the configuration as it is" } else { "compare with" };
        let message = format!(
            "No daemon listens on {}, so there is nothing to {to}.",
            control::socket(&folder).display()
        );
        return Err(Failure::new(Exit::Temporary, message));
    };
    let reloaded: Reloaded =
        daemon.follow(&Request::Reload { apply }, std::future::pending(), |_| {}).await?;
    if global.json {
        print::json(&reloaded);
    } else if reloaded.refused.is_none() {
        print::line(show::text(&reloaded));
    }
    if let Some(refused) = reloaded.refused {
        let message = format!("{refused}\nThe running daemon continues with the configuration that it has.");
        return Err(Failure::new(Exit::Configuration, message));
    }
    let has_failed = reloaded.apps.values().any(|app| app.result == Fate::Failed);
    if has_failed { Err(Failure::silent(Exit::Failed)) } else { Ok(()) }
}

/// The path of the state, even if the configuration is invalid elsewhere: it leads to the daemon that must get the request.
pub(crate) fn state_folder(global: &Global, connectors: &Connectors) -> PathBuf {
    let sources = context::sources(global);
    if let Ok(config) = config::load(&sources, connectors) {
        return config.state.path;
    }
    config::state_path(&sources, connectors).unwrap_or_else(|| Path::new(DEFAULT).to_owned())
}

/// The path of the state if the configuration does not set it, or cannot be read.
const DEFAULT: &str = "/var/lib/bridgehead";
