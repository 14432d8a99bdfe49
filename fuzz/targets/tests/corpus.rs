//! Runs the stored corpus and mutations of it on every change: inputs that passed once keep passing, and each run explores a little more.

#![expect(clippy::unwrap_used, reason = "a test")]

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use bridgehead_fuzz_targets::{TARGETS, Target};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// The entries of a target's corpus, by name.
fn entries(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut entries: Vec<_> = std::fs::read_dir(corpus().join(target))
        .unwrap_or_else(|error| panic!("fuzz/corpus/{target}: {error}"))
        .map(|entry| {
            let path = entry.unwrap().path();
            (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(path).unwrap())
        })
        .collect();
    entries.sort();
    entries
}

/// Describes the failure of a target on this input, with the input in full.
fn failure(name: &str, target: Target, origin: &str, input: &[u8]) -> Option<String> {
    let failed = catch_unwind(AssertUnwindSafe(|| target(input))).is_err();
    failed.then(|| format!("{name} does not survive {origin}: b\"{}\"", input.escape_ascii()))
}

#[test]
fn no_corpus_entry_crashes_its_target() {
    let mut failures = Vec::new();
    for (name, target) in TARGETS {
        let entries = entries(name);
        assert!(entries.len() >= 5, "{name} has {} entries", entries.len());
        for (entry, input) in entries {
            failures.extend(failure(name, target, &format!("fuzz/corpus/{name}/{entry}"), &input));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_corpus_folder_has_a_target_and_the_corpus_is_small() {
    let folders: BTreeSet<String> = std::fs::read_dir(corpus())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(folders, TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect());
    let size: usize = TARGETS.iter().flat_map(|(name, _)| entries(name)).map(|(_, input)| input.len()).sum();
    assert!(size < 200_000, "{size} bytes");
}

#[test]
fn every_target_has_a_fuzzer_wrapper() {
    let manifest = std::fs::read_to_string(corpus().join("../Cargo.toml")).unwrap();
    for (name, _) in TARGETS {
        let wrapper = std::fs::read_to_string(corpus().join(format!("../fuzz_targets/{name}.rs"))).unwrap();
        assert!(wrapper.contains(&format!("bridgehead_fuzz_targets::{name}(data)")), "{name}: {wrapper}");
        assert!(
            manifest.contains(&format!("\"fuzz_targets/{name}.rs\"")),
            "{name} is not in fuzz/Cargo.toml"
        );
    }
}

/// Tokens on which the parsers' decisions depend.
const WORDS: [&[u8]; 40] = [
    b"null",
    b"{}",
    b"[]",
    b"\"\"",
    b"0",
    b"-1",
    b"1e999",
    b"18446744073709551616",
    b"1.5",
    b"true",
    b"\n",
    b"\r",
    b"\r\n",
    b"\"",
    b"\"\"",
    b",",
    b";",
    b"\t",
    b"|",
    b"\0",
    b"\xef\xbb\xbf",
    b"\xff",
    b"\\u0000",
    b"\\ud800",
    b"\\u202e",
    b"\xe2\x80\x8b",
    b"<html>",
    b"@KEY@",
    b"\"id\":",
    b"\"account_id\":",
    b"\"password\":\"hunter2\",",
    b"\"next\":\"http://evil.test/\",",
    b"\"results\":",
    b"\"records\":",
    b"[[[[[[[[",
    b"}]}]",
    b"..",
    b"%2e%2e",
    b"\n[apps.x]\n",
    b" = { env = \"X\" }\n",
];

fn mutated(rng: &mut SmallRng, entries: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut input = entries.choose(rng).map(|(_, input)| input.clone()).unwrap_or_default();
    for _ in 0..rng.random_range(1..=4) {
        let at = rng.random_range(0..=input.len());
        let end = rng.random_range(at..=input.len().min(at + 16));
        match rng.random_range(0..7) {
            0 => drop(input.drain(at..end)),
            1 => drop(input.splice(at..at, WORDS.choose(rng).unwrap().iter().copied())),
            2 => drop(input.splice(at..end, WORDS.choose(rng).unwrap().iter().copied())),
            3 if at < input.len() => input[at] ^= 1 << rng.random_range(0..8),
            4 => {
                let again = input[at..end].to_vec();
                drop(input.splice(at..at, again.into_iter().cycle().take((end - at) * 3)));
            }
            5 => {
                let other = &entries.choose(rng).unwrap().1;
                let from = rng.random_range(0..=other.len());
                drop(input.splice(at.., other[from..].iter().copied()));
            }
            _ => input.truncate(at),
        }
    }
    input.truncate(64 * 1024);
    input
}

/// `BRIDGEHEAD_FUZZ_ROUNDS` sets the number of inputs for each target, `BRIDGEHEAD_FUZZ_SEED` which inputs.
#[test]
fn mutated_corpus_entries_crash_no_target() {
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seed = number("BRIDGEHEAD_FUZZ_SEED").unwrap_or(4711);
    let explore = |name: &'static str, target: Target| {
        // Writing to disk makes this target much slower.
        let usual = if name == "file_rewrite" { 150 } else { 1500 };
        let rounds = number("BRIDGEHEAD_FUZZ_ROUNDS").unwrap_or(usual);
        let entries = entries(name);
        let mut rng = SmallRng::seed_from_u64(seed);
        (0..rounds).find_map(|round| {
            let input = mutated(&mut rng, &entries);
            failure(name, target, &format!("mutation {round} of seed {seed}"), &input)
        })
    };
    let failures: Vec<String> = std::thread::scope(|scope| {
        let threads = TARGETS.map(|(name, target)| scope.spawn(move || explore(name, target)));
        threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
