//! The clock of a node, which the test can step: `clock.c` shifts what the node's process is told.

use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use crate::support::World;

/// How far a time in the log may be from what the clock shows.
const NEAR: SignedDuration = SignedDuration::from_mins(5);

pub(super) struct Clock {
    file: PathBuf,
    shim: PathBuf,
    /// In seconds.
    shift: AtomicI64,
}

impl Clock {
    /// A clock that is right.
    pub(super) fn new(world: &World, node: &str) -> Self {
        let clock = Self {
            file: world.path(format!("clock-{node}")),
            shim: world.path("clock.so"),
            shift: AtomicI64::new(0),
        };
        std::fs::write(&clock.file, [0; 8]).expect("a file");
        clock
    }

    /// Compiles what all clocks of this world need.
    pub(super) fn compile(world: &World) {
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/daemon/nodes_chaos/clock.c");
        let mut compiler = Command::new("cc");
        compiler.args(["-Wall", "-Wextra", "-Werror", "-O1", "-shared", "-fPIC", "-o"]);
        let status = compiler.arg(world.path("clock.so")).arg(source).status();
        assert!(status.expect("a C compiler").success(), "the shim does not compile");
    }

    /// Lets a process use this clock.
    pub(super) fn give_to(&self, command: &mut Command) {
        command.env("LD_PRELOAD", &self.shim).env("CLOCK_SHIFT", &self.file);
    }

    /// From now on, it is this many seconds ahead of the right time.
    pub(super) fn step(&self, shift: i64) {
        self.shift.store(shift, Ordering::Relaxed);
        // Not emptied first: a process may be reading it.
        let file = std::fs::File::options().write(true).open(&self.file).expect("a file");
        file.write_all_at(&shift.to_ne_bytes(), 0).expect("eight bytes");
    }

    /// Whether the process whose log ends now used this clock.
    pub(super) fn is_that_of(&self, log: &str) -> bool {
        let mut times =
            log.lines().rev().filter_map(|line| line.split(' ').next()?.parse::<Timestamp>().ok());
        let shown =
            Timestamp::now().saturating_add(SignedDuration::from_secs(self.shift.load(Ordering::Relaxed)));
        let shown = shown.expect("a time within the next years");
        times.next().is_some_and(|last| last.duration_since(shown).abs() < NEAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a command of Python prints.
    fn printed(program: &str, code: &str, clock: Option<&Clock>) -> String {
        let mut command = Command::new(program);
        command.args(["-S", "-c", code]);
        if let Some(clock) = clock {
            clock.give_to(&mut command);
        }
        let output = command.output().expect("python runs");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    #[tokio::test]
    async fn a_step_changes_the_time_of_the_day_and_no_other_clock() {
        let world = World::new().await;
        Clock::compile(&world);
        let clock = Clock::new(&world, "a");
        // `python3` may be a script that starts it, and child processes have the right time.
        let python = printed("python3", "import sys; print(sys.executable)", None);
        // The time of the day in seconds, and the time since the machine was started.
        let seen = |clock| {
            let text = printed(&python, "import time; print(time.time(), time.monotonic())", clock);
            let mut numbers = text.split(' ').map(|number| number.parse::<f64>().expect("a number"));
            (numbers.next().expect("a time"), numbers.next().expect("a time"))
        };
        for shift in [0, -7200, 86_400] {
            clock.step(shift);
            let (before, own, after) = (seen(None), seen(Some(&clock)), seen(None));
            #[expect(clippy::cast_precision_loss, reason = "a few thousand seconds")]
            let day = own.0 - shift as f64;
            assert!((before.0..=after.0).contains(&day), "{before:?} {own:?} {after:?}");
            assert!((before.1..=after.1).contains(&own.1), "{before:?} {own:?} {after:?}");
        }
    }
}
