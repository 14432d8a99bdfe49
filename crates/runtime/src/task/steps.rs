//! What is kept of each step of a task, for operators who ask what happened to it.

use jiff::Timestamp;

use super::attempts::Failure;
use crate::app::AppContext;
use bridgehead_store::{AttemptStep, Phase};

/// No message of a step is longer, in characters.
const LONGEST: usize = 500;

/// A step that ends now. Known secrets are taken out of its message.
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
        ended_at: Some(app.clock.now()),
        code: failure.map(|failure| failure.code),
        message: failure.map(|failure| message(app, &failure.message)),
        next_try_at: None,
    }
}

/// A text as it may be kept.
pub(super) fn message(app: &AppContext, text: &str) -> String {
    app.redactor.redact(text).chars().take(LONGEST).collect()
}
