//! Links to the next page. They are data from the network, and following one sends the key along.

use url::Url;
use xxhash_rust::xxh3::xxh3_64;

use super::{Call, Error, sanitize};

/// The page that follows a page that was read: a URL that was verified to belong to the same endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct NextPage {
    url: Url,
    trail: LoopDetector,
}

impl NextPage {
    /// Checks a link to the next page, and that following it does not loop.
    ///
    /// `page` is the URL of the page itself, `trail` detects loops in the links that led to it.
    pub(super) fn from_link(call: &Call, page: &Url, trail: LoopDetector, link: &str) -> Result<Self, Error> {
        let foreign = |target: String| Error::ForeignLink { call: call.clone(), target };
        let url = page.join(link).map_err(|_| foreign("an invalid address".to_owned()))?;
        check(page, &url).map_err(foreign)?;
        let trail = trail.then(&url).ok_or_else(|| Error::LinkLoop { call: call.clone() })?;
        Ok(Self { url, trail })
    }

    /// Checks that the URL belongs to `endpoint`: a page may be passed to another app or another client.
    pub(super) fn check(&self, call: &Call, endpoint: &Url) -> Result<(), Error> {
        check(endpoint, &self.url).map_err(|target| Error::ForeignLink { call: call.clone(), target })
    }

    pub(super) fn url(&self) -> &Url {
        &self.url
    }

    pub(super) fn trail(&self) -> LoopDetector {
        self.trail
    }

    /// How many tasks precede this page, if the link says so.
    pub fn offset(&self) -> Option<u64> {
        let (_, offset) = self.url.query_pairs().find(|(name, _)| name == "offset")?;
        offset.parse().ok()
    }

    /// The page that starts after the first item of the one at `page`, if pages are counted by offset.
    pub(super) fn behind_first(call: &Call, page: &Url, trail: LoopDetector) -> Option<Result<Self, Error>> {
        let named = |wanted: &str| page.query_pairs().find(|(name, _)| name == wanted);
        let offset: u64 = match named("offset") {
            Some((_, offset)) => offset.parse().ok()?,
            // The first page; all others are reached by a link with an offset or a cursor.
            None if named("cursor").is_none() => 0,
            None => return None,
        };
        let url = with(page, "offset", &offset.saturating_add(1).to_string());
        Some(Self::from_link(call, page, trail, url.as_str()))
    }

    /// The same page, shifted back by this many tasks. Pages that are counted by offset shift while tasks complete: a caller that completed
    /// some moves back by that number, or it would skip as many pending tasks. A link without an offset stays unchanged.
    pub fn rewind(&self, by: u64) -> Self {
        let Some(offset) = self.offset().filter(|_| by > 0) else {
            return self.clone();
        };
        let pairs: Vec<(String, String)> = self.url.query_pairs().into_owned().collect();
        let mut url = self.url.clone();
        url.query_pairs_mut().clear().extend_pairs(pairs.into_iter().map(|(name, value)| {
            let value = if name == "offset" { offset.saturating_sub(by).to_string() } else { value };
            (name, value)
        }));
        // Links that were already seen may legitimately repeat.
        let trail = LoopDetector::from(&url);
        Self { url, trail }
    }
}

impl std::fmt::Debug for NextPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "NextPage({})", self.url)
    }
}

/// The maximum number of items on a page, if its URL says so.
pub(super) fn limit(page: &Url) -> Option<u32> {
    let (_, limit) = page.query_pairs().find(|(name, _)| name == "limit")?;
    limit.parse().ok()
}

/// The URL with a different value for one query parameter.
pub(super) fn with(page: &Url, name: &str, value: &str) -> Url {
    let others: Vec<(String, String)> =
        page.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    let mut url = page.clone();
    url.query_pairs_mut().clear().extend_pairs(others).append_pair(name, value);
    url
}

/// Requires the same scheme, host, port and path, and no credentials. The error does not contain the query.
fn check(endpoint: &Url, link: &Url) -> Result<(), String> {
    let path = |url: &Url| url.path().trim_end_matches('/').to_owned();
    if link.origin() != endpoint.origin() {
        return Err(sanitize::clean(&link.origin().ascii_serialization()));
    }
    if path(link) != path(endpoint) {
        return Err(format!("another endpoint, {}", sanitize::clean(link.path())));
    }
    if !link.username().is_empty() || link.password().is_some() {
        return Err("an address that contains credentials".to_owned());
    }
    Ok(())
}

/// Detects loops among links in constant space: it remembers one link, and replaces it with a later one after 1, 2, 4, 8… steps (Brent's
/// algorithm). A loop is detected before it has been followed three times.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct LoopDetector {
    known: u64,
    steps: u32,
    reach: u32,
}

