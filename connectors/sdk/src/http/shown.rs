//! Counts the distinct records that a listing returned: a total, a position or a cursor is only the target's claim.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The records of one listing, by the page on which each first occurred; about 32 bytes per record.
///
/// Page numbers increase, across both readings if there are two. Before a page is requested again, call
/// [`rewind`](Self::rewind).
#[derive(Debug, Default)]
pub struct Shown(Mutex<Pages>);

#[derive(Debug, Default)]
struct Pages {
    /// Records in any reading.
    ever: HashMap<u64, u32>,
    /// In the second reading, if there is one.
    again: HashMap<u64, u32>,
    /// The record that each identifier belongs to.
    names: HashMap<u64, u64>,
    /// Whether two different records had the same identifier.
    has_twins: bool,
    /// The cursors that were followed in this reading.
    cursors: HashMap<u64, u32>,
    /// The last page with a new record.
    last: u32,
}

impl Shown {
    /// Forgets the records of `page` and of later pages.
    pub fn rewind(&self, page: u32) {
        let mut pages = self.pages();
        let pages = &mut *pages;
        if pages.last < page {
            return;
        }
        for shown in [&mut pages.ever, &mut pages.again, &mut pages.cursors] {
            shown.retain(|_, on| *on < page);
        }
        let ever = &pages.ever;
        pages.names.retain(|key, _| ever.contains_key(key));
        pages.last = page.saturating_sub(1);
    }

    /// Whether any of these records is new in this reading; `again` means the second reading.
    pub fn has_news<K: Hash>(&self, again: bool, keys: impl IntoIterator<Item = K>) -> bool {
        let pages = self.pages();
        let shown = if again { &pages.again } else { &pages.ever };
        keys.into_iter().any(|key| !shown.contains_key(&print(&key)))
    }

    /// Adds a record of a page; `false` if an earlier page, of any reading, contained it.
    pub fn take(&self, page: u32, again: bool, key: impl Hash) -> bool {
        let mut pages = self.pages();
        pages.last = pages.last.max(page);
        let key = print(&key);
        if again {
            pages.again.entry(key).or_insert(page);
        }
        *pages.ever.entry(key).or_insert(page) == page
    }

    /// Remembers which record has an identifier; `false` if a different record had it before. A record that merely
    /// changed between two pages is recognized by a field that rarely changes, such as its user name.
    pub fn knows_as(&self, key: impl Hash, who: impl Hash) -> bool {
        let who = print(&who);
        let mut pages = self.pages();
        let is_same = *pages.names.entry(print(&key)).or_insert(who) == who;
        pages.has_twins |= !is_same;
        is_same
    }

    /// Whether two different records had the same identifier.
    pub fn has_twins(&self) -> bool {
        self.pages().has_twins
    }

    /// The number of distinct records.
    pub fn count(&self) -> u64 {
        self.pages().ever.len() as u64
    }

    /// Adds a cursor; `false` if it was already followed.
    pub fn follow(&self, page: u32, cursor: &str) -> bool {
        let mut pages = self.pages();
        pages.last = pages.last.max(page);
        pages.cursors.insert(print(&cursor), page).is_none()
    }

    /// Starts a second reading, which may use the same cursors as the first.
    pub fn begin_again(&self) {
        let mut pages = self.pages();
        pages.again.clear();
        pages.cursors.clear();
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn print(key: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(shown: &Shown, page: u32, again: bool, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|key| shown.take(page, again, key)).collect()
    }

    #[test]
    fn repeated_page_returns_the_same_records_and_counts_once() {
        let shown = Shown::default();
        assert_eq!(take(&shown, 1, false, &["a", "b"]), ["a", "b"]);
        for _ in 0..2 {
            shown.rewind(2);
            assert_eq!(take(&shown, 2, false, &["b", "c"]), ["c"]);
            assert!(shown.follow(2, "x") && !shown.follow(2, "x"));
        }
        assert_eq!(shown.count(), 3);
    }

    #[test]
    fn id_with_two_names_is_a_duplicate_unless_its_page_is_reread() {
        let shown = Shown::default();
        assert!(shown.take(1, false, "a") && shown.knows_as("a", "ann") && shown.knows_as("a", "ann"));
        assert!(
            !shown.has_twins()
                && !shown.knows_as("a", "bob")
                && shown.knows_as("b", "bob")
                && shown.has_twins()
        );
        shown.rewind(1);
        assert!(shown.knows_as("a", "bob"));
    }

    #[test]
    fn second_pass_returns_only_new_records() {
        let shown = Shown::default();
        take(&shown, 1, false, &["a", "c"]);
        shown.begin_again();
        assert!(shown.has_news(true, ["a"]) && !shown.has_news(false, ["a"]));
        assert_eq!(take(&shown, 2, true, &["a", "b"]), ["b"]);
        assert!(!shown.has_news(true, ["a"]));
        assert_eq!(shown.count(), 3);
    }
}
