//! What the Bridge says about a sync session.

use bridgehead_sdk::{ResourceKind, Slug};
use serde_json::{Map, Value};

use super::{resource, sanitize};

/// How far a sync session is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Its state.
    pub status: SyncStatus,
    /// How many records of each type the session holds.
    pub counts: Vec<TypeProgress>,
    /// What the cleanup failed with.
    pub error: Option<SyncError>,
}

/// The state of a sync session. The documents name `error` alone, so the others are told by their words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncStatus {
    /// Something is still to be done: pushing, or the cleanup.
    Running(String),
    /// The cleanup failed: what was pushed is kept, stale records were not removed. A new sync is the
    /// remedy.
    Error,
    /// It is over: completed, abandoned, cancelled…
    Other(String),
}

/// How many records of a type a session holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeProgress {
    /// The type.
    pub slug: Slug,
    /// What people read; empty when it is missing.
    pub name: String,
    /// What its records stand for; `None` when it is missing or unknown.
    pub kind: Option<ResourceKind>,
    /// How many were pushed; `None` when it is missing or no count. Then nothing can be verified by it.
    pub synced_count: Option<u64>,
}

/// What a cleanup failed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncError {
    /// `CLEANUP_FAILED` is documented.
    pub error_code: String,
    /// What people read.
    pub message: String,
}

/// The result of pushing a page of records; each figure only if the Bridge returns it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pushed {
    /// Records on the page.
    pub total: Option<u64>,
    /// Records that are new.
    pub created: Option<u64>,
    /// Records that were there already.
    pub updated: Option<u64>,
    /// Whether the page was sent more than once: then it may be its own first arrival that made its records known.
    pub repeated: bool,
}

impl SyncStatus {
    /// Reads the name on the wire.
    pub fn from_name(name: &str) -> Self {
        const STILL: [&str; 9] =
            ["progress", "clean", "pending", "running", "process", "start", "queue", "active", "open"];
        let lower = name.to_lowercase();
        // Looked for first: `cleanup_failed` speaks of a cleanup too.
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

    /// Whether something is still to be done.
    pub fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }

    /// Whether `complete` was heard. Only the status `error` is documented; of the others there are but likely names.
    pub fn is_completing(&self) -> bool {
        let name = self.as_str().to_lowercase();
        *self == Self::Error || name.contains("clean") || name.starts_with("complet")
    }

    /// The name, as people read it.
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
    /// The count of one type; `None` when it is not told.
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
    fn the_documented_error_is_read() {
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
    fn whether_a_session_is_over_is_told_by_the_words_of_its_state() {
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
    fn whether_complete_was_heard_is_told_by_them_too() {
        for name in ["error", "cleanup_failed", "cleaning", "cleanup_pending", "COMPLETED", "completing"] {
            assert!(SyncStatus::from_name(name).is_completing(), "{name}");
        }
        for name in ["in_progress", "running", "abandoned", "cancelled", "incomplete", "something new"] {
            assert!(!SyncStatus::from_name(name).is_completing(), "{name}");
        }
    }

    #[test]
    fn a_count_that_is_none_is_not_zero() {
        let progress = read(json!({"status": "in_progress", "progress": [
            {"slug": "a", "synced_count": "3"}, {"slug": "b"}, {"slug": "c", "synced_count": -1}, 7, {"name": "x"}]}));
        let counts: Vec<_> = progress.unwrap().counts.into_iter().map(|count| count.synced_count).collect();
        assert_eq!(counts, [None, None, None]);
        assert!(read(json!({"status": null})).is_err());
        assert!(read(json!({"status": "x", "progress": {}})).is_err());
    }
}
