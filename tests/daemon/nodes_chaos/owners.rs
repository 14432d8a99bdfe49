//! Watches in the database which node owns which app, during the whole run, and finds out afterwards how long takeovers took.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use super::plan::Fault;
use crate::nodes::LEASE;

const EVERY: Duration = Duration::from_millis(50);
/// How long one look may take; longer counts as no answer.
const LIMIT: Duration = Duration::from_millis(500);
const OWNERS: &str =
    "SELECT app, node, epoch FROM owners WHERE NOT is_released AND expires_at > clock_timestamp()";

/// The owner of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) node: String,
    pub(super) epoch: i64,
}

/// The owners of all apps that have a valid one, by the id of the app.
pub(super) type Owners = BTreeMap<String, Owner>;

/// What the database answered, and when; `None` if it did not answer.
pub(super) type Sample = (Instant, Option<Owners>);

/// A fault that has begun, on a node.
#[derive(Clone, Debug)]
pub(super) struct Disturbance {
    pub(super) node: String,
    pub(super) fault: Fault,
    pub(super) began: Instant,
    pub(super) ended: Instant,
}

/// Looks at the owners until it is dropped.
pub(super) struct Watch {
    samples: Arc<Mutex<Vec<Sample>>>,
    _task: AbortOnDropHandle<()>,
}

impl Watch {
    pub(super) fn start(url: &str) -> Self {
        let samples = Arc::new(Mutex::new(Vec::new()));
        let options = PgConnectOptions::from_str(url).expect("the URL of the test's database");
        let task = tokio::spawn(watch(options, Arc::clone(&samples)));
        Self { samples, _task: AbortOnDropHandle::new(task) }
    }

    pub(super) fn samples(&self) -> Vec<Sample> {
        self.samples.lock().expect("the samples").clone()
    }

    /// The last owner that was seen.
    pub(super) fn owner(&self, app: &str) -> Option<Owner> {
        let samples = self.samples.lock().expect("the samples");
        let (_, owners) = samples.iter().rev().find(|(_, owners)| owners.is_some())?;
        owners.as_ref()?.get(app).cloned()
    }
}

async fn watch(options: PgConnectOptions, samples: Arc<Mutex<Vec<Sample>>>) {
    let mut connection: Option<PgConnection> = None;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let seen = tokio::time::timeout(LIMIT, look(&options, &mut connection)).await;
        let owners = seen.ok().and_then(Result::ok);
        if owners.is_none() {
            connection = None;
        }
        samples.lock().expect("the samples").push((Instant::now(), owners));
    }
}

async fn look(
    options: &PgConnectOptions,
    connection: &mut Option<PgConnection>,
) -> Result<Owners, sqlx::Error> {
    if connection.is_none() {
        *connection = Some(options.connect().await?);
    }
    let Some(connection) = connection else { return Ok(Owners::new()) };
    connection.ping().await?;
    let rows: Vec<(String, String, i64)> = sqlx::query_as(OWNERS).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(app, node, epoch)| (app, Owner { node, epoch })).collect())
}

/// What became of an app whose owner was disturbed.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Takeover {
    /// Another process, or the same node after a restart, got it after this time.
    After(Duration),
    /// The owner kept it.
    Kept,
    /// Nobody got it in this time, until the run ended.
    Never(Duration),
}

/// For each disturbance and each app that its node owned: what became of it, and whether another node was undisturbed meanwhile.
pub(super) fn takeovers(samples: &[Sample], disturbances: &[Disturbance]) -> Vec<(Fault, bool, Takeover)> {
    let mut found = Vec::new();
    for disturbance in disturbances.iter().filter(|disturbance| disturbance.fault.takes_apps()) {
        let before = samples.iter().rev().find(|(at, owners)| *at <= disturbance.began && owners.is_some());
        let Some((_, Some(before))) = before else { continue };
        for (app, owner) in before.iter().filter(|(_, owner)| owner.node == disturbance.node) {
            let (end, takeover) = follow(samples, disturbance, app, owner);
            found.push((disturbance.fault, is_free(samples, disturbances, disturbance, end), takeover));
        }
    }
    found
}

fn follow(samples: &[Sample], disturbance: &Disturbance, app: &str, owner: &Owner) -> (Instant, Takeover) {
    let mut last = disturbance.began;
    for (at, owners) in samples.iter().filter(|(at, _)| *at > disturbance.began) {
        last = *at;
        let Some(now) = owners.as_ref().and_then(|owners| owners.get(app)) else { continue };
        if now.epoch != owner.epoch {
            return (*at, Takeover::After(*at - disturbance.began));
        }
        if *at > disturbance.ended + LEASE {
            return (*at, Takeover::Kept);
        }
    }
    (last, Takeover::Never(last - disturbance.began))
}

