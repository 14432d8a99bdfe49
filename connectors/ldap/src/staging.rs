//! Accounts that are being made.
//!
//! Where a password can be set only once the entry is there, an account would for a moment be there without one; if
//! bridgehead ended in that moment, a look-up would find the account and call the task done. So the entry is made under
//! a name of its own, gets its password, and is renamed: that is one step, and the account is there or it is not.
//! Entries under such a name are nobody's account.

use bridgehead_sdk::TaskId;

use crate::entry::Entry;

/// How the value that names such an entry begins.
const PREFIX: &str = ".bridgehead-";

/// The value that names the entry of a task while it is being made: the same for every attempt at the task.
pub(crate) fn value(task: &TaskId) -> String {
    let fits = |c: &char| c.is_ascii_alphanumeric() || *c == '-';
    let id: String = task.as_str().chars().filter(fits).take(48).collect();
    format!("{PREFIX}{id}")
}

/// Whether an entry is being made, or was left half-made.
pub(crate) fn is_staged(entry: &Entry) -> bool {
    let value = entry.rdn().and_then(|rdn| rdn.parts.into_iter().next());
    value.is_some_and(|part| part.value.starts_with(PREFIX.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_that_is_being_made_is_nobody() {
        let dn = format!("uid={},ou=people,dc=test", value(&"3f2b, x".into()));
        assert!(is_staged(&Entry::new(&dn, [])));
        assert!(!is_staged(&Entry::new("uid=ann,ou=people,dc=test", [])));
    }
}
