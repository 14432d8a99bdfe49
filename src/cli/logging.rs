//! The log: to standard error, as text or JSON, with every known secret taken out of every line.

use std::io::Write;

use bridgehead_sdk::Redactor;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Log, LogFormat};

/// Starts the log as the configuration says. Only the first call of a process counts.
pub(crate) fn start(log: &Log, redactor: &Redactor) {
    let writer = Redacted { redactor: redactor.clone() };
    let filter: Targets =
        log.level.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    let layer = match log.format {
        LogFormat::Text => {
            let colours = std::io::IsTerminal::is_terminal(&std::io::stderr())
                && std::env::var_os("NO_COLOR").is_none();
            fmt::layer().with_ansi(colours).with_target(false).with_writer(writer).boxed()
        }
        LogFormat::Json => fmt::layer().json().flatten_event(true).with_writer(writer).boxed(),
    };
    drop(tracing_subscriber::registry().with(layer.with_filter(filter)).try_init());
}

/// Starts a log for commands that print their result: warnings only, unless the configuration asks for more detail.
pub(crate) fn start_quiet(log: &Log, redactor: &Redactor) {
    let level = if log.level == "info" { "warn" } else { &log.level };
    start(&Log { format: log.format, level: level.to_owned() }, redactor);
}

/// Takes secrets out of each event. The formatter hands over one event at a time.
#[derive(Clone)]
struct Redacted {
    redactor: Redactor,
}

impl<'a> MakeWriter<'a> for Redacted {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Write for Redacted {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        std::io::stderr().lock().write_all(self.redactor.redact(&text).as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().lock().flush()
    }
}
