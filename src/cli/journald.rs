//! The log for systemd's journal on standard error: each line has its priority and searchable fields.
//!
//! The journal's own protocol takes an event as `NAME=value` lines in one datagram. It is implemented here because `tracing-journald`
//! offers no way to remove secrets from a field. If its socket is not available, and for JSON, standard error gets the priority as a
//! prefix, which the journal removes.

use std::fmt::{Debug, Write as _};
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

use bridgehead_sdk::{Redactor, visible};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::log_lines::says_whose;

/// The socket on which the journal receives events.
const SOCKET: &str = "/run/systemd/journal/socket";

/// Whether standard error really is the journal: a unit's output may have been redirected since.
pub(crate) fn is_stderr() -> bool {
    let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
    rustix::fs::fstat(std::io::stderr())
        .is_ok_and(|file| stream == format!("{}:{}", file.st_dev, file.st_ino))
}

/// The prefix of a line with this level.
pub(crate) fn prefix(level: Level) -> &'static str {
    match priority(level) {
        3 => "<3>",
        4 => "<4>",
        6 => "<6>",
        _ => "<7>",
    }
}

/// The priority in syslog's numbers.
fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Sends events to the journal.
#[derive(Debug)]
pub(crate) struct Journald {
    socket: UnixDatagram,
    redactor: Redactor,
    /// The name of this program in the journal.
    identifier: String,
}

impl Journald {
    /// Connects to the journal of this machine, if it is available.
    pub(crate) fn connect(redactor: &Redactor) -> Option<Self> {
        Self::to(Path::new(SOCKET), redactor).ok()
    }

    fn to(socket: &Path, redactor: &Redactor) -> std::io::Result<Self> {
        let own = UnixDatagram::unbound()?;
        own.connect(socket)?;
        // A hanging journal must not delay tasks; the event is then written to standard error.
        own.set_nonblocking(true)?;
        let program = std::env::args_os().next().unwrap_or_default();
        let name = Path::new(&program).file_name().map(|name| visible(&name.to_string_lossy()).into_owned());
        let identifier = name.unwrap_or_else(|| "bridgehead".to_owned());
        Ok(Self { socket: own, redactor: redactor.recognizing(), identifier })
    }
}

/// The fields of a span: name, plain value and displayed value. They contain no secrets.
#[derive(Default)]
struct SpanFields(Vec<(String, String, String)>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Journald {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut taken = Taken { redactor: &self.redactor, fields: SpanFields::default() };
        attributes.record(&mut taken);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(taken.fields);
        }
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        let mut taken = Taken { redactor: &self.redactor, fields: SpanFields::default() };
        values.record(&mut taken);
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<SpanFields>()
        {
            fields.0.append(&mut taken.fields.0);
        }
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let mut entry = Entry {
            redactor: &self.redactor,
            message: String::new(),
            shown: String::new(),
            fields: String::new(),
        };
        event.record(&mut entry);
        let scope = context.event_scope(event).filter(|_| !says_whose(event));
        for span in scope.into_iter().flat_map(Scope::from_root) {
            if let Some(fields) = span.extensions().get::<SpanFields>() {
                fields.0.iter().for_each(|(name, plain, shown)| entry.add(name, plain, shown));
            }
        }
        let level = *event.metadata().level();
        let message = format!("{}{}", entry.message, entry.shown);
        let message = message.trim_start();
        let datagram = format!(
            "PRIORITY={}\n{}SYSLOG_IDENTIFIER={}\nMESSAGE={message}\n{}",
            priority(level),
            place(event.metadata()),
            self.identifier,
            entry.fields
        );
        if self.socket.send(datagram.as_bytes()).is_err() {
            let mut out = std::io::stderr().lock();
            // There is no other place to report an error.
            drop(writeln!(out, "{}{message}", prefix(level)));
        }
    }
}

/// The source location, in the journal's own fields.
fn place(of: &tracing::Metadata<'_>) -> String {
    match (of.file(), of.line()) {
        (Some(file), Some(line)) => format!("CODE_FILE={file}\nCODE_LINE={line}\n"),
        _ => String::new(),
    }
}

/// An event in progress: its message and its searchable fields. Each is a single line without secrets.
struct Entry<'a> {
    redactor: &'a Redactor,
    message: String,
    shown: String,
    fields: String,
}

