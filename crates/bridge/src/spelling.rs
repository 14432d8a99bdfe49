//! How Iden spells the identifiers of tasks. A UUID is one identifier however it is written, so the daemon keeps one spelling;
//! paths take the one that Iden wrote.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::TaskId;

use super::Task;

/// More are not remembered; then the plain spelling is used, which Iden takes as well if its identifiers are UUIDs.
const MOST: usize = 100_000;

/// The spellings that differ from ours.
#[derive(Debug, Default)]
pub(super) struct Spellings(Mutex<HashMap<TaskId, String>>);

impl Spellings {
    /// Remembers how these tasks were written.
    pub(super) fn learn<'a>(&self, tasks: impl IntoIterator<Item = &'a Task>) {
        for task in tasks {
            if let Some(spelling) = &task.spelling {
                let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                if known.len() >= MOST {
                    known.clear();
                }
                known.insert(task.id.clone(), spelling.clone());
            }
        }
    }

    /// How Iden writes this task.
    pub(super) fn of(&self, task: &TaskId) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(task).cloned().unwrap_or_else(|| task.as_str().to_owned())
    }
}
