//! Records that are valid on their own, each serialized to wire format once: the bytes that are hashed are the bytes that are sent.

use std::ops::Range;

use bridgehead_sdk::{AccountRecord, AccountStatus, Record};
use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::validate;
use bridgehead_bridge::{Refs, WireRecord, write_record};
use bridgehead_store::{AccessFacts, RecordHash};

/// The approximate size of a record in wire format, used to reserve the buffer of a page.
const USUAL: usize = 320;

/// A record that cannot be serialized to JSON, and the error.
pub(super) type Unwritable = Box<(Record, serde_json::Error)>;

/// A record that may be pushed.
#[derive(Debug)]
pub(super) struct Prepared {
    pub(super) record: Record,
    json: Bytes,
    hash: u64,
}

impl Prepared {
    /// Prepares a single record.
    pub(super) fn one(record: Record, refs: Refs) -> Result<Self, Unwritable> {
        let mut page = Preparing::new(refs, 1);
        page.add(record)?;
        let Draft { record, range, hash } = page.drafts.swap_remove(0);
        Ok(Self { record, json: Bytes::from(page.json).slice(range), hash })
    }

    pub(super) fn id(&self) -> &str {
        self.record.id()
    }

    /// The record as the snapshot stores it.
    pub(super) fn seen(&self) -> RecordHash {
        let facts = match &self.record {
            Record::Account(account) => Some(access_facts(account)),
            Record::Entity(_) => None,
        };
        RecordHash { id: self.id().to_owned(), hash: self.hash, facts }
    }

    /// The record as it is pushed.
    pub(super) fn into_wire(self) -> WireRecord {
        let id = match self.record {
            Record::Account(account) => account.id.into_string(),
            Record::Entity(entity) => entity.id,
        };
        WireRecord::new(id, self.json)
    }
}

/// A page of records that is being prepared. All records are written into one buffer.
#[derive(Debug)]
pub(super) struct Preparing {
    refs: Refs,
    json: Vec<u8>,
    /// Buffer for the form that is hashed, if it differs from the form that is sent.
    hashed: Vec<u8>,
    drafts: Vec<Draft>,
}

#[derive(Debug)]
struct Draft {
    record: Record,
    range: Range<usize>,
    hash: u64,
}

impl Preparing {
    pub(super) fn new(refs: Refs, records: usize) -> Self {
        Self {
            refs,
            json: Vec::with_capacity(records.saturating_mul(USUAL).min(1024 * 1024)),
            hashed: Vec::new(),
            drafts: Vec::with_capacity(records),
        }
    }

    /// Adds a record. Returns it with the error if it cannot be serialized to JSON.
    pub(super) fn add(&mut self, record: Record) -> Result<(), Unwritable> {
        let start = self.json.len();
        if let Err(error) = write_record(&record, self.refs, &mut self.json) {
            self.json.truncate(start);
            return Err(Box::new((record, error)));
        }
        let range = start..self.json.len();
        // The hash always covers plain references, so a different `refs` setting does not make every record appear changed.
        let hash = if self.refs == Refs::Id {
            xxh3_64(&self.json[range.clone()])
        } else {
            self.hashed.clear();
            match write_record(&record, Refs::Id, &mut self.hashed) {
                Ok(()) => xxh3_64(&self.hashed),
                Err(error) => return Err(Box::new((record, error))),
            }
        };
        self.drafts.push(Draft { record, range, hash });
        Ok(())
    }

    /// Returns all records in order.
    pub(super) fn finish(self) -> Vec<Prepared> {
        let json = Bytes::from(self.json);
        let prepared = self.drafts.into_iter().map(|draft| {
            let Draft { record, range, hash } = draft;
            Prepared { record, json: json.slice(range), hash }
        });
        prepared.collect()
    }
}

/// The access of an account, as snapshots store it.
pub(crate) fn access_facts(account: &AccountRecord) -> AccessFacts {
    let mut name = Vec::new();
    let refs = validate::refs_of(account).map(|(field, slug, id)| ref_hash(&mut name, field, slug, id));
    AccessFacts::new(account.status == AccountStatus::Active, refs)
}

/// Hashes a reference; `name` is a scratch buffer. Snapshots store these hashes, so they must stay the same across versions.
pub(super) fn ref_hash(name: &mut Vec<u8>, field: &str, slug: &str, id: &str) -> u64 {
    name.clear();
    for part in [field, "\0", slug, "\0", id] {
        name.extend_from_slice(part.as_bytes());
    }
    xxh3_64(name)
}

#[cfg(test)]
mod tests {
    use bridgehead_sdk::{EntityRecord, Ref};

    use super::*;

    fn account() -> Record {
        let named = Ref::new("g2").with_name("Sales");
        AccountRecord::new("u1")
            .with_email("ann@example.org")
            .with_status(AccountStatus::Suspended)
            .with_memberships("team", [Ref::new("g1"), named])
            .with_assignments("seat", ["s"])
            .with_field("cost_centre", 42)
            .into()
    }

    /// Earlier versions have stored these values: a different hash would make every record appear changed, and a different set of
    /// references would appear as a loss of access.
    #[test]
    fn what_a_listing_keeps_of_a_record_stays_the_same_across_versions() {
        for refs in [Refs::Id, Refs::Object] {
            let seen = Prepared::one(account(), refs).unwrap().seen();
            let text = r#"{"id":"u1","email":"ann@example.org","status":"suspended","memberships":{"team":["g1","g2"]},"assignments":{"seat":["s"]},"cost_centre":42}"#;
            assert_eq!((seen.id.as_str(), seen.hash), ("u1", xxh3_64(text.as_bytes())));
            let names = ["memberships\0team\0g1", "memberships\0team\0g2", "assignments\0seat\0s"];
            let refs = names.map(|name| xxh3_64(name.as_bytes()));
            assert_eq!(seen.facts, Some(AccessFacts::new(false, refs)));
        }
        let seen = Prepared::one(EntityRecord::new("g1", "Support").into(), Refs::Id).unwrap().seen();
        assert_eq!((seen.hash, seen.facts), (xxh3_64(br#"{"id":"g1","name":"Support"}"#), None));
    }

    #[test]
    fn each_record_of_a_page_has_its_own_bytes() {
        let mut page = Preparing::new(Refs::Object, 2);
        page.add(account()).unwrap();
        page.add(AccountRecord::new("u2").into()).unwrap();
        let wire: Vec<WireRecord> = page.finish().into_iter().map(Prepared::into_wire).collect();
        let objects = br#""memberships":{"team":[{"id":"g1"},{"id":"g2","name":"Sales"}]}"#;
        assert!(wire[0].json().windows(objects.len()).any(|part| part == objects));
        assert_eq!((wire[1].id(), wire[1].json()), ("u2", br#"{"id":"u2","status":"active"}"#.as_slice()));
    }
}
