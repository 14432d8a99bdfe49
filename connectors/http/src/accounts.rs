//! Accounts: listing them, completing them with follow-up requests, and looking them up.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bridgehead_sdk::http::Shown;
use bridgehead_sdk::{
    Account, AccountRecord, Cursor, Effect, Error, Page, Record, Ref, RejectedRecord, ResourceType, Retry,
    composed, folded, is_same_id, spellings,
};
use futures::{StreamExt, TryStreamExt, stream};
use minijinja::Value;
use minijinja::value::Serde;
use serde::{Deserialize, Serialize};

use crate::entities::Entities;
use crate::listings::{Listings, Mark};
use crate::lookup::{Looked, Lookup};
use crate::mapping::Mapping;
use crate::members::{self, Doubt, Index};
use crate::pages::{Pages, Spot};
use crate::paging::Place;
use crate::request::Request;
use crate::rules::About;
use crate::target::{Ask, Target};
use crate::template::Expression;
use crate::twins::{self, Twins};

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
    /// The groups and licenses. Some of them list their members through a separate request.
    pub(crate) entities: Arc<[Entities]>,
    pub(crate) listings: Listings<Reading>,
}

/// The data that one listing of the accounts has collected so far.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    accounts: Shown,
    groups: Shown,
    members: Index,
}

/// The current stage of a listing of the accounts.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Stage {
    /// Reads the members of the groups of one type.
    Members(usize, Option<Place>),
    /// Reads the accounts.
    Accounts(Option<Place>),
}

/// A follow-up request for more data about a record.
#[derive(Debug)]
pub(crate) struct FollowUp {
    pub(crate) name: String,
    pub(crate) request: Request,
    pub(crate) value: Expression,
}

/// How one account is looked up by each key. A key without a request is searched for in the whole list.
#[derive(Debug)]
pub(crate) struct Find {
    pub(crate) id: Option<Lookup>,
    pub(crate) username: Option<Lookup>,
    pub(crate) email: Option<Lookup>,
}

/// An account that was found: the record as sent to Iden, and the target's raw record.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) record: AccountRecord,
    pub(crate) raw: Value,
    /// The types of groups that do not show the account as a member, and why they may be wrong.
    pub(crate) doubts: BTreeMap<String, Doubt>,
}

/// The start of a listing.
#[derive(Debug, Default)]
pub(crate) struct Sight {
    /// The number of records of the first page that were checked.
    pub(crate) count: usize,
    /// The accounts among them, as read.
    pub(crate) found: Vec<Found>,
    pub(crate) rejected: Vec<RejectedRecord>,
}

/// The number of accounts that are checked as a sample of all.
const LOOKED_AT: usize = 10;

type Read = Result<Found, RejectedRecord>;

impl Accounts {
    /// One page of the listing.
    pub(crate) async fn list(&self, target: &Target, cursor: Option<&Cursor>) -> Result<Page, Error> {
        let mark = cursor.map(Mark::<Stage>::read).transpose()?;
        let (listing, reading, stage) = if let Some(Mark { listing, place }) = mark {
            (listing, self.listings.of(listing)?, place)
        } else {
            let (listing, reading) = self.listings.begin();
            let first = self.next_source(0).map(|of| Stage::Members(of, None));
            (listing, reading, first.unwrap_or(Stage::Accounts(None)))
        };
        let place = match stage {
            Stage::Accounts(place) => place,
            Stage::Members(of, place) => {
                let next = self.members(target, of, place, &reading).await?;
                let following = || self.next_source(of + 1).map(|of| Stage::Members(of, None));
                let next = next.map(|place| Stage::Members(of, Some(place))).or_else(following);
                let place = next.unwrap_or(Stage::Accounts(None));
                return Ok(Page::with_next(Vec::new(), Mark { listing, place }.cursor()?));
            }
        };
        let what = "The accounts cannot be listed";
        let spot = Spot { place, shown: &reading.accounts };
        let page = self.pages.page(target, &target.vars, what, |raw| self.mapping.id(raw), spot).await?;
        let twins = Twins::of(&page, &self.mapping, &reading.accounts);
        let next = page.next.map(|place| Mark { listing, place: Stage::Accounts(Some(place)) }.cursor());
        let (mut records, mut rejected) = (Vec::new(), twins.repeated.clone());
        let mut taken: BTreeSet<String> = BTreeSet::new();
        for read in self.complete_all(target, page.records, what).await? {
            match read {
                Ok(found) if twins.has(found.record.id.as_str()) => {
                    rejected.push(twins::rejected(found.record.id.as_str()));
                }
                Ok(mut found) => {
                    if !taken.insert(found.record.id.as_str().to_owned()) {
                        continue;
                    }
                    for (of, entities) in self.sources() {
                        let refs = reading.members.groups(found.record.id.as_str(), of);
                        let of = &entities.resource_type;
                        members::set(&mut found.record, of.kind, of.slug.as_str(), refs);
                    }
                    records.push(Record::from(found.record));
                }
                Err(record) => rejected.push(record),
            }
        }
        let strangers = if page.end.is_some() { reading.members.strangers() } else { None };
        if let Some(entities) = strangers.and_then(|of| self.entities.get(of)) {
            return Err(members::strangers(what, entities.resource_type.slug.as_str()));
        }
        let (evidence, total) = page.end.map_or((None, None), |(evidence, total)| (Some(evidence), total));
        // The target's total includes the records that `filter` excludes, so it is not passed on.
        let total = total.filter(|_| self.filter.is_none());
        let mut page = Page::new(records).with_rejected(rejected).with_total(total);
        (page.next, page.evidence) = (next.transpose()?, evidence);
        Ok(page)
    }

