//! The steps of tasks.

use std::collections::BTreeMap;

use bridgehead_sdk::TaskId;
use jiff::Timestamp;

use super::super::{AttemptStep, STEPS_KEPT};
use super::instant::kept;

/// The steps of an app's tasks, by their start and the name of their phase.
#[derive(Default)]
pub(super) struct Steps(BTreeMap<TaskId, BTreeMap<(Timestamp, &'static str), AttemptStep>>);

impl Steps {
    pub(super) fn add(&mut self, task: &TaskId, steps: &[AttemptStep]) {
        if steps.is_empty() {
            return;
        }
        let all = self.0.entry(task.clone()).or_default();
        for step in steps {
            let step = AttemptStep {
                began_at: kept(step.began_at),
                ended_at: step.ended_at.map(kept),
                next_try_at: step.next_try_at.map(kept),
                ..step.clone()
            };
            all.insert((step.began_at, step.phase.as_str()), step);
        }
        while all.len() > STEPS_KEPT {
            all.pop_first();
        }
    }

    pub(super) fn of(&self, task: &TaskId) -> Vec<AttemptStep> {
        let mut steps: Vec<AttemptStep> =
            self.0.get(task).map(|steps| steps.values().cloned().collect()).unwrap_or_default();
        steps.sort_by_key(|step| (step.began_at, step.phase));
        steps
    }

    pub(super) fn remove(&mut self, task: &TaskId) {
        self.0.remove(task);
    }

    /// Removes old steps of unknown tasks.
    pub(super) fn prune(&mut self, before: Timestamp, is_known: impl Fn(&TaskId) -> bool) {
        let before = kept(before);
        self.0.retain(|task, steps| {
            if !is_known(task) {
                steps.retain(|(began_at, _), _| *began_at >= before);
            }
            !steps.is_empty()
        });
    }
}
