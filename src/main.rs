//! The `bridgehead` command, with the connectors that come with it.

use std::process::ExitCode;

use bridgehead::Daemon;
use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is returned. Secrets pass through libraries that know nothing of them, HTTP and JSON among them, and
/// no care of ours would find all their copies.
#[global_allocator]
static WIPED: ZeroAlloc<std::alloc::System> = ZeroAlloc(std::alloc::System);

fn main() -> ExitCode {
    Daemon::builder()
        .connector("file", bridgehead_file::factory())
        .connector("exec", bridgehead_exec::factory())
        .connector("http", bridgehead_http::factory())
        .connector("ldap", bridgehead_ldap::factory())
        .connector("scim", bridgehead_scim::factory())
        .connector("simulated", bridgehead_simulated::factory())
        .connector("sql", bridgehead_sql::factory())
        .run_from_args()
}
