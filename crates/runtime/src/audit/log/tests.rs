use super::super::{Filter, Head, VerifyError, read, verify};
use super::*;

fn settings(folder: &Path) -> Settings {
    Settings { folder: folder.join("audit"), max_bytes: 1 << 20, keep: 3 }
}

fn open(settings: &Settings) -> Audit {
    Audit::open(settings.clone(), &Redactor::new()).unwrap()
}

fn event(action: &str) -> Event {
    Event {
        app: Some("hr".to_owned()),
        account: Some("ann@example.org".to_owned()),
        action: action.to_owned(),
        evidence: json!({"attempts": 1}),
        ..Event::default()
    }
}

fn entries(settings: &Settings) -> Vec<Entry> {
    let mut all = Vec::new();
    read(&settings.folder, &Filter::default(), |entry| {
        all.push(entry);
        true
    })
    .unwrap();
    all
}

fn bytes(settings: &Settings) -> (PathBuf, Vec<u8>) {
    let (_, path) = files::list(&settings.folder).unwrap().pop().unwrap();
    let bytes = std::fs::read(&path).unwrap();
    (path, bytes)
}

#[test]
fn audit_chain_continues_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let audit = open(&settings);
    audit.record(event("one"));
    audit.record(event("two"));
    drop(audit);
    let audit = open(&settings);
    audit.record_command(event("three"));
    let all = entries(&settings);
    let actions: Vec<&str> = all.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["one", "two", "three"]);
    assert_eq!((all[0].prev.as_str(), all[0].seq), (GENESIS, 1));
    assert_eq!((&all[2].prev, all[2].seq), (&all[1].hash, 3));
    let proof = verify(&settings.folder, None).unwrap();
    let head = audit.status().unwrap();
    assert_eq!((proof.entries, &proof.head.hash, proof.head.seq), (3, &head.hash, head.seq));
}

#[test]
fn any_changed_or_truncated_byte_is_detected() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let audit = open(&settings);
    for action in ["one", "two", "three"] {
        audit.record(event(action));
    }
    let status = audit.status().unwrap();
    let head = Head { seq: status.seq, hash: status.hash };
    drop(audit);
    let (path, whole) = bytes(&settings);
    verify(&settings.folder, Some(&head)).unwrap();
    for at in 0..whole.len() {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&path, &changed).unwrap();
        assert!(verify(&settings.folder, None).is_err(), "byte {at} was changed");
        std::fs::write(&path, &whole[..at]).unwrap();
        assert!(verify(&settings.folder, Some(&head)).is_err(), "cut off at {at}");
        let mut removed = whole.clone();
        removed.remove(at);
        std::fs::write(&path, &removed).unwrap();
        assert!(verify(&settings.folder, Some(&head)).is_err(), "byte {at} was taken out");
    }
}

#[test]
fn log_truncated_by_a_crash_is_repaired_and_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let audit = open(&settings);
    audit.record(event("one"));
    audit.record(event("two"));
    drop(audit);
    let (path, whole) = bytes(&settings);
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for at in first..whole.len() {
        std::fs::write(&path, &whole[..at]).unwrap();
        let audit = open(&settings);
        audit.record(event("three"));
        drop(audit);
        verify(&settings.folder, None).unwrap();
        let actions: Vec<String> = entries(&settings).into_iter().map(|entry| entry.action).collect();
        let expected = match at {
            at if at == first => vec!["one", "three"],
            at if at == whole.len() - 1 => vec!["one", "two", "repair", "three"],
            _ => vec!["one", "repair", "three"],
        };
        assert_eq!(actions, expected, "cut off at {at}");
    }
}

