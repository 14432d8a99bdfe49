//! Read-only views for operators: tasks, the apps of the API key, and checks. Nothing here makes changes.
//!
//! A running daemon responds with its own credentials, over the control socket. If none runs, a command does the same
//! with its own. Results are returned in pages, so that memory use does not grow with the number of tasks, and pass
//! through the redactor.

mod apps;
mod checks;
mod daemon;
mod events;
mod finding;
mod listing;
mod row;
mod source;
mod story;

pub use apps::AppRow;
pub use checks::{CheckedApp, check_app, check_bridge, check_clock};
pub use events::TaskEvent;
pub use finding::{Finding, Verdict};
pub use listing::{Listing, ListingEnd, Which};
pub use row::TaskRow;
pub(crate) use row::account_of;
pub use source::{Error, Source};
pub(crate) use story::report_name;
pub use story::{Live, Standing, TaskStory, story};
