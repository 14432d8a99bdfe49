use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bridgehead_sdk::{Action, Code};

use super::*;
use bridgehead_runtime::{DaemonOverview, Held, Metrics, NodeOverview, SyncEnd};
use bridgehead_store::RunReason;

/// A parsed sample.
#[derive(Debug, PartialEq)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
    value: f64,
}

/// A family: its type and its samples.
type Families = BTreeMap<String, (String, Vec<Sample>)>;

fn is_name(text: &str) -> bool {
    let mut characters = text.chars();
    characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Parses an exposition, and panics at the first violation of the format.
fn parse(text: &str) -> Families {
    let body = text.strip_suffix("# EOF\n").expect("it ends with # EOF and a line break");
    let mut families = Families::new();
    let (mut current, mut helped): (Option<String>, Option<String>) = (None, None);
    let mut seen = BTreeSet::new();
    for line in body.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').expect("a help text");
            assert!(is_name(name) && !help.trim().is_empty(), "{line}");
            assert!(!families.contains_key(name), "{name} comes twice");
            helped = Some(name.to_owned());
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, of) = rest.split_once(' ').expect("a type");
            assert_eq!(helped.as_deref(), Some(name), "TYPE follows HELP");
            assert!(["counter", "gauge", "histogram"].contains(&of), "{line}");
            families.insert(name.to_owned(), (of.to_owned(), Vec::new()));
            current = Some(name.to_owned());
        } else {
            let sample = sample(line);
            let family = current.as_deref().expect("a sample follows its type");
            let (of, samples) = families.get_mut(family).expect("it was inserted");
            let suffix = sample.name.strip_prefix(family).expect("a sample of this family");
            let allowed: &[&str] = match of.as_str() {
                "counter" => &["_total"],
                "gauge" => &[""],
                _ => &["_bucket", "_sum", "_count"],
            };
            assert!(allowed.contains(&suffix), "{line}");
            assert!(seen.insert((sample.name.clone(), sample.labels.clone())), "{line} comes twice");
            assert!(of != "counter" || sample.value >= 0.0, "{line}");
            samples.push(sample);
        }
    }
    families
}

fn sample(line: &str) -> Sample {
    let named = line.find(['{', ' ']).expect("a name, then labels or a value");
    let name = line[..named].to_owned();
    assert!(is_name(&name), "{line}");
    let mut labels = BTreeMap::new();
    let mut rest = &line[named..];
    if let Some(mut inside) = rest.strip_prefix('{') {
        while !inside.starts_with('}') {
            let (label, after) = inside.split_once("=\"").expect("a label");
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after);
            assert!(labels.insert(label.to_owned(), value).is_none(), "{line}");
            inside = match after.strip_prefix(',') {
                Some(more) => {
                    assert!(!more.starts_with('}'), "no comma at the end: {line}");
                    more
                }
                None => after,
            };
        }
        rest = &inside[1..];
    }
    let value = rest.strip_prefix(' ').expect("one space before the value");
    let value = value.parse().unwrap_or_else(|_| panic!("a number and nothing else: {line}"));
    Sample { name, labels, value }
}

/// The unescaped text up to the closing quote, and the rest.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, c)) = characters.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match characters.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                other => panic!("no escape of the format: {other:?}"),
            }),
            c => value.push(c),
        }
    }
    panic!("no closing quote: {text}")
}

fn value(families: &Families, family: &str, labels: &[(&str, &str)]) -> Option<f64> {
    let wanted = |sample: &&Sample| {
        labels.iter().all(|(name, value)| sample.labels.get(*name).map(String::as_str) == Some(*value))
    };
    families[family].1.iter().find(wanted).map(|sample| sample.value)
}

