//! The Bridge's information about a sync session.

use bridgehead_sdk::{ResourceKind, Slug};
use serde_json::{Map, Value};

use super::{resource, sanitize};

/// The progress of a sync session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its state.
    pub status: SyncStatus,
    /// The number of records of each type in the session.
    pub counts: Vec<TypeProgress>,
    /// The error of the cleanup.
    pub error: Option<SyncError>,
}

/// The state of a sync session. The documentation names only `error`, so the others are recognized by keywords.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// Work remains: pushing, or the cleanup.
    Running(String),
    /// The cleanup failed: pushed records are kept, stale records were not removed. A new sync is required.
    Error,
    /// The session is over: completed, abandoned, cancelled…
    Other(String),
}

/// The number of records of one type in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeProgress {
    /// The type.
    pub slug: Slug,
    /// The display name; empty if it is missing.
    pub name: String,
    /// The kind of its records; `None` if it is missing or unknown.
    pub kind: Option<ResourceKind>,
    /// How many were pushed; `None` if it is missing or not a count. Then nothing can be verified with it.
    pub synced_count: Option<u64>,
}

/// The error of a cleanup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncError {
    /// `CLEANUP_FAILED` is documented.
    pub error_code: String,
    /// The message for people.
    pub message: String,
}

/// The result of pushing a page of records; each figure is present only if the Bridge returns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Records on the page.
    pub total: Option<u64>,
    /// Records that are new.
    pub created: Option<u64>,
    /// Records that already existed.
    pub updated: Option<u64>,
    /// Whether the page was sent more than once: then its own first delivery may have created the existing records.
    pub repeated: bool,
}

impl SyncStatus {
    /// Parses the name in the API.
    pub fn from_name(name: &str) -> Self {
        const STILL: [&str; 9] =
            ["progress", "clean", "pending", "running", "process", "start", "queue", "active", "open"];
        let lower = name.to_lowercase();
        // Checked first: `cleanup_failed` contains `cleanup` too.
        if lower.contains("error") || lower.contains("fail") {
            return Self::Error;
        }
        if !lower.contains("inactive")
            && (lower.ends_with("ing") || STILL.iter().any(|word| lower.contains(word)))
        {
            return Self::Running(sanitize::clean(name));
        }
        Self::Other(sanitize::clean(name))
    }

    /// Whether work remains.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Whether Iden received `complete`. Only the status `error` is documented; the other names are guesses.
    pub fn is_completing(&self) -> bool {
        let name = self.as_str().to_lowercase();
        *self == Self::Error || name.contains("clean") || name.starts_with("complet")
    }

    /// The name for people.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Running(name) | Self::Other(name) => name,
            Self::Error => "error",
        }
    }
}

impl std::fmt::Display for SyncStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

impl Progress {
    /// The count of one type; `None` if it is missing.
    pub fn count_of(&self, slug: &Slug) -> Option<u64> {
        self.counts.iter().find(|count| count.slug == *slug)?.synced_count
    }

    pub(super) fn from_json(fields: &Map<String, Value>) -> Result<Self, &'static str> {
        let status = fields.get("status").and_then(Value::as_str).ok_or("a sync session without a status")?;
        let counts = match fields.get("progress") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) => items.iter().filter_map(TypeProgress::from_json).collect(),
            Some(_) => return Err("a sync session whose progress is not a list"),
        };
        let error = fields.get("error").filter(|error| !error.is_null()).map(SyncError::from_json);
        Ok(Self { status: SyncStatus::from_name(status), counts, error })
    }
}

impl TypeProgress {
    fn from_json(value: &Value) -> Option<Self> {
        let text = |name| value.get(name).and_then(Value::as_str);
        Some(Self {
            slug: text("slug")?.into(),
            name: text("name").unwrap_or_default().to_owned(),
            kind: text("type").and_then(resource::kind),
            synced_count: value.get("synced_count").and_then(Value::as_u64),
        })
    }
}

impl SyncError {
    fn from_json(value: &Value) -> Self {
        let text = |name| value.get(name).and_then(Value::as_str).map(sanitize::clean);
        let plain = value.as_str().map(sanitize::clean);
        Self {
            error_code: text("error_code").unwrap_or_default(),
            message: text("message").or(plain).unwrap_or_default(),
        }
    }
}

impl Pushed {
    pub(super) fn from_json(fields: &Map<String, Value>, repeated: bool) -> Self {
        let count = |name| fields.get(name).and_then(Value::as_u64);
        Self { total: count("total"), created: count("created"), updated: count("updated"), repeated }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: Value) -> Result<Progress, &'static str> {
        let Value::Object(fields) = value else { panic!("not an object") };
        Progress::from_json(&fields)
    }

    #[test]
    fn documented_sync_error_is_parsed() {
        let progress = read(json!({
            "sync_id": "d4e5f6a7", "status": "error",
            "progress": [{"slug": "team", "name": "Team", "type": "group", "synced_count": 42}],
            "error": {"error_code": "CLEANUP_FAILED", "message": "Cleanup task failed after maximum retries."}
        }))
        .unwrap();
        assert_eq!(progress.status, SyncStatus::Error);
        assert_eq!(progress.count_of(&"team".into()), Some(42));
        assert_eq!(progress.counts[0].kind, Some(ResourceKind::Group));
        assert_eq!(progress.error.unwrap().error_code, "CLEANUP_FAILED");
    }

    #[test]
    fn status_name_tells_if_a_session_is_running() {
        for name in [
            "in_progress",
            "IN_PROGRESS",
            "cleaning",
            "cleanup_pending",
            "pending",
            "running",
            "processing",
            "started",
            "queued",
            "active",
            "open",
            "completing",
        ] {
            assert!(SyncStatus::from_name(name).is_running(), "{name}");
        }
        for name in ["completed", "abandoned", "cancelled", "done", "inactive", "something new"] {
            assert_eq!(SyncStatus::from_name(name), SyncStatus::Other(name.to_owned()));
        }
        for name in ["error", "cleanup_failed", "failed", "ERROR"] {
            assert_eq!(SyncStatus::from_name(name), SyncStatus::Error, "{name}");
        }
    }

    #[test]
    fn status_name_tells_if_complete_was_received() {
        for name in ["error", "cleanup_failed", "cleaning", "cleanup_pending", "COMPLETED", "completing"] {
            assert!(SyncStatus::from_name(name).is_completing(), "{name}");
        }
        for name in ["in_progress", "running", "abandoned", "cancelled", "incomplete", "something new"] {
            assert!(!SyncStatus::from_name(name).is_completing(), "{name}");
        }
    }

    #[test]
    fn invalid_count_is_not_zero() {
        let progress = read(json!({"status": "in_progress", "progress": [
            {"slug": "a", "synced_count": "3"}, {"slug": "b"}, {"slug": "c", "synced_count": -1}, 7, {"name": "x"}]}));
        let counts: Vec<_> = progress.unwrap().counts.into_iter().map(|count| count.synced_count).collect();
        assert_eq!(counts, [None, None, None]);
        assert!(read(json!({"status": null})).is_err());
        assert!(read(json!({"status": "x", "progress": {}})).is_err());
    }
}
