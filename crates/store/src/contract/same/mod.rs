//! Any steps at all: the memory answers as SQLite and PostgreSQL do, to each of them and to the questions in between.

mod answers;
mod step;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::TaskJournal;
use super::app;
use super::place::{Folder, Nowhere, Place};
use answers::{Part, observe, run};
use step::Step;

/// `STATE_CASES` sets the number of sequences.
fn cases() -> u32 {
    let given = std::env::var("STATE_CASES").ok();
    given.map_or(40, |cases| cases.parse().expect("STATE_CASES is a number"))
}

/// Both implementations, after the same steps.
struct Both<P> {
    folder: P,
    memory: Nowhere,
    /// The trait under test.
    part: Part,
}

impl<P: Place> Both<P> {
    async fn empty(part: Part) -> Self {
        let folder = P::empty().await;
        // The doubt of a new folder starts at an instant of the machine's clock, which is passed to the memory implementation.
        let doubt = folder.state().doubted(&app(0)).await.unwrap().expect("a question");
        Self { folder, memory: Nowhere::since(doubt.found_at), part }
    }

    async fn step(self, step: &Step) -> Self {
        match step {
            Step::Reopen => {
                let (folder, memory) = (self.folder.reopen().await, self.memory.reopen().await);
                let reopened = Self { folder, memory, ..self };
                reopened.compare_all("a new process").await;
                reopened
            }
            Step::Of(number, change) => {
                let app = app(*number);
                let expected = run(self.folder.state(), &app, change).await;
                assert_eq!(run(self.memory.state(), &app, change).await, expected, "the answer to {step:?}");
                self.compare(*number, self.part, false, &format!("{step:?}")).await;
                self
            }
        }
    }

    async fn compare_all(&self, after: &str) {
        for number in step::APPS {
            for part in [Part::TaskJournal, Part::SnapshotStore] {
                self.compare(number, part, true, after).await;
            }
        }
    }

    async fn compare(&self, number: u128, part: Part, all: bool, after: &str) {
        let app = app(number);
        let expected = observe(self.folder.state(), &app, part, all).await;
        let found = observe(self.memory.state(), &app, part, all).await;
        assert_eq!(found, expected, "app {number} after {after}: memory on the left, the other on the right");
    }
}

fn try_all<P: Place>(cases: u32, part: Part, steps: impl Strategy<Value = Vec<Step>>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases,
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    });
    let result = runner.run(&steps, |steps| {
        runtime.block_on(async {
            let mut both = Both::<P>::empty(part).await;
            for step in &steps {
                both = both.step(step).await;
            }
            both.compare_all("everything").await;
        });
        Ok(())
    });
    result.unwrap();
}

#[test]
fn task_journal_stores_agree_on_any_steps() {
    try_all::<Folder>(cases(), Part::TaskJournal, step::of_tasks());
}

#[test]
fn snapshot_stores_agree_on_any_steps() {
    try_all::<Folder>(cases(), Part::SnapshotStore, step::of_listings());
}

#[cfg(feature = "postgres")]
#[test]
fn any_steps_get_the_same_answers_from_postgresql() {
    use super::server::{Database, start};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let _server = runtime.block_on(start());
    // Each has a database of its own, on a disk.
    let few = cases().div_ceil(5);
    try_all::<Database>(few, Part::TaskJournal, step::of_tasks());
    try_all::<Database>(few, Part::SnapshotStore, step::of_listings());
}
