//! The calls of the target's API. Replace paths and types with your own.
//!
//! If a request fails, `bridgehead_sdk::http::Client` determines whether anything was changed and whether a retry may help;
//! `Answer::refusal` does the same for a status. Only what is specific to this API is left.

use bridgehead_sdk::http::reqwest::{Method, RequestBuilder};
use bridgehead_sdk::http::{Answer, Client, Credential, endpoint};
use bridgehead_sdk::{Error, SettingsError, Setup};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use url::Url;

use crate::settings::Settings;

/// The number of records that is requested per page. The API may return fewer.
const PAGE: &str = "200";

/// A page as the API returns it.
#[derive(Deserialize)]
pub(crate) struct Page {
    pub(crate) items: Vec<Value>,
    /// The key of the next page; `null` at the end. It is required: a page without it would look like the last one.
    #[serde(deserialize_with = "Option::deserialize")]
    pub(crate) next: Option<String>,
}

/// A user as the API returns it.
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
    /// Checks the settings only: no connection is made before the first call.
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

    /// The name of the target in messages.
    pub(crate) fn system(&self) -> &str {
        self.client.system()
    }

    /// One page of `users` or `teams`, optionally only those that match a filter.
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

    /// One of `users` or `teams`. With 404, the API says that it definitely does not exist.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        of: &str,
        id: &str,
    ) -> Result<Option<T>, Error> {
        // These cannot be a segment of a URL path: without this check, another record would be requested.
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

    /// Creates a user and returns its identifier.
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

    /// Creates a request; segments of the path are escaped.
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

    /// The response, if it is successful.
    async fn answer(&self, request: RequestBuilder, what: &str) -> Result<Answer, Error> {
        let answer = self.send(request).await?;
        if answer.status().is_success() {
            return Ok(answer);
        }
        Err(answer.refusal(what))
    }
}
