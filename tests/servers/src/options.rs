//! What a test may ask of a directory before it starts.

use crate::population::Population;

/// Options that every directory applies, so that one test can go through all of them.
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

/// What a directory holds when it starts.
#[derive(Clone, Debug, Default)]
pub(crate) enum Content {
    /// What every directory holds, and what the options add to it.
    #[default]
    Usual,
    /// The same, written as the server with this number of several that replicate.
    OfServer(u8),
    /// What another server has: its entries with their identifiers and stamps.
    Copied(String),
}

impl Options {
    /// Fills the directory before it starts.
    pub fn population(mut self, population: Population) -> Self {
        self.population = population;
        self
    }

    /// Further entries, loaded before it starts.
    pub fn ldif(mut self, text: &str) -> Self {
        self.ldif = format!("{}{text}\n\n", self.ldif);
        self
    }

    /// How many entries a search gives to anybody but the administrator; the rest is `sizeLimitExceeded` (4).
    pub fn size_limit(mut self, entries: usize) -> Self {
        self.size_limit = Some(entries);
        self
    }

    /// Refuses a bind without TLS: `confidentialityRequired` (13), and for Active Directory `strongerAuthRequired` (8), which
    /// is how it starts without this option too.
    pub fn require_tls(mut self) -> Self {
        self.require_tls = true;
        self
    }

    /// No two accounts may have the same value of this attribute: `constraintViolation` (19).
    pub fn unique(mut self, attribute: &str) -> Self {
        self.unique.push(attribute.to_owned());
        self
    }

    /// Names the certificate is issued for, in place of `localhost` and `127.0.0.1`. The server is asked at its address, with
    /// the certificate checked, while it starts: keep the address among them.
    pub fn certificate_names(mut self, names: &[&str]) -> Self {
        self.names = names.iter().map(ToString::to_string).collect();
        self
    }

    /// A line of the server's own configuration; each server says where it goes.
    pub fn own(mut self, line: &str) -> Self {
        self.own.push(line.to_owned());
        self
    }

    /// The names for the certificate of a server at an address.
    pub(crate) fn names(&self, address: &str) -> Vec<String> {
        if self.names.is_empty() {
            vec!["localhost".to_owned(), address.to_owned()]
        } else {
            self.names.clone()
        }
    }
}
