//! Checks whether a process with a recorded id is still running.

use std::fs;

/// A process on this machine. Ids are reused, so the start time is part of its identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) id: u32,
    /// In clock ticks since boot.
    pub(super) started: String,
}

impl Process {
    /// The current process; `None` if the system does not provide start times.
    pub(super) fn this() -> Option<Self> {
        let id = std::process::id();
        look(id).map(|(_, started)| Self { id, started })
    }

    /// Whether the process is still running, as far as can be determined. After a reboot, another process may have both the same id and the
    /// same start time; it only counts as the same process if its name is that of the current process.
    pub(super) fn runs(&self) -> bool {
        let Some((name, _)) = look(std::process::id()) else { return false };
        look(self.id).is_some_and(|found| found == (name, self.started.clone()))
    }
}

/// The name and start time of a running process.
fn look(id: u32) -> Option<(String, String)> {
    parse(&fs::read_to_string(format!("/proc/{id}/stat")).ok()?)
}

/// Parses `4711 (name) S …`; the name may contain any characters, and the start time is the twentieth field after it.
fn parse(stat: &str) -> Option<(String, String)> {
    let (front, back) = stat.rsplit_once(')')?;
    let (_, name) = front.split_once('(')?;
    let mut fields = back.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(18)?;
    // A zombie has ended; its parent has just not collected it yet.
    (!matches!(state, "Z" | "X")).then(|| (name.to_owned(), started.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_start_time_is_parsed_after_any_name() {
        let stat = "4711 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 123456 20 21";
        assert_eq!(parse(stat), Some(("a) b (c".to_owned(), "123456".to_owned())));
        assert_eq!(parse(&stat.replace(" S ", " Z ")), None, "a zombie does not run");
        assert_eq!(parse("4711 (a) S 1"), None);
    }

    #[test]
    fn process_is_identified_by_pid_and_start_time() {
        let this = Process::this().unwrap();
        assert!(this.runs());
        assert!(!Process { started: "1".to_owned(), ..this }.runs());
    }
}
