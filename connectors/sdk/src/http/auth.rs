//! How a connector authenticates.

use std::collections::BTreeMap;

use reqwest::header::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::settings::endpoint;
use crate::SettingsError;

/// How the connector shows who it is, as a table of `target`: at most one of its keys. Absent or empty, it shows nothing.
///
/// ```toml
/// auth = { bearer = { env = "TOKEN" } }
/// auth = { basic = { username = "bridgehead", password = { env = "PASSWORD" } } }
/// auth = { api_key = { header = "X-Api-Key", value = { env = "KEY" } } }
/// auth = { oauth2 = { token_url = "https://…", client_id = "…", client_secret = { env = "SECRET" } } }
/// ```
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Auth {
    /// User name and password (RFC 7617).
    pub basic: Option<Basic>,
    /// A token sent as `Authorization: Bearer` (RFC 6750).
    #[schemars(with = "Option<String>")]
    pub bearer: Option<SecretString>,
    /// A key in a header or in the query.
    pub api_key: Option<ApiKey>,
    /// Tokens from the client credentials grant of OAuth 2.0 (RFC 6749, section 4.4), cached until shortly before they
    /// expire, and renewed when one is rejected.
    pub oauth2: Option<ClientCredentials>,
}

/// A user name and a password.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Basic {
    /// The user name. It must not contain a colon.
    pub username: String,
    /// The password.
    #[schemars(with = "String")]
    pub password: SecretString,
}

/// A key in a header or in the query.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApiKey {
    /// The header for the key, such as `X-Api-Key`. Either this or `query`.
    pub header: Option<String>,
    /// The query parameter for the key. Servers write queries to their logs, so prefer `header`.
    pub query: Option<String>,
    /// The key.
    #[schemars(with = "String")]
    pub value: SecretString,
    /// The prefix of the key, such as `"Token "`; nothing when absent.
    #[serde(default)]
    pub prefix: String,
}

/// The client credentials grant of OAuth 2.0.
///
/// `Debug` shows the names of the other parameters, never their values.
#[derive(Clone, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ClientCredentials {
    /// The URL of the token endpoint.
    pub token_url: String,
    /// The client id.
    pub client_id: String,
    /// The client secret.
    #[schemars(with = "String")]
    pub client_secret: SecretString,
    /// The scopes to request, separated by spaces, if the server requires them.
    pub scope: Option<String>,
    /// Additional parameters of the token request, such as `audience` or `resource`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// How to send the secret.
    #[serde(default)]
    pub authentication: ClientAuthentication,
}

/// How a client sends its secret to the token server, with the names of OAuth's registry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// As user name and password in the `Authorization` header, which every server must support.
    #[default]
    ClientSecretBasic,
    /// As `client_id` and `client_secret` in the body.
    ClientSecretPost,
}

impl Auth {
    /// Authenticates with a token that is sent as `Authorization: Bearer`.
    ///
    /// ```
    /// use bridgehead_sdk::http::Auth;
    ///
    /// let auth = Auth::bearer("hunter2");
    /// assert!(auth.validate("auth").is_ok());
    /// assert!(!format!("{auth:?}").contains("hunter2"));
    /// ```
    pub fn bearer(token: impl Into<SecretString>) -> Self {
        Self { bearer: Some(token.into()), ..Self::default() }
    }

    /// Authenticates with a user name and a password.
    pub fn basic(username: impl Into<String>, password: impl Into<SecretString>) -> Self {
        let basic = Basic { username: username.into(), password: password.into() };
        Self { basic: Some(basic), ..Self::default() }
    }

    /// Authenticates with a key in a header or in the query.
    pub fn api_key(key: ApiKey) -> Self {
        Self { api_key: Some(key), ..Self::default() }
    }

    /// Authenticates with tokens that are fetched from a token server.
    pub fn oauth2(credentials: ClientCredentials) -> Self {
        Self { oauth2: Some(credentials), ..Self::default() }
    }

