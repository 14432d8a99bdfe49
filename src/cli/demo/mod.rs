//! Demo.
use super::args::Global;
use super::failure::Outcome;
use crate::config::Connectors;
pub(crate) async fn run(_: &Global, _: &Connectors, _: bool) -> Outcome {
    Ok(())
}
