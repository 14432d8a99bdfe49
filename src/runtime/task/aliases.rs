//! Which names belong to one account, as far as the tasks at hand say.
//!
//! One task says `ann` and `ann@example.org`, the next only `ann`, the third only `ann@example.org`. The last two share
//! no name, and are of the same account all the same. What is learnt lasts while tasks of the account wait or run.

use std::collections::HashMap;

use super::lanes::Key;

/// The names of all accounts that tasks wait or run for.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    of: HashMap<Key, u64>,
    accounts: HashMap<u64, Account>,
    made: u64,
}

#[derive(Debug, Default)]
struct Account {
    names: Vec<Key>,
    /// The lanes that its tasks are in: one, or more where tasks were there before it turned out to be one account.
    lanes: Vec<Key>,
    tasks: usize,
}

impl Aliases {
    /// These names are of one account.
    pub(super) fn learn(&mut self, names: &[Key]) {
        self.account(names);
    }

    /// A task with these names is there. Gives the lanes in which it has to wait for its turn.
    pub(super) fn enter(&mut self, names: &[Key]) -> Vec<Key> {
        let Some(account) = self.account(names).and_then(|number| self.accounts.get_mut(&number)) else {
            return Vec::new();
        };
        account.tasks += 1;
        if account.lanes.is_empty() {
            account.lanes.extend(names.first());
        }
        account.lanes.clone()
    }

    /// A task that was given these lanes is gone. What nobody needs any more is forgotten.
    pub(super) fn leave(&mut self, lanes: &[Key]) {
        let Some(number) = lanes.first().and_then(|lane| self.of.get(lane)).copied() else {
            return;
        };
        if let Some(account) = self.accounts.get_mut(&number) {
            account.tasks = account.tasks.saturating_sub(1);
            if account.tasks == 0 {
                self.forget(number);
            }
        }
    }

    /// Forgets what was learnt of tasks that have not come.
    pub(super) fn forget_the_absent(&mut self) {
        let absent: Vec<u64> = self
            .accounts
            .iter()
            .filter(|(_, account)| account.tasks == 0)
            .map(|(number, _)| *number)
            .collect();
        for number in absent {
            self.forget(number);
        }
    }

    fn forget(&mut self, number: u64) {
        for name in self.accounts.remove(&number).unwrap_or_default().names {
            self.of.remove(&name);
        }
    }

    /// The account of these names, which are its from now on; `None` without names.
    fn account(&mut self, names: &[Key]) -> Option<u64> {
        let mut known: Vec<u64> = names.iter().filter_map(|name| self.of.get(name).copied()).collect();
        known.sort_unstable();
        known.dedup();
        // The fewest are moved.
        let size = |number: &u64| self.accounts.get(number).map_or(0, |account| account.names.len());
        let kept = known.iter().copied().max_by_key(size).or_else(|| {
            self.made += 1;
            (!names.is_empty()).then_some(self.made)
        })?;
        let mut account = self.accounts.remove(&kept).unwrap_or_default();
        for number in known.into_iter().filter(|number| *number != kept) {
            let other = self.accounts.remove(&number).unwrap_or_default();
            for name in &other.names {
                self.of.insert(*name, kept);
            }
            account.names.extend(other.names);
            account.lanes.extend(other.lanes);
            account.tasks += other.tasks;
        }
        for name in names {
            if self.of.insert(*name, kept).is_none() {
                account.names.push(*name);
            }
        }
        self.accounts.insert(kept, account);
        Some(kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_one_task_joins_share_a_lane_as_long_as_there_are_tasks() {
        let mut aliases = Aliases::default();
        aliases.learn(&[1, 2]);
        let (one, two, other) = (aliases.enter(&[1]), aliases.enter(&[2]), aliases.enter(&[3]));
        assert_eq!(one, two);
        assert_ne!(one, other);
        aliases.leave(&one);
        assert_eq!(aliases.enter(&[2, 4]), two);
        aliases.leave(&two);
        aliases.leave(&two);
        assert_ne!(aliases.enter(&[1]), aliases.enter(&[2]), "nobody says so any more");
    }

    #[test]
    fn what_turns_out_to_be_one_account_later_waits_in_both_lanes() {
        let mut aliases = Aliases::default();
        let (one, two) = (aliases.enter(&[1]), aliases.enter(&[2]));
        let mut both = aliases.enter(&[1, 2]);
        both.sort_unstable();
        assert_eq!(both, [one, two].concat());
        assert_eq!(aliases.enter(&[2]).len(), 2);
    }

    #[test]
    fn what_has_not_come_is_forgotten() {
        let mut aliases = Aliases::default();
        aliases.learn(&[1, 2]);
        let lane = aliases.enter(&[3]);
        aliases.forget_the_absent();
        assert_eq!((aliases.of.len(), aliases.accounts.len()), (1, 1));
        aliases.leave(&lane);
        assert!(aliases.of.is_empty() && aliases.accounts.is_empty());
    }

    #[test]
    fn a_task_without_a_name_waits_for_nobody() {
        let mut aliases = Aliases::default();
        assert!(aliases.enter(&[]).is_empty());
        aliases.leave(&[]);
        assert!(aliases.accounts.is_empty());
    }
}
