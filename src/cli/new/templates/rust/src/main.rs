//! The daemon: all features of `bridgehead`, with this connector.

use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is freed, so that the passwords of completed tasks do not remain in it.
#[global_allocator]
static WIPED: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    bridgehead::Daemon::builder()
        .connector("@@name@@", bridgehead_@@identifier@@::factory())
        .run_from_args()
}