    /// Validates what the types cannot express; errors name keys below `key`.
    pub fn validate(&self, key: &str) -> Result<(), SettingsError> {
        let error = |name: &str, message: &str| Err(SettingsError::new(format!("{key}.{name}"), message));
        let ways =
            [self.basic.is_some(), self.bearer.is_some(), self.api_key.is_some(), self.oauth2.is_some()];
        if ways.into_iter().filter(|is_set| *is_set).count() > 1 {
            let message = "must contain only one of basic, bearer, api_key and oauth2";
            return Err(SettingsError::new(key, message));
        }
        if let Some(basic) = &self.basic
            && (basic.username.is_empty() || basic.username.contains(':'))
        {
            return error("basic.username", "must not be empty, and must not contain a colon");
        }
        if let Some(bearer) = &self.bearer
            && !is_token(bearer.expose_secret())
        {
            return error("bearer", "must be a token: printable ASCII without spaces, and not empty");
        }
        if let Some(api_key) = &self.api_key {
            api_key.validate(&format!("{key}.api_key"))?;
        }
        if let Some(oauth2) = &self.oauth2 {
            oauth2.validate(&format!("{key}.oauth2"))?;
        }
        Ok(())
    }
}

impl ApiKey {
    /// A key in a header.
    pub fn in_header(name: impl Into<String>, key: impl Into<SecretString>) -> Self {
        Self { header: Some(name.into()), query: None, value: key.into(), prefix: String::new() }
    }

    /// A key in the query. Servers write queries to their logs, so prefer a header.
    pub fn in_query(name: impl Into<String>, key: impl Into<SecretString>) -> Self {
        Self { header: None, query: Some(name.into()), value: key.into(), prefix: String::new() }
    }

    /// Sets the prefix of the key, such as `"Token "`.
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    fn validate(&self, key: &str) -> Result<(), SettingsError> {
        let error = |name: &str, message: &str| Err(SettingsError::new(format!("{key}.{name}"), message));
        match (&self.header, &self.query) {
            (Some(header), None) if HeaderName::from_bytes(header.as_bytes()).is_err() => {
                return error("header", "must be the name of a header");
            }
            (None, Some(query)) if query.is_empty() => {
                return error("query", "must be the name of a parameter");
            }
            (Some(_), None) | (None, Some(_)) => {}
            _ => return Err(SettingsError::new(key, "must contain either header or query")),
        }
        if self.value.expose_secret().is_empty() {
            return error("value", "must not be empty");
        }
        if self.header.is_some() && HeaderValue::from_str(&self.text()).is_err() {
            return error("value", "must be text that is allowed in a header, without a line break");
        }
        Ok(())
    }

    /// The credential that is sent.
    pub(super) fn text(&self) -> String {
        format!("{}{}", self.prefix, self.value.expose_secret())
    }
}

impl std::fmt::Debug for ClientCredentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientCredentials")
            .field("token_url", &self.token_url)
            .field("client_id", &self.client_id)
            .field("scope", &self.scope)
            .field("parameters", &self.parameters.keys().collect::<Vec<_>>())
            .field("authentication", &self.authentication)
            .finish_non_exhaustive()
    }
}

impl ClientCredentials {
    /// A client that sends its secret in the `Authorization` header, and requests no scope.
    pub fn new(
        token_url: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<SecretString>,
    ) -> Self {
        Self {
            token_url: token_url.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            scope: None,
            parameters: BTreeMap::new(),
            authentication: ClientAuthentication::default(),
        }
    }

    /// Sets the scopes to request, separated by spaces.
    pub fn with_scope(mut self, scope: impl Into<String>) -> Self {
        self.scope = Some(scope.into());
        self
    }

    /// Adds a parameter to the token request, such as `audience`.
    pub fn with_parameter(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.insert(name.into(), value.into());
        self
    }

    /// Sets how the secret is sent.
    pub fn with_authentication(mut self, authentication: ClientAuthentication) -> Self {
        self.authentication = authentication;
        self
    }

