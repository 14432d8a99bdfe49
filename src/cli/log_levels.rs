//! Log levels: those of the configuration, and temporarily different ones for single apps.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use tokio::time::Instant;
use tracing::field::{Field, Visit};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Context, Filter, Layer};
use tracing_subscriber::registry::LookupSpan;

/// The levels of this process; global, because there is only one log.
static LEVELS: OnceLock<Levels> = OnceLock::new();

/// The maximum duration of a changed level, so that it is not forgotten.
pub(crate) const LONGEST: Duration = Duration::from_hours(24);

/// Changes the log level of an app in this process for a limited time; `None` goes back to the configured level.
pub(crate) fn change(app: &str, level: Option<LevelFilter>, time: Duration) -> Result<(), String> {
    let Some(levels) = Levels::of_process() else {
        return Err("this process has no log whose level can be changed".to_owned());
    };
    if time > LONGEST {
        return Err("the level of an app can be changed for 24 hours at most".to_owned());
    }
    levels.set(app, level, time);
    match level {
        None => tracing::info!(app, "the log level of the app is as the configuration says"),
        Some(level) => {
            tracing::info!(app, %level, ?time, "the log level of the app is changed for a time");
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                for app in levels.fall_back() {
                    tracing::info!(app, "the log level of the app is as the configuration says again");
                }
            });
        }
    }
    Ok(())
}

/// The target of messages that PostgreSQL sends beside its answers.
const NOTICES: &str = "sqlx::postgres::notice";

/// Decides which lines are logged.
#[derive(Clone, Debug, Default)]
pub(crate) struct Levels(Arc<RwLock<Wanted>>);

#[derive(Debug, Default)]
struct Wanted {
    /// The configured levels.
    configured: Targets,
    /// Levels of single apps, until a time.
    of_app: BTreeMap<String, (LevelFilter, Instant)>,
}

impl Levels {
    pub(crate) fn new(configured: &str) -> Self {
        let levels = Self::default();
        levels.write().configured = targets(configured);
        levels
    }

    /// Makes these the levels of the process.
    pub(crate) fn install(&self) {
        drop(LEVELS.set(self.clone()));
    }

    /// The levels of the process, if logging was started.
    pub(crate) fn of_process() -> Option<Self> {
        LEVELS.get().cloned()
    }

    /// Applies the configured levels.
    pub(crate) fn configure(&self, configured: &str) {
        self.write().configured = targets(configured);
        tracing::callsite::rebuild_interest_cache();
    }

    /// Changes the log level of an app for a limited time. `None` goes back to the configured level immediately.
    pub(crate) fn set(&self, app: &str, level: Option<LevelFilter>, time: Duration) {
        let until = Instant::now() + time;
        match level {
            Some(level) => drop(self.write().of_app.insert(app.to_owned(), (level, until))),
            None => drop(self.write().of_app.remove(app)),
        }
        tracing::callsite::rebuild_interest_cache();
    }

