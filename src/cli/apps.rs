//! `bridgehead apps list | create`, and forwarding of `pause | resume`.

use super::args::{Apps, Global};
use super::context::Context;
use super::failure::{Exit, Failure, Outcome};
use super::{logging, looking, orders, print, table};
use crate::control::Request;
use bridgehead_bridge::{Api, AppId, NewApp};
use bridgehead_config::Connectors;
use bridgehead_runtime::inspection::AppRow;

pub(crate) async fn run(global: &Global, connectors: &Connectors, command: Apps) -> Outcome {
    let command = match command {
        Apps::Pause { app, reason } => {
            return orders::pause(global, connectors, &app, orders::Switch::Pause(reason)).await;
        }
        Apps::Resume { app } => return orders::pause(global, connectors, &app, orders::Switch::Resume).await,
        command => command,
    };
    let context = Context::load(global, connectors)?;
    logging::start_quiet(&context.config.log, &context.redactor);
    match command {
        Apps::List => {
            // The daemon has the key; an operator's shell usually does not.
            let apps: Vec<AppRow> = match looking::ask(&context, &Request::Apps).await? {
                Some(apps) => apps,
                None => context.bridge()?.list_apps().await?.iter().map(AppRow::from).collect(),
            };
            if global.json {
                print::json(&apps);
            } else if apps.is_empty() {
                print::line(
                    "The key does not have access to any Bridge app. Create one with `bridgehead apps \
                     create NAME`.",
                );
            } else {
                let mut table = table::table(["id", "name", "status", "last synced", "configured as"]);
                for app in &apps {
                    let configured =
                        context.config.apps.iter().find(|(_, known)| known.app_id.to_string() == app.id);
                    table.add_row([
                        print::visible(&app.id),
                        print::visible(&app.name),
                        print::visible(app.configuration_status.as_deref().unwrap_or_default()),
                        app.last_synced_at.map_or_else(|| "never".to_owned(), table::time),
                        configured.map_or_else(|| "-".to_owned(), |(name, _)| name.clone()),
                    ]);
                }
                print::line(table.trim_fmt());
            }
        }
        Apps::Pause { .. } | Apps::Resume { .. } => {}
        Apps::Create { name, clone_from } => {
            let length = name.chars().count();
            if !(1..=255).contains(&length) {
                return Err(Failure::new(
                    Exit::Usage,
                    format!("the name of an app must have 1 to 255 characters, not {length}"),
                ));
            }
            let bridge = context.bridge()?;
            let new = NewApp { name, clone_from: clone_from.map(AppId::from) };
            // Sent only once: after a lost response it is unknown whether the app exists, and a retry could create a second one.
            let app = bridge.create_app(&new).await.map_err(|error| {
                let unsure = error.effect() == bridgehead_sdk::Effect::Unknown;
                let hint = if unsure {
                    "\nThe app may have been created; check with `bridgehead apps list` first."
                } else {
                    ""
                };
                Failure::new(Exit::Failed, format!("{error}\n{}{hint}", error.advice()))
            })?;
            if global.json {
                print::json(&AppRow::from(&app));
            } else {
                print::line(format!(
                    "Created '{}'. To connect a system to it, add this to the configuration:\n",
                    app.name
                ));
                print::line(format!(
                    "[apps.{}]\napp_id = \"{}\"\nconnector = \"…\"\n\n[apps.{}.target]\n",
                    key_of(&app.name),
                    app.id,
                    key_of(&app.name)
                ));
            }
        }
    }
    Ok(())
}

/// Derives a bare TOML key from a name.
fn key_of(name: &str) -> String {
    let key: String =
        name.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    let key = key.trim_matches('-');
    if key.is_empty() { "my-app".to_owned() } else { key.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_name_becomes_a_bare_key() {
        assert_eq!(key_of("ACME HR (prod)"), "acme-hr--prod");
        assert_eq!(key_of("人事"), "my-app");
    }
}
