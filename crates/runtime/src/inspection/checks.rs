//! Checks whether Iden, a target and an app in Iden can be used. Each result is sent as soon as it is known.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_sdk::{Connector, Description, Error, Redactor, ResourceType, counted};
use tokio::sync::mpsc::Sender;
use url::Url;

use super::finding::Finding;
use crate::target::isolate::isolate;
use bridgehead_bridge::{Api, AppId};
use bridgehead_config as config;

/// How long to wait for a target before its silence counts as the result.
const PATIENCE: Duration = Duration::from_secs(30);

/// The tolerated clock difference. Nothing needs more precision; a larger difference means that a clock is not synchronized.
const CLOCK_TOLERANCE: Duration = Duration::from_secs(30);

/// An app to check.
pub struct CheckedApp<'a> {
    /// Its name in the configuration.
    pub name: &'a str,
    /// Its settings.
    pub settings: &'a config::App,
    /// The connector to its target.
    pub connector: &'a Arc<dyn Connector>,
    /// Knows every secret of the configuration.
    pub redactor: &'a Redactor,
}

impl std::fmt::Debug for CheckedApp<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedApp").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Checks whether Iden responds and accepts the key.
pub async fn check_bridge(bridge: &dyn Api, base_url: &Url) -> Finding {
    match bridge.list_apps().await {
        Ok(apps) => Finding::ok(
            "Bridge",
            format!(
                "{base_url} responds and accepts the key, which can access {}",
                counted(apps.len(), "app", "apps")
            ),
        ),
        Err(error) => Finding::failed("Bridge", error.to_string()).advising(error.advice()),
    }
}

/// Checks this machine's clock against the date in the Bridge's last response; `None` if no response had a date.
pub fn check_clock(bridge: &dyn Api) -> Option<Finding> {
    let ahead = bridge.clock()?.ahead;
    let apart = ahead.unsigned_abs();
    if apart <= CLOCK_TOLERANCE {
        let found = format!("agrees with the Bridge's clock (within {} s)", apart.as_secs());
        return Some(Finding::ok("clock", found));
    }
    let (how_far, direction) = (apart.as_secs(), if ahead.is_negative() { "behind" } else { "ahead of" });
    let effect = "times in logs, history and the audit log are wrong, tasks look older or newer than they are, \
                  and certificates may seem expired or not yet valid";
    let tolerance = CLOCK_TOLERANCE.as_secs();
    let found = format!(
        "this machine's clock is {how_far} s {direction} the Bridge's (more than {tolerance} s is too much): {effect}"
    );
    Some(Finding::warning("clock", found).advising(
        "Turn on time synchronization: `timedatectl set-ntp true`, or start chrony. `timedatectl` shows whether it works.",
    ))
}

/// Checks whether the target of an app is reachable, and whether the app can be used in Iden. Without `bridge`, the latter is skipped.
///
/// Ends early if the receiver has been dropped.
pub async fn check_app(app: &CheckedApp<'_>, bridge: Option<&dyn Api>, tell: &Sender<Finding>) {
    let name = app.name;
    let (description, finding) = describe(app).await;
    if tell.send(finding).await.is_err() {
        return;
    }
    if let Some(description) = &description {
        let proof = verification(app, description);
        let target = reach(app).await;
        // The check may have found out more than the first description contained.
        let after = describe(app).await.0;
        let warnings = warnings(name, app.redactor, after.as_ref().unwrap_or(description));
        for finding in [proof, target].into_iter().chain(warnings) {
            if tell.send(finding).await.is_err() {
                return;
            }
        }
    }
    let in_iden = match bridge {
        Some(bridge) => {
            let types = description.as_ref().map(|description| &*description.resource_types);
            access(app, bridge, types).await
        }
        None => {
            vec![Finding::skipped(format!("{name}: access in Iden"), "the Bridge could not be used")]
        }
    };
    for finding in in_iden {
        if tell.send(finding).await.is_err() {
            return;
        }
    }
}

async fn describe(app: &CheckedApp<'_>) -> (Option<Description>, Finding) {
    let what = format!("{}: connector", app.name);
    let connector = Arc::clone(app.connector);
    let question = format!("the description of {}", app.name);
    match isolate(&question, PATIENCE, async move { connector.describe().await }).await {
        Ok(description) => {
            let actions: Vec<&str> = description.actions.iter().map(|action| action.as_str()).collect();
            let version = format!("{} {}", description.name, description.version);
            let offered = if actions.is_empty() { "no actions".to_owned() } else { actions.join(", ") };
            let found = format!("{version} offers {offered}");
            let found = app.redactor.redact(&found).into_owned();
            (Some(description), Finding::ok(what, found))
        }
        Err(error) => (
            None,
            Finding::failed(what, told(app, &error))
                .advising("The connector must start and describe what it offers."),
        ),
    }
}

