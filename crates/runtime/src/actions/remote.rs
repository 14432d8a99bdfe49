//! Passes actions to the node that runs the app, and executes those that other nodes pass to this one.
//!
//! Requests and answers go through the shared database, so the nodes need not reach each other. A request is executed at most once: the
//! recipient takes it before it starts, and the sender withdraws a request that was not taken in time.

use std::sync::Arc;
use std::time::Duration;

use bridgehead_store::lease::{Progress, Request};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::command::Command;
use super::{Actions, Error};
use crate::Runtime;
use crate::app::AppContext;
use crate::audit::Actor;
use crate::ownership::Ownership;

/// How long the other node may take to notice a request.
const PATIENCE: Duration = Duration::from_secs(15);
/// How often the answer is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often requests for this node are looked for.
const TAKE_EVERY: Duration = Duration::from_millis(500);

/// The answer to a request.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    /// The result of the action.
    Done(Value),
    /// Why it was not executed.
    Refused { code: String, message: String },
}

/// Where to send a request.
struct Recipient<'a> {
    node: String,
    process: String,
    ownership: &'a Ownership,
}

impl Recipient<'_> {
    /// The node that runs the app, if it is known.
    fn of<'a>(ownership: &'a Ownership, app: &AppContext) -> Result<Recipient<'a>, Error> {
        let seen = ownership.seen();
        match seen.view.owner(&app.key) {
            Some(owner) => {
                Ok(Recipient { node: owner.node.clone(), process: owner.process.clone(), ownership })
            }
            None => Err(Error::Elsewhere { app: app.name.clone() }),
        }
    }

    fn is_alive(&self) -> bool {
        self.ownership.seen().view.nodes.iter().any(|node| {
            node.process == self.process && node.silent_for < self.ownership.lease().saturating_mul(2)
        })
    }
}

/// Executes a command on the node that runs the app. If `stop` is cancelled, a sync is cancelled there; its result is still returned.
pub(super) async fn perform<T: DeserializeOwned>(
    ownership: &Ownership,
    app: &AppContext,
    actor: &Actor,
    command: &Command,
    stop: Option<&CancellationToken>,
) -> Result<T, Error> {
    let recipient = Recipient::of(ownership, app)?;
    let actor = actor.on(ownership.node_name());
    let id = send(&recipient, app, &actor, command).await?;
    let mailbox = ownership.mailbox();
    let began = Instant::now();
    let mut is_stopping = false;
    let answer = loop {
        match mailbox.progress(&id).await {
            Ok(Progress::Answered(answer)) => break answer,
            Ok(Progress::Gone) => return Err(unanswered(app, &recipient)),
            Ok(Progress::Waiting) if began.elapsed() > PATIENCE => {
                if mailbox.withdraw(&id).await? {
                    let Recipient { node, .. } = recipient;
                    return Err(Error::Silent { app: app.name.clone(), node });
                }
            }
            // The recipient has crashed with the request.
            Ok(Progress::Taken) if !recipient.is_alive() => return Err(unanswered(app, &recipient)),
            // If the database cannot be reached for a moment, the answer is read afterwards.
            Ok(Progress::Waiting | Progress::Taken) | Err(_) => {}
        }
        if !is_stopping && stop.is_some_and(CancellationToken::is_cancelled) {
            is_stopping = true;
            drop(send(&recipient, app, &actor, &Command::CancelSync).await);
        }
        sleep(LOOK_EVERY).await;
    };
    // If it cannot be removed, it is removed with other old requests.
    drop(mailbox.withdraw(&id).await);
    match serde_json::from_slice(&answer) {
        Ok(Answer::Done(value)) => serde_json::from_value(value).map_err(|_| unanswered(app, &recipient)),
        Ok(Answer::Refused { code, message }) => Err(Error::remote(&code, message)),
        Err(_) => Err(unanswered(app, &recipient)),
    }
}

async fn send(
    recipient: &Recipient<'_>,
    app: &AppContext,
    actor: &Actor,
    command: &Command,
) -> Result<String, Error> {
    let body = serde_json::to_vec(command).unwrap_or_default();
    let mailbox = recipient.ownership.mailbox();
    Ok(mailbox.send(&app.key, &recipient.process, actor.as_str(), &body).await?)
}

fn unanswered(app: &AppContext, recipient: &Recipient<'_>) -> Error {
    Error::Unanswered { app: app.name.clone(), node: recipient.node.clone() }
}

/// Executes what other nodes ask of this one until `stop`. Returns immediately if the state is not shared.
///
/// Cancel: `stop` ends it, cancels running syncs, and waits for all commands that were taken. Error: if the database cannot be reached, the
/// senders wait. Panic: a panic of one command leaves it unanswered, which its sender notices when this node stops.
pub async fn serve(runtime: Arc<Runtime>, stop: CancellationToken) {
    let Some(ownership) = runtime.ownership.clone() else { return };
    let mut running = JoinSet::new();
    while !stop.is_cancelled() {
        match ownership.mailbox().take().await {
            Ok(requests) => {
                for request in requests {
                    running.spawn(answer(
                        Arc::clone(&runtime),
                        Arc::clone(&ownership),
                        request,
                        stop.child_token(),
                    ));
                }
            }
            Err(error) => tracing::debug!(%error, "requests of other nodes cannot be read"),
        }
        while running.try_join_next().is_some() {}
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(TAKE_EVERY) => {}
        }
    }
    while running.join_next().await.is_some() {}
}

async fn answer(runtime: Arc<Runtime>, ownership: Arc<Ownership>, request: Request, stop: CancellationToken) {
    let answer = match execute(runtime, &request, &stop).await {
        Ok(value) => Answer::Done(value),
        Err(error) => Answer::Refused { code: error.code().to_owned(), message: error.to_string() },
    };
    let body = serde_json::to_vec(&answer).unwrap_or_default();
    let began = Instant::now();
    while let Err(error) = ownership.mailbox().answer(&request.id, &body).await {
        if began.elapsed() > PATIENCE {
            tracing::warn!(%error, "the answer to another node's request cannot be written");
            return;
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn execute(runtime: Arc<Runtime>, request: &Request, stop: &CancellationToken) -> Result<Value, Error> {
    let name = runtime.name_of(&request.app);
    let name = name.ok_or_else(|| Error::UnknownApp(request.app.as_str().to_owned()))?;
    let Ok(command) = serde_json::from_slice::<Command>(&request.body) else {
        return Err(Error::Remote {
            code: "unknown_command",
            message: format!(
                "the node that runs {name} has bridgehead {}, which does not know this command; update it",
                env!("CARGO_PKG_VERSION")
            ),
        });
    };
    // A node passes on only what it does not run itself, so two nodes cannot pass a request back and forth.
    if runtime.elsewhere(&name).is_some() {
        return Err(Error::Elsewhere { app: name });
    }
    let actor = Actor::named(&request.actor);
    command.perform(&Actions::new(runtime), &actor, &name, stop).await
}
