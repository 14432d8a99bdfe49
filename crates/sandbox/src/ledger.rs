//! The ledger: every Bridge request in the order of its arrival, and its result.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::fault::FaultId;
use super::lock::lock;

/// The maximum number of reports kept per task, the newest ones.
const REPORTS_PER_TASK: usize = 1_000;

/// One request to the Bridge API.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Entry {
    /// Its position in the order of arrival, starting at 1.
    pub sequence: u64,
    /// When its head was read, by the sandbox's clock.
    pub time: Timestamp,
    /// The method.
    pub method: String,
    /// The path, without the query.
    pub path: String,
    /// The query, if any.
    pub query: Option<String>,
    /// The app in the path.
    pub app_id: Option<Uuid>,
    /// The task in the path.
    pub task_id: Option<String>,
    /// The status that was sent; none while there is no response, or if the connection was cut.
    pub status: Option<u16>,
    /// The API's own status, before a fault changed it; none if a fault bypassed the API.
    pub handled: Option<u16>,
    /// The faults that fired.
    pub faults: Vec<FaultId>,
    /// The request body, if there was one and it is still kept; a string if it is not JSON.
    pub body: Option<Value>,
}

/// One report on a task: a `PATCH …/tasks/{task_id}/status/`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The sequence of its ledger entry.
    pub sequence: u64,
    /// When it arrived, by the sandbox's clock.
    pub time: Timestamp,
    /// The app in the path.
    pub app_id: Option<Uuid>,
    /// The status that was sent; none if the connection was cut or the response is still pending.
    pub status: Option<u16>,
    /// The API's own status: 200 if the report took effect, even if its response was lost.
    pub handled: Option<u16>,
    /// The reported body; null if it was never read.
    pub body: Value,
}

impl Report {
    /// Whether the report took effect, regardless of its response.
    pub fn took_effect(&self) -> bool {
        self.handled == Some(200)
    }
}

/// Which entries of the ledger to show; absent fields match everything.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Filter {
    /// The method, case-insensitive.
    pub method: Option<String>,
    /// A part of the path.
    pub path: Option<String>,
    /// The app in the path.
    pub app: Option<Uuid>,
    /// The task in the path.
    pub task: Option<String>,
    /// The status that was sent.
    pub status: Option<u16>,
    /// The API's own status.
    pub handled: Option<u16>,
    /// Only entries after this one.
    pub after: Option<u64>,
    /// The maximum number of entries; over HTTP, 100 if absent.
    pub limit: Option<usize>,
    /// How many entries to skip first.
    pub offset: Option<usize>,
}

impl Filter {
    fn admits(&self, line: &Line) -> bool {
        fn fits<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none_or(|wanted| found == Some(wanted))
        }
        self.after.is_none_or(|after| line.sequence > after)
            && self.method.as_ref().is_none_or(|method| line.what.method.eq_ignore_ascii_case(method))
            && self.path.as_ref().is_none_or(|part| line.what.path.contains(part.as_str()))
            && fits(self.app.as_ref(), line.what.app_id.as_ref())
            && fits(self.task.as_ref(), line.what.task_id.as_ref())
            && fits(self.status.as_ref(), line.status.as_ref())
            && fits(self.handled.as_ref(), line.handled.as_ref())
    }
}

/// The head of a request.
#[derive(Clone, Debug)]
pub(crate) struct Arrival {
    pub(crate) time: Timestamp,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: Option<String>,
    pub(crate) app_id: Option<Uuid>,
    pub(crate) task_id: Option<String>,
    pub(crate) is_report: bool,
    pub(crate) faults: Vec<FaultId>,
}

struct Line {
    sequence: u64,
    what: Arrival,
    status: Option<u16>,
    handled: Option<u16>,
    body: Option<Bytes>,
}

impl Line {
    fn entry(&self) -> Entry {
        Entry {
            sequence: self.sequence,
            time: self.what.time,
            method: self.what.method.clone(),
            path: self.what.path.clone(),
            query: self.what.query.clone(),
            app_id: self.what.app_id,
            task_id: self.what.task_id.clone(),
            status: self.status,
            handled: self.handled,
            faults: self.what.faults.clone(),
            body: self.body.as_deref().map(read),
        }
    }
}

fn read(body: &[u8]) -> Value {
    serde_json::from_slice(body).unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned().into())
}

pub(crate) struct Ledger(Mutex<Book>);

struct Book {
    most_entries: usize,
    most_body_bytes: usize,
    lines: VecDeque<Line>,
    /// The sequence of the oldest entry that is kept.
    first: u64,
    dropped: u64,
    body_bytes: usize,
    /// The first sequence whose body is kept.
    first_body: u64,
    reports: HashMap<String, VecDeque<Report>>,
}

impl Ledger {
    pub(crate) fn new(most_entries: usize, most_body_bytes: usize) -> Self {
        Self(Mutex::new(Book {
            most_entries: most_entries.max(1),
            most_body_bytes,
            lines: VecDeque::new(),
            first: 1,
            dropped: 0,
            body_bytes: 0,
            first_body: 1,
            reports: HashMap::new(),
        }))
    }

    /// Records a request whose head was read, and returns its sequence.
    pub(crate) fn arrived(&self, what: Arrival) -> u64 {
        let mut book = lock(&self.0);
        let sequence = book.first + book.lines.len() as u64;
        book.lines.push_back(Line { sequence, what, status: None, handled: None, body: None });
        while book.lines.len() > book.most_entries {
            if let Some(line) = book.lines.pop_front() {
                book.body_bytes -= line.body.map_or(0, |body| body.len());
                book.first += 1;
                book.dropped += 1;
            }
        }
        sequence
    }

