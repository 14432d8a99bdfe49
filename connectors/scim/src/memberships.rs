//! Memberships, kept in memory while accounts are listed.
//!
//! The records that each listing has shown are kept as well, so that distinct records can be counted over its pages.
//!
//! Groups are read before accounts, and only the identifiers of their members are kept: some hundred bytes for each account, and at most
//! [`MOST`] memberships in total.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::http::Shown;
use bridgehead_sdk::{Error, Memberships, Ref, comparable_id};

use crate::groups::members;
use crate::wire::{Fields, id};

/// The maximum number of memberships; an application with more must show them on its accounts.
const MOST: usize = 2_000_000;

/// The maximum number of listings at a time. An unfinished one is dropped when more are started, or when the memory is needed.
const LISTINGS: usize = 32;

/// The memberships of the running listings.
#[derive(Debug, Default)]
pub(crate) struct Listings(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    count: u64,
    listings: VecDeque<(u64, Index)>,
}

/// What a page is read for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reads {
    /// The groups, for their members.
    Members,
    /// The records to list.
    Records,
}

/// The groups of each user.
#[derive(Debug, Default)]
struct Index {
    groups: Vec<Box<str>>,
    numbers: HashMap<Box<str>, u32>,
    members: HashMap<Box<str>, Vec<u32>>,
    count: usize,
    /// Whether any requested account is in a group, and below whether any account was requested.
    matched: bool,
    asked: bool,
    /// The groups that were read for their members, and the records that the listing has shown.
    shown: [Arc<Shown>; 2],
}

/// Why a listing cannot continue.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The process was restarted, or other listings have been started since.
    #[error("the data read earlier has been discarded; the next sync starts over")]
    Forgotten,
    /// The operator must have memberships read from the accounts.
    #[error("there are more than {MOST} memberships; set groups.memberships_from = \"accounts\"")]
    TooMany,
    /// An operator must check the group.
    #[error("{0}")]
    Unreadable(String),
}

impl Fault {
    pub(crate) fn incomplete(&self, system: &str) -> Error {
        Error::incomplete_listing(format!("{system}: the listing cannot be read completely: {self}"))
    }
}

impl Listings {
    /// Starts a listing.
    pub(crate) fn begin(&self) -> u64 {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        let listing = kept.count;
        kept.listings.push_back((listing, Index::default()));
        while kept.listings.len() > LISTINGS {
            kept.listings.pop_front();
        }
        listing
    }

    /// Adds a page of groups. Adding the same page again has no effect.
    pub(crate) fn add(&self, listing: u64, groups: &[Fields]) -> Result<(), Fault> {
        self.with(listing, |index| groups.iter().try_for_each(|group| index.add(group, MOST)))??;
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while kept.listings.iter().map(|(_, index)| index.count).sum::<usize>() > MOST {
            let other = kept.listings.iter().position(|(known, _)| *known != listing);
            let Some(other) = other else { break };
            kept.listings.remove(other);
        }
        Ok(())
    }

    /// What the listing has shown so far.
    pub(crate) fn shown(&self, listing: u64, reads: Reads) -> Result<Arc<Shown>, Fault> {
        self.with(listing, |index| Arc::clone(&index.shown[usize::from(reads == Reads::Records)]))
    }

    /// Some of the groups that were read, at most `most`.
    pub(crate) fn some_groups(&self, listing: u64, most: usize) -> Result<Vec<String>, Fault> {
        self.with(listing, |index| index.groups.iter().take(most).map(ToString::to_string).collect())
    }

    /// The groups of a user.
    pub(crate) fn of(&self, listing: u64, user: &str, slug: &str) -> Result<Memberships, Fault> {
        self.with(listing, |index| {
            let numbers = index.members.get(&*comparable_id(user)).map_or(&[][..], Vec::as_slice);
            index.asked = true;
            index.matched |= !numbers.is_empty();
            let names = numbers.iter().filter_map(|number| index.groups.get(*number as usize));
            Memberships([(slug.into(), names.map(|id| Ref::new(&**id)).collect())].into())
        })
    }

    /// Whether groups were read, and none of them has members.
    pub(crate) fn is_bare(&self, listing: u64) -> Result<bool, Fault> {
        self.with(listing, |index| !index.groups.is_empty() && index.count == 0)
    }

    /// Whether groups have members, none of which is one of the requested accounts.
    pub(crate) fn are_strangers(&self, listing: u64) -> Result<bool, Fault> {
        self.with(listing, |index| index.count > 0 && index.asked && !index.matched)
    }

