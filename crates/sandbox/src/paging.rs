//! `limit` and `offset`, and the envelope of a list.

use axum::http::Uri;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::refusal::Refusal;

/// The default number of items per page.
pub(crate) const DEFAULT_LIMIT: usize = 50;
/// The maximum number of items per page.
pub(crate) const MAX_LIMIT: usize = 100;

/// The part of a list that a request selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) limit: usize,
    pub(crate) offset: usize,
}

impl Window {
    /// Parses `limit` and `offset`. A limit above [`MAX_LIMIT`] is reduced to it; a value that is not a number is rejected.
    pub(crate) fn of(uri: &Uri) -> Result<Self, Refusal> {
        let limit = number(uri, "limit")?.unwrap_or(DEFAULT_LIMIT);
        if limit == 0 {
            return Err(Refusal::bad_request("limit: Input should be greater than or equal to 1"));
        }
        Ok(Self { limit: limit.min(MAX_LIMIT), offset: number(uri, "offset")?.unwrap_or(0) })
    }

    /// The items in the window.
    pub(crate) fn cut<T>(self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        items.into_iter().skip(self.offset).take(self.limit).collect()
    }

    /// `{"count", "next", "previous", "results"}`; `origin` is scheme and authority of the links.
    pub(crate) fn envelope(self, origin: &str, uri: &Uri, count: usize, results: Vec<Value>) -> Value {
        let after = self.offset.saturating_add(self.limit);
        let next = (after < count).then(|| self.link(origin, uri, after));
        let previous =
            (self.offset > 0).then(|| self.link(origin, uri, self.offset.saturating_sub(self.limit)));
        let mut list = Map::new();
        list.insert("count".to_owned(), count.into());
        list.insert("next".to_owned(), next.into());
        list.insert("previous".to_owned(), previous.into());
        list.insert("results".to_owned(), Value::Array(results));
        Value::Object(list)
    }

    fn link(self, origin: &str, uri: &Uri, offset: usize) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(pairs(uri).filter(|(name, _)| name != "limit" && name != "offset"));
        query.append_pair("limit", &self.limit.to_string());
        query.append_pair("offset", &offset.to_string());
        format!("{origin}{}?{}", uri.path(), query.finish())
    }
}

/// The value of a query parameter; the last one if it is repeated.
pub(crate) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    pairs(uri).filter(|(key, _)| key == name).last().map(|(_, value)| value)
}

fn pairs(uri: &Uri) -> impl Iterator<Item = (String, String)> {
    form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()).into_owned()
}

fn number(uri: &Uri, name: &str) -> Result<Option<usize>, Refusal> {
    parameter(uri, name)
        .map(|text| {
            text.parse().map_err(|_| {
                Refusal::bad_request(format!("{name}: Input should be a valid integer, not negative"))
            })
        })
        .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_preserve_other_parameters() {
        let uri: Uri = "/tasks/?status=pending&offset=100&limit=50".parse().unwrap();
        let list = Window::of(&uri).unwrap().envelope("http://h:1", &uri, 151, Vec::new());
        assert_eq!(list["next"], "http://h:1/tasks/?status=pending&limit=50&offset=150");
        assert_eq!(list["previous"], "http://h:1/tasks/?status=pending&limit=50&offset=50");
    }

    #[test]
    fn last_page_has_no_next_link() {
        let uri: Uri = "/tasks/?limit=50&offset=50".parse().unwrap();
        let list = Window::of(&uri).unwrap().envelope("http://h:1", &uri, 100, Vec::new());
        assert_eq!(list["next"], Value::Null);
    }
}
