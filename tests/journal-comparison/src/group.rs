//! Group commit, as the journal does it: one writer takes all waiting writes, makes them durable together, and answers.

use tokio::sync::{mpsc, oneshot};

use crate::Failure;

/// The maximum number of writes per commit.
const BATCH: usize = 256;

#[derive(Debug)]
pub enum Write {
    Intent(String, Vec<u8>),
    Outcome(String, Vec<u8>),
    /// Erases the outcome.
    Ended(String),
}

pub trait Engine: Send + 'static {
    /// All of it is durable when this returns.
    fn commit(&mut self, writes: &[Write]) -> Result<(), Failure>;
}

type Waiting = (Write, oneshot::Sender<Result<(), String>>);

pub struct Group(mpsc::Sender<Waiting>);

impl Group {
    pub fn start(mut engine: impl Engine) -> Self {
        let (sender, mut queue) = mpsc::channel::<Waiting>(1024);
        std::thread::spawn(move || {
            let mut waiting = Vec::new();
            while queue.blocking_recv_many(&mut waiting, BATCH) > 0 {
                let (writes, callers): (Vec<_>, Vec<_>) = waiting.drain(..).unzip();
                let done = engine.commit(&writes).map_err(|error| error.to_string());
                for caller in callers {
                    // It does not matter if the caller is gone.
                    let _ = caller.send(done.clone());
                }
            }
        });
        Self(sender)
    }

    pub async fn write(&self, write: Write) -> Result<(), Failure> {
        let (caller, answer) = oneshot::channel();
        self.0.send((write, caller)).await.map_err(|_| "the writer is gone")?;
        Ok(answer.await??)
    }
}
