//! One application, with everything that is needed to work with it.

use std::sync::Arc;

use bridgehead_sdk::{Account, AccountRecord, Error, composed, folded, spellings};

use crate::change::Style;
use crate::client::Scim;
use crate::discovery::{Features, rules_out};
use crate::mapping::Mapping;
use crate::paging::{Place, Walk};
use crate::path::{Path, equals};
use crate::settings::{Lookup, MembershipsFrom, Settings};
use crate::wire::{Fields, GROUP, USER, id};

/// An application whose features are known.
#[derive(Clone, Debug)]
pub(crate) struct Application<'a> {
    pub(crate) scim: &'a Scim,
    pub(crate) settings: &'a Settings,
    pub(crate) mapping: &'a Mapping,
    pub(crate) features: Arc<Features>,
    /// Writing the members of a group as a whole requires exclusive access.
    pub(crate) turn: &'a tokio::sync::Mutex<()>,
}

impl Application<'_> {
    pub(crate) fn system(&self) -> &str {
        self.scim.system()
    }

    /// The path of the users.
    pub(crate) fn users(&self) -> &str {
        &self.features.users
    }

    pub(crate) fn style(&self) -> Style {
        Style {
            profile: self.settings.profile,
            booleans: self.settings.booleans(),
            patch: self.features.patch,
        }
    }

    /// The version that a change is conditional on, if the application supports this.
    pub(crate) fn version<'r>(&self, resource: &'r Fields) -> Option<&'r str> {
        self.features.etag.then(|| crate::wire::version(resource)).flatten()
    }

    /// Pages through an endpoint, with a parameter that is sent with every page.
    pub(crate) fn walk<'w>(&'w self, endpoint: &'w str, with: Option<(&'w str, &'w str)>) -> Walk<'w> {
        Walk { scim: self.scim, endpoint, count: self.settings.page_size, with, shown: Arc::default() }
    }

    /// The start of a listing.
    pub(crate) fn start(&self) -> Place {
        Place::start(self.features.cursor)
    }

    /// Checks that the attribute from which memberships are read exists. Without it, every account would appear to be in no group.
    pub(crate) fn memberships_can_be_read(&self) -> Result<(), Error> {
        let (schema, attribute, other) = match self.settings.groups.memberships_from {
            MembershipsFrom::Groups => (GROUP, "members", "accounts"),
            MembershipsFrom::Accounts => (USER, "groups", "groups"),
        };
        if self.features.groups.is_some() && rules_out(&self.features, schema, attribute) {
            return Err(Error::incomplete_listing(format!(
                "{}: its schemas do not contain the attribute '{attribute}', from which memberships are \
                 read; set groups.memberships_from = \"{other}\"",
                self.system()
            )));
        }
        Ok(())
    }

    /// The user of an account; `None` only if the application certainly does not have it.
    pub(crate) async fn find(&self, account: &Account) -> Result<Option<Fields>, Error> {
        if let Some(id) = &account.id {
            return self.scim.get(self.users(), id.as_str(), &[]).await;
        }
        if let Some(username) = &account.username
            && let Some(path) = self.mapping.path("username")
        {
            return self.find_by(path, username).await;
        }
        if let Some(email) = &account.email
            && let Some(path) = self.mapping.path("email")
        {
            return self.find_by(path, email).await;
        }
        let message = format!(
            "User {} cannot be looked up in {}: no attribute holds its user name or email; see \
             target.attributes",
            account.label(),
            self.system()
        );
        Err(Error::internal(message))
    }

    /// The user with this value. User names and email addresses are compared ignoring case.
    pub(crate) async fn find_by(&self, path: &Path, value: &str) -> Result<Option<Fields>, Error> {
        if self.settings.lookup == Lookup::List {
            return self.search(path, value, None).await;
        }
        let attribute = path.for_filter();
        // Applications with case-sensitive filters usually store names in lowercase.
        for case in [value.to_owned(), value.to_lowercase()] {
            let mut found: Option<Fields> = None;
            // Each Unicode form, because an application may have an account in each that it does not consider the same.
            for spelling in spellings(&case) {
                let Some(user) = self.search(path, value, Some(&equals(&attribute, &spelling))).await? else {
                    continue;
                };
                if found.as_ref().is_some_and(|known| id(known) != id(&user)) {
                    return Err(self.several(value));
                }
                found = Some(user);
            }
            if found.is_some() || case == value.to_lowercase() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    fn several(&self, value: &str) -> Error {
        Error::internal(format!(
            "{value} identifies several users in {}; change all but one of them there",
            self.system()
        ))
    }

    async fn search(&self, path: &Path, value: &str, filter: Option<&str>) -> Result<Option<Fields>, Error> {
        let wanted = folded(value);
        let is_same = |found: Option<&serde_json::Value>| {
            found.and_then(serde_json::Value::as_str).is_some_and(|found| folded(found) == wanted)
        };
        let mut found: Option<Fields> = None;
        let walk = self.walk(self.users(), filter.map(|filter| ("filter", filter)));
        // A user name identifies one user (RFC 7643, section 4.1.1); an email address may identify several.
        let is_unique = path.stem().eq_ignore_ascii_case("userName");
        // Some servers distinguish names that differ only in case. Names in different Unicode forms look the same, so neither is preferred.
        let is_exact = |user: &Fields| {
            let name = path.get(user).and_then(serde_json::Value::as_str);
            name.is_some_and(|name| composed(name) == composed(value))
        };
        let mut place = Some(self.start());
        let is_enough =
            |found: &Option<Fields>| is_unique && value.is_ascii() && found.as_ref().is_some_and(is_exact);
        while let Some(at) = place.filter(|_| !is_enough(&found)) {
            let step = walk.page(&at).await?;
            for user in step.records {
                if is_same(path.get(&user)) {
                    let is_another = found.as_ref().is_some_and(|known| id(known) != id(&user));
                    let has_exact = found.as_ref().is_some_and(is_exact);
                    if is_unique && has_exact && !(is_another && is_exact(&user)) {
                        continue;
                    }
                    if is_another && (has_exact || !(is_unique && is_exact(&user))) {
                        return Err(self.several(value));
                    }
                    found = Some(user);
                } else if filter.is_some() && !path.holds(&user, is_same) {
                    let message = format!(
                        "{} ignores the filter on {path}: it returns other users; set lookup = \"list\"",
                        self.system()
                    );
                    return Err(Error::internal(message));
                }
            }
            place = step.next;
        }
        Ok(found)
    }

    /// The user of an account, which must exist.
    pub(crate) async fn require(&self, account: &Account) -> Result<(String, Fields), Error> {
        let found = self.find(account).await?;
        let found = found.and_then(|user| Some((id(&user)?, user)));
        found.ok_or_else(|| {
            Error::account_not_found(format!("User {} not found in {}", account.label(), self.system()))
        })
    }

    /// The current user, read right before it is written: the result of a search or an earlier look-up may lack attributes, or may not
    /// contain another client's change.
    pub(crate) async fn fresh(&self, own: &str, label: &str) -> Result<Fields, Error> {
        let found = self.scim.get(self.users(), own, &[]).await?;
        found.ok_or_else(|| Error::account_not_found(format!("User {label} not found in {}", self.system())))
    }

    /// The record of a user, with its memberships.
    pub(crate) async fn record(&self, user: &Fields) -> Result<AccountRecord, Error> {
        let mut record = self.mapping.record(user).map_err(|fault| self.unreadable(&fault))?;
        if self.features.groups.is_some() {
            self.memberships_can_be_read()?;
            record.memberships = self.memberships_of(user).await?;
        }
        Ok(record)
    }

    pub(crate) fn unreadable(&self, fault: &bridgehead_sdk::RejectedRecord) -> Error {
        Error::internal(format!("{}: {fault}; correct it there", self.system()))
    }
}
