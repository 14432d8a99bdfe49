//! The URLs of the Bridge API.

use url::Url;

use super::{AppId, Call, Error};

/// Builds URLs below the base URL. All end with `/`.
#[derive(Clone, Debug)]
pub(super) struct Endpoints {
    base: Url,
}

impl Endpoints {
    pub(super) fn new(base: Url) -> Self {
        Self { base }
    }

    /// `/api/v1/bridge/apps/`
    pub(super) fn apps(&self) -> Url {
        self.below(&[])
    }

    /// `/api/v1/bridge/apps/{app}/…/`, with each additional segment escaped. Invalid segments are rejected: `..` would lead to another
    /// endpoint.
    pub(super) fn app(&self, call: &Call, app: AppId, segments: &[&str]) -> Result<Url, Error> {
        if let Some(odd) = segments.iter().find(|segment| !is_segment(segment)) {
            return Err(Error::Invalid {
                call: call.clone(),
                what: format!("'{}' cannot be part of an address", super::sanitize::clean(odd)),
            });
        }
        let app = app.to_string();
        Ok(self.below(&[&[app.as_str()], segments].concat()))
    }

    fn below(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        // Fails only for URLs that cannot have a path, which the settings reject.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["api", "v1", "bridge", "apps"]).extend(segments).push("");
        }
        url
    }
}

/// Whether a string can be one segment of a URL path: an identifier without a special meaning there.
pub(super) fn is_segment(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 255
        && text != "."
        && text != ".."
        && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Operation;

    const APP: &str = "11111111-1111-4111-8111-111111111111";

    fn app(base: &str, segments: &[&str]) -> Result<String, Error> {
        let app: AppId = APP.parse().unwrap();
        Endpoints::new(base.parse().unwrap())
            .app(&Call::new(Operation::Push, app), app, segments)
            .map(Into::into)
    }

    #[test]
    fn base_url_works_with_or_without_trailing_slash() {
        for base in ["https://h.test/org/acme", "https://h.test/org/acme/"] {
            let url = app(base, &["sync", "s1", "team"]).unwrap();
            assert_eq!(url, format!("https://h.test/org/acme/api/v1/bridge/apps/{APP}/sync/s1/team/"));
        }
        let apps = Endpoints::new("http://[::1]:80".parse().unwrap()).apps();
        assert_eq!(apps.as_str(), "http://[::1]/api/v1/bridge/apps/");
    }

    #[test]
    fn identifiers_cannot_change_the_endpoint() {
        let url = app("https://h.test", &["tasks", "a/../b?c#d%2e", "status"]).unwrap();
        assert!(url.ends_with("/tasks/a%2F..%2Fb%3Fc%23d%252e/status/"), "{url}");
        for odd in ["", ".", "..", "a\nb"] {
            assert!(matches!(app("https://h.test", &["tasks", odd]), Err(Error::Invalid { .. })), "{odd}");
        }
    }
}