#[test]
fn hole_left_by_a_power_failure_is_recorded_once() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let audit = open(&settings);
    for action in ["one", "two", "three"] {
        audit.record(event(action));
    }
    drop(audit);
    let (path, mut whole) = bytes(&settings);
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    whole[first + 20..first + 40].fill(0);
    std::fs::write(&path, &whole).unwrap();
    for _ in 0..3 {
        drop(open(&settings));
    }
    let (_, after) = bytes(&settings);
    let last: Vec<Entry> =
        after.split(|byte| *byte == b'\n').filter_map(|line| Entry::open(line).ok()).collect();
    let actions: Vec<&str> = last.iter().map(|entry| entry.action.as_str()).collect();
    assert_eq!(actions, ["one", "three", "repair"]);
    assert_eq!(last[2].evidence["file"], "audit-00000001.jsonl");
    assert!(verify(&settings.folder, None).is_err(), "what is missing is not hidden");
}

#[test]
fn chain_spans_files_and_records_removed_ones() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { max_bytes: 2000, ..settings(folder.path()) };
    let audit = open(&settings);
    for number in 0..40 {
        audit.record(event(&format!("number-{number}")));
    }
    let files = files::list(&settings.folder).unwrap();
    assert_eq!(files.len(), 3);
    assert!(files.iter().all(|(_, path)| path.metadata().unwrap().len() <= 2600), "{files:?}");
    let proof = verify(&settings.folder, None).unwrap();
    assert!(proof.first_seq > 1 && proof.is_beginning_explained, "{proof:?}");
    assert!(entries(&settings).iter().any(|entry| entry.action == "retention"));
    // Verification detects that another program has removed a file.
    std::fs::remove_file(&files[1].1).unwrap();
    assert!(matches!(verify(&settings.folder, None), Err(VerifyError::Broken(_))));
    let (_, oldest) = &files[0];
    std::fs::remove_file(oldest).unwrap();
    let proof = verify(&settings.folder, None).unwrap();
    assert!(!proof.is_beginning_explained, "no entry says that these were removed: {proof:?}");
}

#[test]
fn unwritable_entries_are_kept_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let audit = open(&settings);
    audit.record(event("one"));
    // Not even root can write into a folder that does not exist.
    let away = folder.path().join("away");
    std::fs::rename(&settings.folder, &away).unwrap();
    if let Some(inner) = &audit.0 {
        inner.log().file = None;
    }
    audit.record(event("two"));
    let status = audit.status().unwrap();
    assert_eq!((status.seq, status.unwritten), (1, 1));
    assert!(status.failing_since.is_some() && status.message.is_some());
    std::fs::rename(&away, &settings.folder).unwrap();
    audit.sync();
    let status = audit.status().unwrap();
    assert_eq!((status.seq, status.unwritten, status.failing_since), (2, 0, None));
    assert_eq!(status.message, None);
    verify(&settings.folder, None).unwrap();
}

#[test]
fn unusable_audit_folder_does_not_prevent_startup() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    std::fs::write(&settings.folder, "in the way").unwrap();
    assert!(Audit::open(settings.clone(), &Redactor::new()).is_err());
    let audit = Audit::start(settings.clone(), &Redactor::new());
    audit.record(event("one"));
    assert_eq!(audit.status().unwrap().unwritten, 1);
    std::fs::remove_file(&settings.folder).unwrap();
    audit.sync();
    assert_eq!((audit.status().unwrap().unwritten, entries(&settings).len()), (0, 1));
}

#[test]
fn lost_entries_are_counted_in_an_entry() {
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { max_bytes: 1 << 30, ..settings(folder.path()) };
    let audit = open(&settings);
    let away = folder.path().join("away");
    std::fs::rename(&settings.folder, &away).unwrap();
    for _ in 0..KEPT + 7 {
        audit.record(event("many"));
    }
    assert_eq!(audit.status().unwrap().lost, 7);
    std::fs::rename(&away, &settings.folder).unwrap();
    audit.sync();
    let all = entries(&settings);
    assert_eq!((all.len(), &all[0].evidence), (KEPT + 1, &json!({"lost": 7})));
}

