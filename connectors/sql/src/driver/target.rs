//! Opens connections.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bridgehead_sdk::{Network, SettingsError, Setup};

use super::session::Session;
use super::{mysql, postgres, sqlite, trust};
use crate::fault::Fault;
use crate::settings::{Engine, Settings};

/// The maximum of all time limits.
const LONGEST: Duration = Duration::from_secs(3600);

/// The address of the database, and bridgehead's login. It has no `Debug`, because it contains the password.
pub(crate) struct Target {
    pub(crate) engine: Engine,
    pub(super) place: Place,
    pub(super) database: Option<String>,
    pub(super) user: String,
    pub(super) password: Option<String>,
    /// Whether the connection must be encrypted.
    pub(super) tls: bool,
    pub(super) network: Network,
    pub(crate) connect_timeout: Duration,
    pub(crate) statement_timeout: Duration,
}

/// The address of the database.
pub(super) enum Place {
    Server { host: String, port: u16 },
    Socket { path: String, port: u16 },
    File(PathBuf),
}

impl Target {
    /// Checks the settings of the connection. Does not connect.
    pub(crate) fn build(settings: &Settings, setup: &Setup) -> Result<Self, SettingsError> {
        let place = place(settings, setup)?;
        let is_here = match &place {
            Place::Server { host, .. } => is_loopback(host),
            Place::Socket { .. } | Place::File(_) => true,
        };
        if settings.tls == Some(true) && !matches!(place, Place::Server { .. }) {
            return Err(SettingsError::new("tls", "only applies to a server that is reached by host"));
        }
        if settings.engine != Engine::Sqlite {
            for (key, value) in [("user", &settings.user), ("database", &settings.database)] {
                if value.as_ref().is_none_or(String::is_empty) {
                    return Err(SettingsError::new(key, "is missing"));
                }
            }
        }
        setup.network.certificates()?;
        Ok(Self {
            engine: settings.engine,
            place,
            database: settings.database.clone(),
            user: settings.user.clone().unwrap_or_default(),
            password: settings.password.clone(),
            tls: settings.tls.unwrap_or(!is_here),
            network: setup.network.clone(),
            connect_timeout: duration("connect_timeout", settings.connect_timeout)?,
            statement_timeout: duration("statement_timeout", settings.statement_timeout)?,
        })
    }

    /// Opens a connection.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Session>, Fault> {
        let connected = async {
            let roots = if self.tls { trust::roots(&self.network).await? } else { Vec::new() };
            match self.engine {
                Engine::Postgresql => postgres::connect(self, roots).await,
                Engine::Mysql => mysql::connect(self, roots).await,
                Engine::Sqlite => sqlite::connect(self).await,
            }
        };
        tokio::time::timeout(self.connect_timeout, connected).await.unwrap_or_else(|_| {
            Err(Fault::Unreachable("it does not respond within connect_timeout".to_owned()))
        })
    }
}

fn place(settings: &Settings, setup: &Setup) -> Result<Place, SettingsError> {
    let Settings { engine, host, port, socket, path, .. } = settings;
    let title = engine.title();
    if *engine == Engine::Sqlite {
        for (key, is_there) in [
            ("host", host.is_some()),
            ("port", port.is_some()),
            ("socket", socket.is_some()),
            ("database", settings.database.is_some()),
            ("user", settings.user.is_some()),
            ("password", settings.password.is_some()),
            ("tls", settings.tls.is_some()),
        ] {
            if is_there {
                return Err(SettingsError::new(key, "does not apply to SQLite, whose database is a file"));
            }
        }
        return match path {
            Some(path) if !path.is_empty() => Ok(Place::File(setup.resolve(path))),
            _ => Err(SettingsError::new("path", "is missing: the file of the database")),
        };
    }
    if path.is_some() {
        return Err(SettingsError::new("path", format!("does not apply to {title}, which is a server")));
    }
    let port = port.unwrap_or(if *engine == Engine::Mysql { 3306 } else { 5432 });
    match (host, socket) {
        (Some(_), Some(_)) => {
            Err(SettingsError::new("socket", "conflicts with host; set only one of the two"))
        }
        (Some(host), None) if host.is_empty() || host.starts_with('/') => {
            Err(SettingsError::new("host", "must be a name or an address; set a path with socket"))
        }
        (Some(host), None) => Ok(Place::Server { host: host.clone(), port }),
        (None, Some(path)) if path.is_empty() => Err(SettingsError::new("socket", "must be a path")),
        (None, Some(path)) => Ok(Place::Socket { path: path.clone(), port }),
        (None, None) => Err(SettingsError::new("host", format!("is missing: the address of {title}"))),
    }
}

fn is_loopback(host: &str) -> bool {
    let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    address.map_or_else(|| host.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

/// A duration above zero and within the maximum.
pub(crate) fn duration(key: &str, duration: jiff::SignedDuration) -> Result<Duration, SettingsError> {
    match Duration::try_from(duration) {
        Ok(duration) if !duration.is_zero() && duration <= LONGEST => Ok(duration),
        _ => Err(SettingsError::new(key, "must be longer than zero and at most an hour, such as \"30s\"")),
    }
}