/// Whether another node was undisturbed, and the database answered, until `end`.
fn is_free(samples: &[Sample], all: &[Disturbance], this: &Disturbance, end: Instant) -> bool {
    let overlaps = |other: &&Disturbance| other.began <= end && other.ended >= this.began;
    let mut nodes: Vec<&str> = all.iter().filter(overlaps).map(|other| other.node.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let is_silent = |(at, owners): &Sample| *at >= this.began && *at <= end && owners.is_none();
    nodes.len() < super::plan::NODES && !samples.iter().any(is_silent)
}

/// How long apps had no valid owner while the database answered, in seconds. Includes those without one at the end.
pub(super) fn ownerless(samples: &[Sample]) -> Vec<f64> {
    let mut since: BTreeMap<&str, Instant> = BTreeMap::new();
    let mut seconds = Vec::new();
    let known: Vec<&str> = {
        let mut apps: Vec<&str> = samples
            .iter()
            .filter_map(|(_, owners)| owners.as_ref())
            .flat_map(BTreeMap::keys)
            .map(String::as_str)
            .collect();
        apps.sort_unstable();
        apps.dedup();
        apps
    };
    for (at, owners) in samples {
        let Some(owners) = owners else { continue };
        for app in &known {
            match (owners.contains_key(*app), since.get(app)) {
                (true, Some(from)) => {
                    seconds.push((*at - *from).as_secs_f64());
                    since.remove(app);
                }
                (false, None) => drop(since.insert(app, *at)),
                _ => {}
            }
        }
    }
    if let Some((end, _)) = samples.last() {
        seconds.extend(since.into_values().map(|from| (*end - from).as_secs_f64()));
    }
    seconds
}

/// What happened to nodes and owners, in order and by the clock of the logs: to explain a takeover that took long. `names` has the apps by
/// id.
pub(super) fn story(
    samples: &[Sample],
    disturbances: &[Disturbance],
    names: &BTreeMap<String, &str>,
) -> String {
    let mut events: Vec<(Instant, String)> = Vec::new();
    for Disturbance { node, fault, began, ended } in disturbances {
        events.push((*began, format!("{node}: {} begins", fault.name())));
        events.push((*ended, format!("{node}: {} ends", fault.name())));
    }
    let mut before = None;
    for (at, owners) in samples {
        if before.replace(owners) == Some(owners) {
            continue;
        }
        let owner = |(app, name): (&String, &&str)| match owners.as_ref().and_then(|all| all.get(app)) {
            Some(Owner { node, epoch }) => format!("{name} {node} ({epoch})"),
            None => format!("{name} nobody"),
        };
        let all: Vec<String> = names.iter().map(owner).collect();
        let text = if owners.is_some() { all.join(", ") } else { "the database does not answer".to_owned() };
        events.push((*at, format!("  {text}")));
    }
    events.sort_by_key(|(at, _)| *at);
    let line = |(at, text): (Instant, String)| {
        let time = jiff::SignedDuration::try_from(at.elapsed()).ok();
        let time = time.and_then(|ago| jiff::Timestamp::now().checked_sub(ago).ok());
        format!("{} {text}\n", time.unwrap_or_default())
    };
    events.into_iter().map(line).collect()
}

/// The takeovers as figures.
pub(super) fn figures(takeovers: &[(Fault, bool, Takeover)]) -> Value {
    let one = |(fault, is_free, takeover): &(Fault, bool, Takeover)| {
        let (kind, seconds) = match takeover {
            Takeover::After(after) => ("after", after.as_secs_f64()),
            Takeover::Kept => ("kept", 0.0),
            Takeover::Never(waited) => ("never", waited.as_secs_f64()),
        };
        json!({"fault": fault.name(), "free": is_free, "became": kind, "seconds": seconds})
    };
    takeovers.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "a sample may be missing")]
    fn owned(node: &str, epoch: i64) -> Option<Owners> {
        Some(BTreeMap::from([("hr".to_owned(), Owner { node: node.to_owned(), epoch })]))
    }

    #[test]
    fn takeovers_are_measured_however_long_they_take() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let nobody = || Some(Owners::new());
        let samples = [
            (at(0), owned("a", 1)),
            (at(3), nobody()),
            (at(9), None),
            (at(10), nobody()),
            (at(20), owned("b", 2)),
            (at(30), owned("b", 2)),
            (at(31), nobody()),
            (at(40), nobody()),
        ];
        let of = |node: &str, fault, began, ended| Disturbance {
            node: node.to_owned(),
            fault,
            began: at(began),
            ended: at(ended),
        };
        let disturbances =
            [of("a", Fault::Kill, 1, 2), of("b", Fault::Suspend, 21, 22), of("b", Fault::Kill, 30, 33)];
        let found = takeovers(&samples, &disturbances);
        let became: Vec<&Takeover> = found.iter().map(|(_, _, became)| became).collect();
        let seconds = Duration::from_secs;
        assert_eq!(became, [&Takeover::After(seconds(19)), &Takeover::Kept, &Takeover::Never(seconds(10))]);
        // The database did not answer during the first one.
        assert_eq!(found.iter().map(|(_, free, _)| *free).collect::<Vec<_>>(), [false, true, true]);
        assert_eq!(ownerless(&samples), [17.0, 9.0]);
    }
}
