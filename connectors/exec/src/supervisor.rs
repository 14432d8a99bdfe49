//! One process per app: started at the first call, shared by all calls, replaced when it has ended.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bridgehead_sdk::Description;
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::failure::{CallError, Death};
use crate::pending::Reply;
use crate::process::{Request, Session};
use crate::restart::Restart;
use crate::settings::Launch;

/// Manages the process of one app.
pub(crate) struct Supervisor {
    launch: Arc<Launch>,
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    restart: Restart,
    /// Why the last session ended, if there was one.
    last_death: Option<Arc<Death>>,
    stopped: bool,
}

impl Supervisor {
    /// Does not start a process yet.
    pub(crate) fn new(launch: Launch) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(launch.max_in_flight)),
            launch: Arc::new(launch),
            state: Mutex::default(),
        }
    }

    pub(crate) fn launch(&self) -> &Launch {
        &self.launch
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The description that the process returned.
    pub(crate) async fn describe(&self) -> Result<Arc<Description>, CallError> {
        self.session()?.ready().await
    }

    /// Sends a request to the process as soon as it is ready and a slot is free. The future may be dropped at any
    /// point.
    pub(crate) async fn call(&self, request: Request) -> Reply {
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|_| self.stopped())?;
        let session = self.session()?;
        session.ready().await?;
        session.call(request, Some(slot)).await
    }

    /// The running process, or a new one if the last one has ended and the restart delay is over.
    fn session(&self) -> Result<Arc<Session>, CallError> {
        let mut state = self.state();
        if state.stopped {
            return Err(self.stopped());
        }
        if let Some(session) = &state.session {
            let Some((death, at, was_healthy)) = session.death() else {
                return Ok(Arc::clone(session));
            };
            state.restart.died(at, was_healthy);
            state.last_death = Some(death);
            state.session = None;
        }
        if let Some(death) = &state.last_death
            && let Some(remaining) = state.restart.remaining(Instant::now())
        {
            return Err(CallError::NotRunning {
                app: self.launch.app.clone(),
                death: Arc::clone(death),
                again_in: Some(remaining),
            });
        }
        match Session::start(&self.launch) {
            Ok(session) => {
                let session = Arc::new(session);
                state.session = Some(Arc::clone(&session));
                Ok(session)
            }
            Err(death) => {
                let death = Arc::new(death);
                state.restart.died(Instant::now(), false);
                state.last_death = Some(Arc::clone(&death));
                Err(CallError::NotRunning {
                    app: self.launch.app.clone(),
                    death,
                    again_in: state.restart.remaining(Instant::now()),
                })
            }
        }
    }

    /// Stops the process cleanly, and starts no more processes.
    pub(crate) async fn shutdown(&self) {
        self.slots.close();
        let session = {
            let mut state = self.state();
            state.stopped = true;
            state.session.take()
        };
        if let Some(session) = session {
            session.shutdown().await;
        }
    }

    fn stopped(&self) -> CallError {
        CallError::Stopped { app: self.launch.app.clone() }
    }
}
