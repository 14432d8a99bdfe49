//! The data of each app: its resource types, records, sync sessions and tasks.

mod app;
mod page;
mod records;
mod sync;
mod tasks;

pub(crate) use app::{App, Apps, NewApp, no_app};
pub use app::{AppStats, TypeStats};
pub(crate) use page::parse_page;
pub(crate) use records::RecordFilter;
pub(crate) use tasks::{Draft, STATUSES, Status, draft};
