//! The apps that the key has access to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::bridge::App;

/// An app in Iden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AppRow {
    /// Its identifier.
    pub(crate) id: String,
    /// What people read.
    pub(crate) name: String,
    /// How far it is set up in Iden.
    pub(crate) configuration_status: Option<String>,
    /// When it was made.
    pub(crate) created_at: Option<Timestamp>,
    /// When the last sync was completed.
    pub(crate) last_synced_at: Option<Timestamp>,
}

impl From<&App> for AppRow {
    fn from(app: &App) -> Self {
        Self {
            id: app.id.to_string(),
            name: app.name.clone(),
            configuration_status: app.configuration_status.clone(),
            created_at: app.created_at,
            last_synced_at: app.last_synced_at,
        }
    }
}
