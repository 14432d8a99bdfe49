//! The parameters of a request: names and values; names can be repeated.

use url::form_urlencoded;

/// The parameters of a query or a form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Fields(Vec<(String, String)>);

impl Fields {
    /// Parses them. Every input is valid.
    pub(super) fn read(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first non-empty value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.every(name).find(|value| !value.is_empty())
    }

    /// All values of a name.
    pub(crate) fn every<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| &**value)
    }

    /// A query with some values replaced; empty ones are left out.
    pub(super) fn with(&self, changes: &[(&str, &str)]) -> String {
        let kept = self
            .0
            .iter()
            .filter(|(name, value)| !value.is_empty() && !changes.iter().any(|(changed, _)| changed == name));
        let kept = kept.map(|(name, value)| (&**name, &**value));
        let replaced = changes.iter().copied().filter(|(_, value)| !value.is_empty());
        let query =
            form_urlencoded::Serializer::new(String::new()).extend_pairs(kept.chain(replaced)).finish();
        format!("?{query}")
    }

    #[cfg(test)]
    pub(crate) fn of<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self(pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn query_is_parsed_and_rewritten_with_changes() {
        let fields = Fields::read(b"status=held&q=a%26b+%C3%A9&page=3&task=1&task=2&empty=");
        assert_eq!((fields.get("q"), fields.get("empty"), fields.get("none")), (Some("a&b é"), None, None));
        assert_eq!(fields.every("task").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.with(&[("page", "4"), ("q", "")]), "?status=held&task=1&task=2&page=4");
        assert_eq!(Fields::read(b"q=%ff%3Cscript%3E&=&&x").get("q"), Some("\u{fffd}<script>"));
    }
}
