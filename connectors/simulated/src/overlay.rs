//! Changes by tasks: the accounts they created, and the initial accounts they changed or deleted.

use std::collections::{BTreeMap, HashMap};

use bridgehead_sdk::{Account, AccountRecord, folded};

use crate::people::People;

/// Identifies an account, whatever its current names are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// An initial account, by its number.
    First(u64),
    /// An account that a task created, by its position in the order of creation.
    Later(u64),
}

/// The current accounts.
#[derive(Debug)]
pub(crate) struct Overlay {
    people: People,
    /// Accounts that differ from their initial state; `None` for deleted ones.
    changed: BTreeMap<Key, Option<AccountRecord>>,
    /// Indexes of the accounts in `changed`, in lower case.
    by_id: HashMap<String, Key>,
    by_name: HashMap<String, Vec<Key>>,
    created: u64,
}

impl Overlay {
    pub(crate) fn new(people: People) -> Self {
        Self { people, changed: BTreeMap::new(), by_id: HashMap::new(), by_name: HashMap::new(), created: 0 }
    }

    /// The current state of an account.
    pub(crate) fn get(&self, key: Key) -> Option<AccountRecord> {
        match (self.changed.get(&key), key) {
            (Some(changed), _) => changed.clone(),
            (None, Key::First(number)) if number < self.people.accounts => Some(self.people.account(number)),
            (None, _) => None,
        }
    }

    /// The requested account.
    pub(crate) fn find(&self, account: &Account) -> Option<(Key, AccountRecord)> {
        let mut candidates = Vec::new();
        if let Some(id) = &account.id {
            candidates.extend(self.by_id.get(&folded(id.as_str())).copied());
            candidates.extend(self.people.number_of_id(id.as_str()).map(Key::First));
        } else {
            for name in [&account.username, &account.email].into_iter().flatten() {
                self.called(name, &mut candidates);
            }
        }
        let mut now = candidates.into_iter().filter_map(|key| Some((key, self.get(key)?)));
        now.find(|(_, record)| account.is_same_as(record))
    }

    /// The account, other than `but`, that has this identifier, user name or email address, ignoring case.
    pub(crate) fn holder_of(&self, name: &str, but: Option<Key>) -> Option<AccountRecord> {
        let name = folded(name);
        let mut candidates = Vec::new();
        self.called(&name, &mut candidates);
        candidates.extend(self.by_id.get(&name).copied());
        candidates.extend(self.people.number_of_id(&name).map(Key::First));
        let same = |text: Option<&str>| text.is_some_and(|text| folded(text) == name);
        let mut others =
            candidates.into_iter().filter(|key| Some(*key) != but).filter_map(|key| self.get(key));
        others.find(|record| {
            same(Some(record.id.as_str()))
                || same(record.username.as_deref())
                || same(record.email.as_deref())
        })
    }

    /// Replaces an account.
    pub(crate) fn set(&mut self, key: Key, record: AccountRecord) {
        self.by_id.insert(folded(record.id.as_str()), key);
        for name in [&record.username, &record.email].into_iter().flatten() {
            let keys = self.by_name.entry(folded(name)).or_default();
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        self.changed.insert(key, Some(record));
    }

    /// Adds an account.
    pub(crate) fn add(&mut self, record: AccountRecord) {
        let key = Key::Later(self.created);
        self.created += 1;
        self.set(key, record);
    }

    /// Removes an account.
    pub(crate) fn remove(&mut self, key: Key) {
        self.changed.insert(key, None);
    }

    /// Up to `count` accounts from `start`, in an order that never changes, and the key of the next one.
    pub(crate) fn page(&self, start: Key, count: usize) -> (Vec<AccountRecord>, Option<Key>) {
        let mut records = Vec::with_capacity(count.min(1_000));
        let mut next = Some(start);
        while let Some(key) = next.filter(|_| records.len() < count) {
            records.extend(self.get(key));
            next = self.behind(key);
        }
        (records, next)
    }

    /// The start of a listing; `None` if there are no accounts and never were.
    pub(crate) fn first(&self) -> Option<Key> {
        if self.people.accounts > 0 {
            Some(Key::First(0))
        } else {
            (self.created > 0).then_some(Key::Later(0))
        }
    }

    fn behind(&self, key: Key) -> Option<Key> {
        match key {
            Key::First(number) if number + 1 < self.people.accounts => Some(Key::First(number + 1)),
            Key::First(_) => (self.created > 0).then_some(Key::Later(0)),
            Key::Later(place) => (place + 1 < self.created).then_some(Key::Later(place + 1)),
        }
    }

    /// The accounts that may have this user name or email address: an account in the index may have a different name by
    /// now.
    fn called(&self, name: &str, candidates: &mut Vec<Key>) {
        let lower = folded(name);
        candidates.extend(self.by_name.get(&lower).into_iter().flatten());
        candidates.extend(self.people.number_of_name(&lower).map(Key::First));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn overlay(accounts: u64) -> Overlay {
        Overlay::new(People::new(&Settings { accounts, ..Settings::default() }))
    }

    fn named(username: &str) -> Account {
        Account::by_username(username)
    }

    #[test]
    fn renamed_account_is_found_only_by_its_new_name() {
        let mut overlay = overlay(10);
        let mut record = overlay.get(Key::First(3)).unwrap();
        let old = record.username.replace("Newname".into()).unwrap();
        overlay.set(Key::First(3), record);
        assert_eq!(overlay.find(&named("NEWNAME")).unwrap().0, Key::First(3));
        assert!(overlay.find(&named(&old)).is_none());
        assert_eq!(overlay.find(&Account::by_id("u3")).unwrap().0, Key::First(3));
        assert!(overlay.holder_of("newname", None).is_some());
        assert!(overlay.holder_of("newname", Some(Key::First(3))).is_none());
    }

    #[test]
    fn each_account_is_listed_once_while_accounts_change() {
        let mut overlay = overlay(10);
        let mut seen = Vec::new();
        let mut next = overlay.first();
        while let Some(start) = next {
            let (records, behind) = overlay.page(start, 4);
            seen.extend(records.into_iter().map(|record| record.id.into_string()));
            if seen.len() == 4 {
                overlay.remove(Key::First(0));
                overlay.remove(Key::First(9));
                overlay.add(AccountRecord::new("new"));
            }
            next = behind;
        }
        assert_eq!(seen, ["u0", "u1", "u2", "u3", "u4", "u5", "u6", "u7", "u8", "new"]);
    }

    #[test]
    fn empty_overlay_has_no_pages() {
        let mut overlay = overlay(0);
        assert_eq!(overlay.first(), None);
        overlay.add(AccountRecord::new("new"));
        let (records, next) = overlay.page(overlay.first().unwrap(), 5);
        assert_eq!((records.len(), next), (1, None));
    }
}
