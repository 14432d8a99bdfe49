//! Programs that a connector starts.

use std::ffi::OsString;

/// Keeps track of the programs that connectors start, so that none of them outlives the daemon.
///
/// A daemon that is killed cannot stop the programs that it started, and such a program could still change the target
/// while the next daemon starts another one. Therefore the daemon records the running programs, and a new daemon stops
/// those that an earlier one left behind before it executes any task.
pub trait ProcessRegistry: std::fmt::Debug + Send + Sync {
    /// A prefix for a command that makes the operating system end the process together with the thread that starts it;
    /// empty if the operating system does not support this. Start the command on a thread that lives as long as the
    /// daemon.
    fn launcher(&self) -> Vec<OsString>;

    /// Records that a process with this id was started, as the leader of a process group. Call this before you send the
    /// process any request. May block on disk I/O.
    fn started(&self, pid: u32);

    /// Records that the process and its group have ended.
    fn ended(&self, pid: u32);
}