impl From<&Url> for LoopDetector {
    /// Starts at a page.
    fn from(url: &Url) -> Self {
        Self { known: xxh3_64(url.as_str().as_bytes()), steps: 0, reach: 1 }
    }
}

impl LoopDetector {
    /// Follows one more link; `None` if it was seen before.
    fn then(self, link: &Url) -> Option<Self> {
        let link = xxh3_64(link.as_str().as_bytes());
        let steps = self.steps + 1;
        match (link == self.known, steps == self.reach) {
            (true, _) => None,
            (false, true) => Some(Self { known: link, steps: 0, reach: self.reach.saturating_mul(2) }),
            (false, false) => Some(Self { steps, ..self }),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::Operation;

    const PAGE: &str = "https://h.test/org/acme/apps/1/tasks/?status=pending&limit=50";

    fn follow(link: &str) -> Result<NextPage, Error> {
        let page: Url = PAGE.parse().unwrap();
        NextPage::from_link(&Call::new(Operation::ListTasks, None), &page, LoopDetector::from(&page), link)
    }

    #[test]
    fn links_to_the_same_endpoint_are_followed() {
        for link in [
            "https://h.test/org/acme/apps/1/tasks/?status=pending&limit=50&offset=50",
            "https://h.test:443/org/acme/apps/1/tasks?status=pending&limit=50&offset=50",
            "?status=pending&limit=50&offset=50",
        ] {
            assert_eq!(follow(link).unwrap().offset(), Some(50), "{link}");
        }
        assert_eq!(follow("?cursor=abc").unwrap().offset(), None);
    }

    #[test]
    fn links_to_other_endpoints_are_rejected() {
        for link in [
            "https://evil.test/org/acme/apps/1/tasks/?offset=50",
            "http://h.test/org/acme/apps/1/tasks/?offset=50",
            "https://h.test:8443/org/acme/apps/1/tasks/?offset=50",
            "https://h.test.evil.test/org/acme/apps/1/tasks/?offset=50",
            "https://h.test@evil.test/org/acme/apps/1/tasks/?offset=50",
            "https://user:pw@h.test/org/acme/apps/1/tasks/?offset=50",
            "//evil.test/org/acme/apps/1/tasks/?offset=50",
            "https://h.test/org/other/apps/1/tasks/?offset=50",
            "https://h.test/org/acme/apps/2/tasks/?offset=50",
            "https://h.test/org/acme/apps/1/tasks/../../2/tasks/?offset=50",
            "https://[",
            "file:///etc/passwd",
            "javascript:alert(1)",
        ] {
            let error = follow(link).unwrap_err();
            assert!(matches!(error, Error::ForeignLink { .. }), "{link}: {error}");
            assert!(!error.to_string().contains("offset"), "{error}");
        }
    }

    #[test]
    fn rewind_only_lowers_the_offset() {
        let next = follow("?status=pending&limit=50&offset=100&x=a%26b").unwrap();
        let earlier = next.rewind(30);
        assert_eq!(earlier.offset(), Some(70));
        assert_eq!(earlier.url().query(), Some("status=pending&limit=50&offset=70&x=a%26b"));
        assert_eq!(next.rewind(1000).offset(), Some(0));
        assert_eq!(next.rewind(0), next);
        let cursor = follow("?cursor=abc").unwrap();
        assert_eq!(cursor.rewind(5), cursor);
    }

    #[test]
    fn link_to_the_same_page_is_a_loop() {
        assert!(matches!(follow(PAGE), Err(Error::LinkLoop { .. })));
    }

    fn walk(links: impl Iterator<Item = usize>) -> Option<usize> {
        let url = |n: usize| format!("https://h.test/?offset={n}").parse::<Url>().unwrap();
        let mut trail = LoopDetector::from(&url(usize::MAX));
        for (step, link) in links.enumerate() {
            match trail.then(&url(link)) {
                Some(further) => trail = further,
                None => return Some(step),
            }
        }
        None
    }

    proptest! {
        #[test]
        fn every_link_loop_is_detected_soon(lead in 0_usize..40, length in 1_usize..40) {
            let links = (0..lead).chain((0..length).cycle().map(|n| 1000 + n));
            let step = walk(links.take(10_000));
            prop_assert!(step.is_some_and(|step| step <= 3 * (lead + length)), "{:?}", step);
        }

        #[test]
        fn links_without_a_loop_are_accepted(length in 0_usize..3000) {
            prop_assert_eq!(walk(0..length), None);
        }
    }
}
