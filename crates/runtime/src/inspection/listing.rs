//! Lists tasks page by page, so that memory use does not grow with their number, except for the ids of tasks that wait for the operator.

use std::collections::{HashMap, HashSet, VecDeque};

use bridgehead_sdk::TaskId;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::row::TaskRow;
use super::source::{Error, Source};
use crate::HeldTask;
use crate::operator_commands;
use bridgehead_bridge::{self as bridge, NextPage, TaskQuery, TaskStatus};

/// The number of tasks requested from Iden per call, and of rows per page.
const PAGE: u32 = 100;
/// Up to this many tasks are requested individually; for more, the list of pending tasks is read.
const FEW: usize = 25;

/// The tasks to list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Tasks with this status in Iden.
    Status(TaskStatus),
    /// Tasks that the deprovision limit holds.
    Held,
    /// Tasks whose report Iden rejected.
    Rejected,
}

/// The summary of a finished listing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ListingEnd {
    /// The number of rows returned.
    pub shown: u64,
    /// The total number, if known.
    pub total: Option<u64>,
    /// Whether there are more rows than were returned.
    pub more: bool,
    /// Why rows lack data that only Iden has, such as names.
    pub without_names: Option<String>,
}

/// A list of tasks, returned page by page.
pub struct Listing<'a> {
    source: Source<'a>,
    /// The maximum number of rows still to return; `None` for all.
    left: Option<u64>,
    end: ListingEnd,
    stage: Stage,
}

enum Stage {
    /// Iden's list of tasks with this status, from this page on.
    Iden { status: TaskStatus, next: Option<NextPage>, seen: HashSet<u64> },
    /// Tasks that wait for the operator; the list of pending tasks is read to add Iden's data.
    Waiting { rows: HashMap<TaskId, TaskRow>, next: Option<NextPage> },
    /// Complete rows.
    Ready(VecDeque<TaskRow>),
}

impl<'a> Listing<'a> {
    /// Starts a listing of at most `limit` rows.
    pub async fn begin(source: Source<'a>, which: Which, limit: Option<u64>) -> Result<Listing<'a>, Error> {
        let mut end = ListingEnd::default();
        let stage = match which {
            Which::Status(status) => Stage::Iden { status, next: None, seen: HashSet::new() },
            Which::Held => {
                let held = source.held.iter().map(|(task, held_at)| {
                    let held = HeldTask { task: task.clone(), held_at: *held_at };
                    (task.clone(), TaskRow::of_held(source.name, &held))
                });
                waiting(&source, held.collect(), &mut end).await
            }
            Which::Rejected => {
                let rejected = match source.journal {
                    Some(journal) => operator_commands::put_aside(journal, &source.key).await?,
                    None => Vec::new(),
                };
                let rows = rejected
                    .into_iter()
                    .map(|aside| (aside.task.clone(), TaskRow::of_rejected(source.name, aside)));
                waiting(&source, rows.collect(), &mut end).await
            }
        };
        Ok(Self { source, left: limit, end, stage })
    }

    /// Returns the next rows; `None` after the last ones.
    pub async fn next(&mut self) -> Result<Option<Vec<TaskRow>>, Error> {
        loop {
            if self.left == Some(0) {
                self.end.more |= match &self.stage {
                    Stage::Iden { next, .. } => next.is_some() || self.end.shown == 0,
                    Stage::Waiting { rows, .. } => !rows.is_empty(),
                    Stage::Ready(rows) => !rows.is_empty(),
                };
                return Ok(None);
            }
            let (mut rows, is_last) = self.page().await?;
            if let Some(left) = &mut self.left {
                let fit = usize::try_from(*left).unwrap_or(usize::MAX);
                self.end.more |= rows.len() > fit;
                rows.truncate(fit);
                *left -= rows.len() as u64;
            }
            for row in &mut rows {
                row.redact(self.source.redactor);
            }
            self.end.shown += rows.len() as u64;
            if is_last {
                self.stage = Stage::Ready(VecDeque::new());
            }
            if !rows.is_empty() {
                return Ok(Some(rows));
            }
            if is_last {
                return Ok(None);
            }
        }
    }

    /// The summary, once there are no more pages.
    pub fn end(&self) -> ListingEnd {
        let mut end = self.end.clone();
        if !end.more {
            // Iden's own count is only valid for the moment of its response.
            end.total = Some(end.shown);
        }
        end
    }

    /// Returns a page, and whether it is the last one.
    async fn page(&mut self) -> Result<(Vec<TaskRow>, bool), Error> {
        match &mut self.stage {
            Stage::Ready(rows) => {
                let count = rows.len().min(PAGE as usize);
                let page = rows.drain(..count).collect();
                let is_last = rows.is_empty();
                Ok((page, is_last))
            }
            Stage::Iden { status, next, seen } => {
                let bridge = self.source.bridge.clone().map_err(Error::NoBridge)?;
                let page = if let Some(next) = next.take() {
                    bridge.next_tasks(self.source.app, &next).await?
                } else {
                    let query = TaskQuery { status: status.clone(), limit: PAGE };
                    bridge.tasks(self.source.app, &query).await?
                };
                self.end.total = page.count.or(self.end.total);
                // Pages shift while the list changes: a task may be on two of them.
                let mut is_new = |id: &TaskId| seen.insert(xxh3_64(id.as_str().as_bytes()));
                let mut rows = Vec::with_capacity(page.tasks.len());
                for task in page.tasks {
                    if is_new(&task.id) {
                        let mut row = TaskRow::of_task(self.source.name, &task);
                        row.held_since = self.source.held.get(&task.id).copied();
                        if *status == TaskStatus::Failed && row.code.is_none() {
                            add_failure(&self.source, &task.id, &mut row).await;
                        }
                        rows.push(row);
                    }
                }
                *next = page.next;
                let is_last = next.is_none();
                Ok((rows, is_last))
            }
            Stage::Waiting { rows, next } => {
                let asked = match (&self.source.bridge, next.take()) {
                    (Err(why), _) => Err(why.clone()),
                    (Ok(bridge), Some(next)) => {
                        bridge.next_tasks(self.source.app, &next).await.map_err(|error| error.to_string())
                    }
                    (Ok(bridge), None) => {
                        let query = TaskQuery { status: TaskStatus::Pending, limit: PAGE };
                        bridge.tasks(self.source.app, &query).await.map_err(|error| error.to_string())
                    }
                };
                let mut found = Vec::new();
                let goes_on = match asked {
                    Err(why) => {
                        self.end.without_names = Some(why);
                        false
                    }
                    Ok(page) => {
                        for task in &page.tasks {
                            if let Some(row) = rows.remove(&task.id) {
                                found.push(row.merge(TaskRow::of_task(self.source.name, task)));
                            }
                        }
                        *next = page.next;
                        next.is_some() && !rows.is_empty()
                    }
                };
                if !goes_on {
                    let mut rest: Vec<TaskRow> = rows.drain().map(|(_, row)| row).collect();
                    rest.sort_by_key(age);
                    self.stage = Stage::Ready(rest.into());
                }
                // The next call returns the remaining rows, even if there are none.
                Ok((found, false))
            }
        }
    }
}

impl std::fmt::Debug for Listing<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Listing")
            .field("app", &self.source.name)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}

