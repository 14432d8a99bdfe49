//! Options of a directory before it starts.

use crate::population::Population;

/// Options that every directory supports, so that one test can cover all of them.
#[derive(Clone, Debug, Default)]
pub struct Options {
    pub(crate) population: Population,
    pub(crate) ldif: String,
    pub(crate) size_limit: Option<usize>,
    pub(crate) require_tls: bool,
    pub(crate) unique: Vec<String>,
    pub(crate) names: Vec<String>,
    pub(crate) own: Vec<String>,
    pub(crate) content: Content,
}

/// The content of a directory when it starts.
#[derive(Clone, Debug, Default)]
pub(crate) enum Content {
    /// The standard content plus the entries from the options.
    #[default]
    Usual,
    /// The same, written as the server with this number among several that replicate.
    OfServer(u8),
    /// The content of another server: its entries with their identifiers and timestamps.
    Copied(String),
}

impl Options {
    /// Fills the directory before it starts.
    pub fn population(mut self, population: Population) -> Self {
        self.population = population;
        self
    }

    /// Adds entries, which are loaded before it starts.
    pub fn ldif(mut self, text: &str) -> Self {
        self.ldif = format!("{}{text}\n\n", self.ldif);
        self
    }

    /// The maximum number of entries that a search returns to any user but the administrator; beyond that it returns `sizeLimitExceeded`
    /// (4).
    pub fn size_limit(mut self, entries: usize) -> Self {
        self.size_limit = Some(entries);
        self
    }

    /// Rejects a bind without TLS: `confidentialityRequired` (13), or `strongerAuthRequired` (8) for Active Directory, which does this
    /// without the option too.
    pub fn require_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// Requires unique values of this attribute: `constraintViolation` (19).
    pub fn unique(mut self, attribute: &str) -> Self {
        self.unique.push(attribute.to_owned());
        self
    }

    /// The names in the certificate, instead of `localhost` and `127.0.0.1`. During startup the server is checked at its address, with
    /// certificate verification: keep the address among the names.
    pub fn certificate_names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(ToString::to_string).collect();
        self
    }

    /// Adds a line to the server's own configuration; the documentation of each server says where.
    pub fn own(mut self, line: &str) -> Self {
        self.own.push(line.to_owned());
        self
    }

    /// The names in the certificate of a server at an address.
    pub(crate) fn names(&self, address: &str) -> Vec<String> {
        if self.names.is_empty() {
            vec!["localhost".to_owned(), address.to_owned()]
        } else {
            self.names.clone()
        }
    }
}