    /// Removes expired levels, and returns their apps.
    pub(crate) fn fall_back(&self) -> Vec<String> {
        let now = Instant::now();
        let mut wanted = self.write();
        let over: Vec<String> = wanted
            .of_app
            .iter()
            .filter(|(_, (_, until))| *until <= now)
            .map(|(app, _)| app.clone())
            .collect();
        wanted.of_app.retain(|_, (_, until)| *until > now);
        drop(wanted);
        if !over.is_empty() {
            tracing::callsite::rebuild_interest_cache();
        }
        over
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Wanted> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Wanted> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The configuration has already validated them.
fn targets(configured: &str) -> Targets {
    let levels = configured.parse().unwrap_or_else(|_| Targets::new().with_default(LevelFilter::INFO));
    // PostgreSQL sends a notice, for example, when a table that is created if missing exists.
    let is_default = levels.default_level().is_some_and(|level| level == LevelFilter::INFO);
    if is_default && !configured.contains(NOTICES) {
        levels.with_target(NOTICES, LevelFilter::WARN)
    } else {
        levels
    }
}

impl Wanted {
    fn configures(&self, metadata: &Metadata<'_>) -> bool {
        self.configured.would_enable(metadata.target(), metadata.level())
    }

    /// The current level of an app, if it differs from the configured one.
    fn level_of(&self, app: &str) -> Option<LevelFilter> {
        self.of_app.get(app).filter(|(_, until)| *until > Instant::now()).map(|(level, _)| *level)
    }

    /// Whether a line of this level may be enabled for some app.
    fn may_want(&self, metadata: &Metadata<'_>) -> bool {
        is_ours(metadata) && self.of_app.values().any(|(level, _)| metadata.level() <= level)
    }
}

/// Lines of libraries do not belong to an app.
fn is_ours(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("bridgehead")
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Filter<S> for Levels {
    fn enabled(&self, metadata: &Metadata<'_>, _: &Context<'_, S>) -> bool {
        let wanted = self.read();
        // A span is not a line: it identifies the app of the lines in it.
        (metadata.is_span() && is_ours(metadata) && *metadata.level() <= Level::INFO)
            || wanted.configures(metadata)
            || wanted.may_want(metadata)
    }

    fn callsite_enabled(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn event_enabled(&self, event: &Event<'_>, context: &Context<'_, S>) -> bool {
        let wanted = self.read();
        let metadata = event.metadata();
        if wanted.of_app.is_empty() || !is_ours(metadata) {
            return wanted.configures(metadata);
        }
        let mut named = App::default();
        event.record(&mut named);
        let app = named.0.or_else(|| {
            let mut scope = context.event_scope(event)?;
            scope.find_map(|span| span.extensions().get::<App>().and_then(|app| app.0.clone()))
        });
        match app.and_then(|app| wanted.level_of(&app)) {
            Some(level) => *metadata.level() <= level,
            None => wanted.configures(metadata),
        }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let wanted = self.read();
        // Spans have this level.
        let least = LevelFilter::INFO;
        let configured = wanted.configured.default_level().unwrap_or(LevelFilter::TRACE);
        let of_modules = wanted.configured.iter().map(|(_, level)| level).max();
        let of_apps = wanted.of_app.values().map(|(level, _)| *level).max();
        [Some(configured), of_modules, of_apps].into_iter().flatten().max().map(|level| level.max(least))
    }
}

/// The app of a span or an event.
#[derive(Debug, Default)]
struct App(Option<String>);

impl Visit for App {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "app" {
            self.0 = Some(value.to_owned());
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        if field.name() == "app" {
            self.0 = Some(format!("{value:?}"));
        }
    }
}

/// Records the app of each span.
#[derive(Debug)]
pub(crate) struct NoteApps;

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for NoteApps {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        let mut app = App::default();
        attributes.record(&mut app);
        if app.0.is_some()
            && let Some(span) = context.span(id)
        {
            span.extensions_mut().insert(app);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::Mutex;

    use tracing_subscriber::layer::SubscriberExt;

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

    fn logged(levels: &Levels, log: impl FnOnce()) -> String {
        let kept = Kept::default();
        let writer = kept.clone();
        let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
        let subscriber =
            tracing_subscriber::registry().with(NoteApps).with(layer.with_filter(levels.clone()));
        tracing::subscriber::with_default(subscriber, log);
        String::from_utf8(kept.0.lock().unwrap().clone()).unwrap()
    }

    fn write_lines() {
        tracing::debug!(app = "hr", "debug of hr itself");
        tracing::debug!(app = "crm", "debug of crm itself");
        let span = tracing::info_span!("task", app = %"hr");
        span.in_scope(|| tracing::debug!("debug in a span of hr"));
        tracing::info!("info of nobody");
        tracing::debug!("debug of nobody");
        tracing::debug!(target: "hyper", app = "hr", "debug of a library");
    }

    #[tokio::test(start_paused = true)]
    async fn log_level_can_be_raised_for_one_app_temporarily() {
        let levels = Levels::new("info");
        let quiet = logged(&levels, write_lines);
        assert!(quiet.contains("info of nobody") && !quiet.contains("debug of"), "{quiet}");

        levels.set("hr", Some(LevelFilter::DEBUG), Duration::from_mins(10));
        let more = logged(&levels, write_lines);
        assert!(more.contains("debug of hr itself") && more.contains("debug in a span of hr"), "{more}");
        for other in ["debug of crm", "debug of nobody", "debug of a library"] {
            assert!(!more.contains(other), "{more}");
        }
        assert!(levels.fall_back().is_empty());

        // It has expired even before it is removed.
        tokio::time::advance(Duration::from_mins(10)).await;
        assert!(!logged(&levels, write_lines).contains("debug of hr"));
        assert_eq!(levels.fall_back(), ["hr"]);
    }

    #[tokio::test(start_paused = true)]
    async fn log_level_can_be_lowered_and_the_default_changed() {
        let levels = Levels::new("info");
        levels.set("hr", Some(LevelFilter::ERROR), Duration::from_mins(1));
        let write = || {
            tracing::warn!(app = "hr", "warning of hr");
            tracing::warn!(app = "crm", "warning of crm");
        };
        let less = logged(&levels, write);
        assert!(!less.contains("warning of hr") && less.contains("warning of crm"), "{less}");
        levels.set("hr", None, Duration::ZERO);
        assert!(logged(&levels, write).contains("warning of hr"));
        levels.configure("error");
        assert_eq!(logged(&levels, write), "");
    }
}
