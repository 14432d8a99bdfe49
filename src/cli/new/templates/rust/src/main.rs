//! The daemon: everything that `bridgehead` can do, with this connector.

use std::process::ExitCode;

fn main() -> ExitCode {
    bridgehead::Daemon::builder()
        .connector("@@name@@", bridgehead_@@identifier@@::factory())
        .run_from_args()
}
