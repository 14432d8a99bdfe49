//! Keys that all connectors using HTTP have in common.

use std::borrow::Cow;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::{Host, Url};

use super::Limits;
use crate::SettingsError;

/// The longest timeout for one request: longer than any task may take.
const LONGEST: Duration = Duration::from_hours(1);

/// The limits of one request, as a table of `target`.
#[derive(Clone, Copy, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct LimitSettings {
    /// How long connecting may take, including name resolution; `"10s"` when absent.
    pub connect: Option<FriendlyDuration>,
    /// How long a request may take, from connecting to the last byte of the response; `"30s"` when absent.
    pub request: Option<FriendlyDuration>,
    /// The maximum size of a response in bytes after decompression, 1024 to 1073741824; 16777216 (16 MiB) when absent.
    pub body_bytes: Option<u32>,
}

impl LimitSettings {
    /// The limits; the error names the key below `key` that is wrong.
    pub fn limits(&self, key: &str) -> Result<Limits, SettingsError> {
        let defaults = Limits::default();
        let duration = |name: &str, value: Option<FriendlyDuration>, default| match value {
            None => Ok(default),
            Some(FriendlyDuration(value)) if value.is_zero() || value > LONGEST => {
                let message = "must be more than \"0s\" and at most \"1h\"";
                Err(SettingsError::new(format!("{key}.{name}"), message))
            }
            Some(FriendlyDuration(value)) => Ok(value),
        };
        let body = match self.body_bytes {
            None => defaults.body,
            Some(bytes @ 1024..=0x4000_0000) => usize::try_from(bytes).unwrap_or(usize::MAX),
            Some(_) => {
                let message = "must be between 1024 and 1073741824";
                return Err(SettingsError::new(format!("{key}.body_bytes"), message));
            }
        };
        Ok(Limits {
            connect: duration("connect", self.connect, defaults.connect)?,
            request: duration("request", self.request, defaults.request)?,
            body,
        })
    }
}

/// A duration written as `"30s"` or `"1m 30s"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct FriendlyDuration(pub Duration);

impl<'de> Deserialize<'de> for FriendlyDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // serde's own message would quote the value.
        let error = || serde::de::Error::custom("must be a duration such as \"30s\"");
        let text = serde_json::Value::deserialize(deserializer)?;
        let duration: jiff::SignedDuration =
            text.as_str().and_then(|text| text.parse().ok()).ok_or_else(error)?;
        Duration::try_from(duration).map(Self).map_err(|_| error())
    }
}

impl schemars::JsonSchema for FriendlyDuration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "examples": ["30s", "1m 30s"] })
    }
}

/// An address that a credential is sent to: `https`, or `http` to loopback, without a user name, a password or a
/// fragment.
pub fn endpoint(key: &str, text: &str) -> Result<Url, SettingsError> {
    let fault = |message: &str| Err(SettingsError::new(key, message));
    let Ok(url) = Url::parse(text) else {
        return fault("must be a URL such as \"https://example.com/path\"");
    };
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return fault("must be a URL such as \"https://example.com/path\"");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return fault("must not contain a user name or password; they have their own keys");
    }
    if url.fragment().is_some() {
        return fault("must not contain a '#'");
    }
    if url.scheme() == "http" && !is_loopback(&url) {
        return fault(
            "must start with https://, otherwise the credential would be sent unencrypted; http is for \
             loopback only",
        );
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn limits(value: Value) -> Result<Limits, String> {
        let settings: LimitSettings = serde_json::from_value(value).map_err(|error| error.to_string())?;
        settings.limits("limits").map_err(|error| error.to_string())
    }

    #[test]
    fn missing_limits_have_defaults() {
        assert_eq!(limits(json!({})), Ok(Limits::default()));
        let some = limits(json!({"connect": "2s", "request": "1m 30s", "body_bytes": 1024})).unwrap();
        assert_eq!((some.connect.as_secs(), some.request.as_secs(), some.body), (2, 90, 1024));
    }

    #[test]
    fn invalid_limit_names_its_key() {
        for (value, key) in [
            (json!({"connect": "0s"}), "limits.connect: "),
            (json!({"request": "2h"}), "limits.request: "),
            (json!({"body_bytes": 1}), "limits.body_bytes: "),
            (json!({"request": 30}), "must be a duration"),
        ] {
            let error = limits(value).unwrap_err();
            assert!(error.starts_with(key), "{error}");
        }
    }

    #[test]
    fn url_that_would_expose_a_credential_is_refused() {
        for text in [
            "https://example.com/scim/v2",
            "http://127.0.0.1:80",
            "http://[::1]:8080/x",
            "http://localhost/?a=b",
        ] {
            assert!(endpoint("url", text).is_ok(), "{text}");
        }
        for text in [
            "http://example.com",
            "ftp://example.com",
            "example.com",
            "https://u:p@example.com",
            "https://example.com/#x",
            "file:///etc",
        ] {
            assert!(endpoint("url", text).unwrap_err().to_string().starts_with("url: must"), "{text}");
        }
    }
}
