//! The accounts: listed, completed by follow-up requests, and looked up.

use bridgehead_sdk::{
    Account, AccountRecord, Cursor, Effect, Error, Evidence, Page, Record, RejectedRecord, ResourceType,
    Retry,
};
use futures::{StreamExt, TryStreamExt, stream};
use minijinja::Value;
use minijinja::value::Serde;

use crate::lookup::{Looked, Lookup};
use crate::mapping::Mapping;
use crate::pages::Pages;
use crate::paging::Place;
use crate::request::Request;
use crate::rules::About;
use crate::target::{Ask, Target};
use crate::template::Expression;

/// How accounts are read.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) resource_type: ResourceType,
    pub(crate) pages: Pages,
    pub(crate) filter: Option<Expression>,
    pub(crate) follow_ups: Vec<FollowUp>,
    pub(crate) at_once: usize,
    pub(crate) mapping: Mapping,
    pub(crate) find: Find,
    pub(crate) check: Request,
}

/// A request for more of a record.
#[derive(Debug)]
pub(crate) struct FollowUp {
    pub(crate) name: String,
    pub(crate) request: Request,
    pub(crate) value: Expression,
}

/// How one account is looked up, by each key. A key without a request is looked for in the whole list.
#[derive(Debug)]
pub(crate) struct Find {
    pub(crate) id: Option<Lookup>,
    pub(crate) username: Option<Lookup>,
    pub(crate) email: Option<Lookup>,
}

/// An account that was found: as Iden knows it, and as the target has it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) record: AccountRecord,
    pub(crate) raw: Value,
}

type Read = Result<Found, RejectedRecord>;

impl Accounts {
    /// One page of the listing.
    pub(crate) async fn list(&self, target: &Target, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let place = cursor.map(Place::read).transpose()?;
        let what = "The accounts cannot be listed";
        let page = self.pages.page(target, &target.vars, what, |raw| self.mapping.id(raw), place).await?;
        let next = page.next.as_ref().map(Place::cursor).transpose()?;
        let (mut records, mut rejected) = (Vec::new(), Vec::new());
        for read in self.complete_all(target, page.records, what).await? {
            match read {
                Ok(found) => records.push(Record::from(found.record)),
                Err(record) => rejected.push(record),
            }
        }
        Ok(Page { records, rejected, ..Page::default() }.ending(next, Evidence::EndOfCursor))
    }

    /// The account, if there is one. Looks by identifier where there is one, else by user name, else by e-mail.
    pub(crate) async fn find(&self, target: &Target, account: &Account) -> Result<Option<Found>, Error> {
        if account.id.is_some() {
            return self.find_by(target, account, self.find.id.as_ref()).await;
        }
        let (field, lookup) = match account.username {
            Some(_) => ("username", &self.find.username),
            None => ("email", &self.find.email),
        };
        if !self.mapping.has(field) {
            // No account of this target has such a field, and so none is this one.
            return Ok(None);
        }
        self.find_by(target, account, lookup.as_ref()).await
    }

