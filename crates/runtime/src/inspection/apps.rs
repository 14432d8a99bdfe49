//! The apps that the API key can access.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use bridgehead_bridge::App;

/// An app in Iden.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppRow {
    /// The identifier.
    pub id: String,
    /// The display name.
    pub name: String,
    /// How far its setup in Iden has progressed.
    pub configuration_status: Option<String>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// When the last sync was completed.
    pub last_synced_at: Option<Timestamp>,
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
