//! The servers of one directory. All work is done on one of them; if it fails, on the next one.
//!
//! Servers of a directory lag behind each other. A change that was made on one must not be looked up on another, so two
//! are never used at the same time, and no work returns to an earlier server while the current one responds. For a
//! while after a switch, changes may not have arrived on the new server.
//!
//! A server that does not accept changes, such as a replica that stood in for its provider, is set aside: it stays in
//! use until another one responds, and the others are tried first after that.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use url::Url;

/// The servers, and which of them is used.
#[derive(Debug)]
pub(crate) struct Servers {
    urls: Vec<Url>,
    wait: Duration,
    present: Mutex<Present>,
    /// The number of the choice whose server accepts no changes, plus one; 0 for none.
    set_aside: AtomicU64,
}

/// Which server is used. The number distinguishes connections of this choice from those of earlier ones.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Present {
    pub(crate) server: usize,
    pub(crate) number: u64,
    /// When it replaced another server.
    since: Option<Instant>,
}

impl Servers {
    pub(crate) fn new(urls: Vec<Url>, wait: Duration) -> Self {
        Self { urls, wait, present: Mutex::default(), set_aside: AtomicU64::new(0) }
    }

    pub(crate) fn url(&self, server: usize) -> &Url {
        &self.urls[server]
    }

    /// All servers, as messages name them.
    pub(crate) fn named(&self) -> String {
        self.urls.iter().map(Url::as_str).collect::<Vec<_>>().join(" or ")
    }

    pub(crate) fn present(&self) -> Present {
        *self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The order of connection attempts: the current server, then the others by preference. A server that was set aside is last.
    pub(crate) fn order(&self) -> impl Iterator<Item = usize> {
        let present = self.present();
        let is_last = self.set_aside.load(Ordering::Relaxed) == present.number + 1;
        let first = (!is_last).then_some(present.server);
        let others = (0..self.urls.len()).filter(move |server| *server != present.server);
        first.into_iter().chain(others).chain(is_last.then_some(present.server))
    }

    /// Sets the server of a choice aside, because it accepts no changes.
    pub(crate) fn set_aside(&self, choice: Present) {
        if choice.number == self.present().number {
            self.set_aside.store(choice.number + 1, Ordering::Relaxed);
        }
    }

    /// Makes a server that responded the current one, unless another was chosen since `before`. Returns the choice in force.
    pub(crate) fn choose(&self, server: usize, before: Present) -> Present {
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        if present.number == before.number && present.server != server {
            *present = Present { server, number: present.number + 1, since: Some(Instant::now()) };
        }
        *present
    }

    /// How much longer missing data on the current server cannot be trusted; `None` if it can.
    pub(crate) fn in_doubt(&self) -> Option<Duration> {
        let rest = self.wait.checked_sub(self.present().since?.elapsed())?;
        Some(rest).filter(|rest| !rest.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(wait: Duration) -> Servers {
        let urls = ["ldaps://a.example.com", "ldaps://b.example.com", "ldaps://c.example.com"];
        Servers::new(urls.iter().map(|url| Url::parse(url).unwrap()).collect(), wait)
    }

    #[tokio::test]
    async fn failover_server_is_untrusted_for_a_while() {
        let patient = servers(Duration::from_hours(1));
        let start = patient.present();
        assert_eq!(patient.choose(0, start).number, start.number);
        assert_eq!(patient.in_doubt(), None);
        patient.choose(1, start);
        assert_eq!(patient.order().collect::<Vec<_>>(), [1, 0, 2]);
        assert!(patient.in_doubt().is_some_and(|rest| rest > Duration::from_mins(59)));
        let hasty = servers(Duration::ZERO);
        hasty.choose(1, hasty.present());
        assert_eq!(hasty.in_doubt(), None);
    }

    #[tokio::test]
    async fn read_only_server_is_tried_last_until_another_responds() {
        let servers = servers(Duration::ZERO);
        let start = servers.present();
        servers.set_aside(start);
        assert_eq!(servers.order().collect::<Vec<_>>(), [1, 2, 0]);
        // None of the others responds.
        assert_eq!(servers.choose(0, start).number, start.number);
        assert_eq!(servers.order().collect::<Vec<_>>(), [1, 2, 0]);
        servers.choose(1, start);
        assert_eq!(servers.order().collect::<Vec<_>>(), [1, 0, 2]);
        // A late report about the previous server changes nothing.
        servers.set_aside(start);
        assert_eq!(servers.order().collect::<Vec<_>>(), [1, 0, 2]);
    }

    #[tokio::test]
    async fn first_of_two_concurrent_server_choices_wins() {
        let servers = servers(Duration::from_secs(30));
        let start = servers.present();
        servers.choose(2, start);
        assert_eq!(servers.choose(1, start).server, 2);
    }
}