/// An app with every kind of value.
fn scrape(name: &str, slug: &str) -> Scrape {
    let at: Timestamp = "2026-03-01T12:00:00.5Z".parse().unwrap();
    let mut app = AppOverview::default();
    app.tasks.counts = Some(TaskCounts {
        started: 9,
        completed: 5,
        failed: BTreeMap::from([(Code::AccountNotFound.as_str().to_owned(), 2)]),
        retried: 4,
        waiting: 3,
        under_way: 1,
        ..TaskCounts::default()
    });
    app.tasks.polled_at = Some(at);
    app.held = Some(Held { since: at, code: Code::Timeout, message: "gone".into(), hold_for_seconds: 60 });
    app.sync.last = Some(SyncEnd {
        at,
        result: RunResult::Held,
        reason: Some(RunReason::AccessGuard),
        detail: String::new(),
        cause: None,
        resource_types: [(
            slug.to_owned(),
            bridgehead_runtime::TypeCounts { removed: 6, ..Default::default() },
        )]
        .into(),
        invalid: Some(0),
        cleanup_failed: false,
    });
    app.alarms = bridgehead_runtime::alarms(name, &app, at);
    let tally = Metrics::default();
    tally.executed(Action::CreateAccount, Duration::from_millis(20));
    tally.executed(Action::CreateAccount, Duration::from_secs(1000));
    tally.synced(bridgehead_store::RunResult::Held);
    tally.pushed_on(&BTreeMap::new(), &BTreeMap::from([(slug.to_owned(), 50)]));
    tally.polled(true);
    tally.panicked("tasks", at);
    let daemon =
        bridgehead_runtime::DaemonOverview { version: "1.2.3".into(), ready: true, ..Default::default() };
    Scrape {
        overview: StatusReport { at, daemon: Some(daemon), apps: [(name.to_owned(), app)].into() },
        counted: [(name.to_owned(), tally.now())].into(),
    }
}

#[test]
fn exposition_is_valid_and_has_correct_values() {
    let families = parse(&write(scrape("hr", "account")).unwrap());
    let hr = ("app", "hr");
    let of = |family, labels: &[(&str, &str)]| value(&families, family, labels);
    assert_eq!(of("bridgehead_tasks", &[hr, ("outcome", "completed")]), Some(5.0));
    let not_found = [hr, ("outcome", "failed"), ("code", "ACCOUNT_NOT_FOUND")];
    assert_eq!(of("bridgehead_tasks", &not_found), Some(2.0));
    assert_eq!(of("bridgehead_task_retries", &[hr]), Some(4.0));
    assert_eq!(of("bridgehead_tasks_waiting", &[hr]), Some(3.0));
    assert_eq!(of("bridgehead_breaker_open", &[hr]), Some(1.0));
    assert_eq!(of("bridgehead_access_refused", &[hr]), Some(0.0));
    assert_eq!(of("bridgehead_held_removals", &[hr, ("resource_type", "account")]), Some(6.0));
    assert_eq!(of("bridgehead_syncs", &[hr, ("result", "held")]), Some(1.0));
    assert_eq!(of("bridgehead_records_pushed", &[hr, ("resource_type", "account")]), Some(50.0));
    assert_eq!(of("bridgehead_polls", &[hr, ("result", "ok")]), Some(1.0));
    assert_eq!(of("bridgehead_loop_panics", &[hr, ("loop", "tasks")]), Some(1.0));
    assert_eq!(of("bridgehead_alarm", &[hr, ("kind", "removal_guard")]), Some(1.0));
    assert_eq!(of("bridgehead_alarm", &[hr, ("kind", "access_refused")]), Some(0.0));
    assert_eq!(of("bridgehead_last_poll_timestamp_seconds", &[hr]), Some(1_772_366_400.5));
    assert_eq!(of("bridgehead_last_successful_sync_timestamp_seconds", &[hr]), None, "there was none");
    assert_eq!(of("bridgehead_build_info", &[("version", "1.2.3")]), Some(1.0));
}

