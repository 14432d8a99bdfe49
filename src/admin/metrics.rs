//! `/metrics`, in the Prometheus text format, or in OpenMetrics if that is requested.
//!
//! All values are read at the time of the scrape from the runtime's own counters; nothing is counted twice. Labels are the names of apps,
//! resource types, actions, codes and results: their number is limited by the configuration and the Bridge's documentation, and none of
//! them is personal data.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::registry::Registry;

use bridgehead_runtime::{AlarmKind, AppOverview, Counters, Level, StatusReport, StatusReporter, TaskCounts};
use bridgehead_store::RunResult;

/// The two formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// The format that all monitoring tools support.
    Prometheus,
    /// The format that Prometheus prefers.
    OpenMetrics,
}

impl Format {
    /// The requested format. Prometheus lists all formats that it supports, so the first one alone does not decide.
    pub(super) fn asked_for(accept: Option<&str>) -> Self {
        let is_open = |accept: &str| accept.contains("application/openmetrics-text");
        if accept.is_some_and(is_open) { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// Its media type.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// All current values.
pub(super) async fn exposition(observer: &StatusReporter, format: Format) -> Result<String, fmt::Error> {
    let overview = observer.overview().await;
    let counted = observer.statuses().map(|(name, status)| (name, status.tally().now())).collect();
    let exposition = write(Scrape { overview, counted })?;
    Ok(match format {
        Format::OpenMetrics => exposition,
        Format::Prometheus => classic(&exposition),
    })
}

/// Converts to the older format: there a counter's family has the same name as its samples, and there is no end marker.
fn classic(exposition: &str) -> String {
    let counters: Vec<&str> = exposition
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"))
        .collect();
    let mut text = String::with_capacity(exposition.len() + 64 * counters.len());
    for line in exposition.lines().filter(|line| *line != "# EOF") {
        let head = ["# HELP ", "# TYPE "].into_iter().find_map(|head| Some((head, line.strip_prefix(head)?)));
        match head.and_then(|(head, rest)| Some((head, rest.split_once(' ')?))) {
            Some((head, (name, rest))) if counters.contains(&name) => {
                text.extend([head, name, "_total ", rest]);
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

fn write(scrape: Scrape) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(scrape));
    let mut exposition = String::new();
    text::encode(&mut exposition, &registry)?;
    Ok(exposition)
}

/// The values of one scrape.
#[derive(Debug)]
struct Scrape {
    overview: StatusReport,
    counted: BTreeMap<String, Counters>,
}

type Labels<'a> = Vec<(&'static str, &'a str)>;

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        self.daemon(&mut encoder)?;
        self.tasks(&mut encoder)?;
        self.target(&mut encoder)?;
        self.syncs(&mut encoder)?;
        self.alarms(&mut encoder)
    }
}

impl Scrape {
    fn daemon(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let Some(daemon) = &self.overview.daemon else {
            return Ok(());
        };
        gauge(
            encoder,
            "bridgehead_build_info",
            "The version of the daemon; always 1.",
            [(vec![("version", daemon.version.as_str())], 1.0)],
        )?;
        gauge(
            encoder,
            "bridgehead_start_time_seconds",
            "When the daemon started, in seconds since 1970.",
            [(vec![], seconds(daemon.started_at))],
        )?;
        gauge(
            encoder,
            "bridgehead_healthy",
            "Whether the daemon's background loops are running, as reported by /healthz.",
            [(vec![], flag(daemon.unhealthy.is_none()))],
        )?;
        gauge(
            encoder,
            "bridgehead_ready",
            "Whether every app has reached the Bridge, as reported by /readyz.",
            [(vec![], flag(daemon.ready))],
        )?;
        let audit = || daemon.audit.iter();
        gauge(
            encoder,
            "bridgehead_audit_head",
            "The number of the last entry of the audit log, with its hash: keep them elsewhere, and `bridgehead audit verify --head` \
             proves that nothing up to there was cut off.",
            audit().map(|audit| (vec![("hash", audit.hash.as_str())], audit.seq as f64)),
        )?;
        gauge(
            encoder,
            "bridgehead_audit_unwritten",
            "Entries of the audit log that could not be written yet.",
            audit().map(|audit| (vec![], audit.unwritten as f64)),
        )?;
        counter(
            encoder,
            "bridgehead_loop_panics",
            "Panics in an app's background loops. The loop is restarted each time, but every panic is a bug.",
            self.counted().flat_map(|(app, counted)| {
                let panics = counted.panics.iter();
                panics.map(move |(name, (count, _))| (vec![("app", app), ("loop", *name)], *count))
            }),
        )
    }

    #[expect(clippy::too_many_lines, reason = "a list of metrics, one after another")]
    fn tasks(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        counter(
            encoder,
            "bridgehead_polls",
            "Polls of the task list, by whether the whole list was read.",
            self.counted().flat_map(|(app, counted)| {
                [("ok", counted.polls), ("failed", counted.failed_polls)]
                    .map(|(result, count)| (vec![("app", app), ("result", result)], count))
            }),
        )?;
        gauge(
            encoder,
            "bridgehead_last_poll_timestamp_seconds",
            "When the whole task list was last read, in seconds since 1970.",
            self.apps().filter_map(|(name, app)| Some((vec![("app", name)], seconds(app.tasks.polled_at?)))),
        )?;
        counter(
            encoder,
            "bridgehead_tasks_started",
            "Tasks started.",
            self.counts().map(|(app, counts)| (vec![("app", app)], counts.started)),
        )?;
        counter(
            encoder,
            "bridgehead_tasks",
            "Tasks whose report is finished: completed, failed (with the code), already resolved in Iden \
             (conflict), unknown to Iden (missing), or not accepted (rejected).",
            self.counts().flat_map(|(app, counts)| outcomes(app, counts)),
        )?;
        counter(
            encoder,
            "bridgehead_task_retries",
            "Retries of tasks after a failed attempt.",
            self.counts().map(|(app, counts)| (vec![("app", app)], counts.retried)),
        )?;
        counter(
            encoder,
            "bridgehead_reports_delayed",
            "Reports that had to be retried.",
            self.counts().map(|(app, counts)| (vec![("app", app)], counts.reports_delayed)),
        )?;
        gauge(
            encoder,
            "bridgehead_tasks_relisted",
            "Tasks that Iden still lists as pending although their outcome has been reported several times.",
            self.counts().map(|(app, counts)| (vec![("app", app)], counts.relisted as f64)),
        )?;
        counter(
            encoder,
            "bridgehead_task_verifications",
            "Successful tasks that were verified, by what the account showed: the requested state (seen), a \
             value that the target stores in its own form (differing), that the change was not made \
             (contradicted), or nothing (not_looked).",
            self.counted().flat_map(|(app, counted)| {
                counted
                    .verified
                    .iter()
                    .map(move |(what, count)| (vec![("app", app), ("result", what.as_str())], *count))
            }),
        )?;
        counter(
            encoder,
            "bridgehead_task_lookups",
            "Lookups that tasks made before and after their changes.",
            self.counted().map(|(app, counted)| (vec![("app", app)], counted.looks)),
        )?;
        counter(
            encoder,
            "bridgehead_tasks_not_verified",
            "Completed tasks, by the field that they set but the target cannot show.",
            self.counted().flat_map(|(app, counted)| {
                let fields = counted.not_verified.iter();
                fields.map(move |(field, count)| (vec![("app", app), ("field", field.as_str())], *count))
            }),
        )?;
        gauge(
            encoder,
            "bridgehead_tasks_waiting",
            "Tasks that wait for their turn.",
            self.counts().map(|(app, counts)| (vec![("app", app)], counts.waiting as f64)),
        )?;
        gauge(
            encoder,
            "bridgehead_tasks_under_way",
            "Tasks that are running, waiting to be retried, or held.",
            self.counts().map(|(app, counts)| (vec![("app", app)], counts.under_way as f64)),
        )?;
        gauge(
            encoder,
            "bridgehead_tasks_tried_again",
            "Tasks in progress that are being retried, or whose outcome Iden has not received yet.",
            self.apps().map(|(name, app)| (vec![("app", name)], app.tasks.attempts_total as f64)),
        )?;
        gauge(
            encoder,
            "bridgehead_tasks_not_due",
            "Pending tasks whose execute_after is in the future.",
            self.apps().map(|(name, app)| (vec![("app", name)], app.tasks.not_due as f64)),
        )?;
        gauge(
            encoder,
            "bridgehead_state_writable",
            "Whether the last write to the state folder succeeded. While writes fail, no task is executed.",
            self.apps().map(|(name, app)| (vec![("app", name)], flag(app.state_unwritable.is_none()))),
        )?;
        gauge(
            encoder,
            "bridgehead_tasks_guarded",
            "Deletions and suspensions that the deprovision limit holds until an operator releases them.",
            self.apps().map(|(name, app)| {
                let held = app.tasks.guarded.as_ref().map_or(0, |guarded| guarded.held);
                (vec![("app", name)], held as f64)
            }),
        )?;
        gauge(
            encoder,
            "bridgehead_journal_tasks",
            "Tasks in the journal: intended (started), decided (not reported yet), rejected (report refused \
             by Iden).",
            self.apps().flat_map(|(name, app)| {
                let states = app.tasks.journal.map(|counts| {
                    [
                        ("intended", counts.intended),
                        ("decided", counts.decided),
                        ("rejected", counts.rejected),
                    ]
                });
                let states = states.into_iter().flatten();
                states.map(move |(state, count)| (vec![("app", name), ("state", state)], count as f64))
            }),
        )?;
        self.executions(encoder)
    }

    fn executions(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let help = "How long one execution of a task took in the connector, by action.";
        let mut family =
            encoder.encode_descriptor("bridgehead_execution_seconds", help, None, MetricType::Histogram)?;
        for (app, counted) in self.counted() {
            for (action, histogram) in &counted.executions {
                let labels: Labels<'_> = vec![("app", app), ("action", action.as_str())];
                histogram.encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }

    fn target(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        gauge(
            encoder,
            "bridgehead_breaker_open",
            "Whether the target is unreachable, so that tasks are held.",
            self.apps().map(|(name, app)| (vec![("app", name)], flag(app.held.is_some()))),
        )?;
        gauge(
            encoder,
            "bridgehead_access_refused",
            "Whether the Bridge rejects the API key or denies access to the app.",
            self.apps().map(|(name, app)| (vec![("app", name)], flag(app.access_refused.is_some()))),
        )
    }

    fn syncs(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        counter(
            encoder,
            "bridgehead_syncs",
            "Syncs that ended, by result: completed, held, abandoned or failed.",
            self.counted().flat_map(|(app, counted)| {
                let syncs = counted.syncs.iter();
                syncs.map(move |(result, count)| (vec![("app", app), ("result", result.as_str())], *count))
            }),
        )?;
        counter(
            encoder,
            "bridgehead_records_pushed",
            "Records that syncs pushed to Iden.",
            self.counted().flat_map(|(app, counted)| {
                let pushed = counted.pushed.iter();
                pushed
                    .map(move |(slug, count)| (vec![("app", app), ("resource_type", slug.as_str())], *count))
            }),
        )?;
        gauge(
            encoder,
            "bridgehead_sync_under_way",
            "Whether a sync is running.",
            self.apps().map(|(name, app)| (vec![("app", name)], flag(app.sync.under_way.is_some()))),
        )?;
        gauge(
            encoder,
            "bridgehead_last_successful_sync_timestamp_seconds",
            "When a sync last completed, in seconds since 1970. Includes syncs of earlier processes.",
            self.apps().filter_map(|(name, app)| {
                Some((vec![("app", name)], seconds(app.sync.last_completed.as_ref()?.at)))
            }),
        )?;
        gauge(
            encoder,
            "bridgehead_next_sync_timestamp_seconds",
            "When the next sync is due, in seconds since 1970.",
            self.apps().filter_map(|(name, app)| Some((vec![("app", name)], seconds(app.sync.next_due_at?)))),
        )?;
        gauge(
            encoder,
            "bridgehead_held_removals",
            "Removals that the removal guard holds back; 0 when it holds none.",
            self.apps().flat_map(|(name, app)| {
                let last = app.sync.last.iter();
                last.flat_map(move |last| {
                    let is_held = last.result == RunResult::Held;
                    last.resource_types.iter().map(move |(slug, figures)| {
                        let labels = vec![("app", name), ("resource_type", slug.as_str())];
                        (labels, if is_held { figures.removed as f64 } else { 0.0 })
                    })
                })
            }),
        )
    }

    fn alarms(&self, encoder: &mut DescriptorEncoder<'_>) -> fmt::Result {
        gauge(
            encoder,
            "bridgehead_paused",
            "Whether an operator has paused the app: no task and no sync starts.",
            self.apps().map(|(name, app)| (vec![("app", name)], flag(app.paused.is_some()))),
        )?;
        let nodes = self.nodes();
        gauge(
            encoder,
            "bridgehead_node_apps",
            "How many apps a node runs, where nodes share the state.",
            nodes.iter().map(|(name, node)| (vec![("node", *name)], node.apps as f64)),
        )?;
        gauge(
            encoder,
            "bridgehead_node_lost",
            "Whether a node that shares the state has not been heard of for longer than a lease.",
            nodes.iter().map(|(name, node)| (vec![("node", *name)], flag(node.is_lost))),
        )?;
        gauge(
            encoder,
            "bridgehead_app_owner",
            "1 for the node that runs the app, where nodes share the state.",
            self.overview.apps.iter().filter_map(|(name, app)| {
                let name = name.as_str();
                let owner = app.owner.as_ref()?;
                Some((vec![("app", name), ("node", owner.node.as_str())], 1.0))
            }),
        )?;
        gauge(
            encoder,
            "bridgehead_alarm",
            "Whether an operator must act, by kind of alarm. /status says what to do.",
            self.apps().flat_map(|(name, app)| {
                AlarmKind::ALL.map(|kind| {
                    let rings =
                        app.alarms.iter().any(|alarm| alarm.kind == kind && alarm.level == Level::Alarm);
                    (vec![("app", name), ("kind", kind.as_str())], flag(rings))
                })
            }),
        )
    }

    /// The nodes that share the state, by name. A node that was restarted in a new folder is known as two processes for a while.
    fn nodes(&self) -> BTreeMap<&str, Node> {
        let mut nodes: BTreeMap<&str, Node> = BTreeMap::new();
        for process in self.overview.daemon.iter().flat_map(|daemon| &daemon.nodes) {
            let node = nodes.entry(&process.name).or_insert(Node { apps: 0, is_lost: true });
            node.apps += process.apps;
            node.is_lost &= process.lost;
        }
        nodes
    }

    /// The apps that this node exports: those that it runs, and those that no node runs. Otherwise, a sum over all nodes would count
    /// an app several times.
    fn apps(&self) -> impl Iterator<Item = (&str, &AppOverview)> {
        let is_ours = |app: &AppOverview| app.elsewhere.is_none() || app.owner.is_none();
        self.overview.apps.iter().filter(move |(_, app)| is_ours(app)).map(|(name, app)| (name.as_str(), app))
    }

    fn counts(&self) -> impl Iterator<Item = (&str, &TaskCounts)> {
        self.apps().filter_map(|(name, app)| Some((name, app.tasks.counts.as_ref()?)))
    }

    fn counted(&self) -> impl Iterator<Item = (&str, &Counters)> {
        self.counted.iter().map(|(name, counted)| (name.as_str(), counted))
    }
}

/// A node, however many processes it is known as.
struct Node {
    apps: u64,
    is_lost: bool,
}

fn outcomes<'a>(app: &'a str, counts: &'a TaskCounts) -> Vec<(Labels<'a>, u64)> {
    let sample = |outcome, code, count| (vec![("app", app), ("outcome", outcome), ("code", code)], count);
    let mut samples = vec![
        sample("completed", "", counts.completed),
        sample("conflict", "", counts.conflicts),
        sample("missing", "", counts.missing),
        sample("rejected", "", counts.rejected),
    ];
    samples.extend(counts.failed.iter().map(|(code, count)| sample("failed", code.as_str(), *count)));
    samples
}

fn counter<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<'a>, u64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
    for (labels, count) in samples {
        ConstCounter::new(count).encode(family.encode_family(&labels)?)?;
    }
    Ok(())
}

fn gauge<'a>(
    encoder: &mut DescriptorEncoder<'_>,
    name: &'static str,
    help: &str,
    samples: impl IntoIterator<Item = (Labels<'a>, f64)>,
) -> fmt::Result {
    let mut family = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (labels, value) in samples {
        if labels.is_empty() {
            family.encode_gauge(&value)?;
        } else {
            family.encode_family(&labels)?.encode_gauge(&value)?;
        }
    }
    Ok(())
}

fn flag(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

fn seconds(at: Timestamp) -> f64 {
    at.as_millisecond() as f64 / 1000.0
}

#[cfg(test)]
mod tests;
