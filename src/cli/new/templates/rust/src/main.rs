//! The daemon: everything that `bridgehead` can do, with this connector.

use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is returned, so that nothing is left of the passwords of tasks that have ended.
#[global_allocator]
static WIPED: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    bridgehead::Daemon::builder()
        .connector("@@name@@", bridgehead_@@identifier@@::factory())
        .run_from_args()
}
