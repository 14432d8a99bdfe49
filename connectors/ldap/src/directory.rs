//! One directory: its layout, connections to it, and messages for its failures.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bridgehead_sdk::{
    Account, Effect, Error, Redactor, Retry, SettingsError, Setup, folded as folded_name, spellings,
};

use crate::endpoint::Endpoint;
use crate::entry::Entry;
use crate::escape;
use crate::failure::Failure;
use crate::groups;
use crate::holder::{Holder, NAME_TAKEN};
use crate::layout::Layout;
use crate::memberships::{Group, folded, id_of};
use crate::pool::{Lease, Pool};
use crate::probe;
use crate::readiness::one;
use crate::report::{About, Reporter};
use crate::schema::{Rule, Schema};
use crate::session::{Search, Session};
use crate::settings::Settings;
use crate::staging;

/// A directory, and how bridgehead uses it.
#[derive(Debug)]
pub(crate) struct Directory {
    /// With the names from the settings; `learned` has the server's names.
    written: Layout,
    learned: OnceLock<Layout>,
    /// The modification time of the schema that the settings were last checked against, as reported by the server.
    schema_of: Mutex<Option<String>>,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) reporter: Reporter,
    pub(crate) redactor: Redactor,
    pub(crate) page_size: u16,
    pub(crate) read_only: bool,
}

/// The maximum number of entries that a look-up reads: two are already too many, but some may be half-created.
const ENOUGH: i32 = 8;

