//! The `bridgehead` command with its built-in connectors.

use std::process::ExitCode;

use bridgehead::Daemon;
use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is freed. Secrets pass through libraries that do not treat them specially, such as those for HTTP and JSON, and
/// their copies could not all be found otherwise.
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
