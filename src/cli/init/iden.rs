//! The questions about Iden and its apps.

use std::collections::BTreeMap;
use std::sync::Arc;

use bridgehead_sdk::{Network, Question};
use secrecy::ExposeSecret;
use url::Url;

use super::interview::Interview;
use bridgehead_bridge::{Api, ApiKey, AppId, Client, NewApp, Settings};
use bridgehead_config::Config;

/// The keys of the answers about Iden.
pub(super) const URL: &str = "iden_url";
pub(super) const KEY: &str = "iden_key";
pub(super) const APP: &str = "app";
/// The answer for a sandbox on this machine instead of a URL.
pub(super) const SANDBOX: &str = "sandbox";
/// The answer for creating a new app in Iden instead of an id.
pub(super) const NEW: &str = "new";

/// A Bridge app that the key has access to.
#[derive(Clone, Debug)]
pub(super) struct KnownApp {
    pub(super) id: String,
    pub(super) name: String,
}

/// The questions for Iden's URL and the key.
pub(super) fn questions() -> Vec<Question> {
    vec![
        Question::text(
            URL,
            "The address of Iden, such as https://developer.idenhq.com/org/acme, or 'sandbox' to try it without an account",
        ),
        Question::secret(KEY, "The API key of Iden"),
    ]
}

/// The question for the app's id, without a list of apps.
pub(super) fn given() -> Question {
    Question::text(APP, "The id of the Bridge app in Iden that the target belongs to, or 'new' to create one")
        .with_check(|text| {
            let is_one = text == NEW || uuid::Uuid::try_parse(text).is_ok();
            if is_one { Ok(()) } else { Err("must be the id of an app, a UUID, or 'new'".to_owned()) }
        })
}

/// The question which of these apps to use.
pub(super) fn which(apps: &[KnownApp]) -> Question {
    let known = apps.iter().map(|app| (app.id.clone(), app.name.clone()));
    let new = (NEW.to_owned(), "creates one with the name of this app".to_owned());
    Question::text(APP, "The Bridge app in Iden that the target belongs to")
        .with_choices(std::iter::once(new).chain(known))
        .with_default(NEW)
}

/// A client that uses the answers.
pub(super) fn client(interview: &Interview, network: &Network) -> Result<Client, String> {
    let url =
        interview.text(URL).and_then(|url| Url::parse(url).ok()).ok_or("the address of Iden is missing")?;
    let key = interview.secret(KEY).ok_or("the API key of Iden is missing")?;
    let key = ApiKey::new(key.secret.expose_secret()).map_err(|error| error.to_string())?;
    let mut settings = Settings::new(url);
    settings.network = network.clone();
    let client = Client::new(settings, Arc::new(key)).map_err(|error| error.to_string())?;
    Ok(client.without_retries())
}

/// The apps that the key has access to.
pub(super) async fn apps(client: &Client) -> Result<Vec<KnownApp>, String> {
    let apps = client.list_apps().await.map_err(|error| format!("{error}\n{}", error.advice()))?;
    Ok(apps.into_iter().map(|app| KnownApp { id: app.id.to_string(), name: app.name }).collect())
}

/// Creates an app. Sent only once: after a lost response it is unknown whether it exists.
pub(super) async fn create(client: &Client, name: &str) -> Result<AppId, String> {
    let new = NewApp { name: name.to_owned(), clone_from: None };
    let app = client.create_app(&new).await.map_err(|error| {
        format!(
            "{error}\n{}\nThe app may have been created; check with `bridgehead apps list`.",
            error.advice()
        )
    })?;
    Ok(app.id)
}

/// A client that uses an existing configuration.
pub(super) fn configured(
    config: &Config,
    network: &Network,
    environment: &BTreeMap<String, String>,
) -> Result<Client, String> {
    let key = config.bridge.api_key.read(environment).map_err(|error| format!("bridge.api_key: {error}"))?;
    let key = ApiKey::new(key.expose_secret()).map_err(|error| format!("bridge.api_key: {error}"))?;
    let mut settings = Settings::new(config.bridge.base_url.clone());
    settings.network = network.clone();
    let client = Client::new(settings, Arc::new(key)).map_err(|error| error.to_string())?;
    Ok(client.without_retries())
}
