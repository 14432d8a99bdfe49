//! How Iden spells the identifiers of tasks. All spellings of a UUID are the same identifier, so the daemon uses one of them internally;
//! URLs use the one that Iden wrote.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::TaskId;

use super::Task;

/// The maximum number of remembered spellings. Without one, the plain spelling is used, which Iden accepts too if its identifiers are
/// UUIDs.
const MOST: usize = 100_000;

/// The spellings that differ from the daemon's.
#[derive(Debug, Default)]
pub(super) struct Spellings(Mutex<HashMap<TaskId, String>>);

impl Spellings {
    /// Remembers the spelling of these tasks.
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

    /// Iden's spelling of this task.
    pub(super) fn of(&self, task: &TaskId) -> String {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(task).cloned().unwrap_or_else(|| task.as_str().to_owned())
    }
}