    fn validate(&self, key: &str) -> Result<(), SettingsError> {
        /// These are part of the grant itself.
        const OWN: [&str; 4] = ["grant_type", "client_id", "client_secret", "scope"];
        endpoint(&format!("{key}.token_url"), &self.token_url)?;
        let error = |name: &str, message: &str| Err(SettingsError::new(format!("{key}.{name}"), message));
        if self.client_id.is_empty() {
            return error("client_id", "must not be empty");
        }
        if self.client_secret.expose_secret().is_empty() {
            return error("client_secret", "must not be empty");
        }
        if let Some(name) = self.parameters.keys().find(|name| OWN.contains(&name.as_str())) {
            return error(&format!("parameters.{name}"), "has its own key, or is always sent");
        }
        Ok(())
    }
}

/// Whether a string can be a bearer token, which is put into a header unchanged.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn validate(auth: Value) -> Result<(), String> {
        let auth: Auth = serde_json::from_value(auth).map_err(|error| error.to_string())?;
        auth.validate("auth").map_err(|error| error.to_string())
    }

    #[test]
    fn every_auth_method_and_none_are_accepted() {
        for auth in [
            json!({}),
            json!({"bearer": "tok"}),
            json!({"basic": {"username": "u", "password": ""}}),
            json!({"api_key": {"header": "Authorization", "prefix": "token ", "value": "k"}}),
            json!({"api_key": {"query": "key", "value": "a b\n"}}),
            json!({"oauth2": {"token_url": "https://example.com/token", "client_id": "c", "client_secret": "s",
                "scope": "scim", "parameters": {"audience": "x"}, "authentication": "client_secret_post"}}),
        ] {
            assert_eq!(validate(auth.clone()), Ok(()), "{auth}");
        }
    }

    #[test]
    fn invalid_auth_names_its_key_but_no_secret() {
        let oauth2 = |name: &str, value: Value| {
            let mut table =
                json!({"token_url": "https://example.com/t", "client_id": "c", "client_secret": "s"});
            table[name] = value;
            json!({ "oauth2": table })
        };
        for (auth, message) in [
            (
                json!({"bearer": "hunter2", "basic": {"username": "u", "password": "p"}}),
                "auth: must contain only one of",
            ),
            (json!({"bearer": ""}), "auth.bearer: must be a token"),
            (json!({"bearer": "hunter2\n"}), "auth.bearer: must be a token"),
            (json!({"basic": {"username": "a:b", "password": "hunter2"}}), "auth.basic.username: "),
            (json!({"api_key": {"value": "hunter2"}}), "auth.api_key: must contain either"),
            (
                json!({"api_key": {"header": "A", "query": "b", "value": "x"}}),
                "auth.api_key: must contain either",
            ),
            (json!({"api_key": {"header": "A B", "value": "x"}}), "auth.api_key.header: "),
            (json!({"api_key": {"header": "A", "value": ""}}), "auth.api_key.value: "),
            (json!({"api_key": {"header": "A", "value": "hunter2\r\nB: c"}}), "auth.api_key.value: "),
            (
                oauth2("token_url", json!("http://example.com/t")),
                "auth.oauth2.token_url: must start with https",
            ),
            (oauth2("client_id", json!("")), "auth.oauth2.client_id: "),
            (oauth2("client_secret", json!("")), "auth.oauth2.client_secret: "),
            (oauth2("parameters", json!({"scope": "x"})), "auth.oauth2.parameters.scope: "),
        ] {
            let error = validate(auth.clone()).unwrap_err();
            assert!(error.starts_with(message), "{auth}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn debug_shows_no_secret() {
        let auth: Auth = serde_json::from_value(json!({
            "bearer": "hunter2-a", "basic": {"username": "u", "password": "hunter2-b"},
            "api_key": {"header": "A", "value": "hunter2-c"},
            "oauth2": {"token_url": "https://example.com/t", "client_id": "c", "client_secret": "hunter2-d"},
        }))
        .unwrap();
        let shown = format!("{auth:?}");
        assert!(!shown.contains("hunter2") && shown.contains("REDACTED"), "{shown}");
    }
}
