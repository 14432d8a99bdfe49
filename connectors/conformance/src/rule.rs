//! One check: its name, its rule, and its requirements.

use std::pin::Pin;

use bridgehead_sdk::Action;

use super::finding::Verdict;
use super::kit::Kit;

/// A running check.
pub(super) type Making<'k> = Pin<Box<dyn Future<Output = Verdict> + Send + 'k>>;

type Make = for<'k> fn(&'k Kit<'k>) -> Making<'k>;

/// One check.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    pub(super) name: &'static str,
    pub(super) sentence: &'static str,
    /// The actions that the check needs.
    actions: &'static [Action],
    /// Whether it changes the target.
    pub(super) changes: bool,
    make: Make,
}

impl Rule {
    /// A check that only reads.
    pub(super) const fn reads(name: &'static str, rule: &'static str, make: Make) -> Self {
        Self { name, sentence: rule, actions: &[], changes: false, make }
    }

    /// A check that changes the target, and needs these actions.
    pub(super) const fn changes(
        name: &'static str,
        rule: &'static str,
        actions: &'static [Action],
        make: Make,
    ) -> Self {
        Self { name, sentence: rule, actions, changes: true, make }
    }

    /// Why the check is skipped, if it is.
    pub(super) fn left_out(&self, kit: &Kit<'_>) -> Option<String> {
        if self.changes && kit.test_target.read_only() {
            return Some("it would change the target, but changes are not allowed".to_owned());
        }
        let missing: Vec<&str> = self
            .actions
            .iter()
            .filter(|action| !kit.offers(**action))
            .map(|action| action.as_str())
            .collect();
        (!missing.is_empty()).then(|| format!("the connector does not declare {}", missing.join(", ")))
    }

    pub(super) fn make<'k>(&self, kit: &'k Kit<'k>) -> Making<'k> {
        (self.make)(kit)
    }
}
