//! What an operator looks at: tasks, the apps of the key, and whether everything works. Nothing here changes anything.
//!
//! A running daemon answers with its own credentials, over the control socket. While none runs, a command asks in the same way with
//! those that it has itself. What is handed out goes by pages, so that it does not grow with the number of tasks, and has passed
//! through the redactor.

mod apps;
mod checks;
mod daemon;
mod finding;
mod listing;
mod row;
mod source;
mod story;

pub use apps::AppRow;
pub use checks::{CheckedApp, check_app, check_bridge};
pub use finding::{Finding, Verdict};
pub use listing::{Listing, ListingEnd, Which};
pub use row::TaskRow;
pub use source::{Error, Source};
pub(crate) use story::report_name;
pub use story::{Live, Standing, TaskStory, story};