    /// The types whose members are requested.
    fn sources(&self) -> impl Iterator<Item = (usize, &Entities)> {
        self.entities.iter().enumerate().filter(|(_, entities)| entities.members.is_some())
    }

    fn next_source(&self, from: usize) -> Option<usize> {
        self.sources().map(|(of, _)| of).find(|of| *of >= from)
    }

    /// Whether the target shows which groups or licenses of a type an account has.
    pub(crate) fn shows(&self, slug: &str) -> bool {
        self.mapping.shows(slug)
            || self.sources().any(|(_, entities)| entities.resource_type.slug.as_str() == slug)
    }

    /// Requests the members of one page of groups, and returns the position of the next page.
    async fn members(
        &self,
        target: &Target,
        of: usize,
        place: Option<Place>,
        reading: &Reading,
    ) -> Result<Option<Place>, Error> {
        let Some((entities, members)) =
            self.entities.get(of).and_then(|one| Some((one, one.members.as_ref()?)))
        else {
            return Err(Error::incomplete_listing(
                "the listing cannot continue at a type that has no members",
            ));
        };
        let slug = entities.resource_type.slug.as_str();
        let what = format!("{slug} cannot be listed to find its members");
        let page = entities.page(target, Spot { place, shown: &reading.groups }, &what).await?;
        let read = page.twins.into_iter().map(Err).chain(page.read);
        let groups: Result<Vec<String>, RejectedRecord> =
            read.map(|read| read.map(|entity| entity.id)).collect();
        // The members of an unreadable group would appear to be in no group.
        let groups = groups.map_err(|fault| Error::incomplete_listing(format!("{what}: {fault}")))?;
        let reads = stream::iter(groups.into_iter().map(|group| async move {
            let found = members.of(target, slug, &group).await?;
            Ok::<_, Error>((group, found))
        }));
        let reads: Vec<(String, Vec<String>)> = reads.buffered(self.at_once).try_collect().await?;
        for (group, found) in reads {
            reading.members.add(of, &group, found);
        }
        Ok(page.next)
    }

    /// Adds the memberships that only the groups show.
    async fn add_memberships(&self, target: &Target, found: &mut Found) -> Result<(), Error> {
        let id = found.record.id.as_str().to_owned();
        for (_, entities) in self.sources() {
            let Some(members) = &entities.members else { continue };
            let of = &entities.resource_type;
            let slug = of.slug.as_str();
            let groups =
                entities.all_ids(target, &format!("The {slug} of User {id} cannot be looked up")).await?;
            let reads = stream::iter(groups.into_iter().map(|group| async move {
                let found = members.of(target, slug, &group).await?;
                Ok::<_, Error>((group, found))
            }));
            let reads: Vec<(String, Vec<String>)> = reads.buffered(self.at_once).try_collect().await?;
            let member = reads.iter().flat_map(|(_, members)| members).next().cloned();
            let is_empty = reads.is_empty();
            let refs =
                reads.into_iter().filter(|(_, members)| members.iter().any(|member| is_same_id(member, &id)));
            let refs: Vec<Ref> = refs.map(|(group, _)| Ref::new(group)).collect();
            if refs.is_empty() && !is_empty {
                found.doubts.insert(slug.to_owned(), member.map_or(Doubt::Bare, Doubt::Member));
            }
            members::set(&mut found.record, of.kind, slug, refs);
        }
        Ok(())
    }

    /// One account of the target, if it has any.
    pub(crate) async fn sample(&self, target: &Target) -> Result<Option<Found>, Error> {
        let sight = self.sight(target, false).await?;
        Ok(sight.found.into_iter().next())
    }

