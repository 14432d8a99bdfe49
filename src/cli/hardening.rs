//! What this process does so that its memory, which holds secrets, stays its own.

/// No core dump is written, and no other process of the same user can look into this one. Programs that are started from here
/// write no core dump either.
///
/// What cannot be had is not insisted on: an older kernel or a container may not offer it.
pub(super) fn apply() {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, setrlimit};

        setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).ok();
    }
    // A core dump that is piped to a program, as systemd-coredump has it, applies no limit.
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, set_dumpable_behavior};

        set_dumpable_behavior(DumpableBehavior::NotDumpable).ok();
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    #[test]
    fn neither_a_core_dump_nor_another_process_gets_at_the_memory() {
        super::apply();
        assert_eq!(dumpable_behavior(), Ok(DumpableBehavior::NotDumpable));
        assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
    }
}
