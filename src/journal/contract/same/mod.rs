//! Any steps at all: the memory answers as SQLite does, to each of them and to every question in between.

mod answers;
mod step;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use super::super::Journal;
use super::app;
use super::place::{Folder, Nowhere, Place};
use answers::{Observed, Part, observe, run};
use step::{Step, step};

/// `STATE_CASES` sets how many sequences are tried.
fn cases() -> u32 {
    let given = std::env::var("STATE_CASES").ok();
    given.map_or(24, |cases| cases.parse().expect("STATE_CASES is a number"))
}

/// Both, as they are after the same steps.
struct Both {
    folder: Folder,
    memory: Nowhere,
}

impl Both {
    async fn empty() -> Self {
        let folder = Folder::empty().await;
        // A new folder is doubted from an instant of the machine's clock on, which the memory is told.
        let doubt = folder.state().doubted(&app(0)).await.unwrap().expect("a question");
        Self { folder, memory: Nowhere::since(doubt.found_at) }
    }

    async fn step(self, step: &Step) -> Self {
        let Step::Of(number, change) = step else {
            let reopened = Self { folder: self.folder.reopen().await, memory: self.memory.reopen().await };
            reopened.compare_all("a new process").await;
            return reopened;
        };
        let app = app(*number);
        let expected = run(self.folder.state(), &app, change).await;
        assert_eq!(run(self.memory.state(), &app, change).await, expected, "the answer to {step:?}");
        self.compare(*number, change.part(), &format!("{step:?}")).await;
        self
    }

    async fn compare_all(&self, after: &str) {
        for number in step::APPS {
            for part in [Part::Journal, Part::Listings] {
                self.compare(number, part, after).await;
            }
        }
    }

    async fn compare(&self, number: u128, part: Part, after: &str) {
        let app = app(number);
        let expected: Observed = observe(self.folder.state(), &app, part).await;
        let found = observe(self.memory.state(), &app, part).await;
        assert_eq!(found, expected, "app {number} after {after}: memory on the left, SQLite on the right");
    }
}

#[test]
fn any_steps_at_all_get_the_same_answers_from_both() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut runner = TestRunner::new(ProptestConfig {
        cases: cases(),
        failure_persistence: None,
        max_shrink_iters: 2_000,
        ..ProptestConfig::default()
    });
    let result = runner.run(&prop::collection::vec(step(), 1..40), |steps| {
        runtime.block_on(async {
            let mut both = Both::empty().await;
            for step in &steps {
                both = both.step(step).await;
            }
            both.compare_all("everything").await;
        });
        Ok(())
    });
    result.unwrap();
}