    /// The start of the listing. With `goes_on`, the second page is requested too if there is one.
    pub(crate) async fn sight(&self, target: &Target, goes_on: bool) -> Result<Sight, Error> {
        let (what, shown) = ("The accounts cannot be listed", Shown::default());
        let id = |raw: &Value| self.mapping.id(raw);
        let page =
            self.pages.page(target, &target.vars, what, id, Spot { place: None, shown: &shown }).await?;
        let twins = Twins::of(&page, &self.mapping, &shown);
        if let Some(place) = page.next.filter(|_| goes_on && self.pages.has_pages()) {
            let spot = Spot { place: Some(place), shown: &shown };
            self.pages.page(target, &target.vars, what, id, spot).await?;
        }
        let some: Vec<Value> = page.records.into_iter().take(LOOKED_AT).collect();
        let mut sight = Sight { count: some.len(), ..Sight::default() };
        for read in self.complete_all(target, some, what).await? {
            match read {
                Ok(found) if twins.has(found.record.id.as_str()) => {
                    sight.rejected.push(twins::rejected(found.record.id.as_str()));
                }
                Ok(found) => sight.found.push(found),
                Err(rejected) => sight.rejected.push(rejected),
            }
        }
        Ok(sight)
    }

    /// The account with everything the target shows about it, if it exists.
    pub(crate) async fn find(&self, target: &Target, account: &Account) -> Result<Option<Found>, Error> {
        let mut found = self.find_alone(target, account).await?;
        if let Some(found) = &mut found {
            self.add_memberships(target, found).await?;
        }
        Ok(found)
    }

    /// The account without the memberships that only groups show. Looks up by identifier if there is one, else by user name, else by email.
    pub(crate) async fn find_alone(
        &self,
        target: &Target,
        account: &Account,
    ) -> Result<Option<Found>, Error> {
        if account.id.is_some() {
            return self.find_by(target, account, self.find.id.as_ref()).await;
        }
        let (field, lookup) = match account.username {
            Some(_) => ("username", &self.find.username),
            None => ("email", &self.find.email),
        };
        if !self.mapping.has(field) {
            // The accounts of this target do not have this field, so none matches.
            return Ok(None);
        }
        let mut found: Option<Found> = None;
        // Each Unicode form of the name, because the target may have an account in each that it does not consider the same.
        for spelling in in_each_form(account) {
            let Some(one) = self.find_by(target, &spelling, lookup.as_ref()).await? else { continue };
            if let Some(other) = found.as_ref().filter(|known| known.record.id != one.record.id) {
                let what = format!("User {} cannot be looked up", account.label());
                return Err(two_accounts(target, &what, &other.record, &one.record));
            }
            found = Some(one);
            if lookup.is_none() {
                // The whole list has been searched.
                break;
            }
        }
        Ok(found)
    }

