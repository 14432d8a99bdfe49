//! Determines the steps from a configuration: pure except for reading secrets and building connectors.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::{Connector, Network};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::super::context::{self, Context};
use super::super::failure::Failure;
use crate::control::{AppReloaded, Changed, Fate};
use bridgehead_config::{self as config, Connectors, Difference, Settings};

/// The keys that affect every app.
const SHARED: [&str; 2] = ["bridge", "network"];
/// The keys that take effect only after a restart.
const FIXED: [&str; 4] = ["state", "audit", "admin.listen", "log.format"];
/// The keys that take effect immediately, for the daemon as a whole.
const DAEMON: [&str; 3] = ["runtime", "log.level", TOKEN];
/// The token of the page.
const TOKEN: &str = "admin.token";
/// The key that a Bridge client can read again without a reload.
const API_KEY: &str = "bridge.api_key";

/// A valid configuration, with everything that its keys refer to.
pub(super) struct Wanted {
    pub(super) context: Context,
    pub(super) network: Network,
    /// The token of the page.
    pub(super) token: Option<SecretString>,
    pub(super) fingerprint: String,
    settings: Settings,
    /// The Bridge's key separately: a rotated one must not affect the apps.
    pub(super) key: Settings,
    /// The settings of each app, with everything they refer to, or why that cannot be read.
    apps: BTreeMap<String, Result<Settings, String>>,
}

/// What happens to an app.
pub(super) enum Step {
    /// Nothing.
    Keep,
    /// It starts with this connector, and replaces the app with the same name, if any.
    Run(Arc<dyn Connector>),
    /// It stops.
    Remove,
}

impl Wanted {
    /// Splits a configuration. An error in its common part is the failure; errors of single apps are kept with the app.
    pub(super) fn take(reading: config::Reading, before: &Context) -> Result<Self, Failure> {
        let config::Reading { config, mut settings, shown } = reading;
        config.require_apps()?;
        let context = Context {
            config,
            redactor: before.redactor.clone(),
            environment: Arc::clone(&before.environment),
        };
        let network = context.network()?;
        settings.add_behind("network.ca_file", &network.authorities);
        if let Some(Ok(password)) =
            context.config.network.proxy_password.as_ref().map(|secret| secret.read(&context.environment))
        {
            settings.add_behind("network.proxy_password", password.expose_secret().as_bytes());
        }
        let token = context.page_token()?;
        if let Some(token) = &token {
            settings.add_behind(TOKEN, token.expose_secret().as_bytes());
        }
        let api_key = context.api_key()?;
        let mut key = settings.part(&[API_KEY]);
        key.add_behind(API_KEY, api_key.expose().as_bytes());
        let shared = |name: &str| {
            let own = format!("apps.{name}");
            let kit = format!("{own}.conformance");
            settings.part(&[&own, SHARED[0], SHARED[1]]).without(&[&kit])
        };
        let apps = context.config.apps.iter().map(|(name, app)| {
            let secrets = app.target.secrets().map_err(|error| error.to_string());
            let settings = secrets.map(|secrets| {
                let mut settings = shared(name);
                settings.add_secrets(&secrets);
                settings.add(
                    &format!("apps.{name}.target (where relative paths start)"),
                    &app.target.base.to_string_lossy(),
                );
                settings
            });
            (name.clone(), settings)
        });
        let apps = apps.collect();
        let fingerprint = context::fingerprint_of(&shown);
        Ok(Self { context, network, token, fingerprint, settings, key, apps })
    }

    /// The settings that affect the daemon as a whole and can be changed while it runs.
    pub(super) fn daemon(&self) -> Settings {
        self.settings.part(&DAEMON)
    }

    pub(super) fn fixed(&self) -> Settings {
        self.settings.part(&FIXED)
    }

    pub(super) fn shared(&self) -> Settings {
        self.settings.part(&SHARED)
    }

    /// The settings of an app, if everything they refer to can be read.
    pub(super) fn app(&self, name: &str) -> Option<&Settings> {
        self.apps.get(name)?.as_ref().ok()
    }