    fn with<T>(&self, listing: u64, work: impl FnOnce(&mut Index) -> T) -> Result<T, Fault> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let index = kept.listings.iter_mut().find(|(known, _)| *known == listing);
        index.map(|(_, index)| work(index)).ok_or(Fault::Forgotten)
    }
}

impl Index {
    fn add(&mut self, group: &Fields, most: usize) -> Result<(), Fault> {
        let users = members(group).map_err(Fault::Unreadable)?;
        let Some(own) = id(group) else {
            return Err(Fault::Unreadable("a group has no id".to_owned()));
        };
        let own = own.into_boxed_str();
        let next = u32::try_from(self.groups.len()).map_err(|_| Fault::TooMany)?;
        let number = *self.numbers.entry(own.clone()).or_insert(next);
        if number == next {
            self.groups.push(own);
        }
        for user in users {
            let of_user = self.members.entry(comparable_id(&user).into()).or_default();
            if !of_user.contains(&number) {
                of_user.push(number);
                self.count += 1;
            }
            if self.count > most {
                return Err(Fault::TooMany);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn group(value: Value) -> Fields {
        let Value::Object(fields) = value else { panic!("not an object") };
        fields
    }

    fn refs(listings: &Listings, listing: u64, user: &str) -> Vec<String> {
        let memberships = listings.of(listing, user, "team").unwrap();
        memberships.of("team").iter().map(|one| one.id.clone()).collect()
    }

    #[test]
    fn repeated_page_changes_nothing() {
        let listings = Listings::default();
        let listing = listings.begin();
        let page = [
            group(
                json!({"id": "g1", "members": [{"value": "u1"}, {"value": "u2", "type": "User"}, {"value": "g2", "type": "Group"}]}),
            ),
            group(
                json!({"id": "g2", "members": [{"$ref": "https://x/Users/u1"}, {"$ref": "https://x/Groups/g1"}]}),
            ),
        ];
        listings.add(listing, &page).unwrap();
        listings.add(listing, &page).unwrap();
        assert_eq!(refs(&listings, listing, "u1"), ["g1", "g2"]);
        assert_eq!(refs(&listings, listing, "u2"), ["g1"]);
        assert!(refs(&listings, listing, "g2").is_empty());
        assert!(!listings.is_bare(listing).unwrap());
    }

    #[test]
    fn uuid_of_a_member_may_be_written_in_another_case() {
        let listings = Listings::default();
        let listing = listings.begin();
        let (upper, lower) = ("6F9619FF-8B86-D011-B42D-00CF4FC964FF", "6f9619ff-8b86-d011-b42d-00cf4fc964ff");
        let members = json!([{ "value": upper }, { "value": "aB1" }]);
        listings.add(listing, &[group(json!({ "id": "g1", "members": members }))]).unwrap();
        assert_eq!(refs(&listings, listing, lower), ["g1"]);
        assert_eq!(refs(&listings, listing, upper), ["g1"]);
        assert_eq!(refs(&listings, listing, "aB1"), ["g1"]);
        assert!(refs(&listings, listing, "Ab1").is_empty(), "another identifier may be case-sensitive");
    }

    #[test]
    fn forgotten_listing_is_an_error_and_not_empty_memberships() {
        let listings = Listings::default();
        let first = listings.begin();
        for _ in 1..LISTINGS {
            listings.begin();
        }
        assert!(listings.of(first, "u1", "team").is_ok());
        listings.begin();
        assert!(matches!(listings.of(first, "u1", "team"), Err(Fault::Forgotten)));
        assert!(matches!(listings.add(99, &[]), Err(Fault::Forgotten)));
    }

    #[test]
    fn unreadable_member_is_an_error() {
        let listings = Listings::default();
        let listing = listings.begin();
        for members in [json!([{"display": "Ann"}]), json!(["u1"]), json!([{"value": ""}])] {
            let page = [group(json!({"id": "g1", "members": members}))];
            assert!(matches!(listings.add(listing, &page), Err(Fault::Unreadable(_))));
        }
    }

    #[test]
    fn number_of_memberships_is_limited() {
        let mut index = Index::default();
        let full = group(json!({"id": "g1", "members": [{"value": "u1"}, {"value": "u2"}, {"value": "u3"}]}));
        assert!(matches!(index.add(&full, 2), Err(Fault::TooMany)));
    }

    #[test]
    fn groups_without_any_members_are_detected() {
        let listings = Listings::default();
        let listing = listings.begin();
        assert!(!listings.is_bare(listing).unwrap());
        listings.add(listing, &[group(json!({"id": "g1"}))]).unwrap();
        assert!(listings.is_bare(listing).unwrap());
    }
}
