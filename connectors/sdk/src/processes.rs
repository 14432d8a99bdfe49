//! Programs that a connector starts.

use std::ffi::OsString;

/// Keeps track of the programs that connectors start, so that none of them outlives the daemon.
///
/// A daemon that is killed cannot stop the programs that it started, and such a program could change the target while
/// the next daemon starts another one. So the daemon records the running programs, and stops those that an earlier
/// daemon left behind before it executes any task.
pub trait ProcessRegistry: std::fmt::Debug + Send + Sync {
    /// A prefix for a command, so that the operating system ends the process together with the thread that starts it;
    /// empty if the operating system does not support this. Start the command on a thread that lives as long as the
    /// daemon.
    fn launcher(&self) -> Vec<OsString>;

    /// A process with this id was started, as the leader of a process group. Call this before the process is asked to
    /// do anything. May wait for the disk.
    fn started(&self, pid: u32);

    /// The process and its group have ended.
    fn ended(&self, pid: u32);
}