    /// The existing account with the user name or the email of a new account.
    pub(crate) async fn find_taken(
        &self,
        target: &Target,
        account: &Account,
    ) -> Result<Option<Found>, Error> {
        let by_username = account.username.clone().map(Account::by_username);
        let by_email = account.email.clone().map(Account::by_email);
        for account in [by_username, by_email].into_iter().flatten() {
            if let Some(found) = self.find_alone(target, &account).await? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Looks up an account by each key that has its own request.
    pub(crate) fn keys_of(&self, record: &AccountRecord) -> Vec<(&'static str, Account)> {
        let (username, email) = (record.username.clone(), record.email.clone());
        let keys = [
            ("by_id", self.find.id.is_some(), Some(Account::by_id(record.id.clone()))),
            ("by_username", self.find.username.is_some(), username.map(Account::by_username)),
            ("by_email", self.find.email.is_some(), email.map(Account::by_email)),
        ];
        let keys = keys.into_iter().filter(|(_, is_set, _)| *is_set);
        keys.filter_map(|(key, _, account)| Some((key, account?))).collect()
    }

    async fn find_by(
        &self,
        target: &Target,
        account: &Account,
        lookup: Option<&Lookup>,
    ) -> Result<Option<Found>, Error> {
        let label = account.label();
        let what = format!("User {label} cannot be looked up");
        // A key without a request is searched for in the whole list: `find.scan` is set.
        let Some(lookup) = lookup else { return self.scan(target, account, &what).await };
        let vars = target.vars.with("account", Value::from(Serde(account)));
        if !lookup.request().can_be_written(&vars) {
            // A path cannot contain a name such as `..`, but an account may still have it.
            return self.scan(target, account, &what).await;
        }
        let raw = match lookup.look(target, &vars, &what, |raw| self.mapping.id(raw)).await? {
            Looked::Nobody { certain } => {
                if !certain {
                    // A wrong address returns the same response, so first check that the target works.
                    self.check(target).await?;
                    self.prove(target, account, lookup, &what).await?;
                }
                return Ok(None);
            }
            Looked::One(raw) => {
                return match self.complete(target, raw, &what).await? {
                    Some(Ok(found)) if account.is_same_as(&found.record) => Ok(Some(found)),
                    Some(Ok(found)) => Err(Error::internal(format!(
                        "{what}: {} returned a different account, {}",
                        target.system, found.record.id
                    ))),
                    // An error whatever identifier the record has, because it is the response to a request for this account.
                    Some(Err(rejected)) => Err(cannot_be_read(target, &rejected, &what)),
                    None => Ok(None),
                };
            }
            Looked::Candidates(raw) => raw,
        };
        let is_heeded = raw.iter().all(|raw| has_to_do_with(account, raw));
        let read = self.complete_all(target, self.candidates(account, raw), &what).await?;
        let found = pick(target, account, read, &what)?;
        if found.is_none() && !is_heeded {
            return Err(Error::internal(format!(
                "{what}: the request of find.{} returns accounts that do not match, so the target seems to \
                 ignore its condition; correct its query, or remove it and set find.scan = true",
                by(account)
            )));
        }
        Ok(found)
    }

    /// Proves that a look-up that finds nothing does find existing accounts, by looking up an account from the list.
    async fn prove(
        &self,
        target: &Target,
        account: &Account,
        lookup: &Lookup,
        what: &str,
    ) -> Result<(), Error> {
        let Some(Found { record, .. }) = self.sample(target).await? else { return Ok(()) };
        let id = record.id.clone();
        let listed = match by(account) {
            "by_id" => Some(Account::by_id(record.id)),
            "by_username" => record.username.map(Account::by_username),
            _ => record.email.map(Account::by_email),
        };
        let Some(listed) = listed else { return Ok(()) };
        let vars = target.vars.with("account", Value::from(Serde(&listed)));
        if !lookup.request().can_be_written(&vars) {
            return Ok(());
        }
        match lookup.look(target, &vars, what, |raw| self.mapping.id(raw)).await? {
            // The account may have been removed between the two requests; another attempt shows it.
            Looked::Nobody { .. } => Err(Error::internal(format!(
                "{what}: {} lists {id} but reports that it does not exist when asked by find.{}, so a \
                 missing account cannot be recognized; correct its path, or describe the response in \
                 `absent.when`",
                target.system,
                by(account)
            ))
            .with_retry(Retry::Backoff)),
            Looked::One(_) | Looked::Candidates(_) => Ok(()),
        }
    }

    /// Reads the whole list.
    async fn scan(&self, target: &Target, account: &Account, what: &str) -> Result<Option<Found>, Error> {
        let (mut place, mut matching, shown) = (self.pages.start_of_search(), Vec::new(), Shown::default());
        loop {
            let spot = Spot { place, shown: &shown };
            let page = self.pages.page(target, &target.vars, what, |raw| self.mapping.id(raw), spot).await?;
            let candidates = self.candidates(account, page.records);
            matching.extend(self.complete_all(target, candidates, what).await?);
            place = page.next;
            if place.is_none() {
                return pick(target, account, matching, what);
            }
        }
    }

    /// Keeps only the records that may be the account, so that no follow-up is requested for the others.
    fn candidates(&self, account: &Account, mut raw: Vec<Value>) -> Vec<Value> {
        raw.retain(|raw| self.mapping.may_be(account, raw));
        raw
    }

    /// Checks that the target is up and accepts the credential.
    pub(crate) async fn check(&self, target: &Target) -> Result<(), Error> {
        let what = "The check request failed";
        target.read(Ask { request: &self.check, vars: &target.vars, what, about: About::Target }).await?;
        Ok(())
    }

    async fn complete_all(&self, target: &Target, raw: Vec<Value>, what: &str) -> Result<Vec<Read>, Error> {
        let reads = stream::iter(raw.into_iter().map(|raw| self.complete(target, raw, what)));
        let reads: Vec<Option<Read>> = reads.buffered(self.at_once).try_collect().await?;
        Ok(reads.into_iter().flatten().collect())
    }

    /// Requests the follow-ups of a record and reads it; `None` if `filter` excludes it.
    async fn complete(&self, target: &Target, raw: Value, what: &str) -> Result<Option<Read>, Error> {
        let mut vars = target.vars.with("record", raw.clone());
        if let Some(filter) = &self.filter {
            match filter.truth(&vars) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(fault) => {
                    let rule = format!("a value that accounts.list.filter can evaluate, but {fault}");
                    let id = self.mapping.id(&raw);
                    return Ok(Some(Err(RejectedRecord::new(id, "record", rule))));
                }
            }
        }
        let mut follow: Vec<(String, Value)> = Vec::new();
        for FollowUp { name, request, value } in &self.follow_ups {
            let unharmed = |error: Error| error.with_effect(Effect::NotApplied);
            let ask = Ask { request, vars: &vars, what, about: About::Target };
            let reply = target.send(ask, None).await.map_err(unharmed)?;
            target.judge(ask, &reply).map_err(|error| {
                // The record may have been removed since it was listed; the next listing shows it.
                let gone = matches!(reply.status(), 404 | 410);
                unharmed(if gone { error.with_retry(Retry::Backoff) } else { error })
            })?;
            let value = value.value(&reply.vars(&vars));
            let value = value.map_err(|fault| unharmed(reply.fault(what, &fault)))?;
            follow.push((name.clone(), value));
            vars.set("follow", Value::from_pairs(follow.iter().cloned()));
        }
        let read = self.mapping.read_account(&vars);
        Ok(Some(read.map(|record| Found { record, raw, doubts: BTreeMap::new() })))
    }
}

/// The key by which an account is looked up, as the configuration names it.
fn by(account: &Account) -> &'static str {
    match (&account.id, &account.username) {
        (Some(_), _) => "by_id",
        (None, Some(_)) => "by_username",
        (None, None) => "by_email",
    }
}