impl Entry<'_> {
    fn put(&mut self, field: &Field, plain: &str, shown: &str) {
        let (name, plain, shown) = cleaned(self.redactor, field, plain, shown);
        if name == "message" {
            self.message = plain;
        } else {
            self.add(&name, &plain, &shown);
        }
    }

    fn add(&mut self, name: &str, plain: &str, shown: &str) {
        // Writing to a string cannot fail.
        let _written = write!(self.shown, " {name}={shown}");
        let capital = |one: char| if one.is_ascii_alphanumeric() { one.to_ascii_uppercase() } else { '_' };
        let name: String = name.chars().map(capital).collect();
        let _written = writeln!(self.fields, "BRIDGEHEAD_{name}={plain}");
    }
}

impl Visit for Entry<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value, &format!("{value:?}"));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.put(field, &text, &text);
    }
}

/// A field without secrets, on one line. Secrets are removed first, because they are not recognized once their lines are joined.
fn cleaned(redactor: &Redactor, field: &Field, plain: &str, shown: &str) -> (String, String, String) {
    let clean = |text: &str| visible(&redactor.redact(text)).into_owned();
    let name = field.name().strip_prefix("r#").unwrap_or(field.name());
    (name.to_owned(), clean(plain), clean(shown))
}

/// Collects the fields of a span.
struct Taken<'a> {
    redactor: &'a Redactor,
    fields: SpanFields,
}

impl Visit for Taken<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.fields.0.push(cleaned(self.redactor, field, value, &format!("{value:?}")));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let text = format!("{value:?}");
        self.fields.0.push(cleaned(self.redactor, field, &text, &text));
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    fn sent(log: impl FnOnce()) -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("socket");
        let journal = UnixDatagram::bind(&socket).unwrap();
        journal.set_nonblocking(true).unwrap();
        let redactor = Redactor::new();
        redactor.protect_for_good(["first line\nsecond line"]);
        let layer = Journald::to(&socket, &redactor).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let mut events = Vec::new();
        let mut datagram = [0; 4096];
        while let Ok(length) = journal.recv(&mut datagram) {
            events.push(String::from_utf8(datagram[..length].to_vec()).unwrap());
        }
        events
    }

    #[test]
    fn each_event_has_priority_and_searchable_fields() {
        let events = sent(|| {
            tracing::warn!(app = "hr", task = %"t-1", took = ?3, "it is slow");
            tracing::error!(alarm.kind = "x", "lost");
            tracing::info!("fine");
            tracing::debug!("detail");
        });
        let is_fixed = |line: &&str| !line.starts_with("SYSLOG") && !line.starts_with("CODE_LINE=");
        let lines: Vec<&str> = events[0].lines().filter(is_fixed).collect();
        assert_eq!(
            lines,
            [
                "PRIORITY=4",
                "CODE_FILE=src/cli/journald.rs",
                "MESSAGE=it is slow app=\"hr\" task=t-1 took=3",
                "BRIDGEHEAD_APP=hr",
                "BRIDGEHEAD_TASK=t-1",
                "BRIDGEHEAD_TOOK=3"
            ]
        );
        assert!(events[1].starts_with("PRIORITY=3\n") && events[1].contains("\nBRIDGEHEAD_ALARM_KIND=x\n"));
        assert!(events[2].starts_with("PRIORITY=6\n") && events[3].starts_with("PRIORITY=7\n"), "{events:?}");
    }

    #[test]
    fn event_without_an_app_inherits_span_fields() {
        let events = sent(|| {
            let span = tracing::info_span!("task", app = "hr", action = tracing::field::Empty);
            let _entered = span.enter();
            span.record("action", "create_account");
            tracing::info!("from a connector");
            tracing::info!(app = "crm", "of another app");
        });
        assert!(
            events[0].contains("\nMESSAGE=from a connector app=\"hr\" action=\"create_account\"\n"),
            "{events:?}"
        );
        assert!(events[0].contains("\nBRIDGEHEAD_APP=hr\nBRIDGEHEAD_ACTION=create_account\n"), "{events:?}");
        assert!(events[1].contains("\nBRIDGEHEAD_APP=crm\n") && !events[1].contains("hr"), "{events:?}");
    }

    #[test]
    fn logged_text_cannot_forge_fields_or_leak_secrets() {
        let forged = "all is well\nPRIORITY=7\n_UID=0";
        let events = sent(|| {
            tracing::error!(account = %forged, name = forged, key = "first line\nsecond line", "{forged} first line\nsecond line");
        });
        let [event] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!(
            event.lines().filter(|line| line.starts_with("PRIORITY=")).collect::<Vec<_>>(),
            ["PRIORITY=3"]
        );
        assert!(!event.contains("\n_UID") && !event.contains("second line"), "{event}");
        assert!(event.contains("\nBRIDGEHEAD_KEY=[redacted]\n"), "{event}");
    }
}
