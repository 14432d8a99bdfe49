//! What the running listings have shown and read so far.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bridgehead_sdk::{Cursor, Error};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The maximum number of listings at a time. When more are started, an unfinished one is dropped.
const MOST: usize = 32;

/// The listings of one type, and the data that is kept for each.
#[derive(Debug, Default)]
pub(crate) struct Listings<T>(Mutex<Kept<T>>);

#[derive(Debug, Default)]
struct Kept<T> {
    count: u64,
    listings: VecDeque<(u64, Arc<T>)>,
}

/// The contents of a cursor.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Mark<P> {
    pub(crate) listing: u64,
    pub(crate) place: P,
}

impl<T: Default> Listings<T> {
    /// Starts a listing.
    pub(crate) fn begin(&self) -> (u64, Arc<T>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.count += 1;
        let begun = (kept.count, Arc::new(T::default()));
        kept.listings.push_back(begun.clone());
        while kept.listings.len() > MOST {
            kept.listings.pop_front();
        }
        begun
    }

    /// The data of a listing that continues.
    pub(crate) fn of(&self, listing: u64) -> Result<Arc<T>, Error> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = kept.listings.iter().find(|(known, _)| *known == listing);
        found.map(|(_, kept)| Arc::clone(kept)).ok_or_else(|| {
            Error::incomplete_listing(
                "the data of the earlier listing has been discarded; the next sync starts over",
            )
        })
    }
}

impl<P: Serialize + DeserializeOwned> Mark<P> {
    /// Parses what [`Mark::cursor`] wrote.
    pub(crate) fn read(cursor: &Cursor) -> Result<Self, Error> {
        serde_json::from_str(cursor.as_str()).map_err(|_| {
            Error::incomplete_listing(
                "a listing was asked to continue from a cursor that does not belong \
                                       to this connector",
            )
        })
    }

    /// Serializes it as a cursor for the runtime.
    pub(crate) fn cursor(&self) -> Result<Cursor, Error> {
        let text = serde_json::to_string(self);
        text.map(Cursor::new)
            .map_err(|error| Error::incomplete_listing("a cursor cannot be written").with_source(error))
    }
}
