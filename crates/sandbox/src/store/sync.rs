//! Sync sessions: pushed records are staged, and committed to the app when the session ends with `complete` or `abandon`. The records of a
//! cancelled session are discarded.

use std::collections::{BTreeMap, HashMap, HashSet};

use bridgehead_sdk::{ResourceKind, ResourceType};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::page::{Incoming, Refs};
use super::records::{Records, Stored, Table};
use crate::clock::later;
use crate::refusal::Refusal;
use crate::settings::Cleanup;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    InProgress,
    /// Completed; the cleanup runs at that time, and fails if so configured.
    Cleaning {
        at: Timestamp,
        fails: bool,
    },
    Completed,
    Abandoned,
    Cancelled,
    Error,
}

impl Phase {
    fn as_str(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Cleaning { .. } => "cleaning",
            Self::Completed => "completed",
            Self::Abandoned => "abandoned",
            Self::Cancelled => "cancelled",
            Self::Error => "error",
        }
    }
}

struct Session {
    /// Later sessions have higher numbers.
    number: u32,
    phase: Phase,
    staged: HashMap<String, Table>,
    /// How many distinct records of each type were pushed; filled when the session ends.
    counts: HashMap<String, usize>,
}

impl Session {
    fn synced(&self, slug: &str) -> usize {
        match self.phase {
            Phase::InProgress => self.staged.get(slug).map_or(0, BTreeMap::len),
            _ => self.counts.get(slug).copied().unwrap_or(0),
        }
    }

    fn knows(&self, slug: &str, id: &str) -> bool {
        self.staged.get(slug).is_some_and(|table| table.contains_key(id))
    }
}

/// The records of an app and the sessions that pushed them.
#[derive(Default)]
pub(crate) struct SyncBook {
    pub(crate) records: Records,
    pub(crate) last_synced_at: Option<Timestamp>,
    sessions: HashMap<Uuid, Session>,
    started: u32,
    current: Option<Uuid>,
    cleaning: Vec<Uuid>,
}

impl SyncBook {
    /// Starts a session, and cancels the unfinished one.
    pub(crate) fn start(&mut self) -> Uuid {
        if let Some(earlier) = self.current.take().and_then(|id| self.sessions.get_mut(&id)) {
            earlier.phase = Phase::Cancelled;
            earlier.staged = HashMap::new();
        }
        self.started += 1;
        let id = Uuid::new_v4();
        self.sessions.insert(
            id,
            Session {
                number: self.started,
                phase: Phase::InProgress,
                staged: HashMap::new(),
                counts: HashMap::new(),
            },
        );
        self.current = Some(id);
        id
    }

    /// Whether a session was ever started.
    pub(crate) fn was_used(&self) -> bool {
        self.started > 0
    }

    /// Runs the cleanups that are due.
    pub(crate) fn settle(&mut self, now: Timestamp) {
        let mut waiting = std::mem::take(&mut self.cleaning);
        waiting.retain(|id| {
            let Some(session) = self.sessions.get_mut(id) else {
                return false;
            };
            let Phase::Cleaning { at, fails } = session.phase else {
                return false;
            };
            if at > now {
                return true;
            }
            if fails {
                session.phase = Phase::Error;
            } else {
                session.phase = Phase::Completed;
                self.records.retire_before(session.number);
                self.last_synced_at = self.last_synced_at.max(Some(at));
            }
            false
        });
        self.cleaning = waiting;
    }

    /// Whether records can be pushed to a session: it exists, and is neither completed nor abandoned.
    pub(crate) fn check_open(&self, id: &str) -> Result<(), Refusal> {
        match self.find(id)?.1.phase {
            Phase::InProgress | Phase::Cancelled => Ok(()),
            ended => Err(ended_already(ended)),
        }
    }

    /// Upserts a page, or rejects it as a whole. A cancelled session accepts it and discards it.
    pub(crate) fn push(
        &mut self,
        id: &str,
        slug: &str,
        page: Vec<Incoming>,
        types: &[ResourceType],
    ) -> Result<Value, Refusal> {
        self.check_open(id)?;
        let (id, session) = self.find(id)?;
        check_slugs(&page, types)?;
        let total = page.len();
        if session.phase == Phase::Cancelled {
            check_integrity(slug, &page, |_, _| true)?;
            return Ok(json!({"total": total, "created": total, "updated": 0}));
        }
        check_integrity(slug, &page, |slug, id| session.knows(slug, id))?;
        let known = self.records.table(slug);
        let Some(session) = self.sessions.get_mut(&id) else {
            return Err(no_session());
        };
        let number = session.number;
        let table = session.staged.entry(slug.to_owned()).or_default();
        let mut created = 0;
        for record in page {
            let is_known = known.is_some_and(|known| known.contains_key(&record.id));
            let stored = Stored { body: record.body, session: number, active: true };
            if table.insert(record.id, stored).is_none() && !is_known {
                created += 1;
            }
        }
        Ok(json!({"total": total, "created": created, "updated": total - created}))
    }