/// Whether the requested value occurs anywhere in a record. A search may return additional matches, but no unrelated records.
fn has_to_do_with(account: &Account, raw: &Value) -> bool {
    let wanted = match by(account) {
        "by_id" => account.id.as_ref().map(|id| id.as_str().to_owned()),
        "by_username" => account.username.clone(),
        _ => account.email.clone(),
    };
    let Some(wanted) = wanted.and_then(|wanted| serde_json::to_string(&folded(&wanted)).ok()) else {
        return true;
    };
    let text = folded(&serde_json::to_string(raw).unwrap_or_default());
    text.contains(wanted.trim_matches('"'))
}

/// The requested account. A search may return other accounts as well, or ignore its condition.
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
        // If two names differ only in case, the exact match is used. Two names that look the same (in different Unicode forms) both match.
        let form = |text: &Option<String>| text.as_deref().map(|text| composed(text).into_owned());
        let is =
            |wanted: &Option<String>, found: &Option<String>| wanted.is_some() && form(wanted) == form(found);
        let exact = |found: &Found| {
            is(&account.username, &found.record.username) || is(&account.email, &found.record.email)
        };
        if found.iter().filter(|one| exact(one)).count() == 1 {
            found.retain(exact);
        }
    }
    match (found.pop(), found.pop(), unreadable) {
        (Some(one), Some(other), _) if one.record.id != other.record.id => {
            Err(two_accounts(target, what, &one.record, &other.record))
        }
        (Some(one), _, _) => Ok(Some(one)),
        (None, _, Some(rejected)) => Err(cannot_be_read(target, &rejected, what)),
        (None, ..) => Ok(None),
    }
}

fn two_accounts(target: &Target, what: &str, one: &AccountRecord, other: &AccountRecord) -> Error {
    Error::internal(format!(
        "{what}: {} has two accounts with that name, {} and {}",
        target.system, one.id, other.id
    ))
}

/// The account with its user name, or else its email address, in each spelling.
fn in_each_form(account: &Account) -> Vec<Account> {
    let (name, place): (_, fn(&mut Account) -> &mut Option<String>) = match &account.username {
        Some(username) => (Some(username), |account| &mut account.username),
        None => (account.email.as_ref(), |account| &mut account.email),
    };
    let spelled = name.into_iter().flat_map(|name| spellings(name)).map(|name| {
        let mut account = account.clone();
        *place(&mut account) = Some(name);
        account
    });
    spelled.collect()
}

fn cannot_be_read(target: &Target, rejected: &RejectedRecord, what: &str) -> Error {
    Error::internal(format!("{what}: {} has an account that cannot be read: {rejected}", target.system))
}

/// Whether an unreadable record may be the account. At most its identifier is known.
fn may_be(account: &Account, rejected: &RejectedRecord) -> bool {
    match (&account.id, &rejected.id) {
        (Some(id), Some(rejected)) => id.as_str() == rejected,
        _ => true,
    }
}
