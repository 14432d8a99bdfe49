//! The key of an app's state.

use std::str::FromStr;

use uuid::Uuid;

/// A Bridge app, as its UUID in canonical text (lower case, with hyphens).
///
/// State is stored under this key and not under the app's name in the configuration: an app may be renamed, and a name that is reused for
/// another app must not take over the first app's state.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppKey(String);

impl AppKey {
    /// The canonical text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<Uuid> for AppKey {
    fn from(id: Uuid) -> Self {
        Self(id.hyphenated().to_string())
    }
}

impl FromStr for AppKey {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        Uuid::parse_str(text).map(Self::from)
    }
}

impl std::fmt::Display for AppKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn app_id_spellings_yield_one_key() {
        let plain: AppKey = "11111111-1111-4111-8111-11111111111a".parse().unwrap();
        let shouted: AppKey = "{11111111-1111-4111-8111-11111111111A}".parse().unwrap();
        assert_eq!(plain, shouted);
        assert_eq!(plain.as_str(), "11111111-1111-4111-8111-11111111111a");
    }

    #[test]
    fn app_name_is_not_a_key() {
        assert!("acme-hr".parse::<AppKey>().is_err());
    }
}
