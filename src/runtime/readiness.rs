//! When the daemon counts as ready: one rule, for systemd and for `/readyz`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::status::{AppStatus, Contact};

/// Watches for readiness: every app whose tasks are executed has read its list of tasks, or it is known that the Bridge
/// cannot be used for it. A Bridge that is down must not keep the machine from booting.
#[derive(Clone, Debug)]
pub struct Readiness {
    apps: BTreeMap<String, Arc<AppStatus>>,
}

/// How readiness stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ready {
    /// The apps that nothing is known of yet.
    pub awaited: Vec<String>,
    /// The apps for which the Bridge cannot be used.
    pub down: Vec<String>,
}

impl Readiness {
    /// Watches these apps: those whose tasks are executed.
    pub fn new(apps: BTreeMap<String, Arc<AppStatus>>) -> Self {
        Self { apps }
    }

    /// How it stands now.
    pub fn now(&self) -> Ready {
        let those = |contact: Contact| {
            let apps = self.apps.iter().filter(move |(_, app)| *app.contact().borrow() == contact);
            apps.map(|(name, _)| name.clone()).collect()
        };
        Ready { awaited: those(Contact::None), down: those(Contact::Failed) }
    }

    /// Waits until nothing is awaited any more.
    pub async fn reached(&self) -> Ready {
        for status in self.apps.values() {
            let mut contact = status.contact();
            // The sender lives in the status that is borrowed here.
            drop(contact.wait_for(|contact| *contact != Contact::None).await);
        }
        self.now()
    }
}

impl Ready {
    /// Whether the daemon counts as ready.
    pub fn is_ready(&self) -> bool {
        self.awaited.is_empty()
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.awaited.is_empty() {
            write!(f, "no contact with the Bridge yet for {}", self.awaited.join(", "))
        } else if !self.down.is_empty() {
            write!(f, "the Bridge cannot be used yet for {}", self.down.join(", "))
        } else {
            f.write_str("connected to the Bridge")
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;
    use crate::bridge;

    fn two() -> (Readiness, Arc<AppStatus>, Arc<AppStatus>) {
        let (hr, crm) = (Arc::new(AppStatus::default()), Arc::new(AppStatus::default()));
        let apps = BTreeMap::from([("hr".to_owned(), Arc::clone(&hr)), ("crm".to_owned(), Arc::clone(&crm))]);
        (Readiness::new(apps), hr, crm)
    }

    fn failure() -> bridge::Error {
        let app = bridge::AppId::from(uuid::Uuid::nil());
        bridge::Error::Unauthorized { call: bridge::Call::new(bridge::Operation::ListTasks, app) }
    }

    #[tokio::test]
    async fn it_is_ready_once_every_app_has_made_contact() {
        let (readiness, hr, crm) = two();
        assert_eq!(readiness.now().to_string(), "no contact with the Bridge yet for crm, hr");
        hr.polled(None);
        assert!(!readiness.now().is_ready());
        assert!(readiness.reached().now_or_never().is_none());
        crm.polled(None);
        assert_eq!(readiness.reached().await, Ready::default());
        assert_eq!(readiness.now().to_string(), "connected to the Bridge");
    }

    #[tokio::test]
    async fn a_contact_that_has_failed_for_good_is_an_answer_too() {
        let (readiness, hr, crm) = two();
        hr.polled(Some(&failure()));
        crm.polled(None);
        let ready = readiness.reached().await;
        assert!(ready.is_ready());
        assert_eq!(ready.to_string(), "the Bridge cannot be used yet for hr");
    }

    #[tokio::test]
    async fn without_tasks_there_is_nothing_to_wait_for() {
        assert!(Readiness::new(BTreeMap::new()).reached().await.is_ready());
    }
}
