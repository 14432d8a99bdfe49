//! The API key and its source.

use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::REDACTED;
use reqwest::header::{HeaderValue, InvalidHeaderValue};
use secrecy::{ExposeSecret, SecretString};

/// The scheme of the `Authorization` header.
const SCHEME: &str = "Api-Key ";

/// The key of the Bridge API. `Debug` and `Display` redact it.
///
/// A key is also a [`KeySource`] that never changes.
#[derive(Clone)]
pub struct ApiKey(SecretString);

/// Why there is no key. The operator must act.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The key is empty.
    #[error("the API key is empty")]
    Empty,
    /// A character that no key contains and no header allows. Often the line break at the end of a file.
    #[error(
        "the API key has {what} at position {position}; it must be printable ASCII without spaces or line breaks"
    )]
    BadCharacter {
        /// The kind of character, never the character itself.
        what: &'static str,
        /// The position of the character, starting at 1.
        position: usize,
    },
    /// The key is quoted, as in a shell or a program.
    #[error("the API key has quotes around it; remove them")]
    Quoted,
    /// The key file assigns a variable, as in a shell.
    #[error("the API key starts with the name of a variable and '='; remove both")]
    Assigned,
    /// The key includes the scheme.
    #[error("the API key starts with 'Api-Key '; remove it, the scheme is added automatically")]
    HasScheme,
    /// The source of the key cannot be read.
    #[error("the API key cannot be read: {0}")]
    Unreadable(String),
}

impl ApiKey {
    /// Validates a key: printable ASCII, without spaces or line breaks.
    pub fn new(key: impl Into<String>) -> Result<Self, KeyError> {
        let key = SecretString::from(key.into());
        let text = key.expose_secret();
        if text.is_empty() {
            return Err(KeyError::Empty);
        }
        if text.get(..SCHEME.len()).is_some_and(|start| start.eq_ignore_ascii_case(SCHEME)) {
            return Err(KeyError::HasScheme);
        }
        if text.len() > 1 && (text.starts_with(['"', '\'']) && text.ends_with(['"', '\''])) {
            return Err(KeyError::Quoted);
        }
        let named = text.split_once('=').is_some_and(|(name, value)| {
            !name.is_empty() && !value.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        });
        if named {
            return Err(KeyError::Assigned);
        }
        if let Some((index, bad)) = text.chars().enumerate().find(|(_, c)| !c.is_ascii_graphic()) {
            let what = match bad {
                '\n' | '\r' => "a line break",
                ' ' => "a space",
                c if c.is_control() => "a control character",
                _ => "a non-ASCII character",
            };
            return Err(KeyError::BadCharacter { what, position: index + 1 });
        }
        Ok(Self(key))
    }

    /// The key itself, for redaction only. Do not store or print it.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// The value of the `Authorization` header, marked as sensitive: it is neither shown nor compressed.
    pub(super) fn header(&self) -> Result<HeaderValue, InvalidHeaderValue> {
        let mut value = HeaderValue::try_from(format!("{SCHEME}{}", self.expose()))?;
        value.set_sensitive(true);
        Ok(value)
    }

    /// The string without the key: a server may quote the key it rejects.
    pub(super) fn redact(&self, text: &str) -> String {
        text.replace(self.expose(), REDACTED)
    }
}

impl PartialEq for ApiKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for ApiKey {}

impl std::str::FromStr for ApiKey {
    type Err = KeyError;

    fn from_str(key: &str) -> Result<Self, KeyError> {
        Self::new(key)
    }
}

impl TryFrom<String> for ApiKey {
    type Error = KeyError;

    fn try_from(key: String) -> Result<Self, KeyError> {
        Self::new(key)
    }
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey({REDACTED})")
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(REDACTED)
    }
}

/// The source of the key.
///
/// `read` is called before the first call, and again after every `401`, so that a rotated key file is used without a restart. It may block,
/// for example on a file: it is then called on a thread for blocking work. `Debug` must not show the key.
pub trait KeySource: Send + Sync + std::fmt::Debug {
    /// Reads the current key.
    fn read(&self) -> Result<ApiKey, KeyError>;

    /// Whether [`read`](Self::read) may block. If not, it is called directly.
    fn may_block(&self) -> bool {
        true
    }
}

impl KeySource for ApiKey {
    fn read(&self) -> Result<ApiKey, KeyError> {
        Ok(self.clone())
    }

    fn may_block(&self) -> bool {
        false
    }
}

/// The key in use, and its source.
#[derive(Debug)]
pub(super) struct KeyRing {
    source: Arc<dyn KeySource>,
    current: Mutex<Option<ApiKey>>,
}

impl KeyRing {
    pub(super) fn new(source: Arc<dyn KeySource>) -> Self {
        Self { source, current: Mutex::new(None) }
    }

    /// The key in use; reads it the first time.
    pub(super) async fn current(&self) -> Result<ApiKey, KeyError> {
        let known = self.current.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(key) => Ok(key),
            None => self.read().await,
        }
    }

    /// Reloads the key after `refused` was rejected. `None` if it is still the same.
    pub(super) async fn renewed(&self, refused: &ApiKey) -> Result<Option<ApiKey>, KeyError> {
        Ok(Some(self.read().await?).filter(|key| key != refused))
    }

    /// Reloads the key, whatever the state of the current one.
    pub(super) async fn read(&self) -> Result<ApiKey, KeyError> {
        if !self.source.may_block() {
            return self.taken(self.source.read());
        }
        let source = Arc::clone(&self.source);
        let key = tokio::task::spawn_blocking(move || source.read())
            .await
            .map_err(|_| KeyError::Unreadable("reading it was interrupted".to_owned()))?;
        self.taken(key)
    }

    fn taken(&self, key: Result<ApiKey, KeyError>) -> Result<ApiKey, KeyError> {
        let key = key?;
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(key.clone());
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_key_is_hidden_in_all_output() {
        let key = ApiKey::new("s3cret-key").unwrap();
        let ring = KeyRing::new(Arc::new(key.clone()));
        for shown in [format!("{key:?}"), key.to_string(), format!("{:?}", key.header()), format!("{ring:?}")]
        {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
        assert_eq!(key.redact("bad key s3cret-key!"), "bad key [redacted]!");
    }

    #[test]
    fn api_key_invalid_in_a_header_is_refused_with_a_reason() {
        let message = |key: &str| ApiKey::new(key).unwrap_err().to_string();
        assert_eq!(message(""), "the API key is empty");
        assert!(message("abc\n").contains("a line break at position 4"), "{}", message("abc\n"));
        assert!(message("a b").contains("a space at position 2"));
        assert!(message("a\u{7}").contains("a control character"));
        assert!(message("é").contains("a non-ASCII character"));
        assert!(message("Api-Key abc").contains("remove it, the scheme is added"));
        assert!(!message("hunter2\n").contains("hunter2"));
    }

    #[derive(Debug)]
    struct Panics;

    impl KeySource for Panics {
        fn read(&self) -> Result<ApiKey, KeyError> {
            panic!("as a broken source may")
        }
    }

    #[tokio::test]
    async fn panicking_key_source_is_an_error() {
        let ring = KeyRing::new(Arc::new(Panics));
        assert!(matches!(ring.current().await, Err(KeyError::Unreadable(_))));
    }
}
