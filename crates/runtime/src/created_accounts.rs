//! Remembers the names under which tasks created accounts, so that a later deletion by name alone is matched to its account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::{Account, folded};

/// The maximum number of names kept. Forgetting one is safe: the removal guard then counts an account that no longer exists.
const MOST: usize = 20_000;

/// Identifiers of accounts created by tasks of this process, by user name and email, case-insensitively.
#[derive(Debug, Default)]
pub(crate) struct CreatedAccounts(Mutex<HashMap<String, String>>);

impl CreatedAccounts {
    /// Records that an account was created with this identifier.
    pub(crate) fn came(&self, account: &Account, id: &str) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST {
            known.clear();
        }
        known.extend(names(account).map(|name| (name, id.to_owned())));
    }

    /// Records that an account was deleted. Returns its identifier if a task of this process created it.
    pub(crate) fn went(&self, account: &Account) -> Option<String> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = names(account).find_map(|name| known.get(&name).cloned())?;
        known.retain(|_, other| *other != id);
        Some(id)
    }
}

fn names(account: &Account) -> impl Iterator<Item = String> + '_ {
    [&account.username, &account.email].into_iter().flatten().map(|name| folded(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(username: Option<&str>, email: Option<&str>) -> Account {
        let mut account = Account::by_id("unused");
        (account.username, account.email) = (username.map(str::to_owned), email.map(str::to_owned));
        account
    }

    #[test]
    fn created_account_is_known_by_each_name_until_deleted() {
        let created_accounts = CreatedAccounts::default();
        created_accounts.came(&account(Some("ann"), Some("Ann@example.com")), "n-1");
        created_accounts.came(&account(Some("bob"), None), "n-2");
        assert_eq!(created_accounts.went(&account(None, Some("ann@EXAMPLE.com"))).as_deref(), Some("n-1"));
        assert_eq!(created_accounts.went(&account(Some("ann"), None)), None);
        assert_eq!(created_accounts.went(&account(Some("BOB"), None)).as_deref(), Some("n-2"));
        assert_eq!(created_accounts.went(&account(None, None)), None);
    }
}
