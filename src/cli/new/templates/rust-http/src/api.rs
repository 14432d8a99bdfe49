//! The calls of the target's API. Replace paths and types by those of yours.
//!
//! `bridgehead_sdk::http::Client` says of what goes wrong on the way whether anything was changed and whether retrying may help;
//! `Answer::refusal` says it of a status. What is left is what only this API knows.

use bridgehead_sdk::http::reqwest::{Method, RequestBuilder};
use bridgehead_sdk::http::{Answer, Client, Credential, endpoint};
use bridgehead_sdk::{Error, SettingsError, Setup};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::settings::Settings;

/// How many records a page is asked for. The API may give fewer.
const PAGE: &str = "200";

/// A page, as the API gives it.
#[derive(Deserialize)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    /// The key of the next page; `null` at the end. It is required: a page without it would look like the last one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) next: Option<String>,
}

/// A user, as the API gives it.
#[derive(Deserialize)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) login: Option<String>,
    pub(crate) mail: Option<String>,
    pub(crate) given_name: Option<String>,
    pub(crate) surname: Option<String>,
    pub(crate) title: Option<String>,
    pub(crate) enabled: bool,
    pub(crate) teams: Vec<String>,
}

/// The API of one target. Clones share its connections.
pub(crate) struct Api {
    client: Client,
    credential: Credential,
    base: Url,
}

impl Api {
    /// Checks the settings, and nothing else: nothing is connected to before the first call.
    pub(crate) fn new(settings: &Settings, setup: Setup) -> Result<Self, SettingsError> {
        let base = endpoint("url", &settings.url)?;
        let limits = settings.limits.limits("limits")?;
        let client = Client::new(setup.app, &setup.network, limits)?;
        let credential = Credential::new(&settings.auth, "auth", &client, &setup.redactor)?;
        Ok(Self {
            client,
            credential,
            base,
        })
    }

    /// What messages call the target.
    pub(crate) fn system(&self) -> &str {
        self.client.system()
    }

    /// One page of `users` or `teams`, those alone that match a filter if there is one.
    pub(crate) async fn page(
        &self,
        of: &str,
        after: Option<&str>,
        filter: Option<(&str, &str)>,
    ) -> Result<Page, Error> {
        let after = after.map(|after| ("after", after));
        let query: Vec<_> = [Some(("limit", PAGE)), after, filter]
            .into_iter()
            .flatten()
            .collect();
        let request = self.request(Method::GET, &[of]).query(&query);
        let what = format!("The {of} cannot be listed");
        self.answer(request, &what).await?.json()
    }

    /// One of `users` or `teams`. 404 is the API's way to say that there is certainly none.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        of: &str,
        id: &str,
    ) -> Result<Option<T>, Error> {
        // URLs cannot carry these as a part of a path: without this, another record would be asked for.
        if matches!(id, "" | "." | "..") || id.contains(|one: char| one.is_ascii_control()) {
            return Ok(None);
        }
        let answer = self.send(self.request(Method::GET, &[of, id])).await?;
        match answer.status().as_u16() {
            404 => Ok(None),
            _ if answer.status().is_success() => answer.json().map(Some),
            _ => Err(answer.refusal(&format!("{id} of the {of} cannot be read"))),
        }
    }

    /// Creates a user, and says which identifier it has.
    pub(crate) async fn create(&self, label: &str, body: &impl Serialize) -> Result<String, Error> {
        #[derive(Deserialize)]
        struct Created {
            id: String,
        }
        let request = self.request(Method::POST, &["users"]).json(body);
        let what = format!("User {label} cannot be created");
        let created: Created = self.answer(request, &what).await?.json()?;
        Ok(created.id)
    }

    /// Changes a user.
    pub(crate) async fn change(
        &self,
        id: &str,
        label: &str,
        body: &impl Serialize,
    ) -> Result<(), Error> {
        let request = self.request(Method::PATCH, &["users", id]).json(body);
        let what = format!("User {label} cannot be changed");
        self.answer(request, &what).await.map(drop)
    }

    /// Removes a user.
    pub(crate) async fn delete(&self, id: &str, label: &str) -> Result<(), Error> {
        let request = self.request(Method::DELETE, &["users", id]);
        let what = format!("User {label} cannot be deleted");
        self.answer(request, &what).await.map(drop)
    }

    /// A request; what is put into the path is escaped.
    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        self.client.request(method, url)
    }

    async fn send(&self, request: RequestBuilder) -> Result<Answer, Error> {
        self.credential.send(&self.client, request).await
    }

    /// The answer, if it says success.
    async fn answer(&self, request: RequestBuilder, what: &str) -> Result<Answer, Error> {
        let answer = self.send(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(answer.refusal(what))
    }
}