#[test]
fn histogram_is_consistent() {
    let families = parse(&write(scrape("hr", "account")).unwrap());
    let (of, samples) = &families["bridgehead_execution_seconds"];
    assert_eq!(of, "histogram");
    let buckets: Vec<&Sample> = samples.iter().filter(|sample| sample.name.ends_with("_bucket")).collect();
    assert!(buckets.is_sorted_by(|one, next| one.value <= next.value), "buckets hold those below them too");
    let last = buckets.last().unwrap();
    assert_eq!((last.labels["le"].as_str(), last.value), ("+Inf", 2.0));
    assert!(buckets[0].value < 1.0, "20 ms are more than the first bucket's 10");
    let one = |suffix: &str| samples.iter().find(|sample| sample.name.ends_with(suffix)).unwrap().value;
    assert_eq!((one("_count"), one("_sum")), (2.0, 1000.02));
    assert!(samples.iter().all(|sample| sample.labels["action"] == "create_account"));
}

#[test]
fn metric_names_follow_the_conventions() {
    let families = parse(&write(scrape("hr", "account")).unwrap());
    assert!(families.len() > 20);
    for (name, (of, _)) in &families {
        assert!(name.starts_with("bridgehead_"), "{name}");
        assert!(!name.ends_with("_total"), "{name}: the suffix is the sample's");
        assert!(!name.contains("_ms") && !name.contains("milli"), "{name}: the unit is the second");
        assert!(of != "gauge" || !name.ends_with("_count"), "{name}");
    }
}

#[test]
fn label_values_are_escaped() {
    let nasty = "a\"} 1\nbridgehead_forged{x=\"\\";
    let families = parse(&write(scrape(nasty, nasty)).unwrap());
    assert!(!families.contains_key("bridgehead_forged"));
    assert_eq!(value(&families, "bridgehead_task_retries", &[("app", nasty)]), Some(4.0));
    let labels = [("app", nasty), ("resource_type", nasty)];
    assert_eq!(value(&families, "bridgehead_records_pushed", &labels), Some(50.0));
}

#[test]
fn classic_format_has_total_suffix_and_help_texts() {
    let text = classic(&write(scrape("hr", "account")).unwrap());
    assert!(!text.contains("# EOF") && text.ends_with('\n'));
    assert!(text.contains("# TYPE bridgehead_polls_total counter\nbridgehead_polls_total{"), "{text}");
    let (mut helped, mut typed) = (BTreeSet::new(), BTreeSet::new());
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            assert!(helped.insert(rest.split(' ').next().unwrap()), "{line}");
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            assert!(typed.insert(rest.split(' ').next().unwrap()), "{line}");
        } else {
            let name = line.split(['{', ' ']).next().unwrap();
            let family = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| name.strip_suffix(suffix));
            let family = family.filter(|family| typed.contains(family)).unwrap_or(name);
            assert!(typed.contains(family) && helped.contains(family), "{line}");
        }
    }
    assert_eq!(helped, typed);
}

#[test]
fn format_follows_the_accept_header() {
    assert_eq!(Format::asked_for(None), Format::Prometheus);
    assert_eq!(Format::asked_for(Some("text/plain;version=0.0.4")), Format::Prometheus);
    let prometheus = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    assert_eq!(Format::asked_for(Some(prometheus)), Format::OpenMetrics);
}

#[test]
fn node_known_as_two_processes_is_exported_once() {
    let process = |name: &str, apps, lost| NodeOverview {
        name: name.into(),
        version: "1.2.3".into(),
        is_this: false,
        up_since: Timestamp::UNIX_EPOCH,
        seen_at: Timestamp::UNIX_EPOCH,
        leaving: false,
        lost,
        apps,
    };
    let mut scrape = scrape("hr", "account");
    scrape.overview.daemon = Some(DaemonOverview {
        nodes: vec![process("a", 0, true), process("a", 3, false), process("b", 1, true)],
        ..Default::default()
    });
    let families = parse(&write(scrape).unwrap());
    let values = |family: &str| -> Vec<(String, f64)> {
        families[family].1.iter().map(|sample| (sample.labels["node"].clone(), sample.value)).collect()
    };
    assert_eq!(values("bridgehead_node_apps"), [("a".into(), 3.0), ("b".into(), 1.0)]);
    assert_eq!(values("bridgehead_node_lost"), [("a".into(), 0.0), ("b".into(), 1.0)]);
}
