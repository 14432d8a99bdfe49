//! Connects @@name@@ to Iden.
//!
//! [`factory`] is what the daemon's registry is given. `settings` is what an operator may write, `connector` what Iden's
//! tasks come to, and `target` the system itself: begin there, and replace the file by your system's API.

mod connector;
mod settings;
mod target;

use std::sync::Arc;

use bridgehead_sdk::{Factory, factory as make};

pub use settings::Settings;

/// Makes the connector out of an app's `target` table.
pub fn factory() -> Arc<dyn Factory> {
    make(|settings: Settings, setup| connector::Connector::new(&settings, &setup))
}
