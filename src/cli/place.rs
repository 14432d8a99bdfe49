//! The location of the state: the state folder, or the database of `state.url`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use secrecy::ExposeSecret;

use super::context::Context;
use super::failure::{Exit, Failure};
use bridgehead_store::lease::{LEASE, Terms};
use bridgehead_store::postgres::{Address, Postgres, Settings, system_authorities};
use bridgehead_store::{AppKey, Error, Sqlite, StateStore};

/// The state in either location.
pub(crate) type State = Arc<dyn StateStore>;

/// See the module. Both variants use the folder, for the control socket, the lock and the audit log.
#[derive(Debug)]
pub(crate) enum Place {
    Folder(PathBuf),
    Database(Box<Settings>),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(folder) => folder.display().fmt(f),
            Self::Database(settings) => write!(f, "the database {}", settings.address),
        }
    }
}

impl Context {
    /// The location of the state. The URL is read now, so that a missing one is reported immediately.
    pub(crate) fn place(&self) -> Result<Place, Failure> {
        let state = &self.config.state;
        match self.state_database()? {
            None => Ok(Place::Folder(state.path.clone())),
            Some(settings) => Ok(Place::Database(Box::new(settings))),
        }
    }

    /// The database of `state.url`, if it is set.
    pub(crate) fn state_database(&self) -> Result<Option<Settings>, Failure> {
        let state = &self.config.state;
        let Some(secret) = &state.url else { return Ok(None) };
        let wrong = |problem: String| Failure::new(Exit::Configuration, format!("state.url: {problem}"));
        let url = secret.read(&self.environment).map_err(|error| wrong(error.to_string()))?;
        let url = url.expose_secret();
        self.redactor.protect_for_good([url]);
        // The password alone must not be shown either, neither encoded nor decoded.
        if let Some(password) = url::Url::parse(url).ok().and_then(|url| url.password().map(str::to_owned)) {
            let meant = percent_encoding::percent_decode_str(&password).decode_utf8_lossy().into_owned();
            self.redactor.protect_for_good([password.as_str(), meant.as_str()]);
        }
        let mut roots = self.network()?.authorities.to_vec();
        roots.push(b'\n');
        roots.extend(system_authorities());
        let address = Address::parse(url, roots).map_err(|error| wrong(error.to_string()))?;
        let longest = self.config.apps.values().map(|app| app.tasks.timeout).max().unwrap_or_default();
        Ok(Some(Settings {
            address,
            node: self.node(),
            terms: Terms { lease: state.lease.unwrap_or(LEASE), longest_call: longest },
            folder: Some(state.path.clone()),
        }))
    }

    /// The name of this node.
    pub(crate) fn node(&self) -> String {
        let named = self.config.state.node.clone();
        named.unwrap_or_else(|| {
            let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
            if name.is_empty() { "unnamed".to_owned() } else { name }
        })
    }
}

fn shared(state: impl StateStore + 'static) -> State {
    Arc::new(state)
}

impl Place {
    /// The configuration key that sets it.
    pub(crate) fn key(&self) -> &'static str {
        match self {
            Self::Folder(_) => "state.path",
            Self::Database(_) => "state.url",
        }
    }

    /// Opens the state read-only, next to a daemon that may be running. `None` if there is none, or if it cannot be read as it is.
    pub(crate) async fn read_only(&self) -> Result<Option<State>, Error> {
        Ok(match self {
            Self::Folder(folder) => Sqlite::read_only(folder).await?.map(shared),
            Self::Database(settings) => Postgres::read_only(settings).await?.map(shared),
        })
    }

    /// Opens the state for a command that is useless without state and changes that of these apps. `None` if there is none.
    pub(crate) async fn open_existing(&self, apps: &[AppKey]) -> Result<Option<State>, Error> {
        Ok(match self {
            Self::Folder(folder) => Sqlite::open_existing(folder).await?.map(shared),
            Self::Database(settings) => Postgres::open_existing(settings, apps).await?.map(shared),
        })
    }

    /// Opens the state for a command that changes that of these apps, and creates it if necessary.
    pub(crate) async fn open_to_help(&self, apps: &[AppKey]) -> Result<State, Error> {
        Ok(match self {
            Self::Folder(folder) => shared(Sqlite::open_to_help(folder).await?),
            Self::Database(settings) => shared(Postgres::open_to_help(settings, apps).await?),
        })
    }

    /// A private copy of the snapshots, with an empty journal.
    pub(crate) async fn rehearsal(&self) -> Result<State, Error> {
        Ok(match self {
            Self::Folder(folder) => shared(Sqlite::rehearsal(folder).await?),
            Self::Database(settings) => shared(Postgres::rehearsal(settings).await?),
        })
    }
}

/// The path of the control socket's folder, for messages.
pub(crate) fn folder(context: &Context) -> &Path {
    &context.config.state.path
}