    /// `{"sync_id", "status", "progress", "error"?}`.
    pub(crate) fn progress(&self, id: &str, types: &[ResourceType]) -> Result<Value, Refusal> {
        let (id, session) = self.find(id)?;
        let progress: Vec<Value> = types
            .iter()
            .map(|one| {
                json!({
                    "slug": one.slug, "name": one.name, "type": one.kind,
                    "synced_count": session.synced(one.slug.as_str())
                })
            })
            .collect();
        let mut answer = json!({"sync_id": id, "status": session.phase.as_str(), "progress": progress});
        if session.phase == Phase::Error {
            answer["error"] = json!({
                "error_code": "CLEANUP_FAILED",
                "message": "Cleanup task failed after maximum retries."
            });
        }
        Ok(answer)
    }

    /// Commits the pushed records, and schedules the cleanup.
    pub(crate) fn complete(&mut self, id: &str, now: Timestamp, cleanup: &Cleanup) -> Result<(), Refusal> {
        let phase = Phase::Cleaning { at: later(now, cleanup.delay), fails: cleanup.failures > 0 };
        let id = self.end(id, phase)?;
        self.cleaning.push(id);
        Ok(())
    }

    /// Commits the pushed records, and removes nothing.
    pub(crate) fn abandon(&mut self, id: &str) -> Result<(), Refusal> {
        self.end(id, Phase::Abandoned).map(|_| ())
    }

    fn end(&mut self, id: &str, phase: Phase) -> Result<Uuid, Refusal> {
        let (id, _) = self.find(id)?;
        let Some(session) = self.sessions.get_mut(&id) else {
            return Err(no_session());
        };
        if session.phase != Phase::InProgress {
            return Err(ended_already(session.phase));
        }
        session.phase = phase;
        let staged = std::mem::take(&mut session.staged);
        session.counts = staged.iter().map(|(slug, table)| (slug.clone(), table.len())).collect();
        self.records.absorb(staged);
        self.current = None;
        Ok(id)
    }

    fn find(&self, id: &str) -> Result<(Uuid, &Session), Refusal> {
        let id: Uuid = id.parse().map_err(|_| no_session())?;
        self.sessions.get(&id).map(|session| (id, session)).ok_or_else(no_session)
    }
}

fn no_session() -> Refusal {
    Refusal::not_found("Sync session not found.")
}

fn ended_already(phase: Phase) -> Refusal {
    Refusal::bad_request(format!("Sync session is in '{}' state; start a new one.", phase.as_str()))
}

fn check_slugs(page: &[Incoming], types: &[ResourceType]) -> Result<(), Refusal> {
    let is_registered = |refs: &Refs, kind: ResourceKind| {
        types.iter().any(|one| one.kind == kind && one.slug.as_str() == refs.slug)
    };
    for record in page {
        let kinds = [
            ("membership", ResourceKind::Group, &record.memberships),
            ("assignment", ResourceKind::License, &record.assignments),
        ];
        for (word, kind, all) in kinds {
            if let Some(refs) = all.iter().find(|refs| !is_registered(refs, kind)) {
                return Err(Refusal::unprocessable(format!(
                    "Record '{}': unknown {word} slug '{}'",
                    record.id, refs.slug
                )));
            }
        }
    }
    Ok(())
}

fn check_integrity(
    slug: &str,
    page: &[Incoming],
    is_known: impl Fn(&str, &str) -> bool,
) -> Result<(), Refusal> {
    let failed = |why: &str| Refusal::unprocessable(format!("Sync failed for '{slug}': {why}"));
    let mut seen = HashSet::with_capacity(page.len());
    for record in page {
        if !seen.insert(&record.id) {
            return Err(failed("a record with the same identifier already exists."));
        }
        for refs in record.memberships.iter().chain(&record.assignments) {
            if refs.nameless {
                return Err(failed("a required field is missing. Ensure all records have complete data."));
            }
            if !refs.ids.iter().all(|id| is_known(&refs.slug, id)) {
                return Err(failed("a referenced record does not exist."));
            }
        }
    }
    Ok(())
}
