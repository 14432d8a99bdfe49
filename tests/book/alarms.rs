//! Every alarm has a section that explains its cause and what to do.

use std::collections::BTreeSet;

use bridgehead::runtime::AlarmKind;

use crate::pages;

/// The heading after the last alarm.
const AFTERWARDS: &str = "a-wrong-clock";

#[test]
fn alarms_page_explains_exactly_the_existing_alarms() {
    let page = pages::read("docs/alarms.md");
    let sections: BTreeSet<&str> = page.anchors.iter().map(String::as_str).collect();
    let expected: BTreeSet<&str> =
        AlarmKind::ALL.into_iter().map(AlarmKind::as_str).chain(["alarms", AFTERWARDS]).collect();
    assert_eq!(sections, expected);
    let text = std::fs::read_to_string(pages::root().join("docs/alarms.md")).expect("the page");
    for section in text.split("\n## ").skip(1).filter(|section| !section.starts_with("A wrong clock")) {
        let name = section.lines().next().unwrap_or_default();
        assert!(section.contains("**Cause"), "{name}: no cause");
        assert!(section.contains("**What to do"), "{name}: no remedy");
    }
}
