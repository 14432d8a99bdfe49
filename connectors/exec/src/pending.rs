//! The calls that one process has not answered yet.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bridgehead_sdk::Protection;
use tokio::sync::{Notify, OwnedSemaphorePermit, oneshot};
use tokio::time::Instant;

use crate::failure::{CallError, Death};
use crate::protocol::Outcome;

/// The result of a call for its caller.
pub(crate) type Reply = Result<Outcome, CallError>;

/// What a call holds until the process has responded to it, whether or not the caller still waits.
pub(crate) struct Held {
    /// The call, for messages: "create_account for ext-1".
    pub(crate) what: String,
    /// The slot. It stays taken if the caller gives up, because the process may still be working.
    #[expect(dead_code, reason = "held for what dropping it does")]
    pub(crate) permit: Option<OwnedSemaphorePermit>,
    /// The secrets in the request. The process may print them while it is working.
    #[expect(dead_code, reason = "held for what dropping it does")]
    pub(crate) protection: Option<Arc<Protection>>,
}

/// What happened to a response.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// The caller received it.
    Delivered,
    /// The caller had given up.
    Late {
        /// The call.
        what: String,
    },
    /// There was no such request, or it was already answered.
    Unknown,
}

struct Call {
    held: Held,
    reply: oneshot::Sender<Reply>,
    /// Whether any byte of it may have reached the process.
    sent: bool,
    /// Set when the caller has given up: if there is no response by then, the process is considered hung.
    hangs_at: Option<Instant>,
}

struct Calls {
    next: u64,
    open: HashMap<u64, Call>,
    death: Option<Arc<Death>>,
}

/// The calls that one process has not answered yet.
pub(crate) struct Pending {
    app: String,
    hang_timeout: Duration,
    calls: Mutex<Calls>,
    given_up: Notify,
}

/// The identifier of the first call; 0 is `initialize`, which has no caller.
const FIRST: u64 = 1;

impl Pending {
    pub(crate) fn new(app: String, hang_timeout: Duration) -> Self {
        Self {
            app,
            hang_timeout,
            calls: Mutex::new(Calls { next: FIRST, open: HashMap::new(), death: None }),
            given_up: Notify::new(),
        }
    }

    fn calls(&self) -> MutexGuard<'_, Calls> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a call; the [`Waiter`] has its identifier and receives its reply. Dropping the [`Waiter`] gives the call
    /// up.
    pub(crate) fn add(self: &Arc<Self>, held: Held) -> Result<Waiter, CallError> {
        let mut calls = self.calls();
        if let Some(death) = &calls.death {
            return Err(self.not_sent(death));
        }
        let id = calls.next;
        calls.next += 1;
        let (reply, receiver) = oneshot::channel();
        let call = Call { held, reply, sent: false, hangs_at: None };
        calls.open.insert(id, call);
        Ok(Waiter { pending: Arc::clone(self), id, receiver })
    }

    /// Marks a request as being written. `false` if its caller has given up, so that it must not be written.
    pub(crate) fn sending(&self, id: u64) -> bool {
        match self.calls().open.get_mut(&id) {
            Some(call) => {
                call.sent = true;
                true
            }
            None => false,
        }
    }

    /// Records a response of the process.
    pub(crate) fn answer(&self, id: u64, outcome: Outcome) -> Delivery {
        let call = {
            let mut calls = self.calls();
            // A response to a request that was never sent is wrong, and does not affect the call.
            if !calls.open.get(&id).is_some_and(|call| call.sent) {
                return Delivery::Unknown;
            }
            calls.open.remove(&id)
        };
        let Some(Call { held, reply, .. }) = call else {
            return Delivery::Unknown;
        };
        match reply.send(Ok(outcome)) {
            Ok(()) => Delivery::Delivered,
            Err(_) => Delivery::Late { what: held.what },
        }
    }

    fn give_up(&self, id: u64) {
        let mut calls = self.calls();
        let Some(call) = calls.open.get_mut(&id) else {
            return;
        };
        if call.sent {
            call.hangs_at = Some(Instant::now() + self.hang_timeout);
            self.given_up.notify_one();
        } else {
            calls.open.remove(&id);
        }
    }

    /// When the process is considered hung, and on which call, if it does not respond before.
    pub(crate) fn next_hang(&self) -> Option<(Instant, String)> {
        let calls = self.calls();
        calls
            .open
            .values()
            .filter_map(|call| Some((call.hangs_at?, &call.held.what)))
            .min_by_key(|(moment, _)| *moment)
            .map(|(moment, what)| (moment, what.clone()))
    }

    /// Waits until a call that was sent is given up; [`next_hang`](Self::next_hang) may have changed then.
    pub(crate) async fn given_up(&self) {
        self.given_up.notified().await;
    }

    /// Called when the process has ended: fails every call, and rejects later ones. The effect is unknown for requests
    /// that were sent; others were not applied. Only the first reason is kept.
    pub(crate) fn fail_all(&self, death: &Arc<Death>) {
        let open = {
            let mut calls = self.calls();
            calls.death.get_or_insert_with(|| Arc::clone(death));
            std::mem::take(&mut calls.open)
        };
        for Call { held, reply, sent, .. } in open.into_values() {
            let error = if sent {
                CallError::Lost { app: self.app.clone(), death: Arc::clone(death), what: held.what }
            } else {
                self.not_sent(death)
            };
            // The caller may have given up, so an error is ignored.
            drop(reply.send(Err(error)));
        }
    }

