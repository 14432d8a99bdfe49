//! Connects @@name@@ to Iden.
//!
//! [`factory`] is what the daemon's registry is given. `settings` is what an operator may write, `api` the calls of the target's
//! API, and `connector` what Iden's tasks and syncs come to. Begin with `api`.

mod api;
mod connector;
mod settings;

use std::sync::Arc;

use bridgehead_sdk::{Factory, factory as make};

pub use settings::Settings;

/// Makes the connector out of an app's `target` table.
pub fn factory() -> Arc<dyn Factory> {
    make(|settings: Settings, setup| connector::Connector::new(&settings, setup))
}
