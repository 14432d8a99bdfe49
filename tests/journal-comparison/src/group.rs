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

    /// What happens if another process reads at the same time, as `bridgehead state inspect` does.
    fn reader_beside(&self) -> String;
}

type Waiting = (Write, oneshot::Sender<Result<(), String>>);

pub struct Group {
    queue: mpsc::Sender<Waiting>,
    writer: std::thread::JoinHandle<()>,
}

impl Group {
    pub fn start(mut engine: impl Engine) -> Self {
        let (sender, mut queue) = mpsc::channel::<Waiting>(1024);
        let writer = std::thread::spawn(move || {
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
        Self { queue: sender, writer }
    }

    /// Waits until the engine has closed its files.
    pub fn close(self) {
        drop(self.queue);
        self.writer.join().expect("the writer ends");
    }

    pub async fn write(&self, write: Write) -> Result<(), Failure> {
        let (caller, answer) = oneshot::channel();
        self.queue.send((write, caller)).await.map_err(|_| "the writer is gone")?;
        Ok(answer.await??)
    }
}
