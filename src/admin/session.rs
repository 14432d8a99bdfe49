//! Sessions on the page: they start with the token, and exist only in memory.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::Instant;
use uuid::Uuid;

/// How long a session lasts.
const LASTS: Duration = Duration::from_hours(8);
/// How long it may be idle.
const IDLE: Duration = Duration::from_hours(1);
/// The maximum number of sessions; the oldest is dropped.
const SESSIONS: usize = 32;
/// The maximum number of open forms of a session; the oldest is dropped.
const FORMS: usize = 128;
/// How long a wrong token blocks further attempts.
const PENALTY: Duration = Duration::from_secs(1);

/// The result of an attempt to sign in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SignIn {
    /// The value of the cookie.
    Welcome(String),
    /// The token is wrong.
    Wrong,
    /// Another attempt is in progress.
    Busy,
}

/// Access to the page: a reload replaces the token, which ends every session that started with a different one.
#[derive(Clone, Debug)]
pub(crate) struct Access(Arc<RwLock<Option<Arc<Sessions>>>>);

impl Access {
    pub(crate) fn new(token: Option<SecretString>) -> Self {
        Self(Arc::new(RwLock::new(token.map(Sessions::new).map(Arc::new))))
    }

    /// Sets the token that starts sessions; without one, signing in is disabled.
    pub(crate) fn set(&self, token: Option<SecretString>) {
        let mut sessions = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let before = sessions.as_ref().map(|sessions| sessions.token.expose_secret());
        if before != token.as_ref().map(ExposeSecret::expose_secret) {
            *sessions = token.map(Sessions::new).map(Arc::new);
        }
    }

    /// The sessions of the token; without a token, the page is read-only and shows no names.
    pub(super) fn sessions(&self) -> Option<Arc<Sessions>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The sessions, and the token that starts one.
pub(crate) struct Sessions {
    token: SecretString,
    open: Mutex<VecDeque<Session>>,
    /// Held during an attempt, so that concurrent requests do not speed up guessing.
    gate: tokio::sync::Mutex<()>,
}

struct Session {
    id: String,
    began: Instant,
    used: Instant,
    /// The tokens of open forms, each with its path.
    forms: VecDeque<(String, String)>,
}

impl Sessions {
    pub(super) fn new(token: SecretString) -> Self {
        Self { token, open: Mutex::default(), gate: tokio::sync::Mutex::default() }
    }

    /// Starts a session if the token is correct.
    pub(super) async fn sign_in(&self, token: &str) -> SignIn {
        let Ok(_gate) = self.gate.try_lock() else { return SignIn::Busy };
        if !is_same(token.trim(), self.token.expose_secret()) {
            tokio::time::sleep(PENALTY).await;
            return SignIn::Wrong;
        }
        let (id, now) = (unguessable(), Instant::now());
        let session = Session { id: id.clone(), began: now, used: now, forms: VecDeque::new() };
        let mut open = self.open();
        while open.len() >= SESSIONS {
            open.pop_front();
        }
        open.push_back(session);
        SignIn::Welcome(id)
    }

    /// Whether a cookie belongs to a session; keeps that session alive.
    pub(super) fn knows(&self, id: &str) -> bool {
        self.with(id, |_| ()).is_some()
    }

    /// Ends a session.
    pub(super) fn sign_out(&self, id: &str) {
        self.open().retain(|session| !is_same(id, &session.id));
    }

    /// A token for one form, valid once and only for this path. `None` if the session does not exist.
    pub(super) fn form(&self, id: &str, path: &str) -> Option<String> {
        self.with(id, |session| {
            let token = unguessable();
            while session.forms.len() >= FORMS {
                session.forms.pop_front();
            }
            session.forms.push_back((token.clone(), path.to_owned()));
            token
        })
    }

    /// Redeems a form token. Returns whether it was issued in this session for this path, and not used yet.
    pub(super) fn redeem(&self, id: &str, path: &str, token: &str) -> bool {
        let redeemed = self.with(id, |session| {
            let found = session.forms.iter().position(|(form, of)| is_same(form, token) && of == path);
            found.and_then(|place| session.forms.remove(place)).is_some()
        });
        redeemed.unwrap_or(false)
    }

    fn with<T>(&self, id: &str, work: impl FnOnce(&mut Session) -> T) -> Option<T> {
        let now = Instant::now();
        let mut open = self.open();
        open.retain(|session| now < session.began + LASTS && now < session.used + IDLE);
        let session = open.iter_mut().find(|session| is_same(id, &session.id))?;
        session.used = now;
        Some(work(session))
    }

