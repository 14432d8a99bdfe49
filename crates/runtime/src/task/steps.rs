//! The recorded steps of a task, with which operators can find out what happened to it.

use jiff::Timestamp;

use super::attempts::Failure;
use crate::app::AppContext;
use bridgehead_store::{AttemptStep, Phase};

/// The maximum length of a step's message, in characters.
const LONGEST: usize = 500;

/// Creates a step that ends now. Known secrets are removed from its message.
pub(super) fn step(
    app: &AppContext,
    attempt: u32,
    phase: Phase,
    began: Timestamp,
    failure: Option<&Failure>,
) -> AttemptStep {
    AttemptStep {
        attempt,
        phase,
        began_at: began,
        ended_at: Some(app.shared.clock.now()),
        code: failure.map(|failure| failure.code),
        message: failure.map(|failure| message(app, &failure.message)),
        next_try_at: None,
    }
}

/// Redacts and shortens a message.
pub(super) fn message(app: &AppContext, text: &str) -> String {
    app.shared.redactor.redact(text).chars().take(LONGEST).collect()
}