/// Lists tasks that wait for the operator. A few are requested from Iden individually, which is quick and reliable; for more, its list is
/// read.
async fn waiting(source: &Source<'_>, mut rows: HashMap<TaskId, TaskRow>, end: &mut ListingEnd) -> Stage {
    end.total = Some(rows.len() as u64);
    if rows.len() > FEW {
        return Stage::Waiting { rows, next: None };
    }
    let mut ready = Vec::with_capacity(rows.len());
    let mut waiting: Vec<(TaskId, TaskRow)> = rows.drain().collect();
    waiting.sort_by_key(|(_, row)| age(row));
    for (id, mut row) in waiting {
        match (&source.bridge, &end.without_names) {
            // It would most likely fail again, and each failure takes time.
            (_, Some(_)) => {}
            (Err(why), None) => end.without_names = Some(why.clone()),
            (Ok(bridge), None) => match bridge.task(source.app, &id).await {
                Ok(task) => row = row.merge(TaskRow::of_task(source.name, &task)),
                Err(bridge::Error::NotFound { from_bridge: true, .. }) => {
                    row.detail.get_or_insert_with(|| "Iden no longer knows this task".to_owned());
                }
                Err(error) => end.without_names = Some(error.to_string()),
            },
        }
        ready.push(row);
    }
    ready.sort_by_key(age);
    Stage::Ready(ready.into())
}

/// The sort key of a row: by creation in Iden; rows without that time come last.
fn age(row: &TaskRow) -> (bool, Option<jiff::Timestamp>, Option<jiff::Timestamp>, String) {
    (row.created_at.is_none(), row.created_at, row.held_since, row.task.clone())
}

