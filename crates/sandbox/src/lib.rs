//! A strict emulator of the Iden Bridge API, for tests, for `bridgehead demo` and for connector authors.
//!
//! It serves the Bridge API under `/org/{tenant}/api/v1/bridge/` and a control plane under `/sandbox/v1/`, which adds tasks, shows records
//! and reports, and makes requests fail on purpose. The sandbox enforces every rule of the Bridge documentation with the documented status
//! and text; where the documentation is silent, it is strict, and `docs/sandbox.md` describes how.
//!
//! Everything that the control plane does over HTTP is also a method of [`Sandbox`], for tests in the same process. Nothing is stored on
//! disk: dropping the value removes everything.
//!
//! ```no_run
//! # async fn example() -> Result<(), bridgehead_sandbox::Error> {
//! use bridgehead_sandbox::{Effect, Fault, Loss, Options, Sandbox};
//!
//! let sandbox = Sandbox::start(Options::default()).await?;
//! let app = uuid::Uuid::new_v4();
//! sandbox.add_app(app, "HR");
//! let task = sandbox.add_task(app, serde_json::json!({"action": "suspend_account"}));
//! // The first report takes effect, and its response is lost.
//! sandbox.add_fault(Fault::new(Effect::Lose(Loss::Cut)).method("PATCH").path("**/status/").times(1));
//! println!("{} {}", sandbox.base_url(), sandbox.reports(&task).len());
//! sandbox.stop().await;
//! # Ok(())
//! # }
//! ```

#![allow(rustdoc::private_intra_doc_links, reason = "a module's page leads through its private parts too")]

mod api;
mod clock;
mod control;
mod error;
mod fault;
mod front;
mod handle;
mod key;
mod ledger;
mod lock;
mod options;
mod paging;
mod refusal;
mod schema;
mod server;
mod settings;
mod state;
mod store;
#[cfg(test)]
mod tests;

pub use error::Error;
pub use fault::{Canned, Effect, Fault, FaultId, FaultStatus, Loss, PathPattern, Times};
pub use key::{KeyStatus, NewKey};
pub use ledger::{Entry, Filter, Report};
pub use options::Options;
pub use server::{Sandbox, run_until};
pub use settings::{Cleanup, ListShape, Settings, TaskOrder};
pub use store::{AppStats, TypeStats};
