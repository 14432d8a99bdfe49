//! Audit entries about the page itself: sign-ins, sign-outs and refusals. Actions record their own entries.

use serde_json::{Value, json};

use super::site::Site;
use bridgehead_runtime::audit::{Actor, Event};

impl Site {
    /// Records a sign-in with the token.
    pub(super) fn record_sign_in(&self) {
        self.record("sign_in", None, "done", json!({ "refused_before": self.refusals.take() }));
    }

    /// Records a sign-out.
    pub(super) fn record_sign_out(&self) {
        self.record("sign_out", None, "done", Value::Null);
    }

    /// Records a refusal, at most once a minute.
    pub(super) fn record_refusal(&self, action: &str, app: Option<&str>, why: &str) {
        if let Some(count) = self.refusals.count() {
            self.record(action, app, "refused", json!({ "refused": why, "refused_since_last_entry": count }));
        }
    }

    fn record(&self, action: &str, app: Option<&str>, outcome: &str, evidence: Value) {
        let Some(operator) = &self.operator else { return };
        operator.runtime.audit().record_command(Event {
            actor: Some(Actor::page()),
            app: app.map(str::to_owned),
            action: action.to_owned(),
            decision: Some("order".to_owned()),
            evidence,
            outcome: Some(outcome.to_owned()),
            ..Event::default()
        });
    }
}
