//! The states of a task.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The state of a task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TaskStatus {
    /// To be executed now; tasks in any other state must not be executed.
    Pending,
    /// To be executed later: it becomes pending when `execute_after` has passed.
    Scheduled,
    /// Completed successfully.
    Completed,
    /// Failed permanently.
    Failed,
    /// An undocumented state.
    Other(String),
}

impl TaskStatus {
    /// The name in the API.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "pending",
            Self::Scheduled => "scheduled",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Other(name) => name,
        }
    }

    /// Parses the name in the API.
    pub fn from_name(name: &str) -> Self {
        [Self::Pending, Self::Scheduled, Self::Completed, Self::Failed]
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(name))
            .unwrap_or_else(|| Self::Other(name.to_owned()))
    }

    /// Whether the state is final: completed or failed.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }
}

impl std::fmt::Display for TaskStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for TaskStatus {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for TaskStatus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|name| Self::from_name(&name))
    }
}
