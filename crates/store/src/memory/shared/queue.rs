//! The two writers of a node. Waiting writes share a transaction, in the order in which they came, and are answered after the commit.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

use super::super::super::lease::claims::Claims;
use super::super::super::{AppKey, Error, Memory};
use super::database::Database;
use super::link::Link;

/// The maximum number of writes per transaction.
const BATCH: usize = 60;
/// The maximum length of the queue; further callers wait to enter it.
const QUEUE: usize = 1024;

/// Tells the caller the result, once it is known whether the commit was confirmed.
type Answer = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Writes. It gets the state, or the reason why it may not be written.
type Run = Box<dyn FnOnce(Result<&Memory, Error>) -> Answer + Send>;

/// A write.
struct Write {
    app: AppKey,
    run: Run,
}

enum Message {
    Write(Write),
    /// Run waiting writes, close, then respond.
    Close(oneshot::Sender<()>),
}

/// The queue of a writer.
#[derive(Debug)]
pub(super) struct Queue(mpsc::Sender<Message>);

/// Runs the writes of a queue.
pub(super) struct Writer {
    pub(super) database: Database,
    pub(super) link: Arc<dyn Link>,
    pub(super) claims: Arc<Claims>,
}

impl Queue {
    pub(super) fn start(writer: Writer) -> Self {
        let (sender, queue) = mpsc::channel(QUEUE);
        tokio::spawn(writer.run(queue));
        Self(sender)
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        app: &AppKey,
        work: impl FnOnce(&Memory) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (caller, answer) = oneshot::channel();
        let run = move |memory: Result<&Memory, Error>| -> Answer {
            let result = memory.and_then(work);
            Box::new(move |committed| drop(caller.send(committed.and(result))))
        };
        let write = Write { app: app.clone(), run: Box::new(run) };
        self.0.send(Message::Write(write)).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    pub(super) async fn close(&self) {
        let (caller, closed) = oneshot::channel();
        if self.0.send(Message::Close(caller)).await.is_ok() {
            // An error means that the writer is gone, so it is closed as well.
            drop(closed.await);
        }
    }
}

impl Writer {
    async fn run(self, mut queue: mpsc::Receiver<Message>) {
        let (mut messages, mut closing) = (Vec::with_capacity(BATCH), Vec::new());
        while queue.recv_many(&mut messages, BATCH).await > 0 {
            let mut writes = Vec::with_capacity(messages.len());
            for message in messages.drain(..) {
                match message {
                    Message::Write(write) => writes.push(write),
                    Message::Close(caller) => {
                        closing.push(caller);
                        queue.close();
                    }
                }
            }
            if !writes.is_empty() {
                self.commit(writes).await;
            }
        }
        for caller in closing {
            caller.send(()).ok();
        }
    }

    async fn commit(&self, writes: Vec<Write>) {
        let arrived = self.link.there().await;
        let run = |write: Write| {
            let allowed = arrived.map_err(Error::from).and_then(|()| self.check(&write.app));
            (write.run)(allowed.map(|()| self.database.memory()))
        };
        let answers: Vec<Answer> = writes.into_iter().map(run).collect();
        let confirmed = match arrived {
            Ok(()) => self.link.back().await.map_err(Error::from),
            Err(_) => Ok(()),
        };
        for answer in answers {
            answer(confirmed.clone());
        }
    }

    fn check(&self, app: &AppKey) -> Result<(), Error> {
        if self.database.checks().epochs {
            self.claims.check(app, self.database.epoch(self.claims.key(app)))
        } else {
            Ok(())
        }
    }
}