    pub(super) fn app_id(&self, name: &str) -> Option<Uuid> {
        Some(self.context.config.apps.get(name)?.app_id)
    }

    /// Compares with the running apps.
    pub(super) fn steps(
        &self,
        running: &BTreeMap<String, (Uuid, Settings)>,
        connectors: &Connectors,
    ) -> BTreeMap<String, (Step, AppReloaded)> {
        let mut steps = BTreeMap::new();
        for (name, wanted) in &self.apps {
            let before = running.get(name).map(|(_, settings)| settings);
            steps.insert(name.clone(), self.step(name, wanted, before, connectors));
        }
        for name in running.keys().filter(|name| !self.apps.contains_key(*name)) {
            steps.insert(name.clone(), (Step::Remove, reloaded(Fate::Removed, Vec::new())));
        }
        self.keep_identities_apart(running, &mut steps);
        steps
    }

    fn step(
        &self,
        name: &str,
        wanted: &Result<Settings, String>,
        before: Option<&Settings>,
        connectors: &Connectors,
    ) -> (Step, AppReloaded) {
        let wanted = match wanted {
            Ok(wanted) => wanted,
            Err(error) => return failed(error, Vec::new(), before.is_some()),
        };
        let changes = before.map(|before| changes(before, wanted, &self.context)).unwrap_or_default();
        if before.is_some() && changes.is_empty() {
            return (Step::Keep, reloaded(Fate::Unchanged, changes));
        }
        let app = &self.context.config.apps[name];
        match context::build_connector(name, app, connectors, &self.network, &self.context.redactor) {
            Err(error) => failed(&error.to_string(), changes, before.is_some()),
            Ok(connector) => {
                let fate = if before.is_some() { Fate::Changed } else { Fate::Added };
                (Step::Run(connector), reloaded(fate, changes))
            }
        }
    }

    /// Two apps with the same identity must never run at the same time: if one continues because it could not be changed, another one
    /// cannot get its `app_id`.
    fn keep_identities_apart(
        &self,
        running: &BTreeMap<String, (Uuid, Settings)>,
        steps: &mut BTreeMap<String, (Step, AppReloaded)>,
    ) {
        loop {
            let kept: BTreeMap<Uuid, String> = steps
                .iter()
                .filter(|(_, (step, _))| matches!(step, Step::Keep))
                .filter_map(|(name, _)| Some((running.get(name)?.0, name.clone())))
                .collect();
            let clash = steps.iter().find_map(|(name, (step, _))| {
                let holder = kept.get(&self.app_id(name)?)?;
                (matches!(step, Step::Run(_)) && holder != name).then(|| (name.clone(), holder.clone()))
            });
            let Some((name, holder)) = clash else { return };
            let is_running = running.contains_key(&name);
            let why = format!(
                "apps.{name}.app_id: '{holder}' continues with this app_id, because it could not be changed"
            );
            if let Some((step, reloaded)) = steps.get_mut(&name) {
                let changes = std::mem::take(&mut reloaded.changes);
                (*step, *reloaded) = failed(&why, changes, is_running);
            }
        }
    }
}

/// The differences between two sets of settings.
pub(super) fn changes(before: &Settings, after: &Settings, context: &Context) -> Vec<Changed> {
    let clean = |text: String| context.redactor.redact(&text).into_owned();
    let told = |Difference { key, old, new, is_behind }| Changed {
        key,
        old: old.filter(|_| !is_behind).map(clean),
        new: new.filter(|_| !is_behind).map(clean),
        content: is_behind,
    };
    before.differences(after).into_iter().map(told).collect()
}

fn reloaded(result: Fate, changes: Vec<Changed>) -> AppReloaded {
    AppReloaded { result, changes, detail: None }
}

fn failed(why: &str, changes: Vec<Changed>, is_running: bool) -> (Step, AppReloaded) {
    let outcome = if is_running { "it continues with the settings that it has" } else { "it is not started" };
    let detail = Some(format!("{why}; {outcome}"));
    (Step::Keep, AppReloaded { result: Fate::Failed, changes, detail })
}
