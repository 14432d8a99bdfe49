//! Adds a credential to requests.

use std::sync::Arc;

use reqwest::RequestBuilder;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use super::auth::{ApiKey, Auth};
use super::token::TokenSource;
use super::{Answer, Client};
use crate::{Error, Redactor, SettingsError};

/// A connector's own credential, ready for use. Clones share the fetched token.
#[derive(Clone, Debug)]
pub struct Credential(Arc<Kind>);

enum Kind {
    Nothing,
    Basic { username: String, password: SecretString },
    Header(HeaderName, HeaderValue),
    Query(String, SecretString),
    Token(Box<TokenSource>),
}

impl Credential {
    /// A credential from `auth`, whose keys are below `key`. Does not fetch a token yet; `client` is used to fetch
    /// tokens, and `redactor` learns the fetched tokens.
    pub fn new(auth: &Auth, key: &str, client: &Client, redactor: &Redactor) -> Result<Self, SettingsError> {
        auth.validate(key)?;
        let kind = if let Some(basic) = &auth.basic {
            Kind::Basic { username: basic.username.clone(), password: basic.password.clone() }
        } else if let Some(bearer) = &auth.bearer {
            let text = format!("Bearer {}", bearer.expose_secret());
            Kind::Header(AUTHORIZATION, sensitive(&text, &format!("{key}.bearer"))?)
        } else if let Some(api_key) = &auth.api_key {
            api_key_kind(api_key, &format!("{key}.api_key"))?
        } else if let Some(oauth2) = &auth.oauth2 {
            let key = format!("{key}.oauth2");
            Kind::Token(Box::new(TokenSource::new(oauth2, &key, client, redactor)?))
        } else {
            Kind::Nothing
        };
        Ok(Self(Arc::new(kind)))
    }

    /// Sends a request with the credential, and reads the complete response, whatever its status.
    ///
    /// If a fetched token is rejected (401), it is fetched again, and the request is sent once more: a request that was
    /// rejected this way has changed nothing. A second 401 is returned.
    ///
    /// # Errors
    /// Those of [`Client::send`]; and if no token is available, an error with the subject
    /// [`Connection`](crate::Subject::Connection) that says so: the request was then never sent.
    pub async fn send(&self, client: &Client, request: RequestBuilder) -> Result<Answer, Error> {
        match &*self.0 {
            Kind::Nothing => client.send(request).await,
            Kind::Basic { username, password } => {
                client.send(request.basic_auth(username, Some(password.expose_secret()))).await
            }
            Kind::Header(name, value) => client.send(request.header(name, value)).await,
            Kind::Query(name, value) => {
                // The name of the header may not show that its value is a secret.
                if let Some(recording) = client.recording() {
                    recording.protect([value.expose_secret()]);
                }
                client.send(request.query(&[(name, value.expose_secret())])).await
            }
            Kind::Token(source) => {
                let again = request.try_clone();
                let token = source.get().await?;
                let answer = client.send(request.bearer_auth(token.expose())).await?;
                match again {
                    Some(again) if answer.status().as_u16() == 401 => {
                        let token = source.renew(&token).await?;
                        client.send(again.bearer_auth(token.expose())).await
                    }
                    _ => Ok(answer),
                }
            }
        }
    }
}

fn api_key_kind(api_key: &ApiKey, key: &str) -> Result<Kind, SettingsError> {
    let text = api_key.text();
    if let Some(header) = &api_key.header {
        let name = HeaderName::from_bytes(header.as_bytes())
            .map_err(|_| SettingsError::new(format!("{key}.header"), "must be the name of a header"))?;
        return Ok(Kind::Header(name, sensitive(&text, &format!("{key}.value"))?));
    }
    Ok(Kind::Query(api_key.query.clone().unwrap_or_default(), text.into()))
}

fn sensitive(text: &str, key: &str) -> Result<HeaderValue, SettingsError> {
    let mut value = HeaderValue::from_str(text)
        .map_err(|_| SettingsError::new(key, "must be text that is allowed in a header"))?;
    value.set_sensitive(true);
    Ok(value)
}

impl std::fmt::Debug for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Basic { .. } => "Basic",
            Self::Header(..) => "Header",
            Self::Query(..) => "Query",
            Self::Token(_) => "Token",
        })
    }
}