impl Directory {
    /// Checks the settings. Does not connect.
    pub(crate) fn new(settings: &Settings, setup: Setup) -> Result<Self, SettingsError> {
        let written = Layout::new(settings)?;
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
                url: endpoint.servers.named(),
                bind_dn: endpoint.identity.label().to_owned(),
                profile: settings.profile,
                redactor: setup.redactor.clone(),
            },
            redactor: setup.redactor,
            written,
            learned: OnceLock::new(),
            schema_of: Mutex::default(),
            endpoint,
            page_size: settings.page_size,
            read_only: settings.read_only,
        })
    }

    /// The layout of the directory. After the first connection, it uses the server's names of attributes.
    pub(crate) fn layout(&self) -> &Layout {
        self.learned.get().unwrap_or(&self.written)
    }

    /// The server's schema; empty before the first connection, and if the server does not show it.
    pub(crate) fn schema(&self) -> Schema {
        self.endpoint.schema.get().cloned().unwrap_or_default()
    }

    /// How values of an attribute compare.
    pub(crate) fn rule(&self, attribute: &str) -> Rule {
        self.endpoint.schema.get().map_or(Rule::IgnoringCase, |schema| schema.rule(attribute))
    }

    /// Reads the server's schema, and checks the settings against it: an attribute that the server does not know would silently be missing
    /// from every account. Tasks do this once; checks and listings repeat it with `again`.
    pub(crate) async fn learn(&self, session: &Session, again: bool) -> Result<(), Error> {
        if self.learned.get().is_some() && !again {
            return Ok(());
        }
        let changed = self.schema_changed(session).await?;
        let last = || self.schema_of.lock().unwrap_or_else(PoisonError::into_inner);
        if self.learned.get().is_some() && changed.is_some() && changed == *last() {
            return Ok(());
        }
        let schema = match &session.features.schema {
            Some(place) => self.read_schema(session, place).await?,
            None => Schema::default(),
        };
        if schema.is_known() {
            for (key, attribute) in self.written.needed_attributes() {
                if !schema.has(attribute) {
                    return Err(self.reporter.unknown_attribute(&key, attribute, schema.nearest(attribute)));
                }
            }
        } else {
            tracing::debug!(app = %self.system(), "the server does not show its schema; names of attributes \
                                                   are used as configured");
        }
        // The first result is kept; the names do not change.
        let schema = self.endpoint.schema.get_or_init(|| schema);
        self.learned.get_or_init(|| self.written.canonical(schema));
        *last() = changed;
        Ok(())
    }

    /// When the schema was last changed. This is cheap to request, unlike the schema itself. `None` if the server does not report it.
    async fn schema_changed(&self, session: &Session) -> Result<Option<String>, Error> {
        let Some(place) = &session.features.schema else { return Ok(None) };
        let search = Search { filter: "(objectClass=subschema)", ..one(place, &["modifyTimestamp"]) };
        match session.search(&search).await {
            Ok(found) => Ok(found
                .first()
                .and_then(|entry| entry.texts("modifyTimestamp").flatten().next().map(str::to_owned))),
            Err(failure) if failure.code().is_some() => Ok(None),
            Err(failure) => Err(self.report(failure, About::Reading("the schema"))),
        }
    }

    async fn read_schema(&self, session: &Session, place: &str) -> Result<Schema, Error> {
        let attributes = ["attributeTypes"];
        let search = Search { filter: "(objectClass=subschema)", ..one(place, &attributes) };
        match session.search(&search).await {
            Ok(found) => Ok(found.first().map(Schema::read).unwrap_or_default()),
            Err(failure) if failure.code().is_some() => Ok(Schema::default()),
            Err(failure) => Err(self.report(failure, About::Reading("the schema"))),
        }
    }

    /// Fails if missing entries cannot be trusted: right after a switch of servers, changes may not have reached the new one yet.
    pub(crate) fn must_be_settled(&self) -> Result<(), Error> {
        match self.endpoint.servers.in_doubt() {
            None => Ok(()),
            Some(rest) => Err(self.reporter.unsettled(rest)),
        }
    }

    /// The name of the target in messages.
    pub(crate) fn system(&self) -> &str {
        &self.reporter.system
    }

    /// A connection for one operation.
    pub(crate) async fn lease(&self, about: About<'_>) -> Result<Lease, Error> {
        let lease = self.pool.lease().await.map_err(|failure| self.reporter.report(failure, about))?;
        self.learn(&lease, false).await?;
        Ok(lease)
    }

    /// Converts a failure to an error.
    pub(crate) fn report(&self, failure: Failure, about: About<'_>) -> Error {
        self.reporter.report(failure, about)
    }

    /// The entry of an account; `None` if it certainly does not exist. Looks up by identifier if there is one, else by user name, else by
    /// email.
    pub(crate) async fn find(&self, session: &Session, account: &Account) -> Result<Option<Entry>, Error> {
        let Some(filter) = self.filter_of(account)? else { return Ok(None) };
        let found = if account.id.is_some() {
            // An entry found by its identifier is the account, whatever other servers contain.
            let (mut found, reference) = self.look(session, &filter).await?;
            match (found.len(), reference) {
                (1, _) => found.pop(),
                (0, Some(address)) => {
                    return Err(self.report(Failure::Reference(address), About::Reading("accounts")));
                }
                _ => self.only(found, account.label())?,
            }
        } else {
            self.find_one(session, &filter, account.label()).await?
        };
        let found = found.filter(|entry| self.is_really(entry, account));
        if found.is_none() {
            self.must_be_settled()?;
        }
        match found {
            Some(entry) if entry.garbled => Err(Error::internal(format!(
                "{}: the name of {} is not UTF-8 text; rename the entry",
                self.system(),
                entry.dn
            ))),
            found => Ok(found),
        }
    }

    /// Checks that the entry really has the requested identifier or name, because servers compare loosely: 389 Directory Server ignores
    /// white space at the end, line breaks included, and Samba everything after a NUL. A result that differs in more than case is rejected
    /// where this is certain; which non-ASCII letters are equal is left to the server.
    fn is_really(&self, entry: &Entry, account: &Account) -> bool {
        if let Some(id) = &account.id {
            let held = entry.values(&self.layout().id.name).first();
            let held = held.and_then(|value| self.layout().id.text(value));
            return held.is_some_and(|held| held.eq_ignore_ascii_case(id.as_str()));
        }
        let (field, value) = match (&account.username, &account.email) {
            (Some(username), _) => ("username", username),
            (None, Some(email)) => ("email", email),
            (None, None) => return true,
        };
        let holds = |attribute: &str| {
            entry.texts(attribute).flatten().any(|held| folded_name(held) == folded_name(value))
        };
        let is_certain = value.is_ascii() || value.chars().any(char::is_control) || value.trim() != value;
        !is_certain || self.layout().attribute(field).is_some_and(holds)
    }

    /// The entry of an account, which must exist.
    pub(crate) async fn get(&self, session: &Session, account: &Account) -> Result<Entry, Error> {
        let found = self.find(session, account).await?;
        found.ok_or_else(|| self.reporter.account_not_found(account.label()))
    }

    /// The only account that a filter finds. If there are several, the error names them.
    pub(crate) async fn find_one(
        &self,
        session: &Session,
        filter: &str,
        label: &str,
    ) -> Result<Option<Entry>, Error> {
        let found = self.find_all(session, filter).await?;
        self.only(found, label)
    }

    fn only(&self, mut found: Vec<Entry>, label: &str) -> Result<Option<Entry>, Error> {
        if found.len() > 1 {
            let names = found.iter().map(|entry| entry.dn.as_str()).collect::<Vec<_>>().join(" and ");
            return Err(Error::internal(format!(
                "{}: {names} are both {label}; make them different, or narrow accounts.base or accounts.filter",
                self.system()
            )));
        }
        Ok(found.pop())
    }

    /// The accounts that a filter finds, up to a limit. A reference to another server is an error, because the accounts there are unknown.
    pub(crate) async fn find_all(&self, session: &Session, filter: &str) -> Result<Vec<Entry>, Error> {
        match self.look(session, filter).await? {
            (found, None) => Ok(found),
            (_, Some(address)) => Err(self.report(Failure::Reference(address), About::Reading("accounts"))),
        }
    }

    async fn look(&self, session: &Session, filter: &str) -> Result<(Vec<Entry>, Option<String>), Error> {
        let accounts = &self.layout().accounts;
        let filter = format!("(&{}{filter})", accounts.filter);
        let attributes = self.layout().account_attributes();
        let search = Search {
            base: &accounts.base,
            scope: accounts.scope,
            filter: &filter,
            attributes: &attributes,
            limit: ENOUGH,
        };
        let (mut found, reference) = session.search_here(&search).await.map_err(|failure| match failure {
            Failure::Refused(refusal) if refusal.code == 32 => {
                self.reporter.base_missing(&accounts.base, "accounts.base", Some(&refusal))
            }
            failure => self.report(failure, About::Reading("accounts")),
        })?;
        found.retain(|entry| !staging::is_staged(entry));
        Ok((found, reference))
    }

    /// The error for an account that was found but could not be changed. "No such object" only means that the account is gone if its base
    /// exists.
    pub(crate) async fn changing_failed(
        &self,
        session: &Session,
        failure: Failure,
        entry: &Entry,
        label: &str,
    ) -> Error {
        let is_taken = failure.code() == Some(NAME_TAKEN);
        if failure.code() != Some(32) && !is_taken {
            return self.explain(session, failure, About::Account(label)).await;
        }
        let base = probe::base(self, session, &self.layout().accounts.base, "accounts.base").await;
        match base {
            Err(error) => error,
            Ok(()) => match groups::is_there(self, session, &entry.dn).await {
                Ok(is_there) if is_taken || !is_there || self.holder(entry).is_by_id() => match self
                    .moved(session, entry)
                    .await
                {
                    // The entry that has the name now was not changed.
                    Ok(Some(moved)) if is_taken => moved.with_effect(Effect::NotApplied).with_source(failure),
                    Ok(Some(moved)) => moved.with_source(failure),
                    Ok(None) => self.reporter.account_not_found(label).with_source(failure),
                    Err(error) => error,
                },
                Ok(_) => self.report(failure, About::Account(label)),
                Err(error) => error,
            },
        }
    }

    /// An account for a change of its entry.
    pub(crate) fn holder(&self, entry: &Entry) -> Holder {
        let layout = self.layout();
        Holder::new(&layout.id, &entry.dn, id_of(layout, entry).as_deref())
    }

    /// A group for a change of its members.
    pub(crate) fn holder_of(&self, group: &Group) -> Holder {
        Holder::new(&self.layout().id, &group.dn, Some(&group.id))
    }

    /// The error if another client has renamed or moved an account since it was read. The next attempt finds it under its new name; what
    /// this one has changed may be under the old one.
    pub(crate) async fn moved(&self, session: &Session, entry: &Entry) -> Result<Option<Error>, Error> {
        let Some(id) = id_of(self.layout(), entry) else { return Ok(None) };
        let Some(filter) = self.layout().id.filter(&id) else { return Ok(None) };
        let accounts = &self.layout().accounts;
        let attributes = [self.layout().id.name.as_str()];
        let search = Search {
            base: &accounts.base,
            scope: accounts.scope,
            filter: &filter,
            attributes: &attributes,
            limit: ENOUGH,
        };
        let found = session.search_here(&search).await;
        let (found, _) = found.map_err(|failure| self.report(failure, About::Reading("accounts")))?;
        let is_elsewhere = |now: &&Entry| folded(&now.dn) != folded(&entry.dn);
        let now = found.iter().find(is_elsewhere).filter(|_| found.len() == 1);
        Ok(now.map(|now| {
            let message = format!(
                "{}: {} was renamed or moved by another client while it was being changed; it is now {}",
                self.system(),
                entry.dn,
                now.dn
            );
            Error::internal(message).with_effect(Effect::Unknown).with_retry(Retry::Backoff)
        }))
    }

    /// The filter that finds an account; `None` if no entry can match.
    fn filter_of(&self, account: &Account) -> Result<Option<String>, Error> {
        if let Some(id) = &account.id {
            return Ok(self.layout().id.filter(id.as_str()));
        }
        for (field, value) in [("username", &account.username), ("email", &account.email)] {
            if let Some(value) = value {
                let Some(attribute) = self.layout().attribute(field) else {
                    return Err(Error::internal(format!(
                        "{}: User {value} cannot be looked up by {field}, because no attribute is mapped to \
                         it; see accounts.attributes",
                        self.system()
                    )));
                };
                return Ok(Some(named(attribute, value)));
            }
        }
        Err(Error::internal(format!("{}: the task does not identify an account", self.system())))
    }
}

/// The filter for a name in each Unicode form: Active Directory may have an account in each, and they look the same.
pub(crate) fn named(attribute: &str, name: &str) -> String {
    match spellings(name).as_slice() {
        [one] => equals(attribute, one),
        several => {
            let each: String = several.iter().map(|one| equals(attribute, one)).collect();
            format!("(|{each})")
        }
    }
}

/// The filter for one value of an attribute.
pub(crate) fn equals(attribute: &str, value: &str) -> String {
    format!("({attribute}={})", escape::filter_value(value.as_bytes()))
}