/// Warnings of the connector that need the operator's attention although everything works.
fn warnings(name: &str, redactor: &Redactor, description: &Description) -> Vec<Finding> {
    let of_one =
        |warning: &String| Finding::warning(format!("{name}: target"), redactor.redact(warning).into_owned());
    description.warnings.iter().map(of_one).collect()
}

/// Whether changes are verified, and which fields the connector cannot show.
fn verification(app: &CheckedApp<'_>, description: &Description) -> Finding {
    let what = format!("{}: verification", app.name);
    let fields: Vec<&str> = description.unverifiable.iter().map(String::as_str).collect();
    let fields = app.redactor.redact(&fields.join(", ")).into_owned();
    if !app.settings.tasks.verify {
        return Finding::warning(
            what,
            "tasks.verify is off: tasks are reported as \"completed\" when the target says so, without \
             verifying the change",
        )
        .advising(format!(
            "Set apps.{}.tasks.verify = true, unless reading the account back harms the \
                           target.",
            app.name
        ));
    }
    if fields.is_empty() {
        Finding::ok(what, "tasks.verify is on; the connector can show everything that a task changes")
    } else {
        Finding::ok(
            what,
            format!(
                "tasks.verify is on; the target cannot show {fields}: tasks that change these fields are \
                 reported as \"not verified\""
            ),
        )
    }
}

async fn reach(app: &CheckedApp<'_>) -> Finding {
    let what = format!("{}: target", app.name);
    let connector = Arc::clone(app.connector);
    let question = format!("the check of {}", app.name);
    match isolate(&question, PATIENCE, async move { connector.check().await }).await {
        Ok(()) => Finding::ok(what, "reachable, and accepts the connector"),
        Err(error) => Finding::failed(what, told(app, &error))
            .advising("Until this is fixed, tasks are held and syncs fail; no account is removed."),
    }
}

fn told(app: &CheckedApp<'_>, error: &Error) -> String {
    format!("{}: {}", error.code(), app.redactor.redact(error.message()))
}

async fn access(app: &CheckedApp<'_>, bridge: &dyn Api, types: Option<&[ResourceType]>) -> Vec<Finding> {
    let CheckedApp { name, settings, .. } = app;
    let registered = match bridge.list_resource_types(AppId::from(settings.app_id)).await {
        Ok(registered) => registered,
        Err(error) => {
            return vec![
                Finding::failed(format!("{name}: access in Iden"), error.to_string())
                    .advising(error.advice()),
            ];
        }
    };
    let usable =
        Finding::ok(format!("{name}: access in Iden"), format!("app {} is accessible", settings.app_id));
    let Some(types) = types else { return vec![usable] };
    let missing: Vec<&str> = types
        .iter()
        .filter(|of| !registered.iter().any(|known| known.slug == of.slug))
        .map(|of| of.slug.as_str())
        .collect();
    let of_another_kind =
        types.iter().find(|of| registered.iter().any(|known| known.slug == of.slug && known.kind != of.kind));
    let what = format!("{name}: resource types");
    let types = if let Some(of) = of_another_kind {
        Finding::failed(what, format!("'{}' is registered as a different kind than {}", of.slug, of.kind))
            .advising(
                "Use a different slug for the connector's type; a registered type cannot change its \
                       kind.",
            )
    } else if missing.is_empty() {
        Finding::ok(what, "all are registered")
    } else if settings.register_resource_types {
        Finding::ok(what, format!("{} will be registered by the first sync", missing.join(", ")))
    } else {
        Finding::failed(what, format!("{} are not registered", missing.join(", ")))
            .advising(format!("Register them in Iden, or set apps.{name}.register_resource_types = true."))
    };
    vec![usable, types]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connector_warnings_become_redacted_findings() {
        let redactor = Redactor::new();
        let _protection = redactor.protect(["hunter2-secret"]);
        let description = Description::default()
            .with_warnings(["create.base: give the right to", "url: has hunter2-secret in it"]);
        let found = warnings("hr", &redactor, &description);
        let told = serde_json::to_string(&found).unwrap();
        assert_eq!(found.len(), 2);
        assert!(
            told.contains("warning") && told.contains("hr: target") && told.contains("create.base"),
            "{told}"
        );
        assert!(!told.contains("hunter2"), "{told}");
    }
}
