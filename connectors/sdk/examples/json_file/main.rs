//! A connector whose target is a JSON file, and which proves itself: `main` runs the conformance kit on it, and so does its test.
//!
//! ```sh
//! cargo run --example json_file --features conformance
//! ```
//!
//! What is worth a look is how failures are told: a file that is missing, truncated or not readable is an error, and never "nobody there".

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
        // What is not skipped is proven: a listing that is truncated must never pass for a whole one.
        for name in ["cut-listing", "unreachable", "paging-many", "update-every-field", "delete-again"] {
            assert!(!report.skipped().contains(&name), "{name}\n{report}");
        }
    }
}