    fn open(&self) -> MutexGuard<'_, VecDeque<Session>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Sessions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sessions").field("open", &self.open().len()).finish_non_exhaustive()
    }
}

/// 244 random bits.
fn unguessable() -> String {
    format!("{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple())
}

/// Compares in constant time, which does not reveal where two strings of the same length differ.
fn is_same(one: &str, other: &str) -> bool {
    let differing =
        one.bytes().zip(other.bytes()).fold(0, |differing, (one, other)| differing | (one ^ other));
    std::hint::black_box(differing) == 0 && one.len() == other.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sessions() -> Sessions {
        Sessions::new(SecretString::from("a-token-of-the-tests"))
    }

    async fn signed_in(sessions: &Sessions) -> String {
        match sessions.sign_in("a-token-of-the-tests").await {
            SignIn::Welcome(id) => id,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_token_signs_in_and_wrong_tokens_are_delayed() {
        let sessions = sessions();
        for wrong in ["", "a-token-of-the-test", "a-token-of-the-tests2", "A-token-of-the-tests"] {
            let before = Instant::now();
            assert_eq!(sessions.sign_in(wrong).await, SignIn::Wrong, "{wrong}");
            assert!(before.elapsed() >= PENALTY);
        }
        let (one, two) = tokio::join!(sessions.sign_in("x"), sessions.sign_in("a-token-of-the-tests"));
        assert_eq!((one, two), (SignIn::Wrong, SignIn::Busy), "nobody guesses at twice the speed");
        let (one, other) = (signed_in(&sessions).await, signed_in(&sessions).await);
        assert!(one != other && one.len() == 64 && sessions.knows(&one) && sessions.knows(&other));
        sessions.sign_out(&one);
        assert!(!sessions.knows(&one) && sessions.knows(&other) && !sessions.knows(""));
    }

    #[tokio::test(start_paused = true)]
    async fn session_ends_when_idle_or_at_its_maximum_age() {
        let sessions = sessions();
        let (idle, busy) = (signed_in(&sessions).await, signed_in(&sessions).await);
        for minutes in 1..480 {
            tokio::time::advance(Duration::from_mins(1)).await;
            assert!(sessions.knows(&busy), "after {minutes} minutes");
        }
        assert!(!sessions.knows(&idle));
        tokio::time::advance(Duration::from_mins(1)).await;
        assert!(!sessions.knows(&busy));
    }

    #[tokio::test(start_paused = true)]
    async fn form_token_is_valid_once_per_session_and_path() {
        let sessions = sessions();
        let (mine, other) = (signed_in(&sessions).await, signed_in(&sessions).await);
        let form = sessions.form(&mine, "/a").unwrap();
        assert!(!sessions.redeem(&other, "/a", &form) && !sessions.redeem(&mine, "/b", &form));
        assert!(!sessions.redeem(&mine, "/a", "") && !sessions.redeem("", "/a", &form));
        assert!(sessions.redeem(&mine, "/a", &form));
        assert!(!sessions.redeem(&mine, "/a", &form), "twice");
        assert_eq!(sessions.form("nobody", "/a"), None);
        let first = sessions.form(&mine, "/a").unwrap();
        for _ in 0..FORMS {
            sessions.form(&mine, "/a").unwrap();
        }
        assert!(!sessions.redeem(&mine, "/a", &first), "they do not grow without end");
    }

    #[tokio::test(start_paused = true)]
    async fn changed_token_ends_existing_sessions() {
        let access = Access::new(Some(SecretString::from("a-token-of-the-tests")));
        let before = access.sessions().unwrap();
        let session = signed_in(&before).await;
        access.set(Some(SecretString::from("a-token-of-the-tests")));
        assert!(access.sessions().unwrap().knows(&session));
        access.set(Some(SecretString::from("another-token-of-the-tests")));
        let after = access.sessions().unwrap();
        assert!(!after.knows(&session));
        assert_eq!(after.sign_in("a-token-of-the-tests").await, SignIn::Wrong);
        // An attempt that was in progress during the change is useless.
        let late = signed_in(&before).await;
        assert!(!after.knows(&late));
        access.set(None);
        assert!(access.sessions().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn sessions_are_limited_and_hidden_in_debug() {
        let sessions = sessions();
        let first = signed_in(&sessions).await;
        for _ in 0..SESSIONS {
            signed_in(&sessions).await;
        }
        assert!(!sessions.knows(&first));
        assert_eq!(format!("{sessions:?}"), format!("Sessions {{ open: {SESSIONS}, .. }}"));
    }
}
