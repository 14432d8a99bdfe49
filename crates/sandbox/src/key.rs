//! API keys: which exist, when they expire, and which apps each can access.

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use uuid::Uuid;

use super::clock::later;
use super::error::Error;
use super::lock::lock;
use super::refusal::Refusal;

/// The name of the key in [`Options::api_key`](super::Options::api_key).
pub(crate) const DEFAULT_KEY: &str = "default";

/// A key to add.
#[derive(Clone)]
pub struct NewKey {
    /// Its name in the control plane.
    pub name: String,
    /// The key itself: printable ASCII without spaces.
    pub key: String,
    /// The apps it has access to; all if absent.
    pub apps: Option<Vec<Uuid>>,
    /// How long it is valid; permanently if absent.
    pub expires_in: Option<Duration>,
}

impl std::fmt::Debug for NewKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewKey")
            .field("name", &self.name)
            .field("apps", &self.apps)
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

/// A key as the control plane lists it, without its value.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyStatus {
    /// Its name in the control plane.
    pub name: String,
    /// `valid`, `expired` or `revoked`.
    pub state: &'static str,
    /// When it expires, if ever.
    pub expires_at: Option<Timestamp>,
    /// Whether it has access to every app that is not in `denied`.
    pub all_apps: bool,
    /// Apps to which it was granted access individually.
    pub granted: Vec<Uuid>,
    /// Apps it has no access to, regardless of the other fields.
    pub denied: Vec<Uuid>,
}

struct Key {
    name: String,
    secret: String,
    expires_at: Option<Timestamp>,
    revoked: bool,
    all_apps: bool,
    granted: HashSet<Uuid>,
    denied: HashSet<Uuid>,
}

impl Key {
    fn permits(&self, app: Uuid) -> bool {
        !self.denied.contains(&app) && (self.all_apps || self.granted.contains(&app))
    }

    fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    fn status(&self, now: Timestamp) -> KeyStatus {
        let sorted = |apps: &HashSet<Uuid>| {
            let mut apps: Vec<Uuid> = apps.iter().copied().collect();
            apps.sort_unstable();
            apps
        };
        let state = match () {
            () if self.revoked => "revoked",
            () if self.has_expired(now) => "expired",
            () => "valid",
        };
        KeyStatus {
            name: self.name.clone(),
            state,
            expires_at: self.expires_at,
            all_apps: self.all_apps,
            granted: sorted(&self.granted),
            denied: sorted(&self.denied),
        }
    }
}

/// Every key of the sandbox.
pub(crate) struct Keys(Mutex<Vec<Key>>);

impl Keys {
    /// Creates the store with one key that has access to everything.
    pub(crate) fn new(default: String) -> Self {
        Self(Mutex::new(vec![Key {
            name: DEFAULT_KEY.to_owned(),
            secret: default,
            expires_at: None,
            revoked: false,
            all_apps: true,
            granted: HashSet::new(),
            denied: HashSet::new(),
        }]))
    }

    /// The name of the key in an `Authorization` header.
    pub(crate) fn authenticate(&self, header: Option<&[u8]>, now: Timestamp) -> Result<String, Refusal> {
        let Some(header) = header else {
            return Err(Refusal::unauthorised("Authentication credentials were not provided."));
        };
        let Some(secret) = header.strip_prefix(b"Api-Key ") else {
            return Err(Refusal::unauthorised(
                "The Authorization header must have the form 'Api-Key <key>'.",
            ));
        };
        let keys = lock(&self.0);
        let Some(key) = keys.iter().find(|key| key.secret.as_bytes() == secret) else {
            return Err(Refusal::unauthorised("Invalid API key."));
        };
        if key.revoked {
            return Err(Refusal::unauthorised("This API key has been revoked."));
        }
        if key.has_expired(now) {
            return Err(Refusal::unauthorised("This API key has expired."));
        }
        Ok(key.name.clone())
    }

    /// Whether a key has access to an app.
    pub(crate) fn permits(&self, name: &str, app: Uuid) -> bool {
        lock(&self.0).iter().any(|key| key.name == name && key.permits(app))
    }

    pub(crate) fn add(&self, new: NewKey, now: Timestamp) -> Result<(), Error> {
        check_secret(&new.key)?;
        let mut keys = lock(&self.0);
        if keys.iter().any(|key| key.name == new.name || key.secret == new.key) {
            return Err(Error::KeyExists(new.name));
        }
        keys.push(Key {
            name: new.name,
            secret: new.key,
            expires_at: new.expires_in.map(|by| later(now, by)),
            revoked: false,
            all_apps: new.apps.is_none(),
            granted: new.apps.unwrap_or_default().into_iter().collect(),
            denied: HashSet::new(),
        });
        Ok(())
    }

    pub(crate) fn revoke(&self, name: &str) -> Result<(), Error> {
        self.change(name, |key| key.revoked = true)
    }

    pub(crate) fn expire(&self, name: &str, at: Timestamp) -> Result<(), Error> {
        self.change(name, |key| key.expires_at = Some(at))
    }

    /// Grants access to an app, even if it was denied before.
    pub(crate) fn grant(&self, name: &str, app: Uuid) -> Result<(), Error> {
        self.change(name, |key| {
            key.denied.remove(&app);
            key.granted.insert(app);
        })
    }

    pub(crate) fn deny(&self, name: &str, app: Uuid) -> Result<(), Error> {
        self.change(name, |key| {
            key.granted.remove(&app);
            key.denied.insert(app);
        })
    }

    pub(crate) fn list(&self, now: Timestamp) -> Vec<KeyStatus> {
        lock(&self.0).iter().map(|key| key.status(now)).collect()
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut Key)) -> Result<(), Error> {
        let mut keys = lock(&self.0);
        let key =
            keys.iter_mut().find(|key| key.name == name).ok_or_else(|| Error::UnknownKey(name.to_owned()))?;
        change(key);
        Ok(())
    }
}

/// Rejects keys that cannot be part of a header.
pub(crate) fn check_secret(secret: &str) -> Result<(), Error> {
    let fine = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
    if fine { Ok(()) } else { Err(Error::ApiKey) }
}
