//! One directory: what is where in it, connections to it, and words for what goes wrong.

use std::sync::Arc;

use bridgehead_sdk::{Account, Error, Redactor, SettingsError, Setup};

use crate::endpoint::Endpoint;
use crate::entry::Entry;
use crate::escape;
use crate::failure::Failure;
use crate::groups;
use crate::layout::Layout;
use crate::pool::{Lease, Pool};
use crate::probe;
use crate::report::{About, Reporter};
use crate::session::{Search, Session};
use crate::settings::Settings;
use crate::staging;

/// A directory, and how bridgehead is to treat it.
#[derive(Debug)]
pub(crate) struct Directory {
    pub(crate) layout: Layout,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) reporter: Reporter,
    pub(crate) redactor: Redactor,
    pub(crate) page_size: u16,
    pub(crate) read_only: bool,
}

/// Entries beyond this many are of no interest to a look-up: two are too many already, and some may be half-made.
const ENOUGH: i32 = 8;

impl Directory {
    /// Checks the settings. Connects to nothing.
    pub(crate) fn new(settings: &Settings, setup: Setup) -> Result<Self, SettingsError> {
        let layout = Layout::new(settings)?;
        let endpoint = Arc::new(Endpoint::new(settings, &setup.app, &setup.network)?);
        if !(1..=1000).contains(&settings.page_size) {
            return Err(SettingsError::new("page_size", "must be between 1 and 1000"));
        }
        if !(1..=64).contains(&settings.connections) {
            return Err(SettingsError::new("connections", "must be between 1 and 64"));
        }
        Ok(Self {
            pool: Pool::new(Arc::clone(&endpoint), settings.connections),
            reporter: Reporter {
                system: setup.app,
                url: endpoint.url.to_string(),
                bind_dn: settings.bind_dn.clone(),
                profile: settings.profile,
                redactor: setup.redactor.clone(),
            },
            redactor: setup.redactor,
            layout,
            endpoint,
            page_size: settings.page_size,
            read_only: settings.read_only,
        })
    }

    /// What the target is called in messages.
    pub(crate) fn system(&self) -> &str {
        &self.reporter.system
    }

    /// A connection to work on.
    pub(crate) async fn lease(&self, about: About<'_>) -> Result<Lease, Error> {
        self.pool.lease().await.map_err(|failure| self.reporter.report(failure, about))
    }

    /// Reports a failure.
    pub(crate) fn report(&self, failure: Failure, about: About<'_>) -> Error {
        self.reporter.report(failure, about)
    }

    /// The entry of an account; `None` if it is certain that there is none. Looks by identifier where there is one, else
    /// by user name, else by e-mail.
    pub(crate) async fn find(&self, session: &Session, account: &Account) -> Result<Option<Entry>, Error> {
        let Some(filter) = self.filter_of(account)? else { return Ok(None) };
        let found = self.find_one(session, &filter, account.label()).await?;
        Ok(found.filter(|entry| self.is_really(entry, account)))
    }

    /// That the entry has the identifier or name that was asked for. Servers are generous when they compare: 389 Directory Server overlooks
    /// white space at the end, line breaks included, and Samba everything behind a NUL. Without regard to case means no more
    /// than that where it can be told with certainty; what other letters are the same, the server knows best.
    fn is_really(&self, entry: &Entry, account: &Account) -> bool {
        if let Some(id) = &account.id {
            let held = entry.values(&self.layout.id.name).first();
            let held = held.and_then(|value| self.layout.id.text(value));
            return held.is_some_and(|held| held.eq_ignore_ascii_case(id.as_str()));
        }
        let (field, value) = match (&account.username, &account.email) {
            (Some(username), _) => ("username", username),
            (None, Some(email)) => ("email", email),
            (None, None) => return true,
        };
        let holds = |attribute: &str| {
            entry.texts(attribute).flatten().any(|held| held.to_lowercase() == value.to_lowercase())
        };
        let is_certain = value.is_ascii() || value.chars().any(char::is_control);
        !is_certain || self.layout.attribute(field).is_some_and(holds)
    }

    /// The entry of an account that must be there.
    pub(crate) async fn get(&self, session: &Session, account: &Account) -> Result<Entry, Error> {
        let found = self.find(session, account).await?;
        found.ok_or_else(|| self.reporter.account_not_found(account.label()))
    }

    /// The one account that a filter finds. More than one is an error that names them.
    pub(crate) async fn find_one(
        &self,
        session: &Session,
        filter: &str,
        label: &str,
    ) -> Result<Option<Entry>, Error> {
        let mut found = self.find_all(session, filter).await?;
        if found.len() > 1 {
            let names = found.iter().map(|entry| entry.dn.as_str()).collect::<Vec<_>>().join(" and ");
            return Err(Error::internal(format!(
                "{}: {names} are both {label}; make them different, or narrow accounts.base or accounts.filter",
                self.system()
            )));
        }
        Ok(found.pop())
    }

    /// The accounts that a filter finds, as far as they matter.
    pub(crate) async fn find_all(&self, session: &Session, filter: &str) -> Result<Vec<Entry>, Error> {
        let accounts = &self.layout.accounts;
        let filter = format!("(&{}{filter})", accounts.filter);
        let attributes = self.layout.account_attributes();
        let search = Search {
            base: &accounts.base,
            scope: accounts.scope,
            filter: &filter,
            attributes: &attributes,
            limit: ENOUGH,
        };
        let mut found = session.search(&search).await.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.code == 32 => {
                self.reporter.base_missing(&accounts.base, "accounts.base", Some(&refusal))
            }
            failure => self.report(failure, About::Reading("accounts")),
        })?;
        found.retain(|entry| !staging::is_staged(entry));
        Ok(found)
    }

    /// The error for an account that was found and could not be changed. "No such object" means that it is gone only if what
    /// it lay in is there.
    pub(crate) async fn changing_failed(
        &self,
        session: &Session,
        failure: Failure,
        entry: &Entry,
        label: &str,
    ) -> Error {
        if failure.code() != Some(32) {
            return self.report(failure, About::Account(label));
        }
        let base = probe::base(self, session, &self.layout.accounts.base, "accounts.base").await;
        match base {
            Err(error) => error,
            Ok(()) => match groups::is_there(self, session, &entry.dn).await {
                Ok(false) => self.reporter.account_not_found(label).source(failure),
                Ok(true) => self.report(failure, About::Account(label)),
                Err(error) => error,
            },
        }
    }

    /// The filter that finds an account; `None` if no entry can be it.
    fn filter_of(&self, account: &Account) -> Result<Option<String>, Error> {
        if let Some(id) = &account.id {
            return Ok(self.layout.id.filter(id.as_str()));
        }
        for (field, value) in [("username", &account.username), ("email", &account.email)] {
            if let Some(value) = value {
                let Some(attribute) = self.layout.attribute(field) else {
                    return Err(Error::internal(format!(
                        "{}: User {value} cannot be looked up by {field}, which no attribute is mapped to; see \
                         accounts.attributes",
                        self.system()
                    )));
                };
                return Ok(Some(equals(attribute, value)));
            }
        }
        Err(Error::internal(format!("{}: the task names no account", self.system())))
    }
}

/// The filter for one value of an attribute.
pub(crate) fn equals(attribute: &str, value: &str) -> String {
    format!("({attribute}={})", escape::filter_value(value.as_bytes()))
}
