//! What `bridgehead init` asks about an application with an HTTP API: how bridgehead authenticates.

use serde_json::{Map, Value, json};

use crate::{Draft, ExposeSecret, Question};

const AUTH: &str = "auth";
const TOKEN: &str = "token";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";
const HEADER: &str = "header";
const KEY: &str = "key";
const TOKEN_URL: &str = "token_url";
const CLIENT_ID: &str = "client_id";
const CLIENT_SECRET: &str = "client_secret";
const SCOPE: &str = "scope";

/// The questions of `bridgehead init` from which [`Auth`](super::Auth) is configured.
#[derive(Clone, Copy, Debug, Default)]
pub struct Access;

impl Access {
    /// All possible questions; only the first is always asked.
    pub fn questions() -> Vec<Question> {
        let ways = [
            ("bearer", "a token, sent as Authorization: Bearer"),
            ("basic", "a user name and a password"),
            ("api_key", "a key in a separate header"),
            ("oauth2", "OAuth 2.0 with client credentials"),
            ("none", "no authentication"),
        ];
        let way = Question::text(AUTH, "How to authenticate").with_choices(ways).with_default("bearer");
        let details = ["bearer", "basic", "api_key", "oauth2"].into_iter().flat_map(details);
        std::iter::once(way).chain(details.map(Question::later)).collect()
    }

    /// The questions that are still open, given the answer to the first.
    pub fn open(draft: &Draft) -> Vec<Question> {
        let mut open = details(draft.text(AUTH).unwrap_or_default());
        open.retain(|question| !draft.has(&question.key));
        open
    }

    /// The table `auth` for the configuration, with references to the secrets; `None` if the application needs no authentication.
    pub fn referred(draft: &Draft) -> Option<Value> {
        Self::table(draft, |key| draft.reference(key))
    }

    /// The same table with the secrets themselves, for inspecting the application.
    pub fn resolved(draft: &Draft) -> Option<Value> {
        Self::table(draft, |key| Some(draft.secret(key)?.expose_secret().into()))
    }

    fn table(draft: &Draft, secret: impl Fn(&str) -> Option<Value>) -> Option<Value> {
        let text = |key: &str| Value::from(draft.text(key));
        Some(match draft.text(AUTH)? {
            "bearer" => json!({ "bearer": secret(TOKEN)? }),
            "basic" => json!({ "basic": { "username": text(USERNAME), "password": secret(PASSWORD)? } }),
            "api_key" => json!({ "api_key": { "header": text(HEADER), "value": secret(KEY)? } }),
            "oauth2" => {
                let mut table = Map::new();
                for key in [TOKEN_URL, CLIENT_ID] {
                    table.insert(key.to_owned(), text(key));
                }
                table.insert(CLIENT_SECRET.to_owned(), secret(CLIENT_SECRET)?);
                if draft.text(SCOPE).is_some() {
                    table.insert(SCOPE.to_owned(), text(SCOPE));
                }
                json!({ "oauth2": table })
            }
            _ => return None,
        })
    }
}

/// The questions about one authentication method.
fn details(way: &str) -> Vec<Question> {
    match way {
        "bearer" => vec![Question::secret(TOKEN, "The token")],
        "basic" => vec![
            Question::text(USERNAME, "The user name"),
            Question::secret(PASSWORD, "The password of this user"),
        ],
        "api_key" => vec![
            Question::text(HEADER, "The header for the key").with_default("X-Api-Key"),
            Question::secret(KEY, "The key"),
        ],
        "oauth2" => vec![
            Question::text(TOKEN_URL, "The token endpoint, such as https://login.example.com/oauth2/token"),
            Question::text(CLIENT_ID, "The client ID"),
            Question::secret(CLIENT_SECRET, "The client secret"),
            Question::text(SCOPE, "The scopes to request, separated by spaces").optional(),
        ],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Setup;
    use crate::http::Auth;

    #[test]
    fn each_auth_method_asks_its_questions_and_yields_a_valid_table() {
        for (way, count) in [("bearer", 1), ("basic", 2), ("api_key", 2), ("oauth2", 4), ("none", 0)] {
            let mut draft = Draft::new(Setup::new("app", Map::new())).with_text(AUTH, way);
            let open = Access::open(&draft);
            assert_eq!(open.len(), count, "{way}");
            for question in open {
                draft = if question.is_secret {
                    draft.with_secret(question.key, json!({ "env": "SECRET" }), "hunter2".to_owned().into())
                } else {
                    draft.with_text(question.key, "https://login.example.com/token")
                };
            }
            assert!(Access::open(&draft).is_empty());
            let Some(resolved) = Access::resolved(&draft) else {
                assert_eq!((way, Access::referred(&draft)), ("none", None));
                continue;
            };
            assert!(resolved.to_string().contains("hunter2"));
            let referred = Access::referred(&draft).map(|table| table.to_string()).unwrap_or_default();
            assert!(referred.contains(r#"{"env":"SECRET"}"#) && !referred.contains("hunter2"), "{referred}");
            let _: Auth = serde_json::from_value(resolved).unwrap();
        }
    }
}
