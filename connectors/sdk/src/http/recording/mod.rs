//! Records HTTP exchanges with a real target in a file once, and replays them from that file in tests.
//!
//! The connector is built as usual, with a [`Network`](crate::Network) that contains a [`Recording`]; it need not know about it. With
//! `BRIDGEHEAD_RECORD=1` requests are sent to the target and the file is written; without it the responses come from the file, and no
//! connection is made.
//!
//! ```no_run
//! use bridgehead_sdk::{Network, http::Recording};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let recording = Recording::open("tests/recordings/list.json")?;
//! let network = Network::default().with_recording(&recording);
//! // Build the connector with `network`, call it, and check what it returns. Then:
//! recording.finish()?;
//! # Ok(())
//! # }
//! ```
//!
//! Secrets are never written to the file: no credential of a request, no cookie, no value of a field or parameter whose name indicates a
//! secret, and nothing that was [protected](Recording::protect), in any encoding that the [`Redactor`] knows. On replay, a request is
//! redacted in the same way before it is looked up, so a test may use a different password than the recording.

mod clean;
mod exchange;
mod file;
mod shown;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::Request;

use self::clean::Cleaner;
use self::exchange::{Asked, Exchange};
pub(super) use self::shown::Shown;
use super::Answer;
use crate::{Error, Redactor};

/// Set to `1` to record again.
const VARIABLE: &str = "BRIDGEHEAD_RECORD";

/// A file of exchanges that is being recorded or replayed. Clones share it.
#[derive(Clone)]
pub struct Recording(Arc<Inner>);

struct Inner {
    path: PathBuf,
    mode: Mode,
    redactor: Redactor,
    state: Mutex<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Record,
    Replay,
}

#[derive(Default)]
struct State {
    exchanges: Vec<Exchange>,
    /// For each exchange, whether it has been replayed.
    played: Vec<bool>,
    /// The first failure: why the file could not be written, or which request has no recorded response.
    failure: Option<String>,
}

/// Why a recording is not usable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordingError {
    /// The file does not exist yet.
    #[error("{path} does not exist: record it once with {VARIABLE}=1 and the real target")]
    Missing {
        /// The expected path.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("{path} cannot be read: {source}")]
    Unreadable {
        /// The path of the file.
        path: PathBuf,
        /// The error of the operating system.
        source: std::io::Error,
    },
    /// The file contains something else, or was written by another version.
    #[error("{path} is not a recording of this version ({problem}): record it again with {VARIABLE}=1")]
    Invalid {
        /// The path of the file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Something went wrong while the connector was called.
    #[error("{0}")]
    Failed(String),
    /// The connector made fewer requests than were recorded.
    #[error("the connector did not make {count} of the recorded requests; the first is {first}")]
    Unplayed {
        /// The number of missing requests.
        count: usize,
        /// The first one: method and address.
        first: String,
    },
}

impl Recording {
    /// Records to the file if `BRIDGEHEAD_RECORD` is `1`, otherwise replays it.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        if std::env::var_os(VARIABLE).is_some_and(|set| set == "1") {
            return Ok(Self::record(path));
        }
        Self::replay(path)
    }

    /// Records: requests are sent to the target, and the file is rewritten with each response.
    pub fn record(path: impl AsRef<Path>) -> Self {
        Self::new(path.as_ref(), Mode::Record, State::default())
    }

    /// Replays: the file provides the responses, each exchange once, and no connection is made.
    pub fn replay(path: impl AsRef<Path>) -> Result<Self, RecordingError> {
        let exchanges = file::read(path.as_ref())?;
        let played = vec![false; exchanges.len()];
        Ok(Self::new(path.as_ref(), Mode::Replay, State { exchanges, played, failure: None }))
    }

    fn new(path: &Path, mode: Mode, state: State) -> Self {
        let inner =
            Inner { path: path.to_owned(), mode, redactor: Redactor::new(), state: Mutex::new(state) };
        Self(Arc::new(inner))
    }

    /// Whether requests are sent to the real target.
    pub fn is_recording(&self) -> bool {
        self.0.mode == Mode::Record
    }

    /// Keeps additional secrets out of the file. Those that [`Credential`](super::Credential) sends are already known.
    pub fn protect<S: AsRef<str>>(&self, secrets: impl IntoIterator<Item = S>) {
        self.0.redactor.protect_for_good(secrets);
    }

    /// Checks that everything went as recorded: every exchange was requested, and no other; or, while recording, that
    /// the file could be written. Call it at the end of a test.
    pub fn finish(&self) -> Result<(), RecordingError> {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(failure) = &state.failure {
            return Err(RecordingError::Failed(failure.clone()));
        }
        let left = || state.exchanges.iter().zip(&state.played).filter(|(_, played)| !**played);
        match (self.0.mode, left().next()) {
            (Mode::Replay, Some((first, _))) => {
                Err(RecordingError::Unplayed { count: left().count(), first: first.request.to_string() })
            }
            _ => Ok(()),
        }
    }

    /// A request as it is stored in the file.
    pub(super) fn ask(&self, request: &Request) -> Asked {
        Asked::of(request, &Cleaner::new(&self.0.redactor))
    }

    /// Records the target's response. An error is kept for [`finish`](Self::finish): the connector still gets the response.
    pub(super) fn take(&self, asked: Asked, answer: &Answer) {
        let exchange = Exchange::of(asked, answer, &Cleaner::new(&self.0.redactor));
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.exchanges.push(exchange);
        if let Err(error) = file::write(&self.0.path, &state.exchanges) {
            state.failure.get_or_insert(format!("{} cannot be written: {error}", self.0.path.display()));
        }
    }

    /// The recorded response to a request, from the first matching exchange that was not replayed yet.
    pub(super) fn answer(&self, asked: &Asked, system: &Arc<str>, url: url::Url) -> Result<Answer, Error> {
        let mut state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { exchanges, played, failure } = &mut *state;
        let mut open =
            exchanges.iter().zip(played).filter(|(exchange, played)| !**played && exchange.request == *asked);
        if let Some((exchange, played)) = open.next() {
            *played = true;
            return exchange
                .answer(Arc::clone(system), url)
                .map_err(|problem| Error::internal(format!("{}: {problem}", self.0.path.display())));
        }
        let same = exchanges.iter().any(|exchange| exchange.request == *asked);
        let other = exchanges.iter().any(|exchange| exchange.request.is_same_but_for_the_body(asked));
        let why = match (same, other) {
            (true, _) => "this many times",
            (_, true) => "with this body",
            _ => "at all",
        };
        let path = self.0.path.display();
        let message = format!("{path}: {asked} was not recorded {why}; record it again with {VARIABLE}=1");
        failure.get_or_insert_with(|| message.clone());
        Err(Error::internal(message))
    }
}

impl PartialEq for Recording {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Recording {}

impl std::fmt::Debug for Recording {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recording")
            .field("path", &self.0.path)
            .field("mode", &self.0.mode)
            .finish_non_exhaustive()
    }
}
