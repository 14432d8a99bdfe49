//! The messages between a connector and its target, shown as they are exchanged.

use std::sync::Arc;

use serde_json::Value;

use crate::Redactor;

/// The maximum number of characters that are shown of a message; more is of no use on a screen.
const LONGEST: usize = 4_000;

/// Shows the messages between a connector and its target, without their secrets: the output of `--trace`. HTTP
/// exchanges over `http::Client` are shown automatically, as are the messages of `exec`; a connector that uses another
/// protocol can show what it sends and receives with [`sent`](Self::sent) and [`received`](Self::received).
#[derive(Clone)]
pub struct Trace {
    redactor: Redactor,
    show: Arc<dyn Fn(&str) + Send + Sync>,
}

impl Trace {
    /// A trace that passes each line to `show`. Secrets that the redactor knows, and what looks like one, are removed first.
    pub fn new(redactor: &Redactor, show: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self { redactor: redactor.recognizing(), show: Arc::new(show) }
    }

    /// Records something that was sent to the target called `system`.
    pub fn sent(&self, system: &str, message: &str) {
        self.line("-->", system, message);
    }

    /// Records something that was received from the target called `system`.
    pub fn received(&self, system: &str, message: &str) {
        self.line("<--", system, message);
    }

    /// The form in which a message is shown: JSON without the values of names that indicate a secret, other text
    /// without known secrets.
    pub fn shown(&self, message: &[u8]) -> String {
        match serde_json::from_slice::<Value>(message) {
            Ok(mut value) => {
                self.redactor.hide_secrets(&mut value);
                value.to_string()
            }
            Err(_) => self.redactor.redact(&String::from_utf8_lossy(message)).into_owned(),
        }
    }

    /// The redactor, which knows the secrets.
    #[cfg(feature = "http")]
    pub(crate) fn redactor(&self) -> &Redactor {
        &self.redactor
    }

    fn line(&self, direction: &str, system: &str, message: &str) {
        let message = self.redactor.redact(message.trim_end());
        let length = message.chars().count();
        let cut: String = message.chars().take(LONGEST).collect();
        let rest = match length.saturating_sub(LONGEST) {
            0 => String::new(),
            more => format!("… ({more} more characters)"),
        };
        (self.show)(&format!("{direction} {system}  {cut}{rest}"));
    }
}

impl PartialEq for Trace {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.show, &other.show)
    }
}

impl Eq for Trace {}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trace").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn trace_hides_secrets_by_value_and_by_field_name() {
        let redactor = Redactor::new();
        redactor.protect_for_good(["hunter2-the-token"]);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&heard);
        let trace = Trace::new(&redactor, move |line| kept.lock().unwrap().push(line.to_owned()));
        trace.sent(
            "hr",
            &trace.shown(br#"{"id":7,"params":{"account":{"username":"ann","password":"Sesame-4711"}}}"#),
        );
        trace.received("hr", "401: hunter2-the-token is not known\n");
        trace.received("hr", &"x".repeat(LONGEST + 3));
        let heard = heard.lock().unwrap();
        assert!(
            heard[0].starts_with("--> hr  {\"id\":7,") && heard[0].contains("\"username\":\"ann\""),
            "{heard:?}"
        );
        assert!(!heard[0].contains("Sesame"), "{heard:?}");
        assert_eq!(heard[1], "<-- hr  401: [redacted] is not known");
        assert!(heard[2].ends_with("x… (3 more characters)"));
    }
}