    /// Records the API's own status (`None`: a fault bypassed it) and the request body.
    pub(crate) fn handled(&self, sequence: u64, status: Option<u16>, body: Option<&Bytes>) {
        let mut book = lock(&self.0);
        let book = &mut *book;
        let Some(line) = book.line(sequence) else {
            return;
        };
        line.handled = status;
        if line.what.is_report
            && let Some(task) = line.what.task_id.clone()
        {
            let report = Report {
                sequence,
                time: line.what.time,
                app_id: line.what.app_id,
                status: None,
                handled: status,
                body: body.map_or(Value::Null, |body| read(body)),
            };
            let reports = book.reports.entry(task).or_default();
            reports.push_back(report);
            if reports.len() > REPORTS_PER_TASK {
                reports.pop_front();
            }
        }
        if let Some(body) = body.filter(|body| !body.is_empty()) {
            book.keep_body(sequence, body);
        }
    }

    /// Records the status that is about to be sent.
    pub(crate) fn answered(&self, sequence: u64, status: u16) {
        let mut book = lock(&self.0);
        let book = &mut *book;
        let Some(line) = book.line(sequence) else {
            return;
        };
        line.status = Some(status);
        let task = line.what.task_id.clone().filter(|_| line.what.is_report);
        if let Some(task) = task
            && let Some(reports) = book.reports.get_mut(&task)
            && let Some(report) = reports.iter_mut().rev().find(|report| report.sequence == sequence)
        {
            report.status = Some(status);
        }
    }

    /// The entries that match a filter, in order.
    pub(crate) fn entries(&self, filter: &Filter) -> Vec<Entry> {
        self.page(filter, usize::MAX).1
    }

    /// The entries that match a filter, in order, and their total number without limit and offset.
    pub(crate) fn page(&self, filter: &Filter, default_limit: usize) -> (usize, Vec<Entry>) {
        let (limit, offset) = (filter.limit.unwrap_or(default_limit), filter.offset.unwrap_or(0));
        let book = lock(&self.0);
        let mut count = 0;
        let mut page = Vec::new();
        for line in book.lines.iter().filter(|line| filter.admits(line)) {
            if count >= offset && page.len() < limit {
                page.push(line.entry());
            }
            count += 1;
        }
        (count, page)
    }

    /// The reports on a task, in the order of handling.
    pub(crate) fn reports(&self, task: &str) -> Vec<Report> {
        lock(&self.0).reports.get(task).map(|reports| reports.iter().cloned().collect()).unwrap_or_default()
    }

    /// How many entries were dropped for lack of space.
    pub(crate) fn dropped(&self) -> u64 {
        lock(&self.0).dropped
    }

    /// Removes all entries and reports. Sequence numbers continue.
    pub(crate) fn clear(&self) {
        let mut book = lock(&self.0);
        book.first += book.lines.len() as u64;
        book.first_body = book.first;
        book.lines.clear();
        book.dropped = 0;
        book.body_bytes = 0;
        book.reports.clear();
    }
}

impl Book {
    fn line(&mut self, sequence: u64) -> Option<&mut Line> {
        let index = usize::try_from(sequence.checked_sub(self.first)?).ok()?;
        self.lines.get_mut(index)
    }

    fn keep_body(&mut self, sequence: u64, body: &[u8]) {
        // A copy: the body may be a slice of a larger read buffer, which would be kept alive as well.
        let Some(line) = self.line(sequence) else {
            return;
        };
        line.body = Some(Bytes::copy_from_slice(body));
        self.body_bytes += body.len();
        while self.body_bytes > self.most_body_bytes && self.first_body <= sequence {
            let oldest = self.first_body;
            let freed = self.line(oldest).and_then(|line| line.body.take()).map_or(0, |body| body.len());
            self.body_bytes -= freed;
            self.first_body += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrival(path: &str, task: Option<&str>) -> Arrival {
        Arrival {
            time: Timestamp::UNIX_EPOCH,
            method: "PATCH".into(),
            path: path.into(),
            query: None,
            app_id: None,
            task_id: task.map(str::to_owned),
            is_report: task.is_some(),
            faults: Vec::new(),
        }
    }

    #[test]
    fn oldest_entries_are_dropped_and_counted() {
        let ledger = Ledger::new(2, 1_000);
        for path in ["/1", "/2", "/3"] {
            ledger.arrived(arrival(path, None));
        }
        ledger.handled(1, Some(200), None);
        ledger.answered(3, 201);
        let entries = ledger.entries(&Filter::default());
        assert_eq!(
            entries.iter().map(|e| (e.sequence, e.path.as_str(), e.status)).collect::<Vec<_>>(),
            [(2, "/2", None), (3, "/3", Some(201))]
        );
        assert_eq!(ledger.dropped(), 1);
    }

    #[test]
    fn oldest_bodies_are_dropped_before_their_entries() {
        let ledger = Ledger::new(10, 10);
        for n in 1..=3 {
            let sequence = ledger.arrived(arrival("/", None));
            assert_eq!(sequence, n);
            ledger.handled(sequence, Some(200), Some(&Bytes::from_static(b"[1,2]")));
        }
        let kept: Vec<bool> = ledger.entries(&Filter::default()).iter().map(|e| e.body.is_some()).collect();
        assert_eq!(kept, [false, true, true]);
    }

    #[test]
    fn cleared_ledger_keeps_counting_and_ignores_old_entries() {
        let ledger = Ledger::new(10, 10);
        let forgotten = ledger.arrived(arrival("/", Some("t")));
        ledger.clear();
        ledger.handled(forgotten, Some(200), None);
        ledger.answered(forgotten, 200);
        assert_eq!(ledger.arrived(arrival("/", None)), forgotten + 1);
        assert_eq!(ledger.reports("t"), []);
        assert_eq!(ledger.entries(&Filter::default()).len(), 1);
    }
}
