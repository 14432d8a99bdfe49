//! The file, which is read and replaced as a whole.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bridgehead_sdk::serde::{Deserialize, Serialize};
use bridgehead_sdk::{Effect, Error, Retry, Subject, serde_json};

/// The contents of the file.
#[derive(Default, Serialize, Deserialize)]
#[serde(crate = "bridgehead_sdk::serde", deny_unknown_fields)]
pub(crate) struct People {
    /// The number of the last account, so that no identifier is assigned twice.
    pub(crate) last: u64,
    /// The accounts by identifier.
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

    /// Reads the current contents of the file. Reading changes nothing, and if it fails, all tasks of the app are held: that is the meaning
    /// of the subject "connection".
    pub(crate) fn read(&self) -> Result<People, Error> {
        let text = std::fs::read(&self.path)
            .map_err(|error| Error::unreachable("the file of people cannot be read").with_source(error))?;
        // A truncated file is not valid JSON: `?` says where it ends, and includes nothing of its contents.
        serde_json::from_slice(&text)
            .map_err(|error| Error::from(error).with_effect(Effect::NotApplied).with_retry(Retry::Backoff))
    }

    /// Changes the contents of the file, completely or not at all.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut People) -> Result<T, Error>) -> Result<T, Error> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut people = self.read()?;
        let answer = change(&mut people)?;
        // The old file stays until the new one replaces it atomically, so a failure has certainly changed nothing.
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
