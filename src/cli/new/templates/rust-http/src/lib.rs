//! Connects @@name@@ to Iden.
//!
//! [`factory`] is passed to the daemon's registry. `settings` has the keys for operators, `api` the calls of the target's API, and
//! `connector` executes Iden's tasks and syncs. Start with `api`.

mod api;
mod connector;
mod settings;

use std::sync::Arc;

use bridgehead_sdk::{Factory, factory as make};

pub use settings::Settings;

/// Creates the connector from an app's `target` table.
pub fn factory() -> Arc<dyn Factory> {
    make(|settings: Settings, setup| connector::Connector::new(&settings, setup))
}