#[test]
fn known_secrets_are_never_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let redactor = Redactor::new();
    redactor.protect_for_good(["hunter2-hunter2"]);
    let audit = Audit::open(settings.clone(), &redactor).unwrap();
    audit.record(Event {
        account: Some("hunter2-hunter2".to_owned()),
        outcome: Some("said hunter2-hunter2".to_owned()),
        evidence: json!({"why": ["hunter2-hunter2"]}),
        ..event("one")
    });
    let (_, bytes) = bytes(&settings);
    assert!(!String::from_utf8(bytes).unwrap().contains("hunter2"));
}

/// What another program does to the current file while the daemon runs, and how the log describes it.
type Meddling = (&'static str, fn(&Path));

const MEDDLING: [Meddling; 4] = [
    ("moved or deleted", |path| std::fs::rename(path, path.with_extension("jsonl.1")).unwrap()),
    ("moved or deleted, and another file has its name", |path| {
        std::fs::rename(path, path.with_extension("jsonl.1")).unwrap();
        std::fs::write(path, "").unwrap();
    }),
    ("shortened", |path| std::fs::write(path, "").unwrap()),
    ("extended", |path| {
        std::fs::OpenOptions::new().append(true).open(path).unwrap().write_all(b"a note\n").unwrap();
    }),
];

#[test]
fn log_continues_in_a_new_file_if_another_program_has_changed_the_current_one() {
    for (change, meddle) in MEDDLING {
        let folder = tempfile::tempdir().unwrap();
        let settings = settings(folder.path());
        let audit = open(&settings);
        audit.record(event("one"));
        meddle(&settings.folder.join(files::name(1)));
        audit.record(event("two"));
        audit.record(event("three"));
        let newest = files::list(&settings.folder).unwrap().pop().unwrap();
        assert_eq!(newest.0, 2, "{change}");
        let text = std::fs::read_to_string(newest.1).unwrap();
        let entries: Vec<Entry> = text.lines().map(|line| Entry::open(line.as_bytes()).unwrap()).collect();
        let actions: Vec<&str> = entries.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["repair", "two", "three"], "{change}");
        assert_eq!(
            (&entries[0].evidence["changed"], &entries[0].evidence["last_seq"]),
            (&json!(change), &json!(1))
        );
        assert_eq!(entries[0].seq, 2);
        let status = audit.status().unwrap();
        assert_eq!((status.seq, status.unwritten, status.failing_since), (4, 0, None), "{change}");
    }
}

#[test]
fn change_of_the_log_is_noticed_without_a_new_entry() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let audit = open(&settings);
    audit.record(event("one"));
    let moved = folder.path().join("moved");
    std::fs::rename(settings.folder.join(files::name(1)), &moved).unwrap();
    audit.sync();
    assert_eq!(entries(&settings).len(), 1, "the entry about the change");
    // Once the file is back, nothing is missing.
    std::fs::rename(&moved, settings.folder.join(files::name(1))).unwrap();
    audit.sync();
    let actions: Vec<String> = entries(&settings).into_iter().map(|entry| entry.action).collect();
    assert_eq!(actions, ["one", "repair"]);
    verify(&settings.folder, None).unwrap();
}

#[test]
fn missing_folder_of_the_log_is_an_alarm_and_entries_wait() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(folder.path());
    let audit = open(&settings);
    audit.record(event("one"));
    let away = folder.path().join("away");
    std::fs::rename(&settings.folder, &away).unwrap();
    audit.sync();
    assert!(audit.status().unwrap().failing_since.is_some(), "before the next entry");
    std::fs::rename(&away, &settings.folder).unwrap();
    audit.sync();
    assert_eq!(audit.status().unwrap().failing_since, None, "without another entry");
    std::fs::rename(&settings.folder, &away).unwrap();
    audit.record(event("two"));
    let status = audit.status().unwrap();
    assert_eq!((status.seq, status.unwritten), (1, 1));
    assert!(status.message.unwrap().contains("audit-00000001.jsonl"));
    std::fs::rename(&away, &settings.folder).unwrap();
    audit.sync();
    assert_eq!(audit.status().unwrap().failing_since, None);
    verify(&settings.folder, None).unwrap();
}
