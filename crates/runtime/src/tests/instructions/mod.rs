//! The cost of a task and of a record in CPU instructions, a figure that does not depend on the load of the machine.
//!
//! Each [`Workload`] runs in this test program under `valgrind --tool=callgrind`, once with few items and once with more. The difference is
//! the cost of the additional items alone. It is compared with `baseline.txt`; `UPDATE=1` writes that file again. The program is the
//! unoptimized one that the other tests use, so that nothing extra is built: work that is done twice counts twice there too.

mod workloads;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use workloads::Workload;

/// The test fails if a figure is this many percent above the baseline.
const TOLERANCE: u64 = 15;
/// Tells a process under measurement the name of its workload and the number of items.
const ASKED: &str = "BRIDGEHEAD_INSTRUCTIONS";

/// The entry point for a process under valgrind; does nothing in an ordinary test run.
#[test]
fn workload() {
    let Ok(asked) = std::env::var(ASKED) else { return };
    let (name, items) = asked.split_once(' ').expect("a name and a number");
    let workload = Workload::ALL.into_iter().find(|workload| workload.name() == name).expect("a workload");
    workload.run(items.parse().expect("a number"));
}

/// How many instructions the whole process takes for this many items.
fn count(workload: Workload, items: u32) -> u64 {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new("valgrind");
    command
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--read-inline-info=no"])
        .arg(program)
        .args(["--exact", "tests::instructions::workload", "--test-threads=1"])
        .env(ASKED, format!("{} {items}", workload.name()));
    let output = command.output().unwrap_or_else(|error| {
        panic!("valgrind cannot be run ({error}); tests/install installs it");
    });
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{workload:?}: {told}{}", String::from_utf8_lossy(&output.stdout));
    collected(&told)
        .unwrap_or_else(|| panic!("valgrind does not say how many instructions it collected: {told}"))
}

/// The number after `Collected :` at the end of callgrind's output.
fn collected(told: &str) -> Option<u64> {
    told.lines().find_map(|line| line.split_once("Collected :")?.1.trim().parse().ok())
}

/// Instructions of one item.
fn per_item(workload: Workload) -> u64 {
    let (few, many) = workload.items();
    let [less, more] = [few, many].map(|items| count(workload, items));
    more.saturating_sub(less) / u64::from(many - few)
}

fn baseline() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tests/instructions/baseline.txt")
}

/// Parses a baseline: each line has a name and a number.
fn read(text: &str) -> BTreeMap<String, u64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| {
            line.split_once(' ').and_then(|(name, n)| Some((name.to_owned(), n.parse().ok()?)))
        })
        .collect()
}

fn write(found: &BTreeMap<String, u64>) -> String {
    let head = "# Instructions of one item, unoptimised. Written by: UPDATE=1 cargo nextest run -p bridgehead-runtime -E 'test(instructions)'\n";
    found.iter().fold(head.to_owned(), |text, (name, n)| text + &format!("{name} {n}\n"))
}

/// Describes each workload that has become too expensive.
fn complaints(known: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Vec<String> {
    let compared = found.iter().filter_map(|(name, now)| match known.get(name) {
        None => Some(format!("{name}: {now} instructions, and no baseline")),
        Some(then) if *now > then + then * TOLERANCE / 100 => {
            Some(format!("{name}: {now} instructions, {then} before: more than {TOLERANCE} % above"))
        }
        Some(_) => None,
    });
    compared.collect()
}

#[test]
fn a_task_and_a_record_cost_no_more_instructions_than_before() {
    let found: BTreeMap<String, u64> =
        Workload::ALL.into_iter().map(|workload| (workload.name().to_owned(), per_item(workload))).collect();
    eprintln!("{found:?}");
    if std::env::var("UPDATE").is_ok_and(|update| update == "1") {
        std::fs::write(baseline(), write(&found)).expect("the baseline can be written");
        return;
    }
    let known = read(&std::fs::read_to_string(baseline()).expect("the baseline"));
    let wrong = complaints(&known, &found);
    assert!(
        wrong.is_empty(),
        "{}\nfind out why; if it has to be, write the new figures down with UPDATE=1",
        wrong.join("\n")
    );
}

#[test]
fn a_fifth_more_is_noticed_and_a_tenth_is_not() {
    let figures = |n| BTreeMap::from([("record".to_owned(), n)]);
    assert!(complaints(&figures(1000), &figures(1100)).is_empty());
    assert!(complaints(&figures(1000), &figures(500)).is_empty());
    assert_eq!(complaints(&figures(1000), &figures(1200)).len(), 1);
    assert_eq!(
        complaints(&BTreeMap::new(), &figures(1)).len(),
        1,
        "what has no baseline is not measured in vain"
    );
    assert_eq!(read(&write(&figures(7))), figures(7));
    assert_eq!(collected("==1== \n==1== Collected : 4711\n==1=="), Some(4711));
}
