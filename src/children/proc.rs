//! Linux's information about a process. On other systems, none is available.

use serde::{Deserialize, Serialize};

/// A process, distinguished from later ones with the same id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) pid: u32,
    /// When it was started, in ticks since boot.
    pub(super) start: u64,
    /// Its session: that of the process that started it.
    pub(super) session: u32,
}

/// An existing process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) identity: Identity,
    pub(super) group: u32,
    /// Whether it is a zombie: it has ended, but its parent has not waited for it.
    pub(super) has_ended: bool,
}

/// Looks up a process.
pub(super) fn look(pid: u32) -> Option<Seen> {
    parse(pid, &std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// All processes of a process group.
pub(super) fn group(group: u32) -> Vec<Seen> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(look).filter(|seen| seen.group == group && !seen.has_ended).collect()
}

/// An identifier of the current boot; empty if it is hidden.
pub(super) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Parses `/proc/PID/stat`. The second field is the program's name in parentheses, and may contain any character.
fn parse(pid: u32, stat: &str) -> Option<Seen> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |at: usize| fields.get(at).copied();
    Some(Seen {
        identity: Identity { pid, start: field(19)?.parse().ok()?, session: field(3)?.parse().ok()? },
        group: field(2)?.parse().ok()?,
        has_ended: matches!(field(0)?, "Z" | "X" | "x"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn process_stat_is_parsed_for_any_name() {
        let stat = "812 (a) S 1 9 (b) S 800 812 799 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 12 13";
        let identity = Identity { pid: 812, start: 4711, session: 799 };
        assert_eq!(parse(812, stat), Some(Seen { identity, group: 812, has_ended: false }));
        assert_eq!(parse(812, "812 (x) Z"), None);
        assert_eq!(parse(812, ""), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn current_process_is_found() {
        let seen = look(std::process::id()).unwrap();
        assert!(seen.identity.start > 0 && !seen.has_ended);
        assert!(group(seen.group).contains(&seen));
    }
}
