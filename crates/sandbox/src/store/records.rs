//! The records of an app, stored as JSON text: memory must suffice for a million of them.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::Value;

/// The records of one resource type, by id.
pub(crate) type Table = BTreeMap<Box<str>, Stored>;

pub(crate) struct Stored {
    pub(crate) body: Box<str>,
    /// The number of the last session that pushed it.
    pub(crate) session: u32,
    pub(crate) active: bool,
}

/// Which records to show; absent fields match everything.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct RecordFilter {
    pub(crate) slug: Option<String>,
    pub(crate) active: Option<bool>,
    pub(crate) limit: Option<usize>,
    pub(crate) offset: Option<usize>,
}

/// All records that were ever committed by a session.
#[derive(Default)]
pub(crate) struct Records(HashMap<String, Table>);

impl Records {
    pub(crate) fn table(&self, slug: &str) -> Option<&Table> {
        self.0.get(slug)
    }

    /// Commits the records that a session pushed.
    pub(crate) fn absorb(&mut self, staged: HashMap<String, Table>) {
        for (slug, mut table) in staged {
            self.0.entry(slug).or_default().append(&mut table);
        }
    }

    /// Marks records inactive that no session since `session` has pushed. Records of later sessions are not affected: their own cleanup
    /// decides about them.
    pub(crate) fn retire_before(&mut self, session: u32) {
        for stored in self.0.values_mut().flat_map(BTreeMap::values_mut) {
            if stored.session < session {
                stored.active = false;
            }
        }
    }

    /// The number of active and inactive records of a type.
    pub(crate) fn count(&self, slug: &str) -> (usize, usize) {
        let Some(table) = self.0.get(slug) else {
            return (0, 0);
        };
        let active = table.values().filter(|stored| stored.active).count();
        (active, table.len() - active)
    }

    /// The records of a type, ordered by id, each with `active`.
    pub(crate) fn of_type(&self, slug: &str) -> Vec<Value> {
        self.0.get(slug).into_iter().flatten().map(|(id, stored)| shown(id, stored)).collect()
    }

    /// The records that match a filter, each with `resource_type` and `active`, and their total number.
    pub(crate) fn page(&self, filter: &RecordFilter) -> (usize, Vec<Value>) {
        let (offset, limit) = (filter.offset.unwrap_or(0), filter.limit.unwrap_or(100));
        let mut slugs: Vec<&String> = self.0.keys().collect();
        slugs.sort_unstable();
        let mut count = 0;
        let mut page = Vec::new();
        for slug in slugs {
            if filter.slug.as_ref().is_some_and(|wanted| wanted != slug) {
                continue;
            }
            for (id, stored) in self.0.get(slug).into_iter().flatten() {
                if filter.active.is_some_and(|wanted| wanted != stored.active) {
                    continue;
                }
                if count >= offset && page.len() < limit {
                    let mut record = shown(id, stored);
                    if let Value::Object(fields) = &mut record {
                        fields.insert("resource_type".to_owned(), slug.as_str().into());
                    }
                    page.push(record);
                }
                count += 1;
            }
        }
        (count, page)
    }
}

fn shown(id: &str, stored: &Stored) -> Value {
    let mut record: Value =
        serde_json::from_str(&stored.body).unwrap_or_else(|_| serde_json::json!({"id": id}));
    if let Value::Object(fields) = &mut record {
        fields.insert("active".to_owned(), stored.active.into());
    }
    record
}
