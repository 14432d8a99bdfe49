//! A compact encoding of what a record says about access. Pure.

use super::Changes;

/// The size of a reference in bytes.
const REF: usize = 8;

/// The status of an account, and a hash of each of its memberships and assignments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessFacts {
    is_active: bool,
    /// Sorted, without duplicates.
    refs: Vec<u64>,
}

/// The access that an account lost between two of its records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AccessLoss {
    /// The account was active, and is not any more.
    pub deactivated: bool,
    /// The number of memberships and assignments lost.
    pub refs: u32,
    /// Whether none are left.
    pub none_left: bool,
}

impl AccessFacts {
    /// Creates the facts of a record; `refs` are hashes of its memberships and assignments.
    pub fn new(is_active: bool, refs: impl IntoIterator<Item = u64>) -> Self {
        let mut refs: Vec<u64> = refs.into_iter().collect();
        refs.sort_unstable();
        refs.dedup();
        Self { is_active, refs }
    }

    /// The access lost compared with an earlier record.
    pub fn loss_since(&self, before: &Self) -> AccessLoss {
        let gone = before.refs.iter().filter(|one| self.refs.binary_search(one).is_err()).count();
        AccessLoss {
            deactivated: before.is_active && !self.is_active,
            refs: u32::try_from(gone).unwrap_or(u32::MAX),
            none_left: self.refs.is_empty(),
        }
    }

    /// Adds the access of another record of the same account, and returns whether there was more.
    pub(super) fn gain(&mut self, other: &Self) -> bool {
        let (was_active, refs) = (self.is_active, self.refs.len());
        self.is_active |= other.is_active;
        self.refs.extend(&other.refs);
        self.refs.sort_unstable();
        self.refs.dedup();
        self.is_active != was_active || self.refs.len() != refs
    }

    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    pub(super) fn refs(&self) -> &[u64] {
        &self.refs
    }

    /// The known access with what a later record adds to it; `None` if that is nothing. Bytes that this version cannot read add nothing: they
    /// are reported when the next listing is compared with them.
    pub(super) fn gained(known: &[u8], seen: &[u8]) -> Option<Vec<u8>> {
        let (mut known, seen) = (Self::from_bytes(known)?, Self::from_bytes(seen)?);
        known.gain(&seen).then(|| known.to_bytes())
    }

    /// Applies the change made by a task.
    pub(super) fn change(&mut self, changes: &Changes) {
        let Changes { is_active, refs } = changes.clone();
        *self = Self::new(
            is_active.unwrap_or(self.is_active),
            refs.unwrap_or_else(|| std::mem::take(&mut self.refs)),
        );
    }

    /// Whether there is any membership or assignment.
    pub(super) fn has_refs(&self) -> bool {
        !self.refs.is_empty()
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1 + REF * self.refs.len());
        bytes.push(u8::from(self.is_active));
        bytes.extend(self.refs.iter().flat_map(|one| one.to_be_bytes()));
        bytes
    }

    /// The changes as the two parts of [`to_bytes`](Self::to_bytes): the first byte, and the others.
    pub(super) fn change_to_bytes(changes: &Changes) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
        let refs =
            changes.refs.as_ref().map(|refs| Self::new(false, refs.iter().copied()).to_bytes().split_off(1));
        (changes.is_active.map(|is_active| vec![u8::from(is_active)]), refs)
    }

    /// `None` if this version did not write the bytes.
    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (status, refs) = bytes.split_first()?;
        let refs = refs.chunks(REF).map(|one| Some(u64::from_be_bytes(one.try_into().ok()?)));
        Some(Self { is_active: *status == 1, refs: refs.collect::<Option<_>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_facts_round_trip() {
        for facts in [
            AccessFacts::new(true, []),
            AccessFacts::new(false, [7]),
            AccessFacts::new(true, [u64::MAX, 0, 7, 7]),
        ] {
            assert_eq!(AccessFacts::from_bytes(&facts.to_bytes()), Some(facts));
        }
        assert_eq!(AccessFacts::from_bytes(&[]), None);
        assert_eq!(AccessFacts::from_bytes(&[1, 2, 3]), None);
        assert_eq!(AccessFacts::new(true, []).to_bytes(), [1], "a byte is enough for most");
    }

    #[test]
    fn only_removed_access_is_a_loss() {
        let before = AccessFacts::new(true, [1, 2, 3]);
        let loss = |now: AccessFacts| {
            let AccessLoss { deactivated, refs, none_left } = now.loss_since(&before);
            (deactivated, refs, none_left)
        };
        assert_eq!(loss(before.clone()), (false, 0, false));
        assert_eq!(loss(AccessFacts::new(true, [1, 2, 3, 4])), (false, 0, false), "more is no loss");
        assert_eq!(loss(AccessFacts::new(true, [1, 9])), (false, 2, false));
        assert_eq!(loss(AccessFacts::new(false, [])), (true, 3, true));
        let inactive = AccessFacts::new(false, [1]);
        assert_eq!(
            inactive.loss_since(&inactive),
            AccessLoss::default(),
            "an account that was not active loses nothing"
        );
    }

    #[test]
    fn access_is_only_gained() {
        for (before, other, after) in [
            ((false, vec![]), (true, vec![]), (true, vec![])),
            ((true, vec![1, 3]), (false, vec![2, 3]), (true, vec![1, 2, 3])),
            ((true, vec![1]), (true, vec![1]), (true, vec![1])),
            ((true, vec![1, 2]), (false, vec![2]), (true, vec![1, 2])),
        ] {
            let facts = |(is_active, refs): (bool, Vec<u64>)| AccessFacts::new(is_active, refs);
            let (mut gained, before, after) = (facts(before.clone()), facts(before), facts(after));
            let has_more = gained.gain(&facts(other));
            assert_eq!(gained, after);
            assert_eq!(has_more, before != after);
        }
    }
}
