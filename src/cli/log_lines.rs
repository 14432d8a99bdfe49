//! Log lines for people on a terminal: short, aligned, and colored by urgency.

use std::fmt;

use bridgehead_resilience::{Clock, SystemClock};
use jiff::tz::TimeZone;
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

/// The layout of each line.
#[derive(Clone, Debug)]
pub(crate) struct Lines {
    pub(crate) timezone: TimeZone,
}

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let (level, colour) = match *event.metadata().level() {
            Level::ERROR => ("error", "31;1"),
            Level::WARN => ("warn", "33"),
            Level::INFO => ("info", "32"),
            Level::DEBUG => ("debug", "34"),
            Level::TRACE => ("trace", "35"),
        };
        let time = SystemClock.now().to_zoned(self.timezone.clone()).strftime("%H:%M:%S").to_string();
        if writer.has_ansi_escapes() {
            write!(writer, "\u{1b}[2m{time}\u{1b}[0m \u{1b}[{colour}m{level:5}\u{1b}[0m ")?;
        } else {
            write!(writer, "{time} {level:5} ")?;
        }
        context.format_fields(writer.by_ref(), event)?;
        spans(context, &mut writer, event)?;
        writeln!(writer)
    }
}

/// Whether a line contains its app.
pub(crate) fn says_whose(event: &Event<'_>) -> bool {
    event.metadata().fields().field("app").is_some()
}

/// Writes the app of a line that does not contain it.
fn spans<S, N>(context: &FmtContext<'_, S, N>, writer: &mut Writer<'_>, event: &Event<'_>) -> fmt::Result
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    if says_whose(event) {
        return Ok(());
    }
    for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
        if let Some(fields) = span.extensions().get::<FormattedFields<N>>()
            && !fields.is_empty()
        {
            write!(writer, " {fields}")?;
        }
    }
    Ok(())
}

/// The lines of a stored log: with the full time, and without the names of spans.
#[derive(Clone, Debug)]
pub(crate) struct KeptLines {
    /// Whether the time is written: the storage may record it itself.
    pub(crate) has_time: bool,
}

impl<S, N> FormatEvent<S, N> for KeptLines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if self.has_time {
            write!(writer, "{} ", SystemClock.now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ"))?;
        }
        write!(writer, "{:>5} ", event.metadata().level().as_str())?;
        context.format_fields(writer.by_ref(), event)?;
        spans(context, &mut writer, event)?;
        writeln!(writer)
    }
}
