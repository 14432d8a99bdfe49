//! Two records with the same identifier: it is unknown which account it belongs to, so both are rejected.

use std::collections::{BTreeSet, HashMap};

use bridgehead_sdk::RejectedRecord;
use bridgehead_sdk::http::Shown;
use minijinja::Value;

use crate::mapping::Mapping;
use crate::pages::RawPage;

/// The identifiers that several different records of a page share.
#[derive(Debug)]
pub(crate) struct Twins {
    ids: BTreeSet<String>,
    /// The rejections of records whose identifier an earlier page showed with other names.
    pub(crate) repeated: Vec<RejectedRecord>,
}

impl Twins {
    /// Checks a page. Records of one response with the same identifier must be equal; a record that an earlier page has shown may have
    /// changed since, but must have the same names.
    pub(crate) fn of(page: &RawPage, mapping: &Mapping, shown: &Shown) -> Self {
        let mut ids = BTreeSet::new();
        let mut of_page: HashMap<String, &Value> = HashMap::new();
        let is_another = |id: &String, raw: &Value| {
            let names = mapping.names(raw);
            !names.is_empty() && !shown.knows_as(id, &names)
        };
        let again = page.repeated.iter().filter_map(|raw| mapping.id(raw).filter(|id| is_another(id, raw)));
        let again: Vec<String> = again.collect();
        for raw in &page.records {
            let Some(id) = mapping.id(raw) else { continue };
            if is_another(&id, raw) || of_page.get(&id).is_some_and(|other| *other != raw) {
                ids.insert(id.clone());
            }
            of_page.insert(id, raw);
        }
        Self { repeated: again.iter().map(|id| rejected(id)).collect(), ids }
    }

    /// Whether an identifier is one of them.
    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }
}

/// The rejection of each of them.
pub(crate) fn rejected(id: &str) -> RejectedRecord {
    let rule = "unique: two different records have it, so it does not identify a record".to_owned();
    RejectedRecord::new(id.to_owned(), "id", rule)
}
