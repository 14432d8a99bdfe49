//! The system itself. Here it is a JSON file: replace this with the calls of your system's API.
//!
//! Report failures precisely: whether anything was changed, whether a retry may help, and whether the cause is one account or the
//! connection to the system. For an HTTP API, start from `bridgehead_sdk::http::Client` (feature `http`), which handles most of that.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::{Code, Error, Retry, Subject};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The content of the file: records by id.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct State {
    /// The number of the next account: an id is never reused.
    pub(crate) next: u64,
    pub(crate) team: BTreeMap<String, Value>,
    pub(crate) account: BTreeMap<String, Value>,
}

/// The file. Clones refer to the same one.
#[derive(Clone)]
pub(crate) struct Target(Arc<File>);

struct File {
    path: PathBuf,
    /// Held while the file is read and rewritten.
    changing: Mutex<()>,
}

impl Target {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self(Arc::new(File {
            path,
            changing: Mutex::default(),
        }))
    }

    /// The current content of the file.
    pub(crate) async fn read(&self) -> Result<State, Error> {
        self.apart(File::read).await
    }

    /// Changes the file completely or, if `change` fails, not at all.
    pub(crate) async fn change<T: Send + 'static>(
        &self,
        change: impl FnOnce(&mut State) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.apart(|file| file.change(change)).await
    }

    /// Runs on a thread that may block on a disk. At its deadline a call is dropped, but the work continues to its end: nothing is left
    /// half done.
    async fn apart<T: Send + 'static>(
        &self,
        work: impl FnOnce(&File) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let file = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&file)).await {
            Ok(result) => result,
            Err(_) => Err(Error::new(
                Code::InternalError,
                "the connector panicked while working on the file",
            )),
        }
    }
}

impl File {
    fn read(&self) -> Result<State, Error> {
        let shown = self.path.display();
        let bytes = std::fs::read(&self.path).map_err(|error| match error.kind() {
            ErrorKind::PermissionDenied => {
                Error::credential_refused(format!("permission denied reading {shown}"))
                    .with_source(error)
            }
            // Never "not found": that would remove every account.
            _ => Error::unreachable(format!("{shown} cannot be read")).with_source(error),
        })?;
        serde_json::from_slice(&bytes).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            Error::incomplete_listing(format!("{shown} is damaged or truncated at {place}"))
        })
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> Result<T, Error>) -> Result<T, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut state = self.read()?;
        let answer = change(&mut state)?;
        let beside = self.path.with_extension("new");
        serde_json::to_vec_pretty(&state)
            .map_err(std::io::Error::from)
            .and_then(|bytes| std::fs::write(&beside, bytes))
            .and_then(|()| std::fs::rename(&beside, &self.path))
            .map_err(|error| {
                // The new file replaces the old one atomically: nothing was changed.
                Error::internal(format!("{} cannot be written", self.path.display()))
                    .with_retry(Retry::Backoff)
                    .with_subject(Subject::Connection)
                    .with_source(error)
            })?;
        Ok(answer)
    }
}