    /// Whoever has the user name or the e-mail that a new account is to have.
    pub(crate) async fn find_taken(
        &self,
        target: &Target,
        account: &Account,
    ) -> Result<Option<Found>, Error> {
        let by_username = Account { username: account.username.clone(), ..Account::default() };
        let by_email = Account { email: account.email.clone(), ..Account::default() };
        for account in [by_username, by_email] {
            if account.is_identified()
                && let Some(found) = self.find(target, &account).await?
            {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    async fn find_by(
        &self,
        target: &Target,
        account: &Account,
        lookup: Option<&Lookup>,
    ) -> Result<Option<Found>, Error> {
        let label = account.label();
        let what = format!("User {label} cannot be looked up");
        // A key that has no request of its own is looked for in the whole list: `find.scan` is set.
        let Some(lookup) = lookup else { return self.scan(target, account, &what).await };
        let vars = target.vars.with("account", Value::from(Serde(account)));
        if !lookup.request().can_be_written(&vars) {
            // A name such as `..` cannot stand in a path, and somebody may have it all the same.
            return self.scan(target, account, &what).await;
        }
        let raw = match lookup.look(target, &vars, &what, |raw| self.mapping.id(raw)).await? {
            Looked::Nobody { certain } => {
                if !certain {
                    // A wrong address answers the same, so the target has to show that it is there.
                    self.check(target).await?;
                }
                return Ok(None);
            }
            Looked::One(raw) => {
                let read = self.complete(target, raw, &what).await?;
                if let Some(Ok(found)) = &read
                    && !account.is_same_as(&found.record)
                {
                    let message = format!(
                        "{what}: {} answered with another account, {}",
                        target.system, found.record.id
                    );
                    return Err(Error::internal(message));
                }
                return pick(target, account, read.into_iter().collect(), &what);
            }
            Looked::Candidates(raw) => self.candidates(account, raw),
        };
        let read = self.complete_all(target, raw, &what).await?;
        pick(target, account, read, &what)
    }

    /// Reads the whole list.
    async fn scan(&self, target: &Target, account: &Account, what: &str) -> Result<Option<Found>, Error> {
        let (mut place, mut matching) = (self.pages.start_of_search(), Vec::new());
        loop {
            let page = self.pages.page(target, &target.vars, what, |raw| self.mapping.id(raw), place).await?;
            let candidates = self.candidates(account, page.records);
            matching.extend(self.complete_all(target, candidates, what).await?);
            place = page.next;
            if place.is_none() {
                return pick(target, account, matching, what);
            }
        }
    }

    /// Those that may be the one, so that nothing more is asked of the others.
    fn candidates(&self, account: &Account, mut raw: Vec<Value>) -> Vec<Value> {
        raw.retain(|raw| self.mapping.may_be(account, raw));
        raw
    }

    /// Whether the target is there and accepts the credential.
    pub(crate) async fn check(&self, target: &Target) -> Result<(), Error> {
        let what = "The check request fails";
        target.read(Ask { request: &self.check, vars: &target.vars, what, about: About::Target }).await?;
        Ok(())
    }

    async fn complete_all(&self, target: &Target, raw: Vec<Value>, what: &str) -> Result<Vec<Read>, Error> {
        let reads = stream::iter(raw.into_iter().map(|raw| self.complete(target, raw, what)));
        let reads: Vec<Option<Read>> = reads.buffered(self.at_once).try_collect().await?;
        Ok(reads.into_iter().flatten().collect())
    }

    /// Asks for what is missing of a record, and reads it; `None` if it is none of ours.
    async fn complete(&self, target: &Target, raw: Value, what: &str) -> Result<Option<Read>, Error> {
        let mut vars = target.vars.with("record", raw.clone());
        if let Some(filter) = &self.filter {
            match filter.truth(&vars) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(fault) => {
                    let rule = format!("what accounts.list.filter can judge, but {fault}");
                    let id = self.mapping.id(&raw);
                    return Ok(Some(Err(RejectedRecord { id, field: "record".to_owned(), rule })));
                }
            }
        }
        let mut follow: Vec<(String, Value)> = Vec::new();
        for FollowUp { name, request, value } in &self.follow_ups {
            let unharmed = |error: Error| error.effect(Effect::NotApplied);
            let ask = Ask { request, vars: &vars, what, about: About::Target };
            let reply = target.send(ask, None).await.map_err(unharmed)?;
            target.judge(ask, &reply).map_err(|error| {
                // The record may have been removed since it was listed; another reading will tell.
                let gone = matches!(reply.status(), 404 | 410);
                unharmed(if gone { error.retry(Retry::Backoff) } else { error })
            })?;
            let value = value.value(&reply.vars(&vars));
            let value = value.map_err(|fault| unharmed(reply.fault(what, &fault)))?;
            follow.push((name.clone(), value));
            vars.set("follow", Value::from_pairs(follow.iter().cloned()));
        }
        let read = self.mapping.read_account(&vars);
        Ok(Some(read.map(|record| Found { record, raw })))
    }
}

/// The one that is meant: a search may find others as well, or pass its condition over.
fn pick(target: &Target, account: &Account, read: Vec<Read>, what: &str) -> Result<Option<Found>, Error> {
    let (mut found, mut unreadable) = (Vec::new(), None);
    for one in read {
        match one {
            Ok(one) if account.is_same_as(&one.record) => found.push(one),
            Err(rejected) if may_be(account, &rejected) => unreadable = Some(rejected),
            Ok(_) | Err(_) => {}
        }
    }
    if found.len() > 1 {
        // Where case alone makes two names of one, the one that is written as asked for is meant.
        let is = |wanted: &Option<String>, found: &Option<String>| wanted.is_some() && wanted == found;
        let exact = |found: &Found| {
            is(&account.username, &found.record.username) || is(&account.email, &found.record.email)
        };
        if found.iter().filter(|one| exact(one)).count() == 1 {
            found.retain(exact);
        }
    }
    match (found.pop(), found.pop(), unreadable) {
        (Some(one), Some(other), _) if one.record.id != other.record.id => Err(Error::internal(format!(
            "{what}: {} has two accounts of that name, {} and {}",
            target.system, one.record.id, other.record.id
        ))),
        (Some(one), _, _) => Ok(Some(one)),
        (None, _, Some(rejected)) => Err(Error::internal(format!(
            "{what}: {} has an account that cannot be read: {rejected}",
            target.system
        ))),
        (None, ..) => Ok(None),
    }
}

/// Whether a record that cannot be read may be the account: its identifier is the only thing that is known of it, if at all.
fn may_be(account: &Account, rejected: &RejectedRecord) -> bool {
    match (&account.id, &rejected.id) {
        (Some(id), Some(rejected)) => id.as_str() == rejected,
        _ => true,
    }
}