    fn not_sent(&self, death: &Arc<Death>) -> CallError {
        CallError::NotRunning { app: self.app.clone(), death: Arc::clone(death), again_in: None }
    }
}

/// Waits for the reply to one call, and gives the call up when dropped.
pub(crate) struct Waiter {
    pending: Arc<Pending>,
    id: u64,
    receiver: oneshot::Receiver<Reply>,
}

impl Waiter {
    /// The identifier of the request.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The reply. Every call gets a response or an error; if that ever fails, the call is lost with an unknown effect.
    pub(crate) async fn reply(mut self) -> Reply {
        match (&mut self.receiver).await {
            Ok(reply) => reply,
            Err(_) => Err(CallError::Lost {
                app: self.pending.app.clone(),
                death: Arc::new(Death::Unattended),
                what: "this call".to_owned(),
            }),
        }
    }
}

impl Drop for Waiter {
    fn drop(&mut self) {
        // Closed first, so that a response that arrives now counts as late.
        self.receiver.close();
        self.pending.give_up(self.id);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    const HANG: Duration = Duration::from_secs(5);

    fn pending() -> Arc<Pending> {
        Arc::new(Pending::new("acme-hr".into(), HANG))
    }

    fn held(what: &str) -> Held {
        Held { what: what.to_owned(), permit: None, protection: None }
    }

    fn add(pending: &Arc<Pending>, what: &str) -> Waiter {
        pending.add(held(what)).ok().unwrap()
    }

    #[tokio::test]
    async fn responses_reach_their_callers_in_any_order() {
        let pending = pending();
        let (first, second) = (add(&pending, "a"), add(&pending, "b"));
        for (waiter, number) in [(&second, 2), (&first, 1)] {
            assert!(pending.sending(waiter.id()));
            assert_eq!(pending.answer(waiter.id(), Ok(Value::from(number))), Delivery::Delivered);
        }
        assert_eq!(first.reply().await.ok().unwrap().ok(), Some(Value::from(1)));
        assert_eq!(second.reply().await.ok().unwrap().ok(), Some(Value::from(2)));
    }

    #[tokio::test]
    async fn response_to_unknown_request_is_ignored() {
        let pending = pending();
        let waiter = add(&pending, "a");
        assert_eq!(pending.answer(waiter.id(), Ok(Value::Null)), Delivery::Unknown);
        assert_eq!(pending.answer(999, Ok(Value::Null)), Delivery::Unknown);
        assert!(pending.sending(waiter.id()));
        assert_eq!(pending.answer(waiter.id(), Ok(Value::Null)), Delivery::Delivered);
        assert_eq!(pending.answer(waiter.id(), Ok(Value::Null)), Delivery::Unknown);
    }

    #[tokio::test(start_paused = true)]
    async fn call_cancelled_before_sending_is_never_sent() {
        let pending = pending();
        let waiter = add(&pending, "a");
        let id = waiter.id();
        drop(waiter);
        assert!(!pending.sending(id));
        assert_eq!(pending.next_hang(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn call_cancelled_after_sending_hangs_until_answered() {
        let pending = pending();
        let waiter = add(&pending, "create_account for ext-1");
        let id = waiter.id();
        pending.sending(id);
        drop(waiter);
        pending.given_up().await;
        assert_eq!(pending.next_hang(), Some((Instant::now() + HANG, "create_account for ext-1".to_owned())));
        let late = Delivery::Late { what: "create_account for ext-1".to_owned() };
        assert_eq!(pending.answer(id, Ok(Value::Null)), late);
        assert_eq!(pending.next_hang(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn slot_is_held_until_the_process_responds_or_exits() {
        let pending = pending();
        let slots = Arc::new(tokio::sync::Semaphore::new(2));
        let mut ids = Vec::new();
        for _ in 0..2 {
            let permit = Arc::clone(&slots).try_acquire_owned().ok();
            let waiter = pending.add(Held { permit, ..held("a") }).ok().unwrap();
            pending.sending(waiter.id());
            ids.push(waiter.id());
        }
        assert_eq!(slots.available_permits(), 0);
        pending.answer(ids[0], Ok(Value::Null));
        assert_eq!(slots.available_permits(), 1);
        pending.fail_all(&Arc::new(Death::OutputClosed));
        assert_eq!(slots.available_permits(), 2);
    }

    #[tokio::test]
    async fn process_exit_makes_only_sent_calls_unknown() {
        let pending = pending();
        let (sent, queued) = (add(&pending, "create_account for ext-1"), add(&pending, "check"));
        pending.sending(sent.id());
        pending.fail_all(&Arc::new(Death::OutputClosed));
        assert!(
            matches!(sent.reply().await, Err(CallError::Lost { what, .. }) if what == "create_account for ext-1")
        );
        assert!(matches!(queued.reply().await, Err(CallError::NotRunning { .. })));
        assert!(matches!(pending.add(held("check")), Err(CallError::NotRunning { .. })));
    }
}
