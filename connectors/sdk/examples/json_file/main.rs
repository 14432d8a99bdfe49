//! A connector whose target is a JSON file. `main` runs the conformance kit against it, and so does its test.
//!
//! ```sh
//! cargo run --example json_file --features conformance
//! ```
//!
//! Note how it reports failures: a file that is missing, truncated or not readable is an error, and never a missing account.

#![expect(clippy::print_stdout, reason = "it is what the example shows")]

mod connector;
mod file;
mod test_target;

use std::process::ExitCode;

use bridgehead_conformance as conformance;

#[tokio::main]
async fn main() -> Result<ExitCode, Box<dyn std::error::Error>> {
    let report = conformance::run(&test_target::People::new()?).await;
    println!("{report}");
    Ok(if report.failed().is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_connector_keeps_the_contract() {
        let report = conformance::run(&test_target::People::new().unwrap()).await;
        report.assert_passed();
        // These rules must be checked, not skipped: above all, a truncated listing must never look complete.
        for name in ["cut-listing", "unreachable", "paging-many", "update-every-field", "delete-again"] {
            assert!(!report.skipped().contains(&name), "{name}\n{report}");
        }
    }
}
