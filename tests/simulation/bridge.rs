//! The network between the client and the sandbox: it takes time, and continues after the process that used it was killed.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bridgehead::bridge::{Exchange, Undelivered};
use bridgehead::journal::lease::Leases as _;
use bridgehead::journal::shared::Node;
use bridgehead::sandbox::Sandbox;
use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::life::Life;
use crate::several::cut::Cut;
use crate::world::Dice;

/// The share of requests to complete a sync that the network holds back.
const HELD_BACK: f64 = 0.25;
/// The maximum time for that. Most of them are held back for a few seconds: longer than the daemon waits, and often longer than it lives.
const HELD_BACK_FOR: Duration = Duration::from_mins(1);
/// The share of them that arrive shortly after their process has ended, which is when they can do harm.
const OUTLIVE: f64 = 0.5;
/// How long after that at most.
const AFTER_THE_END: Duration = Duration::from_secs(2);

/// The share of requests to complete a sync that outlive their process, in a late network.
const LATE: f64 = 0.7;
/// How long it takes at most to start a session there, so that tasks may run before it: less than the daemon waits.
const SLOW_START: Duration = Duration::from_millis(2500);

/// Decides which requests the network holds back. Has its own generator, so that a seed's other events do not depend on it.
#[derive(Clone)]
pub(crate) struct Delays {
    dice: Dice,
    is_late: bool,
}

impl Delays {
    pub(crate) fn new(seed: u64, is_late: bool) -> Self {
        Self { dice: Dice::new(!seed), is_late }
    }

    fn of(&self, request: &reqwest::Request) -> Option<Delay> {
        let dice = &self.dice;
        if is_completion(request) {
            let share = if self.is_late { LATE } else { HELD_BACK };
            if !dice.chance(share) {
                return None;
            }
            if self.is_late || dice.chance(OUTLIVE) {
                return Some(Delay::BeyondTheEnd(AFTER_THE_END.mul_f64(dice.unit())));
            }
            let share = dice.unit();
            return Some(Delay::For(HELD_BACK_FOR.mul_f64(share * share * share)));
        }
        let is_start = request.method() == "POST" && request.url().path().ends_with("/sync/");
        (self.is_late && is_start).then(|| Delay::For(SLOW_START.mul_f64(dice.unit())))
    }
}

/// How long a request is held back.
enum Delay {
    For(Duration),
    /// Until its process has ended, and for this time.
    BeyondTheEnd(Duration),
}

impl Delay {
    async fn pass(self, life: &Life) {
        match self {
            Self::For(wait) => tokio::time::sleep(wait).await,
            Self::BeyondTheEnd(wait) => {
                // If it lives on, the request arrives after the maximum time.
                drop(tokio::time::timeout(HELD_BACK_FOR, life.ended()).await);
                tokio::time::sleep(wait).await;
            }
        }
    }
}

/// The network as one process uses it.
pub(crate) struct Network {
    pub(crate) life: Arc<Life>,
    pub(crate) sandbox: Arc<Sandbox>,
    pub(crate) dice: Dice,
    pub(crate) delays: Delays,
    pub(crate) cut: Arc<Cut>,
    /// The node, if there are several.
    pub(crate) node: Option<Node>,
}

impl Network {
    /// Whether a process that was suspended on its way here would not have sent this request: only its calls are suspended, not its timers,
    /// and it checks its lease immediately before it completes a sync.
    fn is_refused(&self, request: &reqwest::Request) -> bool {
        let path = request.url().path();
        let app = path.split("/apps/").nth(1).and_then(|rest| rest.split('/').next());
        let app = app.and_then(|app| app.parse().ok());
        is_completion(request) && self.node.as_ref().zip(app).is_some_and(|(node, app)| !node.may_start(&app))
    }
}

fn is_completion(request: &reqwest::Request) -> bool {
    request.url().path().ends_with("/complete/")
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

#[async_trait]
impl Exchange for Network {
    async fn exchange(&self, request: reqwest::Request) -> Result<reqwest::Response, Undelivered> {
        let what = format!("{} {}", request.method(), place(request.url().path()));
        let came = Instant::now();
        let number = self.life.before(&what).await;
        let was_suspended = !came.elapsed().is_zero();
        if was_suspended && self.is_refused(&request) {
            return Err(Undelivered::NotSent("the process was suspended before the request".into()));
        }
        let body = request.body().and_then(reqwest::Body::as_bytes).map(Bytes::copy_from_slice);
        let mut sent = axum::http::Request::builder()
            .method(request.method())
            .uri(request.url().as_str())
            .body(body.unwrap_or_default())
            .expect("a request that reqwest has made");
        sent.headers_mut().clone_from(request.headers());
        // A router expects only the path.
        let path = sent.uri().path_and_query().cloned().expect("a path");
        *sent.uri_mut() = axum::http::Uri::from(path);
        let (there, back) = (self.dice.up_to(20), self.dice.up_to(20));
        let lingers = self.dice.chance(0.5);
        let held_back = self.delays.of(&request);
        let (tell, told) = oneshot::channel();
        let (life, sandbox) = (Arc::clone(&self.life), Arc::clone(&self.sandbox));
        let (cut, dice) = (Arc::clone(&self.cut), self.dice.clone());
        // Runs in a separate task: the request arrives even if the caller no longer waits for the response.
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(there)).await;
            if let Some(delay) = held_back {
                delay.pass(&life).await;
            } else if life.is_over() && !lingers {
                return;
            }
            if cut.pass(&dice).await.is_err() {
                return;
            }
            let answer = sandbox.answer(sent).await;
            tokio::time::sleep(Duration::from_millis(back)).await;
            if cut.pass(&dice).await.is_ok() {
                drop(tell.send(answer));
            }
        });
        let answer = told.await;
        self.life.after(number).await;
        let Ok(Some(answer)) = answer else {
            return Err(Undelivered::NoAnswer("the connection was closed".into()));
        };
        let (head, body) = answer.into_parts();
        let body = reqwest::Body::wrap_stream(body.into_data_stream());
        Ok(axum::http::Response::from_parts(head, body).into())
    }
}

/// The path without parts that differ between runs: the sandbox generates the ids of its sessions.
fn place(path: &str) -> String {
    let after_sync = path.split("/sync/").nth(1).and_then(|rest| rest.split('/').next());
    match after_sync.filter(|id| !id.is_empty()) {
        Some(id) => path.replace(id, "SESSION"),
        None => path.to_owned(),
    }
}
