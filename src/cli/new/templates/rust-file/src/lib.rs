//! Connects @@name@@ to Iden.
//!
//! [`factory`] is passed to the daemon's registry. `settings` has the keys for operators, `connector` executes Iden's tasks and syncs, and
//! `target` is the system itself: start there, and replace the file with your system's API.

mod connector;
mod settings;
mod target;

use std::sync::Arc;

use bridgehead_sdk::{Factory, factory as make};

pub use settings::Settings;

/// Creates the connector from an app's `target` table.
pub fn factory() -> Arc<dyn Factory> {
    make(|settings: Settings, setup| connector::Connector::new(&settings, &setup))
}
