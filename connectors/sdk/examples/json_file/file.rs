//! The file: read as a whole, and replaced as a whole.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::serde::{Deserialize, Serialize};
use bridgehead_sdk::{Effect, Error, Retry, Subject, serde_json};

/// What the file holds.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "bridgehead_sdk::serde", deny_unknown_fields)]
pub(crate) struct People {
    /// The number of the last account: an identifier is never given twice.
    pub(crate) last: u64,
    /// By identifier.
    pub(crate) accounts: BTreeMap<String, Person>,
}

/// One account.
#[derive(Clone, Default, Serialize, Deserialize)]
#[serde(crate = "bridgehead_sdk::serde", deny_unknown_fields)]
pub(crate) struct Person {
    pub(crate) login: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) mail: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default)]
    pub(crate) is_suspended: bool,
}

pub(crate) struct File {
    path: PathBuf,
    /// Held while the file is read and replaced.
    changing: Mutex<()>,
}

impl File {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, changing: Mutex::default() }
    }

    /// What the file holds now. Reading changes nothing, and one that fails holds back all of the target's tasks: that is what "connection"
    /// means.
    pub(crate) fn read(&self) -> Result<People, Error> {
        let text = std::fs::read(&self.path)
            .map_err(|error| Error::unreachable("the file of people cannot be read").with_source(error))?;
        // A file that is truncated is not JSON: `?` says where it ends, and nothing of what stands in it.
        serde_json::from_slice(&text)
            .map_err(|error| Error::from(error).with_effect(Effect::NotApplied).with_retry(Retry::Backoff))
    }

    /// Changes what the file holds, all of it or nothing.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut People) -> Result<T, Error>) -> Result<T, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut people = self.read()?;
        let answer = change(&mut people)?;
        // The old file stands until the new one takes its place in one step, so a failure has changed nothing for certain.
        self.replace(&people).map_err(|error| {
            error.with_effect(Effect::NotApplied).with_retry(Retry::Backoff).with_subject(Subject::Connection)
        })?;
        Ok(answer)
    }

    fn replace(&self, people: &People) -> Result<(), Error> {
        let beside = self.path.with_extension("new");
        let mut new = std::fs::File::create(&beside)?;
        new.write_all(&serde_json::to_vec_pretty(people)?)?;
        new.sync_all()?;
        Ok(std::fs::rename(&beside, &self.path)?)
    }
}
