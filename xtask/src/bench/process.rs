//! Resource usage of a process, from the operating system.

use std::path::PathBuf;
use std::process::{Child, Command};

use crate::failure::{Failure, Result};

/// A process that ends when this value is dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    /// Whether it may run the daemon as a child.
    is_wrapped: bool,
}

/// The resources that a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Used {
    pub(super) cpu_ms: f64,
    pub(super) written: f64,
    pub(super) writes: f64,
    pub(super) peak_mib: f64,
    pub(super) resident_mib: f64,
}

/// Linux reports processor time to programs in hundredths of a second, regardless of the kernel's own clock.
const MS_PER_TICK: f64 = 10.0;

impl Process {
    /// `is_wrapped`: the process may run the daemon as a child, as a profiler does.
    pub(super) fn new(child: Child, is_wrapped: bool) -> Self {
        Self { child, is_wrapped }
    }

    /// Reads `/proc`.
    pub(super) fn used(&self) -> Result<Used> {
        let stat = self.read("stat")?;
        // The name of the program is in parentheses, and may contain any character.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
        let io = self.read("io")?;
        let status = self.read("status")?;
        Ok(Used {
            cpu_ms: (ticks(11) + ticks(12)) * MS_PER_TICK,
            written: field(&io, "wchar:"),
            writes: field(&io, "syscw:"),
            peak_mib: field(&status, "VmHWM:") / 1024.0,
            resident_mib: field(&status, "VmRSS:") / 1024.0,
        })
    }

    fn read(&self, file: &str) -> Result<String> {
        let path = PathBuf::from(format!("/proc/{}/{file}", self.child.id()));
        std::fs::read_to_string(&path).map_err(Failure::of(&path))
    }
}

fn field(text: &str, name: &str) -> f64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_wrapped {
            // A profiler does not pass a signal on to the daemon. It writes its file when it is told to end.
            let id = self.child.id().to_string();
            drop(Command::new("pkill").args(["-TERM", "-P", &id]).status());
            drop(Command::new("kill").args(["-TERM", &id]).status());
        } else {
            drop(self.child.kill());
        }
        drop(self.child.wait());
    }
}
