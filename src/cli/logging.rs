//! The log: to standard error as text or JSON, or to systemd's journal. It contains no known secret and no unescaped invisible character.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::io::Write;

use bridgehead_sdk::{Redactor, visible};
use jiff::tz::TimeZone;
use tracing::field::{Field, Visit};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatFields, Writer};
use tracing_subscriber::fmt::{MakeWriter, layer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

use super::journald;
use super::log_levels::{Levels, NoteApps};
use super::log_lines::{KeptLines, Lines};
use super::telemetry::SpanLayer;
use bridgehead_config::{Log, LogFormat};

/// Starts the log as configured. Only the first call in a process has an effect.
pub(crate) fn start(log: &Log, redactor: &Redactor) {
    start_with(log, redactor, None);
}

/// The same, with what else is made of the spans.
pub(super) fn start_with(log: &Log, redactor: &Redactor, spans: Option<SpanLayer>) {
    let levels = Levels::new(&log.level);
    let fields = TextFields { redactor: redactor.recognizing() };
    let to_journal = journald::is_stderr();
    let clean = |is_json| Clean { redactor: redactor.exact(), is_json, prefix: to_journal.then_some("") };
    let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let layer = match log.format {
        LogFormat::Text if to_journal => match journald::Journald::connect(redactor) {
            Some(journal) => journal.boxed(),
            // The journal records the time itself.
            None => kept(fields, false, clean(false)),
        },
        LogFormat::Text if is_terminal => layer()
            .event_format(Lines { timezone: TimeZone::system() })
            .fmt_fields(fields)
            .with_ansi(std::env::var_os("NO_COLOR").is_none())
            .with_writer(clean(false))
            .boxed(),
        LogFormat::Text => kept(fields, true, clean(false)),
        LogFormat::Json => layer().json().flatten_event(true).with_writer(clean(true)).boxed(),
    };
    let started = tracing_subscriber::registry()
        .with(spans)
        .with(NoteApps)
        .with(layer.with_filter(levels.clone()))
        .try_init();
    if started.is_ok() {
        levels.install();
    }
}

/// A layer for a stored text log.
fn kept<S>(fields: TextFields, has_time: bool, writer: Clean) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    layer()
        .event_format(KeptLines { has_time })
        .fmt_fields(fields)
        .with_ansi(false)
        .with_writer(writer)
        .boxed()
}

/// Starts a log for commands that print their result: warnings only, unless the configuration asks for more detail.
pub(crate) fn start_quiet(log: &Log, redactor: &Redactor) {
    let level = if log.level == "info" { "warn" } else { &log.level };
    start(&Log { format: log.format, level: level.to_owned() }, redactor);
}

/// Writes the fields of a text line, each on one line and without invisible characters: text from a task or a target must not look like
/// another line of the log. Secrets are removed first, because they are not recognized afterwards.
#[derive(Clone)]
struct TextFields {
    redactor: Redactor,
}

impl<'w> FormatFields<'w> for TextFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut text = Text { writer, redactor: &self.redactor, is_first: true, result: Ok(()) };
        fields.record(&mut text);
        text.result
    }
}

struct Text<'a, 'w> {
    writer: Writer<'w>,
    redactor: &'a Redactor,
    is_first: bool,
    result: fmt::Result,
}

impl Text<'_, '_> {
    fn put(&mut self, name: &str, value: &str) -> fmt::Result {
        let value = self.redactor.redact(value);
        let value = visible(&value);
        if !std::mem::take(&mut self.is_first) {
            self.writer.write_char(' ')?;
        }
        match name {
            "message" => self.writer.write_str(&value),
            name if self.writer.has_ansi_escapes() => {
                write!(self.writer, "\u{1b}[3m{name}\u{1b}[0m\u{1b}[2m=\u{1b}[0m{value}")
            }
            name => write!(self.writer, "{name}={value}"),
        }
    }
}

impl Visit for Text<'_, '_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            self.result = self.result.and_then(|()| self.put("message", value));
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let name = field.name().strip_prefix("r#").unwrap_or(field.name());
        self.result = self.result.and_then(|()| self.put(name, &format!("{value:?}")));
    }
}

/// Removes secrets from each event as a whole. The formatter writes one event at a time.
#[derive(Clone)]
struct Clean {
    /// Only for declared secrets. What looks like one is searched for in each field by itself, because the end of a field would be taken
    /// for a part of it.
    redactor: Redactor,
    is_json: bool,
    /// The prefix of each event, if the journal reads the output.
    prefix: Option<&'static str>,
}

impl<'a> MakeWriter<'a> for Clean {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }

    fn make_writer_for(&'a self, event: &Metadata<'_>) -> Self {
        Self { prefix: self.prefix.map(|_| journald::prefix(*event.level())), ..self.clone() }
    }
}

impl Write for Clean {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let text = if self.is_json {
            json_without_secrets(&text, &self.redactor)
        } else {
            self.redactor.redact(&text)
        };
        let mut out = std::io::stderr().lock();
        out.write_all(self.prefix.unwrap_or_default().as_bytes())?;
        if self.is_json {
            // Invisible characters, which JSON may contain unescaped.
            out.write_all(super::print::escaped(&text).as_bytes())?;
        } else {
            out.write_all(text.as_bytes())?;
        }
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}

/// An event in JSON without secrets. It is only parsed if it may contain one.
fn json_without_secrets<'a>(event: &'a str, redactor: &Redactor) -> Cow<'a, str> {
    let recognizing = redactor.recognizing();
    if matches!(recognizing.redact(event), Cow::Borrowed(_)) {
        return Cow::Borrowed(event);
    }
    let Ok(mut fields) = serde_json::from_str::<serde_json::Value>(event) else {
        return Cow::Owned(recognizing.redact(event).into_owned());
    };
    recognizing.redact_json(&mut fields);
    let event = format!("{fields}\n");
    Cow::Owned(redactor.redact(&event).into_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use bridgehead_sdk::is_invisible;

    use super::*;

    #[derive(Clone, Default)]
    struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn logged(colours: bool, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let redactor = Redactor::new();
        redactor.protect_for_good(["first line\nsecond line"]);
        let writer = kept.clone();
        let layer = layer()
            .fmt_fields(TextFields { redactor })
            .with_ansi(colours)
            .without_time()
            .with_target(false)
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn logged_text_cannot_forge_lines_or_control_the_terminal() {
        let forged = "create\n2026-01-01T00:00:00Z  INFO all is well\u{1b}[2J\u{202e}";
        for colours in [false, true] {
            let log = logged(colours, || {
                tracing::info!(action = forged, account = %forged, "done: {forged}");
                tracing::warn!(code = ?forged, "plain");
            });
            assert_eq!(log.lines().count(), 2, "{log}");
            let ours = log.replace("\u{1b}[0m", "").replace("\u{1b}[2m", "").replace("\u{1b}[3m", "");
            let ours = ours.replace("\u{1b}[32m", "").replace("\u{1b}[33m", "");
            assert!(!ours.contains(|one: char| one != '\n' && is_invisible(one)), "{ours:?}");
            assert!(log.contains("\\n2026-01-01") && log.contains("\\u{202e}"), "{log}");
        }
    }

    #[test]
    fn multiline_secret_is_redacted_before_lines_are_joined() {
        let log =
            logged(false, || tracing::info!(key = %"first line\nsecond line", "got first line\nsecond line"));
        assert_eq!(log.trim(), "INFO got [redacted] key=[redacted]");
    }
}