/// If the journal cannot be read, only the code and the reason are missing: Iden's list must not depend on it.
async fn add_failure(source: &Source<'_>, task: &TaskId, row: &mut TaskRow) {
    if let Some(journal) = source.journal
        && let Ok(Some(entry)) = journal.entry(&source.key, task).await
    {
        row.add_failure(&entry);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use bridgehead_sdk::{Redactor, async_trait};
    use jiff::Timestamp;
    use serde_json::json;
    use url::Url;

    use super::*;
    use crate::fakes::{self, Place, Script};
    use bridgehead_bridge::{AppId, TaskPage, fuzz};
    use bridgehead_store::AppKey;

    const APP: uuid::Uuid = uuid::Uuid::nil();

    /// Lists tasks `t0`, `t1`…, a hundred per page; every page but the first repeats the last task of the page before.
    #[derive(Default)]
    struct Iden {
        tasks: usize,
        counts: bool,
        requests: AtomicUsize,
    }

    impl Iden {
        fn page(&self, offset: usize) -> TaskPage {
            self.requests.fetch_add(1, Ordering::Relaxed);
            let items: Vec<_> = (offset.saturating_sub(1)..self.tasks.min(offset + 100))
                .map(|n| json!({"id": format!("t{n}"), "payload": {"account": {"email": format!("{n}@x")}}}))
                .collect();
            let end = offset + 100;
            let next = (end < self.tasks).then(|| format!("https://h.test/tasks/?offset={end}"));
            let mut page = json!({"next": next, "results": items});
            if self.counts {
                page["count"] = self.tasks.into();
            }
            let here: Url = format!("https://h.test/tasks/?at={offset}").parse().unwrap();
            fuzz::task_page(page.to_string().as_bytes(), &here).unwrap()
        }
    }

    #[async_trait]
    impl Script for Iden {
        async fn tasks(&self, _: &TaskQuery) -> Result<TaskPage, bridge::Error> {
            Ok(self.page(0))
        }

        async fn next_tasks(&self, next: &NextPage) -> Result<TaskPage, bridge::Error> {
            Ok(self.page(usize::try_from(next.offset().unwrap()).unwrap()))
        }
    }

    /// Runs a listing; returns the ids, the summary, and the number of requests.
    fn listed(
        iden: Iden,
        held: &[usize],
        which: Which,
        limit: Option<u64>,
    ) -> (Vec<TaskRow>, ListingEnd, usize) {
        let (place, iden, redactor) = (Place::new(), Arc::new(iden), Redactor::new());
        let bridge = fakes::api(&iden);
        let source = Source {
            name: "hr",
            app: AppId::from(APP),
            key: AppKey::from(APP),
            bridge: Ok(&*bridge),
            journal: None,
            held: held.iter().map(|n| (TaskId::new(format!("t{n}")), Timestamp::UNIX_EPOCH)).collect(),
            redactor: &redactor,
        };
        let all = async {
            let mut listing = Listing::begin(source, which, limit).await.unwrap();
            let mut all = Vec::new();
            while let Some(mut rows) = listing.next().await.unwrap() {
                assert!(rows.len() <= PAGE as usize + 1, "a page is a page");
                all.append(&mut rows);
            }
            (all, listing.end())
        };
        let (rows, end) = place.runtime.block_on(all);
        (rows, end, iden.requests.load(Ordering::Relaxed))
    }

    fn pending() -> Which {
        Which::Status(TaskStatus::Pending)
    }

    #[test]
    fn task_list_is_paged_and_lists_each_task_once() {
        let (rows, end, requests) = listed(Iden { tasks: 250, ..Iden::default() }, &[7], pending(), None);
        let ids: Vec<String> = (0..250).map(|n| format!("t{n}")).collect();
        assert_eq!(rows.iter().map(|row| row.task.clone()).collect::<Vec<_>>(), ids);
        assert_eq!((end.shown, end.total, end.more, requests), (250, Some(250), false, 3));
        let held: Vec<&str> =
            rows.iter().filter(|row| row.held_since.is_some()).map(|row| &*row.task).collect();
        assert_eq!(held, ["t7"]);
    }

    #[test]
    fn limit_saves_requests_and_reports_more_tasks() {
        for (limit, counts, requests) in [(100, true, 1), (101, true, 2), (0, false, 0), (99, false, 1)] {
            let iden = Iden { tasks: 250, counts, ..Iden::default() };
            let (rows, end, asked) = listed(iden, &[], pending(), Some(limit));
            assert_eq!((rows.len() as u64, end.shown, end.more, asked), (limit, limit, true, requests));
            assert_eq!(end.total, counts.then_some(250), "{limit}");
        }
        let (rows, end, _) = listed(Iden { tasks: 250, ..Iden::default() }, &[], pending(), Some(250));
        assert_eq!((rows.len(), end.more, end.total), (250, false, Some(250)));
    }

    #[test]
    fn held_tasks_are_all_listed_with_names_from_iden() {
        // t900 is not in Iden's list: that has no consequences.
        let held: Vec<usize> = (50..90).chain([900]).collect();
        let (rows, end, requests) = listed(Iden { tasks: 250, ..Iden::default() }, &held, Which::Held, None);
        assert_eq!((rows.len(), end.total, end.more, requests), (41, Some(41), false, 3));
        assert_eq!((rows[0].task.as_str(), rows[0].email.as_deref()), ("t50", Some("50@x")));
        assert_eq!((rows[40].task.as_str(), rows[40].email.as_deref()), ("t900", None));
        let held: Vec<usize> = (0..40).collect();
        let iden = Iden { tasks: 250, ..Iden::default() };
        let (rows, end, requests) = listed(iden, &held, Which::Held, Some(10));
        assert_eq!((rows.len(), end.total, end.more, requests), (10, Some(40), true, 1));
    }
}
