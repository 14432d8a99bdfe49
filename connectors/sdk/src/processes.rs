//! Programs that a connector starts.

use std::ffi::OsString;

/// Keeps track of the programs that connectors start, so that none of them outlives the daemon.
///
/// A daemon that is killed cannot end what it started, and such a program would go on changing the target while the next daemon
/// starts another one. So the daemon writes down what runs, and ends what an earlier one left behind before it
/// executes anything.
pub trait ProcessRegistry: std::fmt::Debug + Send + Sync {
    /// What to put in front of a command, so that the operating system ends the process with the thread that starts it;
    /// empty where there is no such thing. Start it on a thread that lives as long as the daemon.
    fn launcher(&self) -> Vec<OsString>;

    /// A process of this id was started, as the leader of a process group. To be told before the process is asked to do
    /// anything. May wait for a disk.
    fn started(&self, pid: u32);

    /// It is gone, and so is its group.
    fn ended(&self, pid: u32);
}
